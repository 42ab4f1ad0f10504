"""A study's results in a notebook: what is current, whether it is stale, and sentences where something is not there."""

import re
import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import onoff_core
from onoff_core.errors import MissingInputError, PartitionError, SettingsError, StoreError
from onoff_core.frames import LISTS, STALE_BECAUSE, OpenStudy, StaleResultsWarning
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT
from tests.report.making import FIRST, GOLD, RIGHT


@pytest.fixture
def folder(made_study: Path) -> Path:
    return made_study


@pytest.fixture
def study(folder: Path) -> OpenStudy:
    opened: OpenStudy = onoff_core.open_study(folder)
    return opened


@pytest.fixture(autouse=True)
def _no_warning() -> None:
    warnings.simplefilter("error", StaleResultsWarning)


def problem(study: OpenStudy) -> str:
    return str(study.problems("sums")["problem_id"][0].as_py())


def test_frames_hold_what_the_store_holds(study: OpenStudy) -> None:
    samples, rewards = study.samples(FIRST), study.rewards(FIRST)
    assert samples == study.store.require("samples", ("sums", "first")).read().replace_schema_metadata(
        samples.schema.metadata
    )
    frame = samples.to_pandas().merge(rewards.to_pandas(), on=["problem_id", "sample_index"])
    assert isinstance(frame, pd.DataFrame)
    of_first = frame[frame.problem_id == problem(study)]
    assert of_first.response.tolist()[0] == RIGHT
    assert of_first.reward.tolist() == [1, 0, 1, 0]
    assert study.statistics(FIRST, ["accuracy"]).to_pylist() == [
        {"accuracy": frame.groupby("problem_id").reward.mean().mean()}
    ]
    assert set(study.problem_statistics(FIRST)["pass_rate"].to_pylist()) == {0.0, 0.25, 0.5}
    assert study.partitions == ["sums|first", "sums|second_one"]


def test_distributions_leave_out_their_lists_unless_asked(study: OpenStudy) -> None:
    usual = study.distributions(FIRST)
    assert not set(LISTS) & set(usual.column_names)
    assert usual.num_rows == sum(study.samples(FIRST)["num_tokens"].to_pylist())
    asked = study.distributions(FIRST, columns=["entropy", "topk_logprobs"])
    assert asked.column_names == ["entropy", "topk_logprobs"]
    of_problem = study.distributions(FIRST, problem(study))
    assert of_problem.num_rows == sum(
        row["num_tokens"] for row in study.samples(FIRST).to_pylist() if row["problem_id"] == problem(study)
    )


def test_tokens_spell_the_response(study: OpenStudy) -> None:
    tokens = study.tokens(FIRST, problem(study), 0)
    assert "".join(tokens["token"].to_pylist()[:-1]) == RIGHT
    assert tokens["is_special"].to_pylist() == [False] * len(RIGHT) + [True]
    assert tokens["position"].to_pylist() == list(range(tokens.num_rows))


def test_a_distribution_has_the_sampled_token_too(study: OpenStudy) -> None:
    """The fake engine's top 5 are the first five bytes; what was drawn lies outside and has its own row."""
    rows = study.distribution(FIRST, problem(study), 0, 2).to_pylist()
    assert [row["token_id"] for row in rows] == [0, 1, 2, 3, 4, ord(RIGHT[2])]
    assert [row["is_sampled"] for row in rows] == [False] * 5 + [True]
    assert rows[-1]["token"] == RIGHT[2]
    assert rows[0]["probability"] == pytest.approx(1 / 258, rel=3e-3)  # 10 bits are kept


def test_sql_reads_the_catalog_and_changes_nothing(study: OpenStudy, folder: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in (folder / "store").rglob("*") if path.is_file())
    answer = study.sql(
        "SELECT model, sum(reward) AS right FROM rewards WHERE dataset = ? GROUP BY ALL ORDER BY 1", ["sums"]
    )
    assert answer.to_pylist() == [{"model": "first", "right": 3}, {"model": "second_one", "right": 3}]
    study.table("vocabulary", ("first",))
    study.view(FIRST, problem(study), 0)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (folder / "store").rglob("*") if path.is_file())


