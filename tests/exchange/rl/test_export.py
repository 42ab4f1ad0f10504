"""Data sets for training, from a filled store to the files, by the command."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from onoff_core.cli.main import main
from onoff_core.exchange.rollouts.importing import RolloutOptions, import_rollouts
from onoff_core.grid.judging import open_store
from onoff_core.problems import load_problems
from onoff_core.store import Store
from onoff_core.study import DatasetSettings, load_study
from tests.exchange.rl.making import fake, fill, make_study


@pytest.fixture
def project(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONOFF_CONFIG", str(filled / "onoff.yaml"))
    return filled


def export(folder: Path, *arguments: str, what: str = "problems") -> int:
    return main(["export", "--dataset", "d", "--what", what, "--output", str(folder), *arguments])


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def head(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.usefixtures("project")
def test_problems_in_a_band_come_with_their_rates_and_where_they_are_from(tmp_path: Path) -> None:
    assert export(tmp_path, "--model", "strong", "--pass-rate", "0.2:0.6") == 0
    found = rows(tmp_path / "problems.parquet")
    assert [row["problem_id"] for row in found] == ["q0", "q1", "q4", "q5"]  # 4 and 2 of 8
    assert [row["pass_rate"] for row in found] == [0.5, 0.25, 0.5, 0.25]
    assert all(row["pass_rate_low"] < row["pass_rate"] < row["pass_rate_high"] for row in found)
    assert {row["band"] for row in found} == {"0.2:0.6"}
    store = Store(load_study().store_path)
    (by_model,) = found[0]["by_model"]
    assert (by_model["num_correct"], by_model["num_graded"]) == (4, 8)
    for asset in ("samples", "rewards", "statistics"):
        current = store.current(asset, ("d", "strong"))
        assert current is not None
        assert by_model[asset] == current.fingerprint
    lineage = json.loads(pq.read_schema(tmp_path / "problems.parquet").metadata[b"onoff"])
    assert lineage["models"][0]["settings"]["samples"]["sampling"]["num_samples"] == 8


@pytest.mark.usefixtures("project")
def test_the_card_says_what_was_chosen_from_what_and_how_many(tmp_path: Path) -> None:
    assert (
        export(tmp_path, "--model", "strong", "--pass-rate", "0.2:0.6", "--control", "equal-size", "--seed", "3") == 0
    )
    card = (tmp_path / "README.md").read_text()
    assert "4 of the 8 problems of `d`" in card
    assert "0 (2 problems), 0.125 (2), 0.25 (2), 0.5 (2)" in card
    assert "seed 3" in card
    assert "- `train`: 4" in card
    assert "- `control`: 4" in card
    files = head(card)["configs"][0]["data_files"]
    assert {one["split"]: one["path"] for one in files} == {"train": "problems.parquet", "control": "control.parquet"}
    described = [line.split("`")[1] for line in card.split("## Columns")[1].splitlines() if line.startswith("| `")]
    assert described == pq.read_schema(tmp_path / "problems.parquet").names
    assert "|  |" not in card  # every column has a meaning


@pytest.mark.usefixtures("project")
def test_the_folder_is_one_that_datasets_reads(tmp_path: Path) -> None:
    import datasets

    assert export(tmp_path / "out", "--model", "strong", "--pass-rate", "0.2:0.6", "--control", "disjoint") == 0
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(of) for split, of in loaded.items()} == {"train": 4, "control": 4}
    assert set(loaded["train"]["band"]) == {"0.2:0.6"}
    assert set(loaded["control"]["band"]) == {None}
    assert not set(loaded["train"]["problem_id"]) & set(loaded["control"]["problem_id"])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("rule", "kept"), [("every", ["q1", "q5"]), ("any", ["q0", "q1", "q4", "q5"]), ("mean", [])])
def test_of_several_models_the_rule_says_whose_rate_counts(rule: str, kept: list[str], tmp_path: Path) -> None:
    """strong: 0.5, 0.25, 0.125, 0; weak: 0.125, 0.5, 0, 0; their means 0.3125, 0.375, 0.0625, 0."""
    asked = ["--models", "strong,weak", "--rule", rule, "--pass-rate", "0.25:0.5"]
    assert export(tmp_path, *asked) == 0
    kept = kept or ["q0", "q1", "q4", "q5"]
    found = rows(tmp_path / "problems.parquet")
    assert [row["problem_id"] for row in found] == kept
    assert all([one["model"] for one in row["by_model"]] == ["strong", "weak"] for row in found)
    assert all(row["pass_rate_low"] is None for row in found)
    assert found[-1]["pass_rate"] == pytest.approx(0.375)
    assert (
        "the mean of the models'" if rule == "mean" else f"of {'every one' if rule == 'every' else 'at least one'} of"
    ) in (tmp_path / "README.md").read_text()


@pytest.mark.usefixtures("project")
def test_verls_form_is_read_by_our_own_reader_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "--model", "strong", "--pass-rate", "0.2:0.6", "--format", "verl") == 0
    assert "verl has no rule for the data_source 'd'" in capsys.readouterr().err
    first = rows(tmp_path / "problems.parquet")[0]
    assert list(first) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert first["data_source"] == "d"
    assert first["prompt"][-1]["role"] == "user"
    assert first["prompt"][-1]["content"].startswith("What is 0, of 8?\nPlease reason")
    assert first["reward_model"] == {"style": "rule", "ground_truth": "1"}
    problems = load_problems("again", DatasetSettings(path="problems.parquet"), tmp_path)
    assert [(one.question, one.answer) for one in problems[:2]] == [
        ("What is 0, of 8?", "1"),
        ("What is 1, of 8?", "2"),
    ]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("name", "said"), [("aime2025", "looks for 'Answer: ...'"), ("lighteval/MATH", "")])
def test_a_rule_of_verls_that_looks_elsewhere_is_said(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "--model", "strong", "--format", "verl", "--data-source", name) == 0
    notes = capsys.readouterr().err
    assert said in notes
    assert bool(notes) == bool(said)
    assert rows(tmp_path / "problems.parquet")[0]["data_source"] == name


@pytest.mark.usefixtures("project")
def test_trls_form_has_what_its_reward_function_reads(tmp_path: Path) -> None:
    from math_verify import parse

    assert export(tmp_path, "--model", "strong", "--format", "trl") == 0
    found = rows(tmp_path / "problems.parquet")
    assert len(found) == 8  # no band: all
    assert found[0]["prompt"][-1] == {"role": "user", "content": found[0]["prompt"][-1]["content"]}
    assert found[0]["solution"] == r"\boxed{1}"
    assert found[0]["answer"] == "1"
    assert parse(found[0]["solution"])  # accuracy_reward skips what its parser cannot read


@pytest.mark.usefixtures("project")
def test_json_lines_say_the_same_as_parquet(tmp_path: Path) -> None:
    for form in ("parquet", "jsonl"):
        assert export(tmp_path / form, "--model", "strong", "--pass-rate", "0.2:0.6", "--format", form) == 0
    lines = (tmp_path / "jsonl" / "problems.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows(tmp_path / "parquet" / "problems.parquet")


@pytest.mark.usefixtures("project")
def test_pairs_are_of_a_right_and_a_wrong_response_of_one_problem(tmp_path: Path) -> None:
    assert export(tmp_path, "--models", "strong,weak", "--pairs", "2", what="preferences") == 0
    found = rows(tmp_path / "preferences.parquet")
    golds = {f"q{i}": gold for i, gold in enumerate("12391239")}
    assert {(row["model"], row["problem_id"]) for row in found} == {
        *(("strong", f"q{i}") for i in (0, 1, 2, 4, 5, 6)),
        *(("weak", f"q{i}") for i in (0, 1, 4, 5)),
    }
    for row in found:
        assert f"{{{golds[row['problem_id']]}}}" in row["chosen"]
        assert f"{{{golds[row['problem_id']]}}}" not in row["rejected"]
        assert row["prompt"].endswith("<|im_start|>assistant\n")
    used = [
        (row["model"], row["problem_id"], row[f"{side}_sample_index"])
        for row in found
        for side in ("chosen", "rejected")
    ]
    assert len(set(used)) == len(used)


@pytest.mark.usefixtures("project")
def test_what_nobody_knows_to_be_wrong_is_not_rejected(tmp_path: Path) -> None:
    """Of weak's responses to q1 four are right, three are wrong, and the grading of one ran out of time."""
    assert export(tmp_path, "--model", "weak", "--pairs", "8", what="preferences") == 0
    found = [row for row in rows(tmp_path / "preferences.parquet") if row["problem_id"] == "q1"]
    assert sorted(row["rejected"] for row in found) == [r"\boxed{1}", "no", "no"]


