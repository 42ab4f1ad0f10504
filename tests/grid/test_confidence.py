"""`confidence`: every table of it from a store's results, judged, checked, and mended where it is damaged."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.checks import CHECKS, check_confidence
from onoff_core.checks import confidence as checks
from onoff_core.cli.main import main
from onoff_core.confidence.measures import MEASURES
from onoff_core.confidence.voting import RULES
from onoff_core.errors import MissingInputError
from onoff_core.grid.confidence import materialize_confidence
from onoff_core.grid.judging import open_store
from onoff_core.grid.status import partition_status, wanted_fingerprints
from onoff_core.statistics import problem_statistics, responses_by_problem
from onoff_core.store import Store, publish_catalog, reading_catalog
from onoff_core.store.dropping import drop, droppable
from onoff_core.study import Partition, load_study
from onoff_core.tables import CONFIDENCE_TABLES, SCHEMAS
from tests.conftest import ROOT, write_study

KEY = ("d", "m")
PROBLEMS, SAMPLES = 12, 8
ASKED = {"window": 4, "tail": 3, "top_k": 4, "warm_up": 2}


def made_up() -> list[MadeUpProblem]:
    draw = np.random.default_rng(0)

    def response() -> MadeUp:
        right = int(draw.random() < 0.4)
        tokens = [*encode(" so the answer is 2" if right else " then let x = 3, so"), STOP] * int(draw.integers(1, 4))
        return MadeUp(tokens, right, None if draw.random() < 0.1 and not right else "2")

    return [MadeUpProblem(f"p{i:02}", [response() for _ in range(SAMPLES)]) for i in range(PROBLEMS)]


def write(folder: Path, confidence: Any = ASKED, **sections: Any) -> None:
    (folder / "d.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "2"}))
    asked = {} if confidence is None else {"confidence": confidence}
    models = {"m": {"model_name": "fake", "backend_type": "fake"}}
    write_study(folder, None, datasets={"d": {"path": "d.jsonl"}}, models=models, **asked, **sections)


def opened(folder: Path) -> tuple[Partition, Store]:
    study = load_study(folder / "onoff.yaml")
    return study.partition("|".join(KEY)), open_store(study)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with made-up results, and the confidence of them. Tests that write take a copy."""
    folder = tmp_path_factory.mktemp("confidence")
    write(folder)
    partition, store = opened(folder)
    write_partition(store, *KEY, made_up())
    samples, rewards = (store.require(name, KEY).read() for name in ("samples", "rewards"))
    statistics = store.generation("problem_statistics", KEY, "a" * 16)
    statistics.write_fragment(0, [problem_statistics(responses_by_problem(rewards), rewards, samples)])
    statistics.complete({"rewards": "a" * 16}, {}, {})
    store.make_current(statistics)
    made = materialize_confidence(partition, store)
    assert made.computed
    assert made.manifest.num_rows == PROBLEMS * SAMPLES
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = opened(folder)[1].require(table, KEY).read().to_pylist()
    return rows


def test_a_response_has_the_numbers_of_its_tokens(template: Path) -> None:
    _, store = opened(template)
    tokens = [
        row
        for row in store.require("token_distributions", KEY).read().to_pylist()
        if (row["problem_id"], row["sample_index"]) == ("p03", 5)
    ]
    [row] = [one for one in rows_of(template, "confidence") if (one["problem_id"], one["sample_index"]) == ("p03", 5)]
    confidence = [-float(np.mean(one["topk_logprobs"][:4])) for one in tokens]
    windows = [np.mean(confidence[i : i + 4]) for i in range(len(confidence) - 3)]
    assert row["num_tokens"] == len(tokens)
    assert row["lowest_window_confidence"] == pytest.approx(min(windows))
    assert row["tail_confidence"] == pytest.approx(np.mean(confidence[-3:]))
    assert row["maximum_entropy"] == max(one["entropy"] for one in tokens)
    vocabulary = np.mean([one["mean_log_prob_vocabulary"] for one in tokens])
    size = store.require("vocabulary", KEY[1:]).manifest().num_rows
    assert row["self_certainty"] == pytest.approx(-np.log(size) - vocabulary)
    manifest = store.require("confidence", KEY).manifest()
    assert {name: manifest.facts[name] for name in ("window", "tail", "top_k")} == {"window": 4, "tail": 3, "top_k": 4}
    assert set(manifest.inputs) == {"samples", "rewards", "token_distributions"}


