"""A training run's checkpoints from the settings to the catalog and the command, over the fake engine."""

import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from onoff_core.cli.main import main
from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.importing import import_rollouts
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.series import fit_entropy, series_steps
from onoff_core.store import Store, connect_catalog, publish_catalog
from onoff_core.study import load_study
from onoff_core.tables import SCHEMAS
from tests.conftest import ROOT, MakeProject
from tests.exchange.rollouts.making import plain_rows, write_lines

STEPS = {0: (0.25, 1.2), 100: (0.5, 0.8), 200: (0.75, 0.5), 300: (0.75, 0.3)}  # accuracy, entropy


def fake(**more: Any) -> dict[str, Any]:
    return {"model_name": "fake", "backend_type": "fake", **more}


def models() -> dict[str, Any]:
    return {f"grpo-{step}": fake(series="grpo", step=step) for step in STEPS}


def put(store: Store, asset: str, model: str, rows: list[dict[str, Any]], inputs: dict[str, str]) -> None:
    """Make rows a partition's current ones, with plain values for all columns that they leave out."""
    plain = {
        field.name: None
        if field.nullable
        else []
        if pa.types.is_list(field.type)
        else ""
        if pa.types.is_string(field.type)
        else 0
        for field in SCHEMAS[asset]
    }
    generation = store.generation(asset, ("arithmetic", model), "a" * 16)
    with store.writing(generation):
        generation.write_fragment(0, [pa.Table.from_pylist([{**plain, **row} for row in rows], SCHEMAS[asset])])
        generation.complete(inputs, {}, {}, [0])
        store.make_current(generation)


def make_run(store: Store) -> None:
    for step, (accuracy, entropy) in STEPS.items():
        model = f"grpo-{step}"
        put(store, "samples", model, [{"problem_id": "p"}], {"problems": "0" * 16})
        put(store, "statistics", model, [{"accuracy": accuracy}], {"samples": "a" * 16, "rewards": "a" * 16})
        rows = [{"problem_id": "p", "position": i, "entropy": entropy + (-1) ** i * 0.1} for i in range(4)]
        put(store, "token_distributions", model, rows, {"samples": "a" * 16})
    publish_catalog(store)


@pytest.fixture
def run(make_project: MakeProject) -> Store:
    store = open_store(load_study(make_project(models={**models(), "other": fake()}) / "onoff.yaml"))
    make_run(store)
    return store


def test_the_steps_stand_side_by_side_with_the_fit(run: Store) -> None:
    steps = series_steps(run, "grpo")
    assert [(step.step, step.model, step.accuracy) for step in steps] == [
        (step, f"grpo-{step}", accuracy) for step, (accuracy, _) in STEPS.items()
    ]
    for step, (_, entropy) in zip(steps, STEPS.values(), strict=True):
        assert step.mean_entropy == pytest.approx(entropy, abs=1e-6)
    fit = fit_entropy([a for a, _ in STEPS.values()], [h for _, h in STEPS.values()])
    assert fit is not None
    assert [step.residual for step in steps] == pytest.approx(list(fit.residuals), abs=1e-6)
    with connect_catalog(run) as connection:
        rows = connection.execute("SELECT DISTINCT fit_a, fit_b, num_fitted FROM series").fetchall()
    assert rows == [(pytest.approx(fit.a, abs=1e-5), pytest.approx(fit.b, abs=1e-5), 4)]


def test_what_is_missing_says_why(run: Store) -> None:
    first, second, *_ = series_steps(run, "grpo")
    assert {one["statistic"]: one["reason"] for one in first.missing} == {
        "kl_to_first": "it is the first step",
        "kl_to_previous": "there is no step before it",
    }
    assert {one["statistic"]: one["reason"] for one in second.missing} == {
        "kl_to_first": "no exact cross-scores of grpo-100 by grpo-0",
        "kl_to_previous": "no exact cross-scores of grpo-100 by grpo-0",
    }
    put(run, "samples", "other", [{"problem_id": "p"}], {"problems": "0" * 16})
    publish_catalog(run)
    assert len(series_steps(run, "grpo")) == 4  # a model of no series is none of its steps


def test_the_divergences_are_those_of_cross_scores(run: Store) -> None:
    for reference, value in (("grpo-0", 0.25), ("grpo-100", 0.125), ("other", 9.0)):
        schema = SCHEMAS["cross_statistics"]
        plain = {
            field.name: None if field.nullable else [] if pa.types.is_list(field.type) else 0
            if not pa.types.is_string(field.type) else "" for field in schema
        }  # fmt: skip
        rows = [
            {**plain, "text": "response", "level": "token", "mean_kl": value},
            {**plain, "text": "solution", "level": "token", "mean_kl": 7.0},
        ]
        generation = run.generation("cross_statistics", ("arithmetic", "grpo-200", reference), "b" * 16)
        with run.writing(generation):
            generation.write_fragment(0, [pa.Table.from_pylist(rows, schema)])
            generation.complete({"samples": "a" * 16}, {}, {}, [0])
            run.make_current(generation)
    publish_catalog(run)
    third = series_steps(run, "grpo")[2]
    assert (third.kl_to_first, third.kl_to_previous) == (0.25, 0.125)
    assert third.missing == []