def test_what_is_stale_says_so_or_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "onoff.yaml").read_text().replace("temperature: 0.7", "temperature: 0.9")
    (tmp_path / "onoff.yaml").write_text(text.replace("path: store", f"path: {folder / 'store'}"))
    (tmp_path / "sums.csv").write_text((folder / "sums.csv").read_text())
    reason = "sampling.temperature is 0.9, was 0.7"
    opened = onoff_core.open_study(tmp_path)
    with pytest.warns(StaleResultsWarning, match=f"samples of {re.escape(FIRST)} is stale: {reason}") as warned:
        table = opened.samples(FIRST)
    assert warned[0].filename == __file__
    assert table.schema.metadata[STALE_BECAUSE].decode() == reason
    with pytest.raises(StoreError, match=reason):
        onoff_core.open_study(tmp_path, stale="refuse").samples(FIRST)
    assert onoff_core.open_study(tmp_path, stale="accept").samples(FIRST).num_rows == 12
    with pytest.raises(StoreError, match="made from former samples"):
        onoff_core.open_study(tmp_path, stale="refuse").rewards(FIRST)


def test_a_store_opens_without_its_study(folder: Path, tmp_path: Path) -> None:
    opened = onoff_core.open_study(folder / "store")
    assert opened.study is None
    assert opened.rewards(FIRST).num_rows == 12
    with pytest.raises(PartitionError, match=r"did you mean 'sums\|first'"):
        opened.rewards("sums|frist")
    with pytest.raises(SettingsError, match=r"neither an onoff\.yaml nor results"):
        onoff_core.open_study(tmp_path)


def test_without_a_path_it_is_this_folders_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert onoff_core.open_study().samples(FIRST).num_rows == 12


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda s: s.samples("sums|frist"), PartitionError, "no model 'frist'; did you mean 'first'"),
        (lambda s: s.samples("sums"), PartitionError, "write 'dataset|model'"),
        (lambda s: s.samples(FIRST, ["respnse"]), StoreError, "no column 'respnse'; did you mean 'response'"),
        (lambda s: s.table("sample", FIRST), StoreError, "no table 'sample'; did you mean 'samples'"),
        (lambda s: s.table("problems", FIRST), PartitionError, "problems is kept by dataset"),
        (lambda s: s.table("branches", FIRST), MissingInputError, "branches of sums|first is not there yet"),
        (lambda s: s.tokens(FIRST, "nope", 0), StoreError, "has no problem 'nope'"),
        (lambda s: s.tokens(FIRST, problem(s), 9), StoreError, "has no sample 9; there are: 0, 1, 2, 3"),
        (lambda s: s.distribution(FIRST, problem(s), 0, 999), StoreError, "so there is no 999"),
        (lambda s: s.view(FIRST, problem(s), 9), StoreError, "has no sample 9"),
        (lambda s: s.view(FIRST, problem(s), 0, alternatives=-1), StoreError, "0 to 1000"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_sentence(study: OpenStudy, ask: object, error: type[Exception], says: str) -> None:
    assert callable(ask)
    with pytest.raises(error, match=re.escape(says)):
        ask(study)


def test_missing_distributions_say_what_to_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "onoff.yaml").write_text((folder / "onoff.yaml").read_text())
    opened = OpenStudy(Store(str(tmp_path / "store")), load_study(tmp_path / "onoff.yaml"))
    with pytest.raises(MissingInputError, match=r"--select token_distributions --partition 'sums\|first'"):
        opened.distributions(FIRST)


def test_a_column_that_an_older_store_lacks_is_null(study: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    from onoff_core import frames

    schema = study.store.require("rewards", ("sums", "first")).read().schema
    later = schema.append(pa.field("later", pa.float32()))
    monkeypatch.setitem(frames.SCHEMAS, "rewards", later)
    assert study.rewards(FIRST, ["later"])["later"].null_count == 12


def test_the_documents_lines_run(folder: Path, study: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of docs/report.md, with this study's names."""
    page = (ROOT / "docs" / "report.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(lines.replace("gsm8k|qwen3-8b", FIRST).replace("test-3", problem(study)), names)
    assert isinstance(names["frame"], pd.DataFrame)


def test_the_gold_answer_is_among_the_problems(study: OpenStudy) -> None:
    assert study.problems("sums")["answer"][0].as_py() == str(GOLD)
