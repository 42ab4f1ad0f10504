"""`onoff grade`."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main

LINES: list[dict[str, Any]] = [
    {"response": r"so \boxed{\frac{1}{2}}", "answer": "0.5", "problem_id": "a", "note": "kept"},
    {"response": r"so \boxed{7}", "answer": "0.5", "problem_id": "a", "sample_index": 5},
    {"response": "none", "answer": "0.5", "problem_id": "a"},
    {"response": r"\boxed{27}", "answer": 27.0, "problem_id": 3},
    {"response": r"\boxed{1}", "answer": r"\frac{1"},
    {"response": "half a pair \ud800 \\boxed{\ud800}", "answer": "1"},
]


def written(path: Path, lines: list[Any]) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_lines_come_back_in_order_with_their_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "in.jsonl", [LINES[0], b"", *LINES[1:]])
    output, statistics = tmp_path / "out.jsonl", tmp_path / "statistics.json"
    assert main(["grade", str(source), "--output", str(output), "--statistics", str(statistics)]) == 0
    graded = [json.loads(line) for line in output.read_text().splitlines()]
    assert [{name: line[name] for name in LINES[place]} for place, line in enumerate(graded)] == LINES
    assert [(line["status"], line["reward"], line["extracted_answer"]) for line in graded] == [
        ("correct", 1, r"\frac{1}{2}"),
        ("wrong", 0, "7"),
        ("no_answer", 0, None),
        ("correct", 1, "27"),
        ("gold_unparsed", None, "1"),
        ("wrong", 0, "\ud800"),
    ]
    row = json.loads(statistics.read_text())
    assert (row["num_problems"], row["num_samples"], row["num_gold_unparsed"]) == (3, 5, 1)
    assert row["accuracy"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert "gold_unparsed" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "statistics.json"]


def test_structured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "in.jsonl", [{"response": "<answer>5</answer>", "answer": "5"}])
    output = tmp_path / "out.jsonl"
    assert main(["grade", str(source), "--output", str(output), "--format-type", "structured"]) == 0
    assert json.loads(output.read_text())["status"] == "correct"
    assert "no interval on other problems like these: one problem says nothing of the spread" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: Expecting property name"),
        (b"[1]", "line 2: must be an object"),
        (b"[" * 100_000, "line 2: maximum recursion"),
        (b'{"response": "\xff", "answer": "1"}', "line 2: 'utf-8' codec"),
        ({"answer": "1"}, "line 2: `response` is missing"),
        ({"response": 5, "answer": "1"}, "line 2: `response` must be a text"),
        ({"response": "x"}, "line 2: `answer` is missing"),
        ({"response": "x", "answer": True}, "line 2: `answer` must be a text or a number"),
        ({"response": "x", "answer": "1", "problem_id": [1]}, "line 2: problem_id must be"),
        ({"response": "x", "answer": "1", "sample_index": "0"}, "line 2: sample_index must be"),
        ({"response": "x", "answer": "1", "sample_index": 2**31}, "line 2: sample_index must be from 0 to 2147483647"),
        ({"response": "x", "answer": "1", "sample_index": -1}, "line 2: sample_index must be from 0"),
        (b'{"response": "x", "answer": NaN}', "line 2: `answer` must be a text or a number, not nan"),
        ({"response": "x", "answer": "2", "problem_id": "a"}, "line 2: problem 'a' has another answer on line 1"),
        (
            {"response": "x", "answer": "1", "problem_id": "a", "sample_index": 0},
            "line 2: problem 'a', sample 0 stands on line 1 too",
        ),
    ],
)
def test_unreadable_lines_are_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: Any, message: str
) -> None:
    first = {"response": r"\boxed{1}", "answer": "1", "problem_id": "a"}
    source, output = written(tmp_path / "in.jsonl", [first, line, b"nonsense"]), tmp_path / "out.jsonl"
    output.write_text("before")
    assert main(["grade", str(source), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "line 3" in error
    assert output.read_text() == "before"


def test_a_file_from_an_editor_that_begins_with_a_mark(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", [b"\xef\xbb\xbf" + json.dumps(line).encode() + b"\r" for line in LINES[:1]])
    assert main(["grade", str(source), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert json.loads((tmp_path / "out.jsonl").read_text())["status"] == "correct"


def test_a_pipe_is_read(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, json.dumps(LINES[0]).encode())
    os.close(write_end)
    assert main(["grade", f"/dev/fd/{read_end}", "--output", str(tmp_path / "out.jsonl")]) == 0
    os.close(read_end)
    assert json.loads((tmp_path / "out.jsonl").read_text())["status"] == "correct"


def test_output_may_be_the_input_and_a_link_stays_one(tmp_path: Path) -> None:
    source, link = written(tmp_path / "in.jsonl", LINES[:1]), tmp_path / "link.jsonl"
    link.symlink_to(source)
    assert main(["grade", str(source), "--output", str(link)]) == 0
    assert link.is_symlink()
    assert json.loads(source.read_text()) == {
        **LINES[0], "reward": 1, "status": "correct", "extracted_answer": r"\frac{1}{2}", "answer_class": 0
    }  # fmt: skip


def test_what_cannot_be_written_is_said_before_grading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onoff_core.rewards.Grader", lambda *_, **__: pytest.fail("graded"))
    source, pipe, output = written(tmp_path / "in.jsonl", LINES[:1]), tmp_path / "pipe", tmp_path / "out.jsonl"
    os.mkfifo(pipe)
    for place in (pipe, tmp_path):
        assert main(["grade", str(source), "--output", str(place)]) == 1
        assert "is a folder, a pipe or a device; name a file" in capsys.readouterr().err
    assert pipe.is_fifo()
    assert main(["grade", str(source), "--output", str(output), "--statistics", str(output)]) == 1
    assert "are the same file" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main(["grade", str(source), "--output", str(output)]) == 1
    assert f"the folder {tmp_path} cannot be written to" in capsys.readouterr().err


def test_places_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path / "no.jsonl"), "--output", str(tmp_path / "out.jsonl")]) == 1
    assert "no such file" in capsys.readouterr().err
    source = written(tmp_path / "in.jsonl", LINES[:1])
    assert main(["grade", str(source), "--output", str(tmp_path / "no" / "out.jsonl")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def many_lines(count: int) -> list[dict[str, Any]]:
    """Responses to some problems, of which each has its lines spread over the file."""
    answers = ["7", r"\frac{14}{2}", "x+1", "1+x", "8", "8.0", r"\text{no}"]
    return [
        {"response": rf"\boxed{{{answers[n % 7]}}}", "answer": "7", "problem_id": n % 40, "sample_index": n // 40}
        for n in range(count)
    ]


def graded_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_killed_call_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output, whole = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "whole.jsonl"))
    written(source, many_lines(4000))
    assert main(["grade", str(source), "--output", str(whole)]) == 0
    command = [sys.executable, "-m", "onoff_core.cli.main", "grade", str(source), "--output", str(output)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (output.exists() and output.stat().st_size):
            time.sleep(0.01)
        process.kill()
    assert 0 < len(graded_lines(output)) < 4000
    with output.open("ab") as file:
        file.write(b'{"response": "half a li')
    before = output.read_bytes().rpartition(b"\n")[0]
    capsys.readouterr()
    assert main(["grade", str(source), "--output", str(output)]) == 0
    assert "lines are graded; going on" in capsys.readouterr().out
    assert output.read_bytes().startswith(before)
    assert graded_lines(output) == graded_lines(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "whole.jsonl"]


def test_another_call_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was graded in another way, or of other lines, is not gone on with."""
    lines = [{"response": "<answer>5</answer>", "answer": "5"}] * 3
    source, output = written(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("onoff_core.cli.grade_files.Output.finish", lambda self: _interrupted())
        with pytest.raises(RuntimeError):
            main(["grade", str(source), "--output", str(output)])
    assert [line["status"] for line in graded_lines(output)] == ["no_answer"] * 3
    assert main(["grade", str(source), "--output", str(output), "--format-type", "structured"]) == 0
    assert [line["status"] for line in graded_lines(output)] == ["correct"] * 3


def _interrupted() -> None:
    raise RuntimeError("interrupted")


def test_answer_classes_and_reasons_are_written(tmp_path: Path) -> None:
    lines = [
        {"response": rf"\boxed{{{answer}}}", "answer": "0.5", "problem_id": "a"}
        for answer in ("7", r"\frac12", "7.0", "8")
    ]
    lines.append({"response": "nothing", "answer": "0.5", "problem_id": "a"})
    source, output = written(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    assert main(["grade", str(source), "--output", str(output), "--reward-type", "math_verify"]) == 0
    graded = graded_lines(output)
    assert [line["answer_class"] for line in graded] == [1, 0, 1, 2, None]
    assert [line.get("reason") for line in graded] == [None] * 4 + ["no box in the response"]


def test_thinking_is_not_looked_at(tmp_path: Path) -> None:
    lines = [
        {"response": r"<r>\boxed{5}</r> 7", "answer": "5"},
        {"response": r"\boxed{5}", "answer": "5", "prompt": "Think. <think>\n"},
        {"response": r"\boxed{5}</think> \boxed{6}", "answer": "5", "prompt": "Think. <think>\n"},
    ]
    source, output = written(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    assert main(["grade", str(source), "--output", str(output), "--thinking", "<r>", "</r>"]) == 0
    graded = graded_lines(output)
    assert [line["status"] for line in graded] == ["no_answer", "no_answer", "wrong"]
    assert graded[0]["reason"] == "no box behind the last </r>"


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(LINES[0]).encode())))
    assert main(["grade", "-", "--output", str(tmp_path / "out.jsonl")]) == 0
    assert graded_lines(tmp_path / "out.jsonl")[0]["status"] == "correct"


def test_check_gold_lists_what_cannot_be_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"problem": "1+1?", "answer": "2", "solution": r"So \boxed{2}.", "unique_id": "a"},
        {"problem": "1+2?", "answer": r"\frac{3", "solution": r"So \boxed{3}.", "unique_id": "b"},
        {"problem": "1+3?", "answer": "5", "solution": r"So \boxed{4}.", "unique_id": "c"},
        {"problem": "x?", "answer": "2", "solution": r"$x=\boxed{1}$ and $x=\boxed{2}$", "unique_id": "d"},
    ]
    source = written(tmp_path / "math500.jsonl", rows)
    assert main(["grade", "--check-gold", str(source)]) == 1
    said = capsys.readouterr().out
    assert "4 gold answers against themselves: 3 correct, 1 gold_unparsed" in said
    assert "4 solutions with a box against their gold answers: 2 correct" in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith(("gold ", "solution "))] == [
        ["gold", "b"], ["solution", "b"], ["solution", "c"]
    ]  # fmt: skip
    assert main(["grade", "--check-gold", str(written(tmp_path / "math500.jsonl", rows[:1]))]) == 0
    assert main(["grade", "in.jsonl", "--check-gold", str(source)]) == 1
    assert main(["grade"]) == 1