def test_a_step_that_the_study_has_no_longer_stays(make_project: MakeProject) -> None:
    folder = make_project(models=models(), sampling={"num_samples": 1, "max_length": 4, "seed": 1})
    study = load_study(folder / "onoff.yaml")
    for key in study.partitions:
        materialize_samples(study.partitions[key], open_store(study), lambda line: None)
    content = yaml.safe_load((folder / "onoff.yaml").read_text())
    del content["models"]["grpo-100"]  # its folder was removed
    del content["models"]["grpo-300"]["series"], content["models"]["grpo-300"]["step"]
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content))
    store = open_store(load_study(folder / "onoff.yaml"))
    publish_catalog(store)
    steps = series_steps(store, "grpo")
    assert [(step.step, step.in_study) for step in steps] == [(0, True), (100, False), (200, True)]


def test_only_new_checkpoints_are_computed(make_project: MakeProject, tiny_folder: Path) -> None:
    folder = make_project(
        datasets={"arithmetic": {"num_examples": 1}},
        models={"grpo": {"model_name": "runs/step_{step}", "backend_specific": {"device": "cpu"}}},
        sampling={"num_samples": 1, "max_length": 3, "seed": 1},
    )
    (folder / "runs").mkdir()
    (folder / "runs/step_1").symlink_to(tiny_folder)

    def computed() -> dict[str, bool]:
        study = load_study(folder / "onoff.yaml")
        store = open_store(study)
        return {
            partition.model: materialize_samples(partition, store, lambda line: None).computed
            for partition in study.partitions.values()
        }

    assert computed() == {"grpo-1": True}
    (folder / "runs/step_2").symlink_to(tiny_folder)
    assert computed() == {"grpo-1": False, "grpo-2": True}


def test_the_command_prints_the_table_and_the_fit(run: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["series"]) == 0
    assert capsys.readouterr().out == "grpo\n"
    assert main(["series", "grpo"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^ *100  grpo-100  0\.500 ", said, flags=re.MULTILINE)
    assert "fit over 4 steps: accuracy = -0." in said
    assert "note: kl_to_first of step 100: no exact cross-scores of grpo-100 by grpo-0" in said
    assert main(["series", "grpa"]) == 1
    assert "there is no series 'grpa'; there are: grpo" in capsys.readouterr().err
    assert main(["series", "grpo", "--dataset", "nope"]) == 1


def test_the_whole_way_over_the_fake_engine(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    script = {"script": {"responses": ["\\boxed{4}"]}}
    make_project(models={f"g-{step}": fake(series="g", step=step, backend_specific=script) for step in (1, 2, 3)})
    study = load_study()
    store = open_store(study)
    for partition in study.partitions.values():
        for materialize in (
            materialize_samples,
            materialize_rewards,
            materialize_statistics,
            materialize_token_distributions,
        ):
            materialize(partition, store, lambda line: None)
    steps = series_steps(store, "g")
    assert [step.mean_entropy for step in steps] == pytest.approx([math.log(258)] * 3, abs=1e-5)
    assert {one["reason"] for step in steps for one in step.missing} >= {"all steps have the same entropy"}
    assert main(["series", "g"]) == 0
    assert "pass@2" in capsys.readouterr().out


def test_a_pattern_asks_for_the_cross_scores_by_the_first_and_the_step_before(make_project: MakeProject) -> None:
    folder = make_project(models={"g": fake(model_name="runs/step_{step}", scored_by=["first", "previous"])})
    for step in (1, 2, 10):
        (folder / "runs" / f"step_{step}").mkdir(parents=True)
    study = load_study()
    references = {name: model.scored_by for name, model in study.models.items()}
    assert references == {"g-1": (), "g-2": ("g-1",), "g-10": ("g-1", "g-2")}
    store = open_store(study)
    for partition in study.partitions.values():
        materialize_samples(partition, store, lambda line: None)
        if partition.references:
            materialize_cross_scores(partition, store, lambda line: None)
    found = [(step.kl_to_first, step.kl_to_previous) for step in series_steps(store, "g")]
    assert found == [(None, None), (0.0, 0.0), (0.0, 0.0)]  # all fake models are one


def test_a_study_without_series_and_a_series_without_samples_are_sentences(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project()
    assert main(["series"]) == 1
    assert "no model is a step of a series; write" in capsys.readouterr().err
    make_project(models=models())
    assert main(["series", "grpo"]) == 1
    assert "has no samples of a step of series 'grpo'" in capsys.readouterr().err


def test_rollouts_of_another_step_are_refused(make_project: MakeProject, tmp_path: Path) -> None:
    make_project(models=models())
    study = load_study()
    partition, store = study.partition("arithmetic|grpo-100"), open_store(study)
    rows = plain_rows((), step=12) or [{"problem_id": "test-0", "response": "4", "step": 12}]
    with pytest.raises(ExchangeError, match=r"of step 12, but models\.grpo-100 is step 100 of grpo"):
        import_rollouts(partition, store, write_lines(tmp_path / "r.jsonl", rows))


def test_the_documented_queries_answer(run: Store) -> None:
    page = (ROOT / "docs" / "series.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", page, flags=re.DOTALL)
    assert len(queries) == 2
    with connect_catalog(run) as connection:
        for query in queries:
            assert connection.execute(query).fetchall() != []
        commented = connection.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'series' AND comment IS NULL"
        ).fetchall()
    assert commented == [(0,)]
