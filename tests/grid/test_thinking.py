"""Thinking through the whole grid, over the fake engine: columns, statistics, budgets, parts, staleness."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onoff_core.checks import check_samples, check_token_distributions
from onoff_core.cli.main import main
from onoff_core.grid import fingerprints
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.grid.summary import partition_summary
from onoff_core.statistics.thinking import Thought, budgets_of, thinking_budgets
from onoff_core.store import Store, connect_catalog
from onoff_core.study import Partition, load_study
from onoff_core.tables import SCHEMAS, THINKING_TABLES
from onoff_core.tasks import Parts
from tests.conftest import ROOT, write_study

KEY = ("arithmetic", "tiny")
TAGS = {"open": "<think>", "close": "</think>"}
RESPONSES = [
    "<think>One.\n\nTwo \\boxed{1}</think>It is \\boxed{4}.",  # 34 tokens of thinking, two steps
    "It is \\boxed{5}.",
    "<think>" + "on and on " * 20,  # ends at max_length
    "<think>short</think>\\boxed{6}",  # 20 tokens of thinking
]
MATERIALIZE: dict[str, Callable[..., Any]] = {
    "samples": materialize_samples,
    "rewards": materialize_rewards,
    "statistics": materialize_statistics,
    "token_distributions": materialize_token_distributions,
}


class Project:
    """A folder with an `onoff.yaml` over the fake engine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": {"responses": RESPONSES}}}
        write_study(folder, None, models={"tiny": model}, datasets={"arithmetic": {"num_examples": 3}})
        self.write(sampling={"max_length": 80, "num_samples": 4})

    def write(self, **sections: Any) -> None:
        path = self.folder / "onoff.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))

    @property
    def partition(self) -> Partition:
        return load_study(self.folder / "onoff.yaml").partition("|".join(KEY))

    @property
    def store(self) -> Store:
        return open_store(load_study(self.folder / "onoff.yaml"))

    def make(self, *assets: str) -> list[bool]:
        return [
            MATERIALIZE[one](self.partition, self.store, self.said.append).computed for one in assets or MATERIALIZE
        ]

    def rows(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.store.require(table, KEY).read().to_pylist()
        return found


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("thinking"))
    project.write(task={"thinking": TAGS})
    project.make()
    return project


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("cut"))
    project.write(task={"thinking": TAGS}, sampling={"max_length": 80, "num_samples": 4, "thinking_budget": 24})
    project.make()
    return project


def test_samples_say_where_the_answer_begins_and_where_the_steps(thinking: Project) -> None:
    first = thinking.rows("samples")[:4]
    assert [row["answer_start"] for row in first] == [34, None, None, 20]
    assert [row["step_starts"] for row in first] == [[0, 13], [], [0], [0]]
    assert [row["finish_reason"] for row in first] == ["stop", "stop", "length_in_thinking", "stop"]
    assert [row["forced_positions"] for row in first] == [None] * 4
    for row in first:
        begin = row["answer_start"]
        if begin is not None:
            assert bytes(row["token_ids"][:begin]).endswith(b"</think>")


def test_the_answer_alone_is_graded(thinking: Project) -> None:
    assert [row["extracted_answer"] for row in thinking.rows("rewards")[:4]] == ["4", "5", None, "6"]


def test_statistics_tell_thinking_and_answer_apart(thinking: Project) -> None:
    (row,) = thinking.rows("statistics")
    lengths = [one["num_tokens"] for one in thinking.rows("samples")[:4]]
    assert row["mean_thinking_tokens"] == fmean([34, 0, 80, 20])
    assert row["median_thinking_tokens"] == 27
    assert row["mean_answer_tokens"] == fmean([lengths[0] - 34, lengths[1], 0, lengths[3] - 20])
    assert row["mean_thinking_tokens"] + row["mean_answer_tokens"] == row["mean_num_tokens"]
    assert (row["thinking_share"], row["cut_share"]) == (0.75, 0.0)
    assert row["truncated_share"] == row["truncated_in_thinking_share"] == 0.25
    assert not any("thinking" in one["statistic"] for one in row["missing"])
    of_problem = thinking.rows("problem_statistics")[0]
    assert of_problem["mean_thinking_tokens"] == row["mean_thinking_tokens"]
    assert of_problem["mean_answer_tokens"] == row["mean_answer_tokens"]


def test_checks_count_what_ended_in_its_thinking_as_truncated(thinking: Project) -> None:
    found = check_samples(thinking.store, KEY, 0.2)["few_responses_are_truncated"]
    assert not found.holds
    assert found.facts["truncated"] == 3


