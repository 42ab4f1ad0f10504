"""Make the rollouts of a file a partition's current `samples`, with the log-probabilities that came with them.

As with a `results.json`, the fingerprint is of the imported content. Token ids and prompts are the file's as far as it
has them. What a training run computed of the same tokens stands in `rollout_logprobs` and `trainer_logprobs`, to be
compared with ours once the responses are scored (`rollout_mismatch`).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from onoff_core.errors import ExchangeError
from onoff_core.exchange.comparing import compare
from onoff_core.exchange.importing import Imported, Prompts
from onoff_core.exchange.results_file import Result
from onoff_core.exchange.rollouts.matching import Grouped, matched, own_problems
from onoff_core.exchange.rollouts.reading import read_rollouts
from onoff_core.exchange.rollouts.rollout import Read, Rollout
from onoff_core.exchange.rollouts.tokens import TEXT, Tokens
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Log, already, finish, keep_problems, keep_vocabulary, series_facts
from onoff_core.problems import Problem, load_problems, problems_version
from onoff_core.sampling import facts_of_tags
from onoff_core.store import Store
from onoff_core.store.provenance import RolloutsProvenance
from onoff_core.study import Partition
from onoff_core.tables import SCHEMAS, TRUNCATED, UNKNOWN

_RESPONSES_PER_FRAGMENT = 512
_CONTENT = (
    "prompt",
    "prompt_token_ids",
    "token_ids",
    "response",
    "finish_reason",
    "rollout_logprobs",
    "trainer_logprobs",
)  # of a rollout, what decides the rows made of it


@dataclass(frozen=True)
class RolloutOptions:
    """What a caller says of a file of rollouts."""

    format: str | None = None  # None: found out
    step: int | None = None  # None: all, where the file holds one step
    logprobs_temperature: float | None = None  # None: as the file says, else 1
    own_problems: bool = False


def import_rollouts(
    partition: Partition, store: Store, path: Path, options: RolloutOptions | None = None, log: Log | None = None
) -> Imported:
    """Read a file (or a folder of files) and make its rollouts the partition's samples. `log` takes the lines a person
    should see.
    """
    say, options = log or logging.getLogger("onoff").info, options or RolloutOptions()
    read = read_rollouts(path, options.format, options.step)
    _check_step(partition, read, path)
    prompts = Prompts(partition)
    tokens = Tokens(prompts.tokenizer, partition.model)
    grouped, of_dataset = _problems(partition, read, prompts, path, options)
    grouped = [(problem, [tokens.completed(one) for one in group]) for problem, group in grouped]
    tokens.check_agreement()
    task = partition.task.model_copy(update={"thinking": prompts.thinking.tags})
    comparison = compare(*_as_results(grouped), task)
    version = problems_version(of_dataset)
    temperature = _temperature([one for _, group in grouped for one in group], options)
    settings = _settings(partition, grouped, temperature)
    fingerprint = fingerprints.fingerprint_of({"asset": "samples", "problems": version, **settings})
    generation = store.generation("samples", (partition.dataset, partition.model), fingerprint)
    with store.writing(generation):
        if generation.is_complete:
            made = already(store, generation, say)
            return Imported(made.generation, made.manifest, made.computed, comparison, read.left_out)
        keep_problems(store, partition.dataset, of_dataset, version, replace_current=not options.own_problems)
        for index, chunk in enumerate(_chunks(grouped)):
            generation.write_fragment(index, [_table(prompts, chunk)])
        keep_vocabulary(store, partition.model, prompts.tokenizer.vocabulary)
        facts = {
            **_facts(read, prompts, tokens, grouped),
            **facts_of_tags(partition.task, prompts.thinking.tags),
            **temperature,
            **series_facts(partition),
            "imported_from": str(path),
            "problems_from": "the file" if options.own_problems else "the data set",
            "num_verdicts_compared": comparison.num_compared,
            "num_rewards_differing": comparison.num_rewards_differing,
            "num_answers_differing": comparison.num_answers_differing,
        }
        made = finish(store, generation, {"problems": version}, settings, facts)
        return Imported(made.generation, made.manifest, made.computed, comparison, read.left_out)


def _check_step(partition: Partition, read: Read, path: Path) -> None:
    """A model that the study calls a step of a run takes that step's rollouts alone."""
    step = partition.model_settings.step
    others = {one.step for one in read.rollouts if one.step is not None} - {step}
    if step is not None and others:
        raise ExchangeError(
            f"{path}: holds rollouts of step {others.pop()}, but models.{partition.model} is step {step} of "
            f"{partition.model_settings.series}; name that step with --step {step}, or the model of these"
        )


def _problems(
    partition: Partition, read: Read, prompts: Prompts, path: Path, options: RolloutOptions
) -> tuple[Grouped, tuple[Problem, ...]]:
    """(the rollouts of each problem, the set of problems they are of)."""
    if options.own_problems:
        own = own_problems(read.rollouts, str(path))
        return own, tuple(problem for problem, _ in own)
    of_dataset = load_problems(partition.dataset, partition.dataset_settings, partition.base_dir)

    def prompt_of(rollout: Rollout) -> str | None:
        ids = rollout.prompt_token_ids
        return None if ids is None or max(ids) >= len(prompts.pieces) else prompts.tokenizer.decode(ids)

    return matched(read.rollouts, of_dataset, prompt_of, f"{path}: datasets.{partition.dataset}"), of_dataset


