"""`onoff plan` over the fake engine: before any run, from runs that are there, with a probe, when all is done."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples, materialize_statistics, materialize_token_distributions
from onoff_core.study import load_study
from tests.conftest import MakeProject
from tests.exchange.rl.making import grade

DATASETS = {"arithmetic": {"num_examples": 4}, "more": {"source": "arithmetic", "num_examples": 6}}


def make(*keys: str) -> None:
    """Everything of these partitions; answers are graded as texts, which takes no processes."""
    study = load_study()
    store = open_store(study)
    for key in keys:
        partition = study.partition(key)
        grade(partition, store, materialize_samples(partition, store, lambda line: None).generation)
        for maker in (materialize_statistics, materialize_token_distributions):
            maker(partition, store, lambda line: None)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    """By partition and asset, as JSON says it."""
    assert main(["plan", "--json", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    return {
        f"{one['dataset']}|{one['model']}": {asset["asset"]: asset for asset in one["assets"]}
        | {"unknown": one["unknown"]}
        for one in found
    }


def test_before_any_run_it_says_that_it_does_not_know(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project()
    assert main(["plan"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"arithmetic +tiny +samples +missing +12 +\? +\? +\? +\?", shown)
    assert "unknown: no run of tiny that made samples and token_distributions yet (arithmetic|tiny)" in shown
    assert "next: onoff plan --probe 2" in shown
    assert not (folder / "store" / "samples").exists()


def test_a_run_tells_what_the_next_one_takes(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(datasets=DATASETS)
    make("arithmetic|tiny")
    found = planned(capsys)
    assert list(found) == ["more|tiny"]
    samples, scores = found["more|tiny"]["samples"], found["more|tiny"]["token_distributions"]
    assert samples["responses"] == 18
    store = open_store(load_study())
    drawn = store.require("samples", ("arithmetic", "tiny")).read()["num_tokens"].to_pylist()
    low, high = samples["tokens"]
    assert low <= 18 * sum(drawn) / len(drawn) <= high <= 18 * 12
    assert scores["tokens"] == samples["tokens"]
    run = store.require("token_distributions", ("arithmetic", "tiny")).manifest()
    each = sum(one.num_bytes for one in run.fragments) / run.num_rows
    assert scores["bytes"] == pytest.approx([low * each, high * each])
    assert samples["seconds"][0] > 0
    assert samples["memory_bytes"] > 10**7
    assert found["more|tiny"]["unknown"] == []
    assert main(["plan"]) == 0
    shown = capsys.readouterr().out
    assert "from lengths: tiny on arithmetic" in shown
    assert "from speed of samples: 1 run on" in shown


def test_what_is_there_is_not_counted(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    make_project(datasets=DATASETS)
    make("arithmetic|tiny", "more|tiny")
    assert main(["plan"]) == 0
    assert "nothing is missing or stale of 2 partitions" in capsys.readouterr().out
    make_project(datasets=DATASETS, distribution={"top_k": 7})
    found = planned(capsys, "--dataset", "more")
    assert {name for name in found["more|tiny"] if name != "unknown"} == {"token_distributions"}
    scores = found["more|tiny"]["token_distributions"]
    tokens = open_store(load_study()).require("samples", ("more", "tiny")).read()["num_tokens"].to_pylist()
    assert scores["state"] == "stale"
    assert scores["tokens"] == [sum(tokens), sum(tokens)]  # they are there, so it is exact
    assert scores["bytes"][0] == 0  # no run with seven alternatives yet: at most what they take uncompressed
    assert scores["bytes"][1] == sum(tokens) * (32 + 7 * 8)
    make_project(datasets=DATASETS, distribution={"top_k": 3})  # fewer are cut from those that are there
    scores = planned(capsys, "--dataset", "more")["more|tiny"]["token_distributions"]
    assert (scores["responses"], scores["tokens"], scores["seconds"]) == (0, [0, 0], [0, 0])
    assert scores["bytes"][1] == sum(tokens) * (32 + 3 * 8)


def test_a_run_that_was_interrupted_is_counted_by_what_is_left(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"kind": "error", "after": 40}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": {"sampling_fault": fault}}}
    sampling = {"max_length": 12, "num_samples": 8, "batch_size": 8, "seed": 7}
    make_project(models={"tiny": model}, datasets={"arithmetic": {"num_examples": 10}}, sampling=sampling)
    study = load_study()
    with pytest.raises(Exception, match="the script says error"):
        materialize_samples(study.partition("arithmetic|tiny"), open_store(study), lambda line: None)
    samples = planned(capsys)["arithmetic|tiny"]["samples"]
    assert (samples["state"], samples["responses"]) == ("partial", 80 - 32)


def test_a_probe_measures_in_a_store_that_is_thrown_away(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project(datasets=DATASETS)
    assert main(["plan", "--probe", "2"]) == 0
    said = capsys.readouterr()
    assert "probe: 2 problems, 6 responses of arithmetic|tiny" in said.err
    assert "6 responses do not fill a batch of 8" in said.err
    assert "more|tiny, kept nowhere" not in said.err  # what the first tells of the model is enough
    assert "?" not in said.out.split("in all")[0]
    assert "from speed of samples: a probe on" in said.out
    assert "--probe" not in said.out
    assert not (folder / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--dataset", "nothing"], "has no dataset 'nothing'"), (["--probe", "0"], "a whole number of at least 1")],
)
def test_wrong_usage_says_what_is_right(
    arguments: list[str], message: str, make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project()
    try:
        status = main(["plan", *arguments])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status != 0
    assert message in capsys.readouterr().err


def test_what_cannot_be_read_does_not_hide_the_others(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(datasets={"gone": {"path": "gone.jsonl"}, "arithmetic": {"num_examples": 4}})
    make("arithmetic|tiny")
    assert main(["plan"]) == 0
    shown = capsys.readouterr().out
    assert "unknown: the data set cannot be read" in shown
    assert "gone.jsonl" in shown


def test_more_responses_cost_those_that_are_new(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    sampling = {"max_length": 12, "batch_size": 8, "seed": 7}
    make_project(sampling={**sampling, "num_samples": 3})
    make("arithmetic|tiny")
    make_project(sampling={**sampling, "num_samples": 8})
    found = planned(capsys)["arithmetic|tiny"]
    for asset in ("samples", "rewards", "token_distributions"):
        assert (found[asset]["responses"], found[asset]["responses_taken_over"]) == (4 * 5, 4 * 3), asset
    there = open_store(load_study()).require("samples", ("arithmetic", "tiny"))
    num_bytes = sum(one.num_bytes for one in there.manifest().fragments)
    assert found["samples"]["bytes"] == pytest.approx([num_bytes * 8 / 3] * 2)  # all have the same length


def test_rounds_take_from_the_least_to_the_most(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    until = {"half_width": 0.05, "least": 2, "most": 10}
    make_project(sampling={"max_length": 12, "batch_size": 8, "seed": 7, "until": until})
    found = planned(capsys)["arithmetic|tiny"]["samples"]
    assert (found["responses_at_least"], found["responses"]) == (4 * 2, 4 * 10)