def test_without_tags_nothing_is_otherwise_and_tags_named_later_draw_nothing_anew(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.make()
    (row,) = project.rows("statistics")
    told = [name for name in row if "thinking" in name or name in ("mean_answer_tokens", "cut_share")]
    assert [row[name] for name in told] == [None] * len(told)
    assert not any(one["statistic"] in told for one in row["missing"])
    samples = project.rows("samples")
    assert {(one["answer_start"], one["step_starts"], one["forced_positions"]) for one in samples} == {(None,) * 3}
    assert [one["finish_reason"] for one in samples[:3]] == ["stop", "stop", "length"]
    assert all(project.store.current(name, KEY) is None for name in THINKING_TABLES)
    assert "thinking" not in project.store.require("samples", KEY).manifest().facts
    before = fingerprints.sampling_settings(project.partition)

    project.write(task={"thinking": TAGS})
    assert fingerprints.sampling_settings(project.partition) == before
    assert project.make() == [False, True, True, False]
    (row,) = project.rows("statistics")
    assert (row["thinking_share"], row["truncated_in_thinking_share"]) == (0.75, 0.25)
    assert len(project.rows("response_parts")) == 24
    assert project.rows("thinking_budgets")

    project.write(task={})
    project.make()
    query = "SELECT asset, stale_because FROM generations WHERE list_contains(?, asset)"
    with connect_catalog(project.store) as connection:
        judged = dict(connection.execute(query, [list(THINKING_TABLES)]).fetchall())
    assert judged == dict.fromkeys(THINKING_TABLES, "the settings ask for none any more")


def test_budgets_count_what_is_longer_as_wrong(thinking: Project) -> None:
    rewards = {(row["problem_id"], row["sample_index"]): row["reward"] for row in thinking.rows("rewards")}
    drawn = {0: 34, 1: 0, 2: 80, 3: 20}  # tokens of thinking, by sample
    rows = thinking.rows("thinking_budgets")
    assert [row["budget"] for row in rows] == [16, 32, 64, 128]
    for row in rows:
        whole = [reward for (_, index), reward in rewards.items() if drawn[index] <= row["budget"]]
        assert row["num_whole"] == len(whole)
        assert row["num_responses"] == len(rewards) == 12
        assert row["cut_share"] == pytest.approx(1 - len(whole) / 12)
        assert row["accuracy"] == pytest.approx(sum(whole) / 12)  # as many responses of every problem
        assert row["accuracy_highest"] == pytest.approx(sum(whole) / 12 + row["cut_share"])
        assert row["accuracy_of_whole"] == pytest.approx(fmean(whole))
        assert row["mean_thinking_tokens"] == fmean(min(length, row["budget"]) for length in drawn.values())
        assert row["interval_low"] <= row["accuracy"] <= row["interval_high"]
    (statistics,) = thinking.rows("statistics")
    assert rows[-1]["accuracy"] == statistics["accuracy"]


def test_a_response_that_a_smaller_budget_leaves_whole_is_the_one_drawn_under_it(
    thinking: Project, cut: Project
) -> None:
    """What `thinking_budgets` says of a budget of 24 is what drawing under it shows."""
    free, under = thinking.rows("samples"), cut.rows("samples")
    whole = [one for one in free if one["sample_index"] in (1, 3)]
    assert [one["token_ids"] for one in under if not one["forced_positions"]] == [one["token_ids"] for one in whole]
    assert {one["sample_index"] for one in under if one["forced_positions"]} == {0, 2}


def test_what_is_put_in_is_marked_and_counted_by_no_statistic(cut: Project) -> None:
    first = cut.rows("samples")[:4]
    assert [row["forced_positions"] for row in first] == [list(range(24, 32)), [], list(range(24, 32)), []]
    assert first[0]["response"] == "<think>One.\n\nTwo \\boxed{</think>It is \\boxed{4}."
    assert [row["answer_start"] for row in first] == [32, None, 32, 20]
    assert first[2]["finish_reason"] == "length"  # in its answer
    tokens = cut.store.require("token_distributions", KEY).read().to_pylist()
    marked = [(row["problem_id"], row["sample_index"], row["position"]) for row in tokens if row["forced"]]
    assert len(tokens) == sum(row["num_tokens"] for row in cut.rows("samples"))
    assert marked == [
        (one["problem_id"], one["sample_index"], at) for one in cut.rows("samples") for at in one["forced_positions"]
    ]
    (row,) = cut.rows("statistics")
    assert row["cut_share"] == 0.5
    assert check_token_distributions(cut.store, KEY)["scorer_agrees_with_sampler"].holds
    facts = cut.store.require("samples", KEY).manifest().facts
    assert facts["thinking"] == {**TAGS, "auto": False}
    assert bytes(facts["thinking_closing_ids"]) == b"</think>"


def test_the_parts_of_responses_leave_forced_tokens_out(cut: Project) -> None:
    tokens = cut.rows("token_distributions")
    starts = {(row["problem_id"], row["sample_index"]): row["answer_start"] for row in cut.rows("samples")}
    for row in cut.rows("response_parts"):
        key = (row["problem_id"], row["sample_index"])
        start = starts[key] or 0
        own = [
            one
            for one in tokens
            if (one["problem_id"], one["sample_index"]) == key
            and (one["position"] >= start) == (row["part"] == "answer")
        ]
        drawn = [one for one in own if not one["forced"]]
        assert (row["num_tokens"], row["num_forced"]) == (len(own), len(own) - len(drawn))
        assert row["begin"] == (own[0]["position"] if own else None)
        for name in ("entropy", "logprob"):
            expected = fmean(one[name] for one in drawn) if drawn else None
            assert row[f"mean_{name}"] == pytest.approx(expected)
    by_part = {row["part"]: row for row in cut.rows("part_statistics")}
    assert by_part["thinking"]["num_forced"] == 3 * 2 * 8
    assert by_part["thinking"]["num_responses"] == 3 * 3
    assert by_part["answer"]["num_tokens"] + by_part["thinking"]["num_tokens"] == len(tokens)


def test_mean_entropies_leave_forced_tokens_out(cut: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """All entropies of the fake engine are one, so forced ones are given another here."""
    read = type(cut.store.require("token_distributions", KEY)).tables

    def changed(self: Any, columns: Any = None) -> Iterator[pa.Table]:
        for table in read(self, columns):
            if "entropy" not in table.column_names:
                yield table
                continue
            other = [99.0 if forced else 1.0 for forced in table["forced"].to_pylist()]
            yield table.set_column(table.column_names.index("entropy"), "entropy", pa.array(other, pa.float32()))

    monkeypatch.setattr(type(cut.store.require("token_distributions", KEY)), "tables", changed)
    assert partition_summary(cut.store, KEY).mean_entropy == 1.0


def test_tags_are_part_of_what_decides_samples_only_with_a_budget(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(task={"thinking": TAGS})
    assert "thinking" not in fingerprints.sampling_settings(project.partition)["task"]
    assert "thinking_budget" not in fingerprints.sampling_settings(project.partition)["sampling"]
    project.write(sampling={"max_length": 80, "thinking_budget": 24})
    settings = fingerprints.sampling_settings(project.partition)
    assert (settings["task"]["thinking"], settings["sampling"]["thinking_budget"]) == (TAGS, 24)


def test_show_tells_them_apart(
    thinking: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(thinking.folder)
    assert main(["show", "|".join(KEY)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"thinking, answer +33\.5, ", said)
    assert re.search(r"cut off thinking +25\.0% of the responses", said)
    assert re.search(r"thinking, answer +5\.553, 5\.553", said)


def test_exported_statistics_tell_them_apart_too(thinking: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(thinking.folder)
    assert main(["export", "--output", "out", "--what", "samples"]) == 0
    exported = json.loads((thinking.folder / "out" / "statistics.json").read_text("utf-8"))
    assert (exported["mean_thinking_tokens"], exported["truncated_in_thinking_share"]) == (33.5, 0.25)
    assert "until_stopped" not in exported


def thought(length: int, forced: int = 0) -> Thought:
    return Thought(Parts(length + 5, length, length + 5, False, length), "stop", forced)


def test_budgets_are_powers_of_two_from_the_last_that_cuts_all_to_the_first_that_cuts_none() -> None:
    assert budgets_of([20, 0, 32, 80]) == [16, 32, 64, 128]
    assert budgets_of([16, 64]) == [8, 16, 32, 64]
    assert budgets_of([1]) == [1]
    assert budgets_of([0, 0]) == budgets_of([]) == []


def test_a_response_that_was_cut_at_a_budget_is_whole_under_it() -> None:
    rewards = pa.table({"problem_id": ["a", "b"], "sample_index": [0, 0], "reward": pa.array([1, 1], pa.int8())})
    thoughts = {("a", 0): thought(72, forced=8), ("b", 0): thought(30)}
    whole = {row["budget"]: row["num_whole"] for row in thinking_budgets(thoughts, rewards).to_pylist()}
    assert whole == {16: 0, 32: 1, 64: 2}


def test_the_documented_questions_are_answered(cut: Project) -> None:
    found = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "thinking.md").read_text(), flags=re.DOTALL)
    assert len(found) >= 3
    with connect_catalog(cut.store) as connection:
        for query in found:
            assert connection.execute(query).fetchall(), query
        columns = connection.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NOT NULL")
        commented = set(columns.fetchall())
    assert {(table, name) for table in THINKING_TABLES for name in SCHEMAS[table].names} <= commented
