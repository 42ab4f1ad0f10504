"""`problem_statistics` and `comparisons`: made with the statistics, in the catalog, mended when damaged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_statistics
from onoff_core.grid.statistics_tables import keep_comparisons
from onoff_core.grid.status import partition_status
from onoff_core.store import Store, publish_catalog, reading_catalog
from onoff_core.study import Study, load_study
from tests.conftest import write_study

ANSWERS = ["1", "2", "3", "4", "5", "6"]


def scripted(*responses: str) -> dict[str, Any]:
    return {
        "model_name": "fake",
        "backend_type": "fake",
        "backend_specific": {"script": {"responses": list(responses)}},
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models that always answer in the same two or three ways, on six problems with six answers."""
    folder = tmp_path_factory.mktemp("six")
    fill(folder)
    return folder


@pytest.fixture
def made(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Store]:
    """A copy of the template, which each test may spoil."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    study = load_study()
    return study, Store(study.store_path)


def fill(folder: Path, **sections: Any) -> tuple[Study, Store]:
    write_study(
        folder,
        None,
        datasets={"six": {"path": "six.jsonl"}},
        models={
            "ones": scripted(r"\boxed{1}", r"\boxed{1}", r"\boxed{2}"),
            "twos": scripted(r"\boxed{2}", r"\boxed{2}", r"\boxed{9}", "none"),
            "none": scripted("none"),
        },
        sampling={"max_length": 20, "num_samples": 4, "seed": 7},
        **sections,
    )
    lines = [json.dumps({"question": f"What is {answer}?", "answer": answer}) for answer in ANSWERS]
    (folder / "six.jsonl").write_text("\n".join(lines))
    study = load_study(folder / "onoff.yaml")
    store = Store(study.store_path)
    for partition in study.partitions.values():
        for materialize in (materialize_samples, materialize_rewards, materialize_statistics):
            materialize(partition, store)
    return study, store


def rows_of(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with reading_catalog(store) as connection:
        found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return found


def test_every_problem_has_a_row_in_the_catalog(made: tuple[Study, Store]) -> None:
    _, store = made
    counts = (
        "SELECT model, sum(num_correct), sum(num_graded), count(*) FROM problem_statistics GROUP BY ALL ORDER BY ALL"
    )
    assert rows_of(store, counts) == [("none", 0, 24, 6), ("ones", 4, 24, 6), ("twos", 2, 24, 6)]
    same = (
        "SELECT count(*) FROM problem_statistics p JOIN (SELECT dataset, model, problem_id, avg(reward) AS rate "
        "FROM rewards GROUP BY ALL) r USING (dataset, model, problem_id) WHERE p.pass_rate = r.rate"
    )
    assert rows_of(store, same) == [(18,)]


def test_every_pair_is_compared_at_every_k(made: tuple[Study, Store]) -> None:
    _, store = made
    pairs = rows_of(
        store, "SELECT first_model, second_model, difference FROM comparisons WHERE statistic = 'accuracy' ORDER BY 3"
    )
    assert {pair[:2] for pair in pairs} == {("ones", "twos"), ("twos", "none"), ("ones", "none")}
    assert pairs[2][2] == pytest.approx(4 / 24)
    assert rows_of(store, "SELECT DISTINCT dataset, num_compared FROM comparisons") == [("six", 3)]
    found = rows_of(store, "SELECT statistic, list(DISTINCT k ORDER BY k) FROM comparisons GROUP BY ALL ORDER BY ALL")
    assert found == [("accuracy", [1]), ("maj_at_k", [1, 2, 4]), ("pass_at_k", [1, 2, 4])]
    comments = "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'comparisons' AND comment IS NULL"
    assert rows_of(store, comments) == [(0,)]


def test_both_are_in_the_statistics_row(made: tuple[Study, Store]) -> None:
    _, store = made
    row = store.require("statistics", ("six", "ones")).read().to_pylist()[0]
    assert row["accuracy_lowest"] == row["accuracy"] == row["accuracy_highest"] == pytest.approx(4 / 24)
    assert row["interval_low"] < row["same_problems_low"] < row["accuracy"]
    assert [entry["k"] for entry in row["pass_at_k_intervals"]] == [1, 2, 4]
    assert (row["num_missing"], row["num_timeouts"], row["num_problems_unknown"]) == (0, 0, 0)


def test_a_response_that_is_not_there_is_missing_and_in_the_bounds(made: tuple[Study, Store]) -> None:
    """Samples that lack a problem and a response: as an interrupted import of fragments would leave them."""
    study, store = made
    partition, key = study.partition("six|ones"), ("six", "ones")
    rewards = store.require("rewards", key)
    generation = store.generation("rewards", key, "a" * 16)
    with store.writing(generation):
        table = rewards.read()
        generation.write_fragment(0, [table.slice(5)])  # the first problem's four, and one of the second's
        generation.complete(rewards.manifest().inputs, {}, {}, [0])
    store.make_current(generation)
    row = materialize_statistics(partition, store).generation.read().to_pylist()[0]
    assert (row["num_problems"], row["num_samples"], row["num_missing"], row["num_problems_unknown"]) == (5, 19, 5, 1)
    assert row["accuracy_lowest"] < row["accuracy"] < row["accuracy_highest"]
    assert row["accuracy_highest"] - row["accuracy_lowest"] == pytest.approx(5 / 24)


def test_a_second_call_makes_nothing_and_a_damaged_table_is_made_again(made: tuple[Study, Store]) -> None:
    study, store = made
    partition = study.partition("six|ones")
    assert not materialize_statistics(partition, store).computed
    for name, key in (("problem_statistics", ("six", "ones")), ("comparisons", ("six",))):
        generation = store.require(name, key)
        before = generation.read()
        (fragment,) = generation.manifest().fragments
        Path(store.files.location(f"{generation.folder}/{fragment.name}")).write_bytes(b"damaged")
        materialize_statistics(partition, store)
        assert store.require(name, key).read().equals(before)


def test_comparisons_follow_the_statistics_of_each_model(made: tuple[Study, Store]) -> None:
    study, store = made
    before = store.require("comparisons", ("six",))
    facts = before.manifest().facts["problem_statistics"]
    assert facts == {model: store.require("problem_statistics", ("six", model)).fingerprint for model in study.models}
    partition = study.partition("six|ones")
    keep_comparisons(partition, store)
    assert store.require("comparisons", ("six",)).fingerprint == before.fingerprint
    store.files.remove("problem_statistics/six/none/current.json")
    keep_comparisons(partition, store)
    assert store.require("comparisons", ("six",)).read().num_rows == 7
    publish_catalog(store)
    assert rows_of(store, "SELECT count(*) FROM comparisons") == [(7,)]


def test_comparisons_know_models_by_their_names_now(
    made: tuple[Study, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    _, store = made
    assert main(["rename", "model", "twos", "zwei"]) == 0
    assert "zwei" in capsys.readouterr().out
    names = "SELECT DISTINCT unnest([first_model, second_model]) FROM comparisons ORDER BY 1"
    assert rows_of(store, names) == [("none",), ("ones",), ("zwei",)]
    assert main(["prune", "--orphans", "--yes"]) == 0  # the study names no zwei
    assert rows_of(store, names) == [("none",), ("ones",)]
    assert rows_of(store, "SELECT DISTINCT num_compared FROM comparisons") == [(1,)]


@pytest.mark.usefixtures("made")
def test_k_of_the_settings(tmp_path: Path) -> None:
    study, store = fill(tmp_path, statistics={"k": [3, 1, 3]})
    row = store.require("statistics", ("six", "ones")).read().to_pylist()[0]
    for name in ("pass_at_k", "maj_at_k", "pass_at_k_intervals"):
        assert [entry["k"] for entry in row[name]] == [1, 3]
    assert rows_of(store, "SELECT DISTINCT k FROM comparisons ORDER BY k") == [(1,), (3,)]
    partition = study.partition("six|ones")
    assert fingerprints.statistics_settings(partition) == {"k": [1, 3]}
    assert store.require("statistics", ("six", "ones")).manifest().settings == {"k": [1, 3]}
    usual, _ = fill(tmp_path)
    states = partition_status(usual.partition("six|ones"), None, store)
    assert (states["rewards"], states["statistics"]) == ("complete", "complete")  # both generations are there
    asked, _ = fill(tmp_path, statistics={"k": "all"})
    assert fingerprints.statistics_fingerprint(asked.partition("six|ones"), "r") != fingerprints.statistics_fingerprint(
        usual.partition("six|ones"), "r"
    )
    row = store.require("statistics", ("six", "ones")).read().to_pylist()[0]
    assert [entry["k"] for entry in row["pass_at_k"]] == [1, 2, 3, 4]