def test_every_table_is_whole(template: Path) -> None:
    statistics = rows_of(template, "confidence_statistics")
    names = [*(measure.name for measure in MEASURES), "semantic_entropy"]
    assert [row["measure"] for row in statistics] == names
    for row in statistics:
        assert row["num_responses"] == PROBLEMS * SAMPLES
        assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
        assert row["calibration_error_low"] <= row["calibration_error_high"]
        assert (row["within_auroc"] is None) == (row["measure"] == "semantic_entropy")
        assert (row["reason"] is None) == (row["measure"] != "semantic_entropy")
    by_name = {row["measure"]: row for row in statistics}
    assert by_name["perplexity"]["auroc"] == by_name["mean_log_prob"]["auroc"]
    assert by_name["perplexity"]["slope"] < 0 < by_name["mean_log_prob"]["slope"]  # as the measures themselves go
    assert {row["measure"] for row in rows_of(template, "confidence_bins")} == set(names)
    assert len(rows_of(template, "confidence_coverage")) == 20 * len(names)
    assert [row["num_samples"] for row in rows_of(template, "confidence_problems")] == [SAMPLES] * PROBLEMS
    voting = rows_of(template, "confidence_voting")
    assert len(voting) == 4 * (1 + (len(RULES) - 1) * len(MEASURES))  # k = 1, 2, 4, 8
    assert all(row["monte_carlo_error"] == 0 for row in voting)  # no k has more than 70 subsets
    for row in voting:
        assert row["accuracy"] == pytest.approx(row["majority_accuracy"] + row["difference"])
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    same = {(row["rule"], row["k"], row["measure"]): row["accuracy"] for row in voting}
    assert all(
        same[rule, k, "perplexity"] == same[rule, k, "mean_log_prob"] for rule in RULES[1:] for k in (1, 2, 4, 8)
    )
    stopping = rows_of(template, "confidence_stopping")
    assert [(row["kept_share"], row["k"]) for row in stopping] == [(s, k) for s in (0.1, 0.5, 0.9) for k in (4, 8)]
    saved = {row["kept_share"]: row["saved_share"] for row in stopping if row["k"] == 8}
    assert saved[0.1] > saved[0.5] > saved[0.9] > 0


def test_the_checks_hold_and_see_what_is_broken(template: Path) -> None:
    _, store = opened(template)
    found = check_confidence(store, KEY)
    assert all(evidence.holds for evidence in found.values()), found
    assert list(found) == [check.name for check in CHECKS["confidence"]]
    assert found["majority_is_that_of_the_statistics"].facts["k compared"] == 4
    rows = rows_of(template, "confidence")
    samples = store.require("samples", KEY).read()
    for wrong in (rows[1:], [*rows, rows[0]], [{**rows[0], "num_tokens": 999}, *rows[1:]]):
        assert not checks.each_response_has_its_confidence(samples, wrong).holds
    broken: list[dict[str, Any]] = [
        {"mean_log_prob": 0.5},
        {"maximum_entropy": 0.0},
        {"self_certainty": None},
        {"bottom_window_confidence": 0.0},
    ]
    for change in broken:
        assert not checks.measures_are_possible([{**rows[0], **change}]).holds, change
    assert not checks.falling_windows_end_at_the_lowest([{**rows[0], "falling_confidences": [1.0]}]).holds
    voting = rows_of(template, "confidence_voting")
    assert not checks.majority_is_that_of_the_statistics(voting, {8: 0.123}).holds


