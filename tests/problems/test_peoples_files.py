"""Files as people have them: endings, encodings, shards, saved data sets, lists and chats for texts, narrow numbers."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onoff_core.errors import DatasetError, SettingsError
from onoff_core.problems import Problem, load_problems
from onoff_core.study import DatasetSettings, load_study
from tests.problems.test_files import load

ROW = {"question": "What is ½ + ½?", "answer": "1"}
WANTED = (Problem("test-0", "What is ½ + ½?", "1"),)
JSON_LINE = json.dumps(ROW, ensure_ascii=False).encode()


def in_folder(folder: Path, **settings: Any) -> tuple[Problem, ...]:
    return load_problems("mine", DatasetSettings(data_dir=".", **settings), folder)


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.ndjson", JSON_LINE),
        ("mine.JSONL", JSON_LINE),
        ("mine.jsonl.gz", gzip.compress(JSON_LINE)),
        ("mine.Jsonl.ZST", zstd(JSON_LINE)),
        ("mine.tsv", "question\tanswer\nWhat is ½ + ½?\t1\n".encode()),
        ("mine.csv.gz", gzip.compress("question,answer\nWhat is ½ + ½?,1\n".encode())),
        ("mine.json", b'{"version": 1, "data": [' + JSON_LINE + b"]}"),
        ("mine.json", b'{"data": [{"question": "other", "answer": 2}], "test": [' + JSON_LINE + b"]}"),
        ("mine.json", b'{"problems": [' + JSON_LINE + b'], "licence": "MIT"}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_endings_and_shapes(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert load(tmp_path, name) == WANTED
    (tmp_path / name).rename(tmp_path / f"test{name.removeprefix('mine')}")
    assert in_folder(tmp_path) == WANTED


def test_a_json_with_two_lists_says_which_it_has(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"easy": [{"question": "a"}], "hard": [{"question": "b"}]}')
    with pytest.raises(
        DatasetError, match="must be a list of objects, or hold one under 'data' or 'test'; it has easy"
    ):
        load(tmp_path, "mine.json")


def test_a_compressed_file_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl.gz").write_bytes(gzip.compress(JSON_LINE * 100)[:-20])
    with pytest.raises(DatasetError, match=r"mine\.jsonl\.gz: cannot be read as jsonl"):
        load(tmp_path, "mine.jsonl.gz")


@pytest.mark.parametrize("below", [".", "data"])
def test_shards_in_their_order(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    for number in (1, 0):
        table = pa.Table.from_pylist([{"question": f"{number}?", "answer": "1"}])
        pq.write_table(table, tmp_path / below / f"test-0000{number}-of-00002.parquet")
        pq.write_table(table, tmp_path / below / f"train-0000{number}-of-00002.parquet")
    assert [(p.problem_id, p.question) for p in in_folder(tmp_path)] == [("test-0", "0?"), ("test-1", "1?")]
    with pytest.raises(DatasetError, match="no split 'dev'; there are: test, train"):
        in_folder(tmp_path, split="dev")
    (tmp_path / below / "test-00000-of-00002.parquet").unlink()
    with pytest.raises(DatasetError, match="shards of 'test' are not whole: there are test-00001-of-00002"):
        in_folder(tmp_path)


@pytest.mark.parametrize("key", ["path", "data_dir"])
def test_folders_of_save_to_disk(tmp_path: Path, key: str) -> None:
    rows = datasets.Dataset.from_list([{"question": "a?", "answer": "1"}, {"question": "b?", "answer": "2"}])
    rows.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"test": rows.select([1]), "train": rows}).save_to_disk(str(tmp_path / "splits"))
    one, of_split = (load_problems("mine", DatasetSettings(**{key: name}), tmp_path) for name in ("one", "splits"))
    assert [p.question for p in one] == ["a?", "b?"]
    assert of_split == (Problem("test-0", "b?", "2"),)
    with pytest.raises(DatasetError, match="splits: no split 'dev'; there are: test, train"):
        load_problems("mine", DatasetSettings(split="dev", **{key: "splits"}), tmp_path)
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"junk")
    with pytest.raises(DatasetError, match="one: cannot be read as a data set of save_to_disk"):
        load_problems("mine", DatasetSettings(**{key: "one"}), tmp_path)


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (["1"], "1"),
        ([[3.0]], "3"),
        ('["\\\\frac{1}{2}"]', r"\frac{1}{2}"),
        ("['7']", "7"),
        ("[1, 2]", "[1, 2]"),
        ("[1]", "[1]"),
        ('["a", "b"]', '["a", "b"]'),
        ("{1, 2}", "{1, 2}"),
    ],
)
def test_an_answer_in_a_list(tmp_path: Path, answer: Any, read: str) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": "a?", "answer": answer}))
    assert load(tmp_path, "mine.jsonl")[0].answer == read


CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]


@pytest.mark.parametrize(
    "question",
    [
        CHAT,
        [*CHAT, {"role": "assistant", "content": "2"}],
        json.dumps(CHAT),
        [{"role": "user", "content": [{"type": "text", "text": "1 + "}, {"type": "text", "text": "1?"}]}],
    ],
)
def test_a_question_in_the_form_of_a_chat(tmp_path: Path, question: Any) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"question": question, "answer": "2"}))
    assert load(tmp_path, "mine.jsonl")[0].question == "1 + 1?"


@pytest.mark.parametrize(
    "truth",
    [
        *("2", ["2"], {"target": "2"}, {"target": ["2"]}, [{"target": "2"}], '{"target": "2", "question": "1 + 1?"}'),
        *('["2"]', "[2]", '"2"', '[{"target": "2"}]'),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_verl_files_without_extra_info(tmp_path: Path, truth: Any, as_text: bool) -> None:
    model: Any = {"ground_truth": truth, "style": "rule"}
    row = {"data_source": "mine", "prompt": CHAT, "reward_model": json.dumps(model) if as_text else model}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "mine.parquet")
    assert load(tmp_path, "mine.parquet") == (Problem("row-0", "1 + 1?", "2"),)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_a_narrow_number_is_its_shortest_text(tmp_path: Path, kind: pa.DataType) -> None:
    """0.1 in 32 bits is 0.10000000149011612 in 64, and as a gold answer would be another number."""
    values = pa.array([0.1, 3.0], pa.float64()).cast(kind, safe=False)
    nested = pa.array(
        [{"ground_truth": [value]} for value in values.to_pylist()], pa.struct([("ground_truth", pa.list_(kind))])
    )
    pq.write_table(pa.table({"question": ["a?", "b?"], "answer": values}), tmp_path / "mine.parquet")
    assert [p.answer for p in load(tmp_path, "mine.parquet")] == ["0.1", "3"]
    pq.write_table(pa.table({"prompt": ["a?", "b?"], "reward_model": nested}), tmp_path / "verl.parquet")
    assert [p.answer for p in load(tmp_path, "verl.parquet")] == ["0.1", "3"]


@pytest.mark.parametrize(
    ("written_in", "setting"),
    [
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("latin-1", "latin-1"),
    ],
)
@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.json"])
def test_another_encoding_is_named_and_then_read(tmp_path: Path, name: str, written_in: str, setting: str) -> None:
    text = "question,answer\nWhat is ½ + ½?,1\n" if name.endswith("csv") else JSON_LINE.decode()
    text = f"[{text}]" if name.endswith(".json") else text
    (tmp_path / name).write_bytes(text.encode(written_in))
    with pytest.raises(DatasetError, match=f"{name}: cannot be read as .*not UTF-8.*write encoding: {setting}"):
        load(tmp_path, name)
    assert load(tmp_path, name, encoding=setting) == WANTED


def test_an_encoding_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "onoff.yaml").write_text(
        "datasets: {a: {path: a.csv, encoding: latin}}\nmodels: {m: {model_name: a/b}}"
    )
    assert load_study(tmp_path / "onoff.yaml").datasets["a"].encoding == "latin"  # a name that Python knows
    (tmp_path / "onoff.yaml").write_text("datasets: {a: {path: a.csv, encoding: latn}}\nmodels: {m: {model_name: a/b}}")
    with pytest.raises(SettingsError, match=r"datasets\.a\.encoding: an encoding such as utf-8, utf-16, latin-1"):
        load_study(tmp_path / "onoff.yaml")
    (tmp_path / "a.csv").write_bytes("question,answer\n½,1\n".encode())
    with pytest.raises(DatasetError, match=r"is not ascii .*write another encoding"):
        load(tmp_path, "a.csv", encoding="ascii")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_named_and_then_read(tmp_path: Path, separator: str) -> None:
    (tmp_path / "mine.csv").write_text(f"question{separator}answer\n1,5 + 1,5?{separator}3\n")
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, "mine.csv")
    assert f"write separator: {json.dumps(separator)}" in str(caught.value)
    assert load(tmp_path, "mine.csv", separator=separator) == (Problem("test-0", "1,5 + 1,5?", "3"),)


def test_another_separator_in_quotes(tmp_path: Path) -> None:
    """As spreadsheets write it where a comma is a decimal point."""
    (tmp_path / "mine.csv").write_text('"question";"answer"\r\n"1,5 + 1,5?";"3"\r\n')
    with pytest.raises(DatasetError, match='write separator: ";"'):
        load(tmp_path, "mine.csv")
    assert load(tmp_path, "mine.csv", separator=";") == (Problem("test-0", "1,5 + 1,5?", "3"),)
    (tmp_path / "mine.tsv").write_text("question,answer\n1?,1\n")
    with pytest.raises(DatasetError, match='write separator: ","'):
        load(tmp_path, "mine.tsv")


def test_a_field_longer_than_pythons_limit(tmp_path: Path) -> None:
    limit = csv.field_size_limit(131_072)
    try:
        (tmp_path / "mine.csv").write_text(f"question,answer\n{'x' * 200_000},3\n")
        assert len(load(tmp_path, "mine.csv")[0].question) == 200_000
    finally:
        csv.field_size_limit(limit)


def test_an_id_column_is_used_where_it_is_unique(tmp_path: Path) -> None:
    def ids(*values: Any, **settings: Any) -> list[str]:
        rows = [{"id": value, "question": f"{n}?", "answer": "1"} for n, value in enumerate(values)]
        (tmp_path / "mine.json").write_text(json.dumps(rows))
        return [problem.problem_id for problem in load(tmp_path, "mine.json", **settings)]

    assert ids("a", "b") == ["a", "b"]
    assert ids(7, 9) == ["7", "9"]
    assert ids("a", "b", question_column="question") == ["a", "b"]
    assert ids("a", "a") == ids("a", None) == ids("a", "") == ["test-0", "test-1"]
    with pytest.raises(DatasetError, match="the problem id 'a' stands there more than once"):
        ids("a", "a", id_column="id")


@pytest.mark.parametrize("key", ["path", "data_dir"])
def test_variables_in_paths(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETS", str(tmp_path))
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "test.jsonl").write_bytes(JSON_LINE)
    name = {"path": "/test.jsonl", "data_dir": ""}[key]
    assert load_problems("mine", DatasetSettings(**{key: f"$SETS{name}"}), Path("/")) == WANTED
    with pytest.raises(DatasetError, match=rf"datasets\.mine\.{key}: \$NOWHERE.*: the variable \$NOWHERE is not set"):
        load_problems("mine", DatasetSettings(**{key: f"$NOWHERE{name}"}), tmp_path)


@pytest.mark.parametrize("answer", ["reference_answer", "reference"])
def test_a_results_file_is_a_data_set_too(tmp_path: Path, answer: str) -> None:
    content = {"statistics": {}, "results": [{"example_id": 0, "question": "1 + 1?", answer: "2", "samples": []}]}
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert load(tmp_path, "results.json") == (Problem("test-0", "1 + 1?", "2"),)