@pytest.mark.usefixtures("project")
def test_pairs_can_be_nearly_as_long(tmp_path: Path) -> None:
    r"""`\boxed{1}` has 10 tokens with its end, as `\boxed{2}` has; longer right ones have no wrong one as long."""
    assert export(tmp_path, "--model", "strong", "--pairs", "8", "--match-length", "0", what="preferences") == 0
    found = rows(tmp_path / "preferences.parquet")
    assert {row["problem_id"] for row in found} == {"q0", "q1", "q2", "q4", "q5", "q6"}
    assert all(row["chosen_num_tokens"] == row["rejected_num_tokens"] for row in found)
    assert "10.0 tokens chosen and 10.0 rejected" in (tmp_path / "README.md").read_text()


@pytest.mark.usefixtures("project")
def test_pairs_in_trls_conversational_form(tmp_path: Path) -> None:
    assert export(tmp_path, "--model", "strong", "--format", "trl", what="preferences") == 0
    row = rows(tmp_path / "preferences.parquet")[0]
    assert [one["role"] for one in row["prompt"]] == ["system", "user"]
    assert [one["role"] for one in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]


@pytest.mark.usefixtures("project")
def test_rollouts_have_ids_log_probabilities_and_a_mask(tmp_path: Path) -> None:
    assert export(tmp_path, "--model", "strong", "--pass-rate", "0.2:0.6", what="rollouts") == 0
    found = rows(tmp_path / "rollouts.parquet")
    assert len(found) == 4 * 8
    for row in found:
        assert row["input_ids"] == row["prompt_token_ids"] + row["token_ids"]
        assert row["loss_mask"] == [0] * len(row["prompt_token_ids"]) + [1] * len(row["token_ids"])
        assert len(row["rollout_logprobs"]) == len(row["token_ids"])
        assert row["temperature"] == 1.0
    assert sum(row["reward"] for row in found) == 4 + 2 + 4 + 2