def queries() -> list[str]:
    pages = [(ROOT / "docs" / name).read_text() for name in ("confidence.md", "sql.md")]
    found = [query for page in pages for query in re.findall(r"```sql\n(.*?)```", page, flags=re.DOTALL)]
    return [query for query in found if set(CONFIDENCE_TABLES) & set(re.findall(r"\w+", query))]


def test_the_documented_questions_are_answered_and_every_column_has_a_comment(template: Path) -> None:
    _, store = opened(template)
    assert len(queries()) >= 5
    with reading_catalog(store) as connection:
        for query in queries():
            assert connection.execute(query).fetchall(), query
        commented = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NOT NULL"
        ).fetchall()
    assert {(table, name) for table in CONFIDENCE_TABLES for name in SCHEMAS[table].names} <= set(commented)


def test_once_made_nothing_is_done_and_damage_is_mended_alone(project: Path) -> None:
    partition, store = opened(project)
    assert not materialize_confidence(partition, store).computed
    whole = {table: store.require(table, KEY).read() for table in CONFIDENCE_TABLES}
    for table in ("confidence", "confidence_voting"):
        generation = store.require(table, KEY)
        Path(store.files.location(f"{generation.folder}/00000.parquet")).write_bytes(b"broken")
        said: list[str] = []
        assert materialize_confidence(partition, store, said.append).computed
        assert any(f"{generation.folder}/00000.parquet is damaged" in line for line in said)
        attempts = store.require("confidence", KEY).manifest().facts["run"]["attempts"]
        assert attempts == 2  # the votes are made of responses that stay
    assert all(store.require(table, KEY).read().equals(whole[table]) for table in CONFIDENCE_TABLES)


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load((folder / "onoff.yaml").read_text())
    edit(content)
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content))


def test_where_nobody_asks_it_is_a_sentence_and_no_state(project: Path) -> None:
    change(project, lambda content: content.pop("confidence"))
    partition, store = opened(project)
    with pytest.raises(MissingInputError, match=r"no confidence of d\|m is asked for; .*`confidence: \{\}`"):
        materialize_confidence(partition, store)
    assert "confidence" not in partition_status(partition, None, store)


