"""Imported log-probabilities against ours, over the small random Llama, which computes both."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from onoff_core.exchange.rollouts.importing import RolloutOptions, import_rollouts
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples, materialize_token_distributions
from onoff_core.grid.mismatch_tables import MISMATCH
from onoff_core.store import Store, connect_catalog
from onoff_core.study import Partition, load_study
from tests.conftest import ROOT, MakeProject

PAGE = ROOT / "docs" / "rollouts.md"
KEY = ("arithmetic", "tiny")


def quiet(line: str) -> None:
    """A log nobody reads."""


@pytest.fixture
def imported(make_torch_project: MakeProject) -> tuple[Partition, Store, Path]:
    """The small Llama's own samples, written down as rollouts and imported: the engine's values are those of then, the
    trainer's are 0.5 nats lower at one token of each response.
    """
    folder = make_torch_project(datasets={"arithmetic": {"num_examples": 2}})
    study = load_study(folder / "onoff.yaml")
    partition, store = study.partition("arithmetic|tiny"), open_store(study)
    rows = materialize_samples(partition, store, quiet).generation.read().to_pylist()
    path = folder / "rollouts.jsonl"
    path.write_text("".join(json.dumps(_as_rollout(row)) + "\n" for row in rows))
    import_rollouts(partition, store, path, log=quiet)
    return partition, store, path


def _as_rollout(row: dict[str, Any]) -> dict[str, Any]:
    drawn = row["token_logprobs"]
    return {
        **{name: row[name] for name in ("problem_id", "prompt_token_ids", "token_ids")},
        "rollout_logprobs": drawn,
        "trainer_logprobs": [drawn[0] - 0.5, *drawn[1:]],
    }


def tables(store: Store) -> tuple[dict[tuple[str, str], Any], list[dict[str, Any]]]:
    of_partition = store.require(MISMATCH[1], KEY).read().to_pylist()
    responses = store.require(MISMATCH[0], KEY).read().to_pylist()
    return {(row["numerator"], row["denominator"]): row for row in of_partition}, responses


def test_what_was_imported_is_held_against_what_we_score(imported: tuple[Partition, Store, Path]) -> None:
    partition, store, _ = imported
    said: list[str] = []
    made = materialize_token_distributions(partition, store, said.append)
    assert any(line.startswith("trainer against rollout: K3 ") and "0.0% of the responses" in line for line in said)
    found, responses = tables(store)
    ours, trainer = found["ours", "rollout"], found["trainer", "rollout"]
    assert ours["num_responses"] == 6
    assert ours["num_tokens"] == made.manifest.num_rows
    assert abs(ours["k1"]) < 1e-5
    assert 0 <= ours["k3"] < 1e-9
    assert ours["token_ess_share"] == pytest.approx(1.0)
    assert trainer["k1"] == pytest.approx(0.5 * 6 / trainer["num_tokens"], abs=1e-6)
    assert trainer["lowest_log_ratio"] == pytest.approx(-0.5, abs=1e-6)
    assert len(responses) == 3 * 6
    of_trainer = [row for row in responses if (row["numerator"], row["denominator"]) == ("trainer", "rollout")]
    assert {row["worst_position"] for row in of_trainer} == {0}
    assert all(row["sequence_log_ratio"] == pytest.approx(-0.5, abs=1e-6) for row in of_trainer)


def test_log_probabilities_at_another_temperature_are_not_compared_with_ours(
    imported: tuple[Partition, Store, Path],
) -> None:
    partition, store, path = imported
    import_rollouts(partition, store, path, RolloutOptions(logprobs_temperature=0.5), log=quiet)
    materialize_token_distributions(partition, store, quiet)
    found, responses = tables(store)
    assert found["ours", "rollout"]["k3"] is None
    assert found["ours", "rollout"]["reason"].startswith("their log-probabilities are at temperature 0.5, ours at 1")
    assert found["trainer", "rollout"]["k1"] > 0  # two values of the run's own
    assert {row["numerator"] for row in responses} == {"trainer"}


def test_it_is_made_again_where_it_is_missing_and_judged_with_the_distributions(
    imported: tuple[Partition, Store, Path],
) -> None:
    partition, store, _ = imported
    materialize_token_distributions(partition, store, quiet)
    for name in MISMATCH:  # as if the process had died before
        generation = store.require(name, KEY)
        store.files.remove(f"{generation.folder}/manifest.json")
    assert not materialize_token_distributions(partition, store, quiet).computed
    assert len(tables(store)[1]) == 18
    judged = "SELECT asset, is_stale FROM generations WHERE asset LIKE 'rollout%' ORDER BY asset"
    with connect_catalog(store) as connection:
        assert connection.execute(judged).fetchall() == [(MISMATCH[0], False), (MISMATCH[1], False)]


def test_samples_that_were_drawn_here_have_no_such_table(make_project: MakeProject) -> None:
    study = load_study(make_project() / "onoff.yaml")
    store = Store(study.store_path)
    for materialize in (materialize_samples, materialize_token_distributions):
        materialize(study.partition("arithmetic|tiny"), store, quiet)
    assert [store.current(name, KEY) for name in MISMATCH] == [None, None]


def test_the_documented_queries_answer(imported: tuple[Partition, Store, Path]) -> None:
    partition, store, _ = imported
    materialize_token_distributions(partition, store, quiet)
    queries = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(queries) == 3
    with connect_catalog(store) as connection:
        for query in queries:
            assert connection.execute(query).fetchall() != []
