"""`onoff check --overlap`: the table, the exit status, the JSON."""

import json
from pathlib import Path

import pytest

from onoff_core.cli.main import main
from tests.conftest import MakeProject

QUESTION = "A shop sells 12 red and 30 blue pens every day. How many pens does it sell in a week of seven days?"


def write(folder: Path, name: str, questions: dict[str, str]) -> None:
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in questions.items()]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))


@pytest.fixture
def project(make_project: MakeProject) -> Path:
    folder = make_project(datasets={name: {"path": f"{name}.jsonl"} for name in ("train", "test")})
    write(folder, "train", {QUESTION: "294", "What is 2 + 3?": "5"})
    write(folder, "test", {QUESTION.replace("shop", "store"): "294", "Who is first in the queue of ten people?": "1"})
    return folder


@pytest.mark.usefixtures("project")
def test_pairs_are_a_table_and_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--overlap"]) == 1
    shown = capsys.readouterr().out
    assert "4 problems of 2 data sets" in shown
    assert "1 of 2" in shown
    assert "near" in shown
    assert "train/test-0" in shown
    assert "test/test-0" in shown
    assert "A shop sells 12 red" in shown


def test_nothing_in_common_is_said_with_status_0(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "test", {"What is 2 + 4?": "6"})
    assert main(["check", "--overlap"]) == 0
    assert "no problem stands in two data sets" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_json_has_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--overlap", "--json", "--ngram", "5", "--threshold", "0.4"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ngram"], found["threshold"]) == (5, 0.4)
    (pair,) = found["pairs"]
    assert pair["first"] == {"dataset": "train", "problem_id": "test-0"}
    assert pair["same_answer"] is True


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json"], "--json goes with --overlap"),
        (["--overlap", "--ngram", "1"], "from 2 to 1000"),
        (["--overlap", "--threshold", "0"], "above 0 and up to 1"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["check", *arguments])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status != 0
    assert message in capsys.readouterr().err


def test_a_data_set_that_cannot_be_read_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test.jsonl").unlink()
    assert main(["check", "--overlap"]) == 1
    assert "datasets.test: " in capsys.readouterr().err
