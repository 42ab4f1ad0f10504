"""`onoff power` over a partition that is there."""

import json
import re

import pytest

from onoff_core.cli.main import main
from onoff_core.grid.materialize import materialize_rewards, materialize_samples
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import MakeProject


@pytest.fixture
def _graded(make_project: MakeProject) -> None:
    """Two models: one right in two of three on the odd problems, the other in one of three on all."""
    scripts = {"often": [r"\boxed{1}", r"\boxed{1}", "no"], "seldom": [r"\boxed{1}", r"\boxed{2}", "no"]}
    models = {
        name: {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": {"responses": script}}}
        for name, script in scripts.items()
    }
    sampling = {"max_length": 20, "num_samples": 3, "seed": 7}
    folder = make_project(datasets={"d": {"path": "d.jsonl"}}, models=models, sampling=sampling)
    lines = [json.dumps({"question": f"What is {i}?", "answer": str(1 + i % 2)}) for i in range(8)]
    (folder / "d.jsonl").write_text("\n".join(lines))
    study = load_study()
    for partition in study.partitions.values():
        for materialize in (materialize_samples, materialize_rewards):
            materialize(partition, Store(study.store_path))


@pytest.mark.usefixtures("_graded")
def test_it_says_how_many_problems_and_responses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "--model", "often", "--difference", "0.02"]) == 0
    shown = capsys.readouterr().out
    # Half of the problems with p = 2/3: p (1 - p) 3/2 = 1/3, on average 1/6; both models together 1/3.
    quantiles = (1.959964 + 0.841621) ** 2
    assert "within its problem 0.1667" in shown
    eight = re.search(r"(?m)^ *8 +([\d,]+) +([\d,]+)$", shown)
    assert eight is not None
    equal, apart = (int(number.replace(",", "")) for number in eight.groups())
    assert equal == pytest.approx(quantiles * (1 / 3 / 8) / 0.0004, abs=1.1)
    assert apart > equal
    again = int(re.search(r"drawn again: ([\d,]+) responses", shown)[1].replace(",", ""))  # type: ignore[index]
    assert again == pytest.approx(quantiles / 3 / 8 / 0.0004, abs=1.1)
    assert "--against MODEL" in shown


@pytest.mark.usefixtures("_graded")
def test_against_another_model_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "--model", "often", "--against", "seldom", "--difference", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "as hard as for seldom" in shown
    assert "--against" not in shown


@pytest.mark.usefixtures("_graded")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "often", "--difference", "2"], "between 0 and 1"),
        (["--model", "often", "--difference", "0.1", "--against", "nobody"], "has no model 'nobody'"),
        (["--difference", "0.1"], "name one with --model"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["power", *arguments])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status != 0
    assert message in capsys.readouterr().err


def test_without_two_responses_or_rewards_it_says_what_to_do(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(sampling={"max_length": 12, "num_samples": 1, "seed": 7})
    assert main(["power", "--difference", "0.1"]) == 1
    assert "dagster asset materialize" in capsys.readouterr().err
    study = load_study()
    for materialize in (materialize_samples, materialize_rewards):
        materialize(study.partition("arithmetic|tiny"), Store(study.store_path))
    assert main(["power", "--difference", "0.1"]) == 1
    assert "raise sampling.num_samples" in capsys.readouterr().err