def _as_results(grouped: Grouped) -> tuple[list[Problem], list[Result]]:
    """The rollouts in the form in which a file's verdicts are compared with ours."""
    results = [
        Result(
            question=problem.question,
            reference=group[0].answer or problem.answer,
            samples=tuple(one.response or "" for one in group),
            prompt=group[0].prompt,
            rewards=tuple(one.reward for one in group),
        )
        for problem, group in grouped
    ]
    return [problem for problem, _ in grouped], results


def _settings(partition: Partition, grouped: Grouped, temperature: dict[str, Any]) -> dict[str, Any]:
    """What decides the content: the tokens, what came with them, whose they are; and what the numbers mean."""
    sampling = fingerprints.sampling_settings(partition)
    content = [
        [
            problem.problem_id,
            [[getattr(one, name) for name in _CONTENT] for one in group],
        ]
        for problem, group in grouped
    ]
    meaning = {name: temperature[name] for name in ("logprobs_temperature",) if name in temperature}
    return {
        **meaning,
        "imported": fingerprints.fingerprint_of(content),
        "model": sampling["model"],
        "task": sampling["task"],
    }


def _facts(read: Read, prompts: Prompts, tokens: Tokens, grouped: Grouped) -> dict[str, Any]:
    """What the manifest says of where the responses come from. Temperatures are of the log-probabilities."""
    rollouts = [one for _, group in grouped for one in group]
    steps = {one.step for one in rollouts if one.step is not None}
    references = sum(one.answer is not None and one.answer.strip() != p.answer.strip() for p, g in grouped for one in g)
    return {
        "imported": True,
        "rollout_format": read.format,
        "step": steps.pop() if len(steps) == 1 else None,
        "token_ids_from": tokens.come_from,
        "num_texts_differing": tokens.num_texts_differing,
        "first_text_differing": tokens.first_text_differing,
        "num_logprobs_dropped": tokens.num_logprobs_dropped,
        "prompts_from": prompts.come_from,
        "num_prompts_differing": prompts.num_differing,
        "first_prompt_differing": prompts.first_differing,
        "num_references_differing": references,
        "failed": list(read.left_out),
        "seed": None,
        "model_revision": None,
        "torch_dtype": None,
    }


def _temperature(rollouts: Sequence[Rollout], options: RolloutOptions) -> dict[str, Any]:
    """Of the imported log-probabilities; nothing where there are none, 1 where nobody says."""
    if all(one.rollout_logprobs is None and one.trainer_logprobs is None for one in rollouts):
        return {}
    said = {one.temperature for one in rollouts}
    if options.logprobs_temperature is not None:
        return {"logprobs_temperature": options.logprobs_temperature, "logprobs_temperature_from": "the command"}
    if said == {None}:
        return {"logprobs_temperature": 1.0, "logprobs_temperature_from": None}
    if len(said) > 1:
        raise ExchangeError(
            f"the log-probabilities are at several temperatures ({', '.join(map(str, sorted(said, key=str)))}); import "
            "those of one"
        )
    return {"logprobs_temperature": said.pop(), "logprobs_temperature_from": "the file"}


def _chunks(grouped: Grouped) -> Iterator[Grouped]:
    """Whole problems, a fragment's worth at a time."""
    chunk: Grouped = []
    for problem, group in grouped:
        if chunk and sum(len(g) for _, g in chunk) + len(group) > _RESPONSES_PER_FRAGMENT:
            yield chunk
            chunk = []
        chunk.append((problem, group))
    yield chunk


def _table(prompts: Prompts, chunk: Grouped) -> pa.Table:
    rows = [_row(prompts, problem, index, rollout) for problem, group in chunk for index, rollout in enumerate(group)]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])


def _row(prompts: Prompts, problem: Problem, index: int, rollout: Rollout) -> dict[str, Any]:
    text, prompt_ids = prompts.of_rollout(problem, rollout.prompt, rollout.prompt_token_ids)
    token_ids, end = rollout.token_ids or (), _end(prompts, rollout)
    return {
        "problem_id": problem.problem_id,
        "sample_index": index,
        "prompt": text,
        "prompt_token_ids": prompt_ids,
        "response": rollout.response,
        "token_ids": token_ids,
        "token_logprobs": [],
        "finish_reason": end,
        "num_tokens": len(token_ids),
        "rollout_logprobs": rollout.rollout_logprobs,
        "trainer_logprobs": rollout.trainer_logprobs,
        **prompts.thinking.columns(prompts.tokenizer.vocabulary, token_ids, text, end),
    }


def _end(prompts: Prompts, rollout: Rollout) -> str:
    if rollout.token_ids and rollout.token_ids[-1] in prompts.tokenizer.stop_token_ids:
        return "stop"
    return rollout.finish_reason if rollout.finish_reason in ("stop", "stop_string", *TRUNCATED) else UNKNOWN


def rollout_notes(how: RolloutsProvenance) -> list[str]:
    """What a person should know of an import, a line each."""
    lines = []
    if how.token_ids_from == TEXT:
        lines.append(
            f"the file carries no token ids (format: {how.format}), so they come from {TEXT}"
            + ("; its log-probabilities belong to no known ids and are left out" if how.num_logprobs_dropped else "")
        )
    elif TEXT in how.token_ids_from:
        lines.append(f"token ids come from {how.token_ids_from}")
    if how.num_texts_differing:
        lines.append(
            f"{how.num_texts_differing} texts are not what their token ids give, which count; the first is "
            f"{how.first_text_differing}"
        )
    if how.logprobs_temperature is None:
        lines.append("there are no log-probabilities to compare with ours")
    elif how.logprobs_temperature_from is None:
        lines.append(
            "the file does not say at which temperature its log-probabilities are; they are taken to be at 1 "
            "(--logprobs-temperature says otherwise)"
        )
    return lines