def test_rollouts_can_be_imported_again(project: Path, tmp_path: Path) -> None:
    assert export(tmp_path, "--model", "strong", what="rollouts") == 0
    make_study(tmp_path, models={"again": {"model_name": "fake", "backend_type": "fake"}})
    study = load_study(tmp_path / "onoff.yaml")
    store = open_store(study)
    import_rollouts(
        study.partition("d|again"), store, tmp_path / "rollouts.parquet", RolloutOptions(), lambda line: None
    )
    imported = store.require("samples", ("d", "again")).read().to_pylist()
    original = (
        Store(load_study(project / "onoff.yaml").store_path).require("samples", ("d", "strong")).read().to_pylist()
    )
    for name in ("problem_id", "token_ids", "prompt_token_ids"):
        assert [row[name] for row in imported] == [row[name] for row in original]
    assert [row["rollout_logprobs"] for row in imported] == [row["token_logprobs"] for row in original]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pass-rate", "0.8:0.2"], "the lower number comes first"),
        (["--pass-rate", "0.2:1.8"], "two numbers from 0 to 1"),
        (["--pass-rate", "nan:1"], "two numbers from 0 to 1"),
        (["--pass-rate", "0.2"], "two numbers from 0 to 1"),
        (["--models", "strong,nobody"], "has no model 'nobody'"),
        (["--models", "strong,strong"], "each once"),
        (["--model", "strong", "--models", "weak"], "with --models alone"),
        (["--model", "strong", "--control", "equal-size"], "--control goes with --pass-rate"),
        (["--model", "strong", "--pass-rate", "0:1", "--control", "disjoint"], "0 are outside of the band"),
        (["--model", "strong", "--pairs", "2"], "--pairs goes with preferences"),
        (["--model", "strong", "--data-source", "x"], "--data-source goes with --format verl"),
        (["--model", "strong", "--public"], "--public goes with --push"),
        (["--what", "rollouts", "--model", "strong", "--format", "trl"], "written as parquet, jsonl, not as trl"),
        (["--what", "samples", "--model", "strong", "--pass-rate", "0:1"], "--pass-rate goes with --what problems"),
        (["--what", "problems,samples", "--model", "strong"], "name one alone"),
        (["--dense", "--model", "strong"], "go with samples, distributions"),
        (["--pairs", "0", "--what", "preferences", "--model", "strong"], "a whole number of at least 1"),
        (["--match-length", "2", "--what", "preferences", "--model", "strong"], "from 0 to below 1"),
        (["--what", "preferences", "--model", "weak", "--pass-rate", "0:0"], "no pair of a right and a wrong response"),
    ],
)
def test_what_does_not_go_together_is_said(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = export(tmp_path, *arguments)
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status != 0
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("project")
def test_a_band_that_keeps_nothing_says_which_rates_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "--models", "strong,weak", "--pass-rate", "0.9:1") == 1
    said = capsys.readouterr().err
    assert "no problem has a pass rate in 0.9:1 by the rule every" in said
    assert "strong: 0 (2 problems), 0.125 (2), 0.25 (2), 0.5 (2)" in said
    assert "weak: 0 (4 problems), 0.125 (2), 0.5 (2)" in said


