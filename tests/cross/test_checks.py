"""The checks of cross-scores see what is wrong, and say where."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from onoff_core.checks import check_cross_scores
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples
from onoff_core.store import Store
from onoff_core.store.parquet import write_parquet
from onoff_core.study import load_study
from onoff_core.tables import SCHEMAS
from tests.conftest import MakeProject, tiny_model

NAMES = ("arithmetic", "tiny")


@pytest.fixture
def store(make_project: MakeProject) -> Store:
    make_project(models={"tiny": {**tiny_model(None), "scored_by": ["a"]}, "a": tiny_model(None)})
    study = load_study()
    made = open_store(study)
    materialize_samples(study.partition("arithmetic|tiny"), made)
    materialize_cross_scores(study.partition("arithmetic|tiny"), made)
    return made


def changed(store: Store, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a fragment anew, a row group a text, as no code of ours would."""
    generation = store.require(table, (*NAMES, "a"))
    whole = change(generation.read_fragment(0))
    keys = list(zip(whole["problem_id"].to_pylist(), whole["sample_index"].to_pylist(), strict=True))
    begins = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    parts = [whole.slice(begin, end - begin) for begin, end in zip(begins, [*begins[1:], len(keys)], strict=True)]
    write_parquet(parts, SCHEMAS[table], Path(store.root) / generation.folder / "00000.parquet")


def with_value(table: pa.Table, name: str, row: int, value: float | None) -> pa.Table:
    column = table[name].to_pylist()
    column[row] = value
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(column, table.schema.field(name).type))


def failing(store: Store) -> list[str]:
    return [name for name, evidence in check_cross_scores(store, NAMES).items() if not evidence.holds]


def test_what_is_right_passes(store: Store) -> None:
    found = check_cross_scores(store, NAMES)
    assert failing(store) == []
    tokens = sum(store.require("samples", NAMES).read()["num_tokens"].to_pylist())
    assert found["cross_scores_cover_every_token"].facts["tokens"] == tokens
    assert found["model_agrees_with_its_sampling"].facts["tokens compared"] == tokens


@pytest.mark.parametrize("which", ["token", "text", "response", "order"])
def test_rows_that_are_missing_or_out_of_order_are_named(store: Store, which: str) -> None:
    of_one = (pc.field("problem_id") == "test-1") & (pc.field("sample_index") == 2)
    match which:
        case "token":
            changed(store, "cross_scores", lambda table: table.slice(0, table.num_rows - 1))
        case "text":
            changed(store, "cross_scores", lambda table: table.filter(~of_one))
        case "response":
            changed(store, "cross_responses", lambda table: table.filter(~of_one))
        case "order":
            changed(store, "cross_scores", lambda table: with_value(table, "position", 1, 2))
    evidence = check_cross_scores(store, NAMES)["cross_scores_cover_every_token"]
    assert not evidence.holds
    assert evidence.facts["not covered"] == 1
    named = {"token": "test-3 sample 2", "order": "test-0 sample 0"}.get(which, "test-1 sample 2")
    assert evidence.facts["for example"] == named


@pytest.mark.parametrize(
    ("name", "value"), [("js", 0.7), ("kl", -0.1), ("reference_logprob", 0.2), ("js", float("nan")), ("entropy", -1.0)]
)
def test_a_value_that_cannot_be_is_named(store: Store, name: str, value: float) -> None:
    changed(store, "cross_scores", lambda table: with_value(table, name, 3, value))
    assert failing(store) == ["divergences_are_possible"]


def test_a_model_that_says_something_else_of_its_text_is_seen(store: Store) -> None:
    changed(store, "cross_scores", lambda table: with_value(table, "logprob", 0, -9.0))
    assert failing(store) == ["model_agrees_with_its_sampling"]
