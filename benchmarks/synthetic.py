"""Made-up results in a real store, for the browser's tests and benchmarks: no model, any size, known content.

The vocabulary is small: one special token, every byte, some words and pieces of hostile text. Every distribution is
drawn from a seed; now and then the drawn token lies outside the top-k, as it does in real ones.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from onoff_core.statistics import summarise
from onoff_core.store import Generation, Store
from onoff_core.tables import SCHEMAS

STOP = 0
WORDS = (" the", " answer", " is", " so", " then", " let", " x", " =", " 2", " 3", "  ", "\t", "\n", "\n\n", ".", ",")
PIECES: tuple[bytes, ...] = (
    b"<|end|>",
    *(bytes([value]) for value in range(256)),
    *(word.encode() for word in WORDS),
    b"<script>alert(1)</script>",
    b"<b>bold</b>",
)


def encode(text: str) -> list[int]:
    """The token ids of a text, longest tokens first; characters outside the words become their bytes."""
    ids, raw = [], text.encode()
    longest_first = sorted(range(1, len(PIECES)), key=lambda i: -len(PIECES[i]))
    while raw:
        token_id = next(i for i in longest_first if raw.startswith(PIECES[i]))
        ids.append(token_id)
        raw = raw[len(PIECES[token_id]) :]
    return ids


@dataclass(frozen=True)
class MadeUp:
    """One response: its tokens, its verdict."""

    token_ids: list[int]
    reward: int | None = 0
    extracted_answer: str | None = "1"
    finish_reason: str = "stop"
    status: str | None = None

    @property
    def text(self) -> str:
        ids = self.token_ids[:-1] if self.token_ids and self.token_ids[-1] == STOP else self.token_ids
        return b"".join(PIECES[i] for i in ids).decode(errors="replace")


@dataclass(frozen=True)
class MadeUpProblem:
    """A problem and its responses."""

    problem_id: str
    responses: list[MadeUp]
    question: str = "What is $1 + 1$?"
    answer: str = "2"
    solution: str | None = field(default=None)


def write_partition(
    store: Store,
    dataset: str,
    model: str,
    problems: Sequence[MadeUpProblem],
    *,
    top_k: int = 5,
    with_distributions: bool = True,
    fingerprint: str = "aaaaaaaaaaaaaaaa",
    seed: int = 0,
) -> None:
    """Write every asset of a partition and make it current. Publishing the catalog is left to the caller."""
    key = (dataset, model)
    rows = [problem_row(problem) for problem in problems]
    version = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    _write(store, "problems", (dataset,), version, [pa.Table.from_pylist(rows, SCHEMAS["problems"])], {})
    pieces = [{"token_id": i, "piece": piece, "special": i == STOP} for i, piece in enumerate(PIECES)]
    _write(store, "vocabulary", (model,), "v" * 16, [pa.Table.from_pylist(pieces, SCHEMAS["vocabulary"])], {})
    samples = _table("samples", [_sample_row(p, i, r) for p in problems for i, r in enumerate(p.responses)])
    rewards = _table("rewards", [_reward_row(p, i, r) for p in problems for i, r in enumerate(p.responses)])
    made = _write(store, "samples", key, fingerprint, [samples], {"problems": version}, SAMPLES_SETTINGS, SAMPLES_FACTS)
    graded = _write(store, "rewards", key, fingerprint, [rewards], {"samples": made.fingerprint}, REWARDS_SETTINGS)
    statistics = _table("statistics", [summarise(samples, rewards)])
    _write(store, "statistics", key, fingerprint, [statistics], {"rewards": graded.fingerprint})
    if with_distributions:
        rng = np.random.default_rng(seed)
        tables = [
            distributions_table(p.problem_id, i, r.token_ids, top_k, rng)
            for p in problems
            for i, r in enumerate(p.responses)
        ]
        settings = {"temperature": 1.0, "top_k": top_k}
        inputs = {"samples": made.fingerprint}
        _write(store, "token_distributions", key, fingerprint, tables, inputs, settings, SCORING_FACTS)


# The settings and facts in a manifest of sampled responses.
SAMPLES_SETTINGS = {
    "model": {"model_name": "synthetic", "revision": "main", "backend_type": "huggingface", "torch_dtype": "float32"},
    "task": {"template_type": "chatml", "format_type": "boxed", "system_prompt": None, "examples": []},
    "sampling": {
        "max_length": 4096, "temperature": 0.6, "top_k": None, "top_p": 0.95, "do_sample": True, "num_samples": 8,
        "seed": 0, "stop_strings": [],
    },
}  # fmt: skip
SAMPLES_FACTS = {
    "seed": 0, "model_revision": None, "device": "cpu", "torch_dtype": "float32", "seconds": 1.0,
    "tokens_per_second": 100.0,
}  # fmt: skip
REWARDS_SETTINGS = {"format_type": "boxed", "reward_type": "math_verify"}
SCORING_FACTS = {"vocab_size": len(PIECES), "device": "cpu", "seconds": 1.0, "tokens_per_second": 100.0}


def problem_row(problem: MadeUpProblem) -> dict[str, object]:
    """A row of `problems`."""
    return {
        "problem_id": problem.problem_id,
        "question": problem.question,
        "answer": problem.answer,
        "solution": problem.solution,
        "subject": None,
        "level": None,
    }


def distributions_table(
    problem_id: str, sample_index: int, token_ids: Sequence[int], k: int, rng: np.random.Generator
) -> pa.Table:
    """One response's rows: (n, V) logits of which the drawn token usually has the highest."""
    n, size = len(token_ids), len(PIECES)
    logits = rng.normal(0, 2, (n, size))
    drawn = np.asarray(token_ids, dtype=np.int64)
    sure = rng.random(n) < 0.7
    logits[np.arange(n)[sure], drawn[sure]] = 8
    logsumexp = np.log(np.exp(logits).sum(axis=1)) if n else np.zeros(0)
    logprobs = logits - logsumexp[:, None]
    probabilities = np.exp(logprobs)
    order = np.argsort(-logprobs, axis=1, kind="stable")[:, :k].astype(np.int32)
    top = np.take_along_axis(logprobs, order, axis=1).astype(np.float32)
    own = logprobs[np.arange(n), drawn] if n else np.zeros(0)
    entropy = -(probabilities * logprobs).sum(axis=1)
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * k)
    columns = {
        "problem_id": pa.array([problem_id] * n, pa.string()),
        "sample_index": pa.array([sample_index] * n, pa.int32()),
        "position": pa.array(np.arange(n, dtype=np.int32)),
        "token_id": pa.array(drawn.astype(np.int32)),
        "logprob": pa.array(own.astype(np.float32)),
        "rank": pa.array((1 + (logprobs > own[:, None]).sum(axis=1)).astype(np.int32)),
        "entropy": pa.array(entropy.astype(np.float32)),
        "varentropy": pa.array(((probabilities * logprobs**2).sum(axis=1) - entropy**2).astype(np.float32)),
        "logsumexp": pa.array(logsumexp.astype(np.float32)),
        "tail_mass": pa.array(np.maximum(0, 1 - np.exp(top.astype(np.float64)).sum(axis=1)).astype(np.float32)),
        "topk_ids": pa.ListArray.from_arrays(offsets, pa.array(order.reshape(-1))),
        "topk_logprobs": pa.ListArray.from_arrays(offsets, pa.array(top.reshape(-1))),
        "forced": pa.nulls(n, pa.bool_()),
        "mean_log_prob_vocabulary": pa.array(logprobs.mean(axis=1).astype(np.float32)),
    }
    schema = SCHEMAS["token_distributions"]
    arrays = [pa.nulls(n, field.type) if field.name not in columns else columns[field.name] for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _sample_row(problem: MadeUpProblem, index: int, made: MadeUp) -> dict[str, object]:
    return {
        "problem_id": problem.problem_id,
        "sample_index": index,
        "prompt": problem.question,
        "prompt_token_ids": [1],
        "response": made.text,
        "token_ids": made.token_ids,
        "token_logprobs": [-0.5] * len(made.token_ids),
        "finish_reason": made.finish_reason,
        "num_tokens": len(made.token_ids),
    }


def _reward_row(problem: MadeUpProblem, index: int, made: MadeUp) -> dict[str, object]:
    row = {
        "problem_id": problem.problem_id,
        "sample_index": index,
        "extracted_answer": made.extracted_answer,
        "reward": made.reward,
        "status": made.status or {0: "wrong", 1: "correct", None: "gold_unparsed"}[made.reward],
        "answer_class": None if made.extracted_answer is None else 1 - (made.reward or 0),
        "reason": None,
    }
    return {name: row[name] for name in SCHEMAS["rewards"].names}


def _table(asset: str, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMAS[asset])


def _write(
    store: Store,
    asset: str,
    partition: tuple[str, ...],
    fingerprint: str,
    row_groups: Sequence[pa.Table],
    inputs: dict[str, str],
    settings: Mapping[str, object] | None = None,
    facts: Mapping[str, object] | None = None,
) -> Generation:
    generation = store.generation(asset, partition, fingerprint)
    if not generation.is_complete:
        generation.write_fragment(0, row_groups)
        generation.complete(inputs, dict(settings or {}), dict(facts or {}))
    store.make_current(generation)
    return generation