@pytest.mark.usefixtures("project")
def test_what_is_there_is_not_overwritten_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert export(tmp_path, "--model", "strong") == 1
    assert "README.md is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert export(tmp_path, "--model", "strong", "--overwrite") == 0
    assert (tmp_path / "README.md").read_text() != "mine"


def test_one_response_a_problem_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, num_problems=4, sampling={"max_length": 40, "num_samples": 1, "seed": 7})
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert export(tmp_path / "out", "--model", "strong", "--pass-rate", "0:1") == 0
    assert "one response with a verdict" in capsys.readouterr().err
    assert "one response with a verdict" in (tmp_path / "out" / "README.md").read_text()


def test_missing_and_stale_results_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, num_problems=4)
    monkeypatch.chdir(tmp_path)
    assert export(tmp_path / "out", "--model", "strong") == 1
    assert "materialize --select samples,rewards,statistics" in capsys.readouterr().err
    fill(tmp_path)
    make_study(tmp_path, num_problems=4, sampling={"max_length": 30, "num_samples": 8, "seed": 7})
    assert export(tmp_path / "out", "--model", "strong") == 1
    assert "the statistics of d|strong are stale" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert export(tmp_path / "out", "--model", "strong", "--stale") == 0
    assert "its results are stale" in (tmp_path / "out" / "README.md").read_text()


def test_models_that_were_given_different_problems_are_not_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, num_problems=4)
    fill(tmp_path)
    make_study(tmp_path, num_problems=5, models={"strong": {"model_name": "fake", "backend_type": "fake"}})
    fill(tmp_path)
    make_study(tmp_path, num_problems=5)
    monkeypatch.chdir(tmp_path)
    assert export(tmp_path / "out", "--models", "strong,weak", "--stale") == 1
    assert "strong and weak were given different problems" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_what_fails_halfway_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first split is written, and the second fails."""
    from onoff_core.exchange.rl import writing

    asked = ["--model", "strong", "--pass-rate", "0.2:0.6", "--control", "equal-size"]
    assert export(tmp_path, *asked) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails_at_the_second(path: Path, split: writing.Split, lineage: Any) -> int:
        if split.name == "control":
            raise OSError(28, "No space left on device")
        return len(list(split.rows))

    monkeypatch.setattr(writing, "_write_parquet", fails_at_the_second)
    assert export(tmp_path, *asked, "--seed", "5", "--overwrite") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_was_put_in_is_no_part_of_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thinking is closed after ten tokens, of whatever the model had begun."""
    thinking = {"open": "<t>", "close": "</t>"}
    long = r"<t>this goes on and on</t>\boxed{1}"
    make_study(
        tmp_path,
        num_problems=1,
        models={"strong": fake([long, r"<t>no</t>\boxed{2}"])},
        task={"thinking": thinking},
        sampling={"max_length": 60, "num_samples": 2, "seed": 7, "thinking_budget": 10},
    )
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert export(tmp_path / "out", what="rollouts") == 0
    put_in, drawn = rows(tmp_path / "out" / "rollouts.parquet")
    assert 0 not in drawn["loss_mask"][len(drawn["prompt_token_ids"]) :]
    mask = put_in["loss_mask"][len(put_in["prompt_token_ids"]) :]
    assert bytes(token for token, loss in zip(put_in["token_ids"], mask, strict=True) if not loss).strip() == b"</t>"
    assert put_in["answer_start"] is not None
