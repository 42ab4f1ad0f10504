"""Make the asset `second_opinions` of a partition, and the statistics of how often the two opinions differ."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from onoff_core.backends import open_sampler
from onoff_core.backends.identity import model_source
from onoff_core.errors import MissingInputError
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Log, Made, already, is_whole
from onoff_core.grid.run_record import RunRecord
from onoff_core.progress import Progress
from onoff_core.rewards import whole_gold
from onoff_core.rewards.judging import judge_fragments
from onoff_core.rewards.opinions import (
    Row,
    is_for_the_judge,
    opinions_table,
    rule_opinions,
    without_the_rules_word,
)
from onoff_core.sampling import resolve_tags
from onoff_core.statistics import second_opinion_statistics
from onoff_core.store import Generation, Store, publish_catalog
from onoff_core.store.life_signs import Signs
from onoff_core.study import Partition

_TABLES = ("second_opinions", "second_opinion_statistics")

_info: Log = logging.getLogger("onoff").info


def none_asked_for(partition: Partition) -> str:
    """What to say where the settings ask for no second opinion."""
    return (
        f"no second opinion of {partition.key} is asked for; to get one, set task.second_opinion: {{kind: rules}} or "
        "{kind: model, model: NAME}"
    )


def materialize_second_opinions(
    partition: Partition, store: Store, log: Log | None = None, *, again: bool = False
) -> Made:
    """Look at the partition's current verdicts once more. They stay as they are."""
    if partition.task.second_opinion is None:
        raise MissingInputError(none_asked_for(partition))
    say, key = log or _info, (partition.dataset, partition.model)
    rewards = store.require("rewards", key)
    fingerprint = fingerprints.second_opinions_fingerprint(partition, rewards.fingerprint)
    opinions, rates = (store.generation(name, key, fingerprint) for name in _TABLES)
    inputs, settings = {"rewards": rewards.fingerprint}, fingerprints.second_opinion_settings(partition)
    with store.writing(opinions), store.writing(rates):
        there = is_whole(opinions, say, again)
        counted = is_whole(rates, say, again=not there)
        if not there:
            facts = _fill(partition, store, rewards, opinions, say, log)
            opinions.complete(inputs, settings, facts, rewards.fragment_indices())
        if not counted:
            record = RunRecord(rates)
            rates.write_fragment(0, [second_opinion_statistics(opinions.read())])
            rates.complete(inputs, settings, record.facts(), [0])
        store.make_current(rates)
        if there and counted:
            return already(store, opinions, say)
        store.make_current(opinions)
        publish_catalog(store)
        return Made(opinions, opinions.manifest(), computed=True)


def second_opinion_rates(opinions: Generation) -> dict[str, Any]:
    """How often the two opinions differ in complete second opinions: the row of `second_opinion_statistics`."""
    row: dict[str, Any] = second_opinion_statistics(opinions.read()).to_pylist()[0]
    return row


def _fill(
    partition: Partition, store: Store, rewards: Generation, opinions: Generation, say: Log, log: Log | None
) -> dict[str, Any]:
    """Write the missing fragments; each has the responses of the rewards' fragment of the same number."""
    record, there = RunRecord(opinions), opinions.fragment_indices()
    chunks = sorted(rewards.fragment_indices())
    missing = [index for index in chunks if index not in there]
    if len(missing) < len(chunks):
        say(f"resuming: {len(chunks) - len(missing)} of {len(chunks)} chunks there")
    problems = store.generation("problems", (partition.dataset,), rewards.manifest().inputs["problems"]).read()
    names = ("problem_id", "question", "answer", "solution")
    rows = list(zip(*(problems[name].to_pylist() for name in names), strict=True))
    questions = {problem: question for problem, question, _, _ in rows}
    gold = {problem: whole_gold(answer, solution) for problem, _, answer, solution in rows}
    found = {index: rule_opinions(rewards.read_fragment(index), gold) for index in missing}
    facts: dict[str, Any] = {}
    total = sum(len(of) for of in found.values())
    progress = Progress("second opinions", total, log, sign=Signs(opinions))
    for index, of in _with_judge(partition, found, questions, gold, progress, facts):
        opinions.write_fragment(index, [opinions_table(of)])
        progress.add(len(of))
    asked = {} if not facts or partition.judge is None else {"batch_size": partition.judge.batch_size}
    return {**facts, "seconds": progress.seconds, **record.facts(tokens=progress.tokens or None, **asked)}


def _with_judge(
    partition: Partition,
    found: Mapping[int, list[Row]],
    questions: Mapping[str, str],
    gold: Mapping[str, str],
    progress: Progress,
    facts: dict[str, Any],
) -> Iterator[tuple[int, list[Row]]]:
    """The fragments with the judge's opinion, where one is asked for. No model is loaded where nothing is to ask."""
    judge, asked = partition.judge, partition.task.second_opinion
    if judge is None or asked is None:
        yield from found.items()
        return
    for of in found.values():
        without_the_rules_word(of)
    if not any(is_for_the_judge(row) for of in found.values() for row in of):
        yield from found.items()
        return
    with closing(open_sampler(judge.name, judge.settings, partition.base_dir)) as sampler:
        judge = replace(judge, thinking=resolve_tags(judge.thinking, sampler.tokenizer))
        yield from judge_fragments(
            sampler, found, questions, gold, judge, asked.max_tokens, on_tokens=progress.add_tokens
        )
        facts |= {
            "judge": judge.name,
            "model_revision": sampler.info.revision,
            "model_source": model_source(judge.settings, partition.base_dir),
            "device": sampler.info.device,
            "torch_dtype": sampler.info.dtype,
            "tokens_per_second": progress.tokens_per_second,
            **sampler.info.facts,
        }
