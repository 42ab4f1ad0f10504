"""One's own files: four kinds, named columns, and every fault named with its place."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onoff_core.errors import DatasetError
from onoff_core.problems import Problem, load_problems
from onoff_core.study import DatasetSettings

ROWS: list[dict[str, Any]] = [
    {"key": "x1", "ask": "What is ½ + ½?", "gold": "1", "why": 'Two\nhalves, "so" one.'},
    {"key": "x2", "ask": "2 + 2?", "gold": "4", "why": ""},
]
NAMED = {"question_column": "ask", "answer_column": "gold", "solution_column": "why", "id_column": "key"}
WANTED = (Problem("x1", "What is ½ + ½?", "1", 'Two\nhalves, "so" one.'), Problem("x2", "2 + 2?", "4"))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def load(folder: Path, name: str, **settings: Any) -> tuple[Problem, ...]:
    return load_problems("mine", DatasetSettings(path=name, **settings), folder)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "json", "csv"])
def test_each_kind_of_file_with_named_columns(tmp_path: Path, ending: str) -> None:
    write_rows(tmp_path / f"mine.{ending}", ROWS)
    assert load(tmp_path, f"mine.{ending}", **NAMED) == WANTED


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "json", "csv"])
def test_question_and_answer_are_found_without_naming_them(tmp_path: Path, ending: str) -> None:
    write_rows(tmp_path / f"mine.{ending}", [{"question": "1+1?", "answer": "2"}])
    assert load(tmp_path, f"mine.{ending}") == (Problem("test-0", "1+1?", "2"),)


def test_numbers_are_answers_too(tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.jsonl", [{"question": "a?", "answer": a} for a in (27.0, 0, 2.5, "0.50")])
    assert [problem.answer for problem in load(tmp_path, "mine.jsonl")] == ["27", "0", "2.5", "0.50"]


def test_a_folder_may_hold_any_kind_a_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.csv", [{"question": "1+1?", "answer": "2"}])
    assert load_problems("mine", DatasetSettings(data_dir=".", split="train"), tmp_path)[0].problem_id == "train-0"
    with pytest.raises(DatasetError, match=r"no split 'test'; there are: train"):
        load_problems("mine", DatasetSettings(data_dir="."), tmp_path)
    with pytest.raises(DatasetError, match=r"gone: no such folder \(data_dir\)"):
        load_problems("mine", DatasetSettings(data_dir="gone"), tmp_path)


def test_rows_of_json_may_lack_what_is_not_needed(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "answer": "1"},
        {"question": "b?", "answer": "2", "solution": "It is 2.", "problem_id": "b"},
        {"answer": "3", "question": "c?"},
    ]
    write_rows(tmp_path / "mine.jsonl", rows)
    assert load(tmp_path, "mine.jsonl") == (
        Problem("test-0", "a?", "1"),
        Problem("b", "b?", "2", "It is 2."),
        Problem("test-2", "c?", "3"),
    )


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, ending: str) -> None:
    write_rows(tmp_path / f"mine.{ending}", [{"question": "1+1?", "answer": "2"}])
    content = (tmp_path / f"mine.{ending}").read_text(encoding="utf-8-sig")
    (tmp_path / f"mine.{ending}").write_text(content, encoding="utf-8-sig")
    assert load(tmp_path, f"mine.{ending}") == (Problem("test-0", "1+1?", "2"),)


def test_parquets_binary_is_no_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.parquet", [{"question": "1+1?", "answer": b"2"}])
    with pytest.raises(DatasetError, match=r"row 0: no answer \(a bytes stands there, not a text or a number\)"):
        load(tmp_path, "mine.parquet")


FAULTS = [
    ("a.jsonl", '{"question": "a?", "answer": ""}', "row 0: no answer"),
    ("a.jsonl", '{"question": "a?", "answer": NaN}', "row 0: no answer"),
    ("a.jsonl", '{"question": "a?", "answer": ["1", "2"]}', "row 0: no answer (a list stands there"),
    ("a.jsonl", '{"question": "a?", "answer": true}', "row 0: no answer (a bool stands there"),
    ("a.jsonl", '{"question": {"text": "a?"}, "answer": 1}', "row 0: no question (a dict stands there"),
    (
        "a.jsonl",
        '{"question": "a?", "answer": 1}\n{"question": "\\ud800", "answer": 1}',
        "row 1: the question is not",
    ),
    ("a.jsonl", "[" * 100_000, "cannot be read as jsonl: maximum recursion"),
    ("a.csv", "question,question,answer\na,b,1\n", "the header names 'question' twice"),
    ("a.jsonl", '{"question": "a?", "answer": "1"}\n{"question": " ", "answer": "1"}', "row 1: no question"),
    ("a.jsonl", '{"question": "a?", "answer": "1"}\n{"question": null, "answer": "1"}', "row 1: no question"),
    ("a.jsonl", '{"question": "a?", "answer": "1"}\n{"question": "b?"}', "row 1: no column 'answer'"),
    ("a.jsonl", '{"question": "a?", "answer": "1"}\n{"question": "b?"', "as jsonl: line 2, column 18: Expecting ',' d"),
    ("a.jsonl", "[1]", "line 1 is not an object"),
    ("a.jsonl", "", "holds no rows"),
    ("a.jsonl", '{"q": "a?", "a": "1"}', "no column 'question' and no column 'answer'; there are: q, a"),
    ("a.jsonl", '{"question": "a?", "answer": 1, "problem_id": "x"}\n' * 2, "the problem id 'x' stands there more"),
    ("a.json", "[]", "holds no rows"),
    ("a.json", '{"question": "a?"}', "must be a list of objects"),
    ("a.csv", "", "holds no rows"),
    ("a.csv", "question,answer\n", "holds no rows"),
    ("a.csv", "question,answer\n1+1?\n", "row 0: no answer"),
    ("a.csv", "question,answer\n1+1?,2,3\n", "line 2 has more cells than the header"),
    ("a.csv", 'question,answer\n"1+1?,2\n', "cannot be read as csv"),
    ("a.csv", "question\n1+1?\n", "no column 'answer'; there are: question"),
    ("a.parquet", "not Parquet", "cannot be read as parquet"),
    (
        "a.txt",
        "x",
        "unknown kind of file; there are: .csv, .json, .jsonl, .ndjson, .parquet, .tsv, each also as .gz or .zst",
    ),
]


@pytest.mark.parametrize(("name", "content", "said"), FAULTS, ids=[f"{n}-{s[:40]}" for n, _, s in FAULTS])
def test_a_fault_names_the_file_and_the_place(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.jsonl: no such file"):
        load(tmp_path, "gone.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match=r"folder: is a folder; write data_dir"):
        load(tmp_path, "folder")


@pytest.mark.parametrize("key", ["question_column", "answer_column", "solution_column", "id_column"])
def test_a_named_column_that_is_not_there(tmp_path: Path, key: str) -> None:
    write_rows(tmp_path / "mine.json", [{"question": "1+1?", "answer": "2"}])
    with pytest.raises(DatasetError, match=rf"no column 'nope' \({key}\); there are: question, answer"):
        load(tmp_path, "mine.json", **{key: "nope"})


def test_more_examples_asked_for_than_there_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_rows(tmp_path / "mine.json", [{"question": "1+1?", "answer": "2"}])
    assert len(load(tmp_path, "mine.json", num_examples=3)) == 1
    assert "mine.json: num_examples is 3, but there are 1 problems; all are taken" in caplog.text
