r"""The data sets known by name, in the research scripts' form and in their publishers': small rows of the same shape,
the real files where they are at hand, and the hub through the real `datasets` code.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onoff_core.errors import DatasetError
from onoff_core.problems import Problem, load_problems, problems_version
from onoff_core.problems.known import KNOWN
from onoff_core.study import DatasetSettings

AIME = {
    "data_source": "made here",
    "prompt": [{"content": "What is $1+1$?", "role": "user"}],
    "ability": "math",
    "reward_model": {"ground_truth": {"question": "What is $1+1$?", "target": "2"}, "style": "rule"},
    "extra_info": {"index": 0, "split": "test"},
}
AMC = {"id": "7", "url": "https://example.org", **AIME}
GSM8K_LEVEL1 = {
    "solution": "Two.",
    "subject": "Algebra",
    "level": 5,
    "unique_id": "test/algebra/1.json",
    "data_source": "made here",
    "prompt": [{"content": "Question:\nWhat is $1+1$?\nAnswer:\nLet's think step by step.\n", "role": "user"}],
    "ability": "math",
    "reward_model": {"ground_truth": "2", "style": "rule"},
    "extra_info": {"answer": "2", "index": 3, "level": 1, "question": "What is $1+1$?", "split": "test"},
}
MATRIX = r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"
MATH = {
    "level": "Level 3",
    "type": "Algebra",
    "data_source": "made here",
    "prompt": [{"content": "Which vector?", "role": "user"}],
    "ability": "math",
    "reward_model": {
        "ground_truth": {
            "question": "Which vector?",
            "solution": rf"First $\boxed{{0}}$, no: $\boxed{{{MATRIX}}}$.",
            "target": r"\begin{pmatrix} 1  2 \end{pmatrix}",  # damaged, as in the file: the row break is lost
        },
        "style": "rule",
    },
    "extra_info": {"index": 4, "split": "test"},
}
RESEARCH = [
    ("aime2025", AIME, Problem("test-0", "What is $1+1$?", "2")),
    ("amc23", AMC, Problem("test-0", "What is $1+1$?", "2")),
    ("gsm8k_level1", GSM8K_LEVEL1, Problem("test-3", "What is $1+1$?", "2", "Two.", "Algebra", "5")),
    (
        "math",
        MATH,
        Problem(
            "test-4", "Which vector?", MATRIX, rf"First $\boxed{{0}}$, no: $\boxed{{{MATRIX}}}$.", "Algebra", "Level 3"
        ),
    ),
]

_MATH500_ROW = {
    "problem": "1+1?",
    "solution": r"\boxed{2}",
    "answer": "2",
    "subject": "Algebra",
    "level": 2,
    "unique_id": "test/algebra/1.json",
}
_MATH500 = Problem("test/algebra/1.json", "1+1?", "2", r"\boxed{2}", "Algebra", "2")
PUBLISHED = [
    ("aime2025", {"id": "0", "problem": "1+1?", "answer": "2"}, Problem("0", "1+1?", "2")),
    (
        "aime2025",
        {"id": "aime25-0", "problem": "1+1?", "expected_answer": "2", "reference_solution": "Two."},
        Problem("aime25-0", "1+1?", "2", "Two."),
    ),
    ("amc23", {"id": 0, "question": "1+1?", "answer": 2.0, "url": "x"}, Problem("0", "1+1?", "2")),
    ("gsm8k_level1", _MATH500_ROW, _MATH500),
    ("math500", _MATH500_ROW, _MATH500),
    (
        "gsm8k",
        {"question": "1+1?", "answer": "1 + 1 = <<1+1=2>>2\n#### 1,002"},
        Problem("test-0", "1+1?", "1,002", "1 + 1 = <<1+1=2>>2\n#### 1,002"),
    ),
    (
        "math",
        {"problem": "1+1?", "level": "Level 1", "type": "Algebra", "solution": r"It is \boxed{\frac{4}{2}}."},
        Problem("test-0", "1+1?", r"\frac{4}{2}", r"It is \boxed{\frac{4}{2}}.", "Algebra", "Level 1"),
    ),
]


@pytest.mark.parametrize(("name", "row", "wanted"), RESEARCH, ids=[name for name, _, _ in RESEARCH])
def test_the_research_scripts_parquet(tmp_path: Path, name: str, row: dict[str, Any], wanted: Problem) -> None:
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test.parquet")
    assert load_problems(name, DatasetSettings(data_dir="."), tmp_path) == (wanted,)


def test_a_train_split_beside_the_test_split(tmp_path: Path) -> None:
    train = {**MATH, "extra_info": {"index": 9, "split": "train"}}
    pq.write_table(pa.Table.from_pylist([MATH]), tmp_path / "test.parquet")
    pq.write_table(pa.Table.from_pylist([train]), tmp_path / "train.parquet")
    problems = load_problems("math", DatasetSettings(data_dir=str(tmp_path), split="train"), tmp_path)
    assert [problem.problem_id for problem in problems] == ["train-9"]


def test_without_a_struct_the_question_is_the_prompt(tmp_path: Path) -> None:
    row = {**AIME, "reward_model": {"ground_truth": "2"}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "mine.parquet")
    assert load_problems("mine", DatasetSettings(path="mine.parquet"), tmp_path) == (
        Problem("test-0", "What is $1+1$?", "2"),
    )


def test_rows_without_a_number_of_their_own_are_counted(tmp_path: Path) -> None:
    """A struct of Parquet has all its fields in every row, null or not."""
    rows = [{**AIME, "extra_info": {"index": None, "split": split}} for split in ("test", None)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test.parquet")
    problems = load_problems("aime2025", DatasetSettings(data_dir="."), tmp_path)
    assert [problem.problem_id for problem in problems] == ["test-0", "row-1"]


@pytest.mark.parametrize("bad", [{**AIME, "reward_model": "2"}, {**AIME, "extra_info": "x"}])
def test_a_column_of_the_wrong_kind_names_row_and_column(tmp_path: Path, bad: dict[str, Any]) -> None:
    pq.write_table(pa.Table.from_pylist([bad]), tmp_path / "test.parquet")
    with pytest.raises(DatasetError, match=r"test\.parquet, row 0: the column '(reward_model|extra_info)' holds no"):
        load_problems("aime2025", DatasetSettings(data_dir="."), tmp_path)


@pytest.mark.parametrize(
    ("name", "row", "wanted"), PUBLISHED, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(PUBLISHED)]
)
def test_a_publishers_rows_in_a_local_file(tmp_path: Path, name: str, row: dict[str, Any], wanted: Problem) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert load_problems(name, DatasetSettings(path="rows.jsonl"), tmp_path) == (wanted,)


def test_a_gsm8k_row_without_its_mark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n')
    with pytest.raises(DatasetError, match=r"rows\.jsonl, row 0: the answer column 'answer' has no '####'"):
        load_problems("gsm8k", DatasetSettings(path="rows.jsonl"), tmp_path)


def test_a_math_row_without_a_box_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"problem": "1+1?", "solution": "It is 2."}\n')
    with pytest.raises(DatasetError, match="row 0: no answer"):
        load_problems("math", DatasetSettings(path="rows.jsonl"), tmp_path)


@pytest.mark.parametrize(("name", "count"), [("aime2025", 30), ("amc23", 40), ("gsm8k_level1", 500), ("math", 5000)])
def test_the_real_research_files(shared_data: Path, name: str, count: int) -> None:
    settings = DatasetSettings(data_dir=str(shared_data / "verl" / name))
    problems = load_problems(name, settings, shared_data)
    assert len(problems) == count
    assert len({problem.problem_id for problem in problems}) == count
    assert all(problem.question and problem.answer for problem in problems)
    assert not any(problem.question.startswith("Question:") for problem in problems)  # clean, not templated
    assert load_problems(name, settings, shared_data) == problems
    first = load_problems(name, settings.model_copy(update={"num_examples": 10}), shared_data)
    assert first == problems[:10]


def test_the_real_math_answers_are_whole_where_target_is_damaged(shared_data: Path) -> None:
    folder = shared_data / "verl" / "math"
    rows = pq.read_table(folder / "test.parquet").to_pylist()
    problems = load_problems("math", DatasetSettings(data_dir=str(folder)), shared_data)
    damaged = [
        (row["reward_model"]["ground_truth"]["target"], problem.answer)
        for row, problem in zip(rows, problems, strict=True)
        if "pmatrix" in problem.answer and "\\\\" in problem.answer
    ]
    assert len(damaged) > 20
    assert all("\\\\" not in target for target, _ in damaged)
    assert all(problem.solution and problem.answer in problem.solution for problem in problems)


@pytest.mark.parametrize(
    ("name", "file", "count", "answer"),
    [
        ("aime2025", "aime25-test.jsonl", 30, "70"),
        ("amc23", "amc23-test.jsonl", 40, "27"),
        ("gsm8k", "gsm8k-test.jsonl", 1319, "18"),
        ("math500", "math500-test.jsonl", 500, r"\left( 3, \frac{\pi}{2} \right)"),
    ],
)
def test_the_real_published_files(shared_data: Path, name: str, file: str, count: int, answer: str) -> None:
    problems = load_problems(name, DatasetSettings(path=str(shared_data / "plain" / file)), shared_data)
    assert len(problems) == count
    assert problems[0].answer == answer
    assert len({problem.problem_id for problem in problems}) == count


def test_both_forms_of_aime_hold_the_same_answers(shared_data: Path) -> None:
    research = load_problems("aime2025", DatasetSettings(data_dir=str(shared_data / "verl/aime2025")), shared_data)
    published = load_problems(
        "aime2025", DatasetSettings(path=str(shared_data / "plain/aime25-test.jsonl")), shared_data
    )
    assert sorted(p.answer.replace(r"^\circ", "") for p in research) == sorted(
        p.answer.replace(r"^\circ", "") for p in published
    )


def fill_hub_cache(
    cache: Path, scratch: Path, hub: str, config: str, splits: dict[str, Sequence[dict[str, Any]]]
) -> None:
    """What `datasets` leaves in its cache when it has loaded `hub` from the network once: made by `datasets` itself
    from local rows, then put where the hub's name would have put it.
    """
    import datasets

    scratch.mkdir()
    files = {}
    for split, rows in splits.items():
        files[split] = str(scratch / f"{split}.jsonl")
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    datasets.load_dataset("json", data_files=files, cache_dir=str(scratch / "cache"))
    (made,) = (path.parent for path in (scratch / "cache").glob("json/*/*/*/dataset_info.json"))
    owner, _, name = hub.partition("/")
    name = name.lower()
    folder = cache / f"{owner}___{name}" / config / "0.0.0" / made.name
    folder.mkdir(parents=True)
    info = json.loads((made / "dataset_info.json").read_text())
    for split in info["splits"].values():
        split["dataset_name"] = name
    (folder / "dataset_info.json").write_text(json.dumps({**info, "config_name": config, "dataset_name": name}))
    for split in splits:
        (made / f"json-{split}.arrow").rename(folder / f"{name}-{split}.arrow")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for `datasets`, which is told to stay offline."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


HUB = [(name, row, wanted) for name, row, wanted in PUBLISHED if "expected_answer" not in row and name != "math"]


@pytest.mark.parametrize(("name", "row", "wanted"), HUB, ids=[name for name, _, _ in HUB])
def test_from_the_hub_through_datasets(
    tmp_path: Path, hub_cache: Path, name: str, row: dict[str, Any], wanted: Problem
) -> None:
    known = KNOWN[name]
    fill_hub_cache(hub_cache, tmp_path / "made", known.hub, known.hub_configs[0] or "default", {"test": [row]})
    assert load_problems(name, DatasetSettings(), tmp_path) == (wanted,)


def test_math_from_the_hub_is_all_its_configurations_in_turn(tmp_path: Path, hub_cache: Path) -> None:
    for config in KNOWN["math"].hub_configs:
        row = {"problem": f"{config}?", "level": "Level 1", "type": "T", "solution": rf"\boxed{{{config}}}"}
        splits = {"test": [row], "train": [row, {**row, "problem": "another"}]}
        fill_hub_cache(hub_cache, tmp_path / f"made-{config}", KNOWN["math"].hub, str(config), splits)
    problems = load_problems("math", DatasetSettings(), tmp_path)
    assert [problem.answer for problem in problems] == list(KNOWN["math"].hub_configs)
    assert problems[0].problem_id == "algebra-test-0"
    train = load_problems("math", DatasetSettings(split="train"), tmp_path)
    assert len({problem.problem_id for problem in train}) == 14


def test_any_hub_data_set_with_named_columns_and_its_splits(tmp_path: Path, hub_cache: Path) -> None:
    splits = {"test": [{"q": "1+1?", "a": 2}], "validation": [{"q": "2+2?", "a": 4}]}
    fill_hub_cache(hub_cache, tmp_path / "made", "someone/sums", "default", splits)
    settings = DatasetSettings(hub="someone/sums", question_column="q", answer_column="a", split="validation")
    assert load_problems("sums", settings, tmp_path) == (Problem("validation-0", "2+2?", "4"),)
    with pytest.raises(DatasetError, match=r"someone/sums: no split 'dev' .*validation"):
        load_problems("sums", settings.model_copy(update={"split": "dev"}), tmp_path)


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path: Path, hub_cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"math-ai/aime25: cannot be loaded from the hub.*HF_TOKEN.*`data_dir`"):
        load_problems("aime2025", DatasetSettings(), tmp_path)


def test_an_unknown_split_of_a_known_data_set_needs_no_network(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="aime2025: no split 'train'; there are: test"):
        load_problems("aime2025", DatasetSettings(split="train"), tmp_path)


def test_a_name_that_is_not_known_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"'aime' is not a data set known by name \(arithmetic, aime2025, .*`path`"):
        load_problems("aime", DatasetSettings(), tmp_path)


def test_source_gives_a_known_data_set_another_name(tmp_path: Path) -> None:
    problems = load_problems("sums", DatasetSettings(source="arithmetic", num_examples=2), tmp_path)
    assert [problem.problem_id for problem in problems] == ["test-0", "test-1"]


def test_the_version_changes_with_content_and_order_only() -> None:
    one, two = Problem("a", "1+1?", "2"), Problem("b", "2+2?", "4")
    assert problems_version([one, two]) == problems_version([Problem("a", "1+1?", "2"), two])
    versions = [[one, two], [two, one], [one], [one, Problem("b", "2+2?", "5")], [one, Problem("b", "2+2?", "4", "s")]]
    assert len({problems_version(problems) for problems in versions}) == len(versions)
