"""Checkpoints in the study: entries of their own, or one entry with a folder pattern."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import SettingsError
from onoff_core.grid import fingerprints
from onoff_core.study import Study, load_study, parse_study
from tests.conftest import ROOT
from tests.tiny import save_tiny_llama


def study_of(folder: Path, **models: Any) -> Study:
    return parse_study({"datasets": {"arithmetic": {}}, "models": models}, folder / "onoff.yaml")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("step_0", "step_00020", "step_100", "step_7.tmp", "latest"):
        (tmp_path / "runs/grpo" / name).mkdir(parents=True)
    (tmp_path / "runs/grpo/step_300").write_text("a file")
    return tmp_path


@pytest.mark.parametrize(
    "entry",
    [
        {"model_name": "runs/grpo/step_{step}"},
        {"series": {"folder": "runs/grpo/step_*"}},
        {"series": {"folder": "runs/*/step_{step}", "name": "grpo"}},
    ],
)
def test_a_pattern_becomes_a_model_a_checkpoint(runs: Path, entry: dict[str, Any]) -> None:
    study = study_of(runs, grpo={**entry, "backend_specific": {"device": "cpu"}})
    assert list(study.models) == ["grpo-0", "grpo-20", "grpo-100"]
    assert study.checkpoints() == {"grpo-0": ("grpo", 0), "grpo-20": ("grpo", 20), "grpo-100": ("grpo", 100)}
    assert study.models["grpo-20"].model_name == "runs/grpo/step_00020"
    assert study.models["grpo-20"].backend_specific.device == "cpu"
    assert "arithmetic|grpo-100" in study.partitions


def test_a_new_checkpoint_is_found_at_the_next_reading(runs: Path) -> None:
    entry = {"model_name": "runs/grpo/step_{step}", "series": "run-7"}
    assert len(study_of(runs, grpo=entry).models) == 3
    (runs / "runs/grpo/step_200").mkdir()
    assert study_of(runs, grpo=entry).checkpoints("run-7")["grpo-200"] == ("run-7", 200)


def test_an_absolute_pattern_and_one_with_marks_of_globs_are_found(tmp_path: Path) -> None:
    (tmp_path / "a[1]/step_5").mkdir(parents=True)
    study = study_of(tmp_path, grpo={"model_name": f"{tmp_path}/a[1]/step_{{step}}"})
    assert list(study.models) == ["grpo-5"]
    assert Path(study.models["grpo-5"].model_name).is_dir()
    assert list(study_of(tmp_path, x={"model_name": "a[1]/step_{step}"}).models) == ["x-5"]


def test_an_adapter_may_be_the_checkpoint(runs: Path) -> None:
    study = study_of(runs, lora={"model_name": "owner/base", "adapter": "runs/grpo/step_{step}"})
    assert study.models["lora-100"].adapter == "runs/grpo/step_100"
    assert study.models["lora-100"].model_name == "owner/base"


def test_the_step_may_come_twice_in_a_path(tmp_path: Path) -> None:
    for name in ("3/step_3", "3/step_4"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert list(study_of(tmp_path, a={"model_name": "runs/{step}/step_{step}"}).models) == ["a-3"]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"g": {"model_name": "runs/none/step_{step}"}}, r"models.g: no folder matches .*/runs/none/step_\{step\}"),
        ({"g": {"series": {"folder": "runs/grpo/checkpoint-*"}}}, "models.g: no folder matches"),
        ({"g": {"series": {"folder": "runs/*/step_*"}}}, r"series.folder: one \* or \{step\} is wanted"),
        ({"g": {"series": {"folder": "runs/grpo"}}}, r"series.folder: one \* or \{step\} is wanted"),
        ({"g": {"series": {"name": "x"}}}, "models.g.series.folder: is missing"),
        ({"g": {"series": {"foldr": "x-*"}}}, "models.g.series.foldr: unknown key; did you mean 'folder'"),
        ({"g": {"series": {"folder": "runs/grpo/step_*"}, "model_name": "x"}}, "name the checkpoints' folder once"),
        ({"g": {"model_name": "runs/grpo/step_{step}", "step": 3}}, "models.g.step: the step of each checkpoint"),
        ({"g": {"model_name": "a/{step}", "adapter": "b/{step}"}}, r"\{step\} stands in both model_name and adapter"),
        ({"g": {"model_name": "a/{step}", "series": 3}}, "models.g.series: a name is wanted"),
        ({"g": {"model_name": "m", "series": "run"}}, "models.g: series goes with step"),
        ({"g": {"model_name": "m", "step": 4}}, "models.g: step goes with series"),
        ({"g": {"model_name": "m", "series": "a b", "step": 4}}, "models.g.series"),
        ({"g": {"model_name": "m", "series": "run", "step": -1}}, "models.g.step"),
        (
            {"g": {"model_name": "m", "series": "r", "step": 4}, "h": {"model_name": "n", "series": "r", "step": 4}},
            "models.h: is step 4 of series r, as is models.g",
        ),
        (
            {"g": {"model_name": "runs/grpo/step_{step}"}, "g-20": {"model_name": "m"}},
            "models.g-20: there are two of this name",
        ),
    ],
)
def test_a_mistake_is_a_sentence(runs: Path, models: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        study_of(runs, **models)


def test_the_documented_models_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "series.md").read_text()
    block = re.findall(r"(?m)^    models:\n(?:      .*\n)+", page)[0]
    for name in ("grpo/step_100", "sft/checkpoint-3", "sft/checkpoint-best", "lora/checkpoint-7"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "onoff.yaml").write_text("datasets: {arithmetic: {}}\n" + textwrap.dedent(block))
    assert load_study(tmp_path / "onoff.yaml").checkpoints() == {
        "base": ("grpo-run-7", 0),
        "grpo-100": ("grpo-run-7", 100),
        "lora-7": ("lora", 7),
        "sft-3": ("sft-3", 3),
    }


def test_two_folders_of_one_step_are_a_sentence(runs: Path) -> None:
    (runs / "runs/grpo/step_20").mkdir()
    with pytest.raises(SettingsError, match="are both of step 20"):
        study_of(runs, g={"model_name": "runs/grpo/step_{step}"})


def test_series_and_step_enter_no_fingerprint(tmp_path: Path) -> None:
    save_tiny_llama(tmp_path / "runs/step_5")
    plain = study_of(tmp_path, m={"model_name": "runs/step_5"}).partition("arithmetic|m")
    marked = study_of(tmp_path, m={"model_name": "runs/step_5", "series": "x", "step": 5}).partition("arithmetic|m")
    found = study_of(tmp_path, m={"model_name": "runs/step_{step}"}).partition("arithmetic|m-5")
    versions = [fingerprints.samples_fingerprint(one, "0" * 16) for one in (plain, marked, found)]
    assert len(set(versions)) == 1
    assert fingerprints.token_distributions_fingerprint(plain, "a") == fingerprints.token_distributions_fingerprint(
        found, "a"
    )