def test_show_says_how_well_it_tells_right_from_wrong(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(template)
        assert main(["show", "d|m"]) == 0
    [row] = [row for row in rows_of(template, "confidence_statistics") if row["measure"] == "mean_confidence"]
    assert f"AUROC, mean confidence   {row['auroc']:.3f}  [{row['auroc_low']:.3f}, " in capsys.readouterr().out


def test_distributions_that_were_removed_are_asked_for(project: Path) -> None:
    partition, store = opened(project)
    drop(store, droppable(store, "token_distributions", 0))
    assert rows_of(project, "confidence")  # what is made stays
    change(project, lambda content: content["confidence"].update(window=5))
    partition, store = opened(project)
    with pytest.raises(
        MissingInputError, match=r"token distributions of d\|m were removed to save room.*dagster asset"
    ):
        materialize_confidence(partition, store)


def test_what_is_of_other_samples_is_refused(project: Path) -> None:
    partition, store = opened(project)
    write_partition(store, *KEY, made_up(), with_distributions=False, fingerprint="b" * 16)
    with pytest.raises(MissingInputError, match=r"token_distributions of d\|m are of earlier samples; run: "):
        materialize_confidence(partition, store)


def test_distributions_of_before_have_no_self_certainty_and_are_not_stale(project: Path) -> None:
    partition, store = opened(project)
    generation = store.require("token_distributions", KEY)
    wanted = wanted_fingerprints(partition, "x")["token_distributions"]
    path = Path(store.files.location(f"{generation.folder}/00000.parquet"))
    table = pq.read_table(path).drop_columns(["mean_log_prob_vocabulary"])
    former = store.generation("token_distributions", KEY, "c" * 16)
    former.write_fragment(0, [pq.read_table(path)])
    pq.write_table(table, store.files.location(f"{former.folder}/00000.parquet"))
    manifest = generation.manifest()
    former = store.generation("token_distributions", KEY, "c" * 16)
    former.complete(manifest.inputs, manifest.settings, manifest.facts)
    store.make_current(former)
    made = materialize_confidence(partition, store)
    rows = made.generation.read().to_pylist()
    assert {row["self_certainty"] for row in rows} == {None}
    assert all("force: true" in row["reason"] for row in rows)
    assert all(row["mean_confidence"] is not None for row in rows)
    [statistic] = [r for r in rows_of(project, "confidence_statistics") if r["measure"] == "self_certainty"]
    assert statistic["auroc"] is None
    assert statistic["num_without"] == PROBLEMS * SAMPLES
    assert statistic["reason"].startswith("no response with a reward has self_certainty")
    votes = [row for row in rows_of(project, "confidence_voting") if row["measure"] == "self_certainty"]
    assert {row["accuracy"] for row in votes} == {None}
    assert "self_certainty is null of 96 responses" in votes[0]["reason"]
    assert wanted_fingerprints(partition, "x")["token_distributions"] == wanted
    publish_catalog(store)
    with reading_catalog(store) as connection:
        found = connection.execute("SELECT DISTINCT mean_log_prob_vocabulary FROM token_distributions").fetchall()
    assert found == [(None,)]


def test_forced_tokens_and_the_sizes_that_imported_samples_leave_open(project: Path) -> None:
    """Other samples: imported, so that the longest response decides; one of them with tokens that were put in."""
    change(project, lambda content: content.update(confidence={}))
    partition, store = opened(project)
    was, key = store.require("samples", KEY), "d" * 16
    rows = was.read().to_pylist()
    rows[3] = {**rows[3], "forced_positions": [0, 2], "num_tokens": 700}
    made = store.generation("samples", KEY, key)
    made.write_fragment(0, [pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])])
    imported = {"imported": True, "imported_from": "results.json", "num_references_differing": 0}
    made.complete(was.manifest().inputs, was.manifest().settings, {**was.manifest().facts, **imported})
    store.make_current(made)
    for name in ("rewards", "token_distributions"):
        former = store.require(name, KEY)
        again = store.generation(name, KEY, key)
        again.write_fragment(0, [former.read()])
        again.complete(
            {**former.manifest().inputs, "samples": key}, former.manifest().settings, former.manifest().facts
        )
        store.make_current(again)
    before = store.require("confidence", KEY).read().to_pylist()
    made = materialize_confidence(partition, store)
    assert {name: made.manifest.facts[name] for name in ("window", "tail", "top_k")} == {
        "window": 43,
        "tail": 43,
        "top_k": 5,
    }
    after = made.generation.read().to_pylist()
    changed = [
        i
        for i, (one, other) in enumerate(zip(before, after, strict=True))
        if one["mean_entropy"] != other["mean_entropy"]
    ]
    assert changed == [3]
    assert after[3]["num_tokens"] == before[3]["num_tokens"] - 2
    tokens = [
        row
        for row in store.require("token_distributions", KEY).read().to_pylist()
        if (row["problem_id"], row["sample_index"]) == (rows[3]["problem_id"], rows[3]["sample_index"])
    ]
    drawn = [row["entropy"] for row in tokens if row["position"] not in (0, 2)]
    assert after[3]["mean_entropy"] == pytest.approx(np.mean(drawn))


def stale_because(folder: Path) -> list[tuple[str]]:
    """What the catalog says of the tables of confidence, once published."""
    _, store = opened(folder)
    publish_catalog(store)
    with reading_catalog(store) as connection:
        return connection.execute(
            "SELECT DISTINCT stale_because FROM generations WHERE asset LIKE 'confidence%'"
        ).fetchall()


def test_a_change_is_stale_and_says_which(project: Path) -> None:
    change(project, lambda content: content["confidence"].update(window=5))
    assert len(stale_because(project)) == 1  # the made-up samples are not what the settings would draw
    change(project, lambda content: content.pop("confidence"))
    assert stale_because(project) == [("the settings ask for none any more",)]
