"""The research scripts' settings file, taken as it stands."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core.errors import SettingsError
from onoff_core.study import Study, load_study

FILE = """
global:
  cuda: {visible_devices: "0,1"}
00_sample:
  task: {template_type: chatml, reward_type: math_verify, format_type: boxed}
  dataset: {name: aime2025, split: test, num_examples: 5}
  backend:
    backend_type: huggingface
    model_name: Qwen/Qwen3-8B
    backend_specific: {device: cuda, torch_dtype: bfloat16, device_map: null, num_process: 2}
  sampling:
    max_length: 4096
    temperature: 0.6
    top_k: 20
    top_p: 0.95
    do_sample: true
    num_samples: 4
    batch_size: 16
    seed: 42
    stop_strings: null
  output: {results_dir: outputs/aime}
01_dist:
  input: {results_file: outputs/aime/results.json}
  backend:
    backend_type: huggingface
    model_name: Qwen/Qwen3-8B
    backend_specific: {device: cuda, torch_dtype: bfloat16, num_process: 2}
  distribution: {use_logits: true, temperature: 1, top_k: null}
  output: outputs/dist
02_visualize:
  input: {results_dir: outputs/dist}
03_notes: {anything: 1}
"""


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that what a test changes is put back
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def study_of(folder: Path, changes: dict[str, Any] | None = None, text: str = FILE) -> Study:
    """The study of the file above, with values replaced by path (None removes)."""
    given = changes or {}
    kept = {name: value for name, value in given.items() if value is not None}
    return changed_study(folder, text, kept, given.keys() - kept.keys())


def changed_study(folder: Path, text: str, changes: dict[str, Any], removed: Iterable[str]) -> Study:
    """The study of a file of the scripts, with values replaced, and others removed, by path."""
    raw = yaml.safe_load(text)
    for name in [*changes, *removed]:
        *parents, last = name.split("/")
        place = raw
        for parent in parents:
            place = place[parent]
        if name in changes:
            place[last] = changes[name]
        else:
            del place[last]
    path = folder / "experiment_config.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_study(path)


def test_every_setting_arrives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        study = study_of(tmp_path)
    assert list(study.partitions) == ["aime2025|qwen3-8b"]
    partition = study.partition("aime2025|qwen3-8b")
    assert partition.dataset_settings.source == "aime2025"
    assert (partition.dataset_settings.split, partition.dataset_settings.num_examples) == ("test", 5)
    assert partition.model_settings.model_name == "Qwen/Qwen3-8B"
    options = partition.model_settings.backend_specific
    assert (options.device, options.torch_dtype, options.device_map, options.num_process) == (
        "cuda",
        "bfloat16",
        None,
        2,
    )
    sampling = partition.sampling
    assert (sampling.max_length, sampling.temperature, sampling.top_k, sampling.top_p) == (4096, 0.6, 20, 0.95)
    assert (sampling.num_samples, sampling.batch_size, sampling.seed, sampling.stop_strings) == (4, 16, 42, ())
    assert partition.distribution.use_logits
    assert (partition.distribution.temperature, partition.distribution.top_k) == (1.0, None)
    assert study.outputs.results == tmp_path / "outputs" / "aime"
    assert study.outputs.distributions == tmp_path / "outputs" / "dist"
    assert study.store_path == str(tmp_path / "store")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
        "03_notes: a section this project does not know; ignored"
    ]


def test_a_shells_visible_devices_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    study_of(tmp_path)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_paths_start_at_the_project_root(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "task.yaml").write_text("task: {template_type: simple}")
    (tmp_path / "sampling.yaml").write_text("{num_samples: 2, max_length: 9}")
    (tmp_path / "data" / "aime2025").mkdir(parents=True)
    (tmp_path / "models" / "Tiny Llama").mkdir(parents=True)
    changes = {
        "00_sample/task": None,
        "00_sample/task_config": "task.yaml",
        "00_sample/sampling": None,
        "00_sample/sampling_config": "sampling.yaml",
        "00_sample/backend/model_name": "models/Tiny Llama",
        "01_dist/backend": None,
    }
    study = study_of(tmp_path / "scripts", changes)
    (partition,) = study.partitions.values()
    assert partition.key == "aime2025|tiny-llama"
    assert partition.base_dir == tmp_path
    assert partition.task.template_type == "simple"
    assert (partition.sampling.num_samples, partition.sampling.max_length) == (2, 9)
    assert partition.dataset_settings.data_dir == "data/aime2025"
    assert study.outputs.results == tmp_path / "outputs" / "aime"


def test_a_hub_data_set_and_a_file(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"00_sample/dataset/name": "math-ai/aime25"})
    assert study.datasets["aime25"].hub == "math-ai/aime25"
    (tmp_path / "my problems.jsonl").write_text("{}")
    study = study_of(tmp_path, {"00_sample/dataset/name": "my problems.jsonl"})
    assert study.datasets["my-problems"].path == "my problems.jsonl"


def test_values_the_scripts_wrote_in_other_ways(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"device": "cuda", "device_map": "auto", "torch_dtype": "torch.bfloat16"}
    study = study_of(
        tmp_path,
        {
            "00_sample/sampling/top_k": 0,
            "00_sample/dataset/num_examples": -1,
            "00_sample/backend/backend_specific": options,
            "01_dist/backend/backend_specific": options,
            "00_sample/output": "out/results.json",
        },
    )
    (partition,) = study.partitions.values()
    assert partition.sampling.top_k is None
    assert partition.dataset_settings.num_examples is None
    assert partition.model_settings.backend_specific.torch_dtype == "bfloat16"
    assert partition.model_settings.backend_specific.device is None
    assert partition.model_settings.backend_specific.device_map == "auto"
    assert study.outputs.results == tmp_path / "out"
    assert "device is ignored" in caplog.text


def test_distributions_of_another_results_file_are_pointed_to_import(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study_of(tmp_path, {"01_dist/input/results_file": "elsewhere/results.json"})
    assert f"onoff import {tmp_path / 'elsewhere' / 'results.json'}" in caplog.text
    caplog.clear()
    study_of(tmp_path, {"01_dist/input/results_file": "outputs/aime/old.json"})
    assert f"onoff import {tmp_path / 'outputs' / 'aime' / 'old.json'}" in caplog.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"01_dist/backend/model_name": "Qwen/Qwen3-4B"},
            "01_dist.backend: differs from 00_sample.backend in model_name",
        ),
        ({"01_dist/backend/backend_specific": {"torch_dtype": "float16"}}, "torch_dtype ('bfloat16' and 'float16')"),
        ({"00_sample": None, "01_dist/input": None}, "00_sample: is missing"),
        ({"00_sample/sampling/tempratur": 1}, "00_sample.sampling.tempratur: unknown key; did you mean 'temperature'"),
        ({"00_sample/sampling/top_p": 2}, "00_sample.sampling.top_p"),
        ({"00_sample/dataset/shuffle": True}, "00_sample.dataset.shuffle: unknown key"),
        ({"00_sample/backend/backend_type": "vllm"}, "00_sample.backend.backend_type"),
        ({"00_sample/seeed": 3}, "00_sample.seeed: unknown key"),
        ({"00_sample/task_config": "task.yaml"}, "00_sample.task_config names"),
        ({"01_dist/distribution/top_k": "all"}, "01_dist.distribution.top_k"),
        ({"00_sample/output": {"results_dir": "a", "path": "b"}}, "name different folders"),
        ({"00_sample/output": 3}, "00_sample.output: a folder is wanted"),
        ({"00_sample/output": {"results_dir": ["a"]}}, "00_sample.output.results_dir: a folder is wanted"),
        ({"00_sample/dataset/name": "./data/aime2025"}, "data/aime2025, which is neither a folder nor a file"),
        ({"00_sample/dataset/name": "data/verl/aime2025"}, "00_sample.dataset.name: names"),
        ({"00_sample/backend/sampling": {"seed": 1}}, "00_sample.backend.sampling: unknown key"),
        ({"00_sample/sampling/seeds": [1, 2]}, "00_sample.sampling.seeds: unknown key; did you mean 'seed'?"),
        ({"00_sample/dataset": "aime2025"}, "00_sample.dataset: settings by name are wanted (name: value)"),
        ({"global/cuda/visible_devices": 1.5}, "global.cuda.visible_devices"),
        ({"datasets": {"a": {}}}, "datasets: belongs to an onoff.yaml"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        study_of(tmp_path, changes)
    assert said in str(caught.value)
    assert "experiment_config.yaml" in str(caught.value)


def test_a_file_that_only_draws_pictures_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="00_sample: is missing"):
        study_of(tmp_path, text="02_visualize: {input: {results_dir: outputs}}")


@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ("outputs/aime/", "outputs/aime"),
        ("outputs/aime/statistics.json", "outputs/aime"),
        ({"output_path": "outputs/aime"}, "outputs/aime"),
        ({"results_dir": "outputs/aime", "results_file": "results.json"}, "outputs/aime"),
        ({"results_dir": "outputs/aime", "results_file": "outputs/aime/results.json"}, "outputs/aime"),
        ({"results_file": "out/results.json", "statistics_file": "out/statistics.json"}, "out"),
        ({"distributions_file": "out/distributions.json", "npz_file": "out/distributions.npz"}, "out"),
        ({"results_dir": "out", "format": "json", "indent": 2, "save_dir": None}, "out"),
        ({"format": "json"}, None),
        ({}, None),
    ],
)
def test_the_ways_to_name_an_output(
    tmp_path: Path, output: Any, folder: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_of(tmp_path, {"00_sample/output": output, "01_dist/input": {}})
    assert study.outputs.results == (None if folder is None else tmp_path / folder)
    if folder is None:
        assert "00_sample.output: names no folder, so nothing is written; write output: FOLDER" in caplog.text
    if isinstance(output, dict) and "format" in output:
        assert "00_sample.output.format: is not known to this project; ignored" in caplog.text


@pytest.mark.parametrize(
    ("written", "devices"),
    [(3, "3"), ("0,1", "0,1"), ([0, 1], "0,1"), (["GPU-8f2a", "GPU-77c1"], "GPU-8f2a,GPU-77c1"), (-1, "-1")],
)
def test_visible_devices_as_number_text_or_list(tmp_path: Path, written: Any, devices: str) -> None:
    study_of(tmp_path, {"global/cuda/visible_devices": written})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == devices


def test_what_is_not_known_of_global_and_input_is_said_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {
        "global": {"cuda": {"visible_device": 1}, "seed": 3},
        "01_dist/input": {"results_fil": "x.json"},
        "00_sample/logging": {"level": {"deeper": 1}},
    }
    study_of(tmp_path, changes)
    for key in ("global.cuda.visible_device", "global.seed", "01_dist.input.results_fil", "00_sample.logging"):
        assert f"{key}: is not known to this project; ignored" in caplog.text
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_how_many_processes_there_are_is_taken_as_the_most(tmp_path: Path) -> None:
    (model,) = study_of(tmp_path, {"01_dist/backend/backend_specific/num_process": 4}).models.values()
    assert (model.backend_specific.num_process, model.backend_specific.num_process_at_most) == (2, True)


def test_a_list_of_processes_has_no_effect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = study_of(tmp_path, {"00_sample/backend/backend_specific/num_process": [0, 1]})  # 01_dist has 2
    (model,) = study.models.values()
    assert model.backend_specific.num_process is None
    assert "num_process: has no effect here" in caplog.text


def test_a_backend_of_01_dist_with_nothing_under_it(tmp_path: Path) -> None:
    text = FILE.partition("01_dist:")[0] + "01_dist: {backend: null}"
    assert list(study_of(tmp_path, text=text).partitions) == ["aime2025|qwen3-8b"]


def test_a_device_map_that_names_a_device(tmp_path: Path) -> None:
    options = {"device_map": "cuda:1", "torch_dtype": None}
    study = study_of(tmp_path, {"00_sample/backend/backend_specific": options, "01_dist/backend": None})
    (model,) = study.models.values()
    assert (model.backend_specific.device, model.backend_specific.device_map) == ("cuda:1", None)
    assert model.backend_specific.torch_dtype == "auto"


def test_null_and_a_single_stop_string_mean_what_transformers_takes_them_for(tmp_path: Path) -> None:
    text = FILE.replace("top_p: 0.95", "top_p: null").replace("temperature: 0.6", "temperature: null")
    study = study_of(tmp_path, {"00_sample/sampling/stop_strings": "END"}, text)
    (partition,) = study.partitions.values()
    assert (partition.sampling.top_p, partition.sampling.temperature) == (1, 1)
    assert partition.sampling.stop_strings == ("END",)


@pytest.mark.parametrize("name", ["task", "sampling"])
def test_a_mistake_in_a_named_file_names_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "own.yaml").write_text(f"{name}: {{nonsense: 1}}")
    with pytest.raises(SettingsError) as caught:
        study_of(tmp_path, {f"00_sample/{name}": None, f"00_sample/{name}_config": "own.yaml"})
    assert str(caught.value).startswith(f"{tmp_path / 'own.yaml'}: {name}.nonsense: unknown key")


def test_a_folder_missing_from_one_that_is_there_is_no_hub_id(tmp_path: Path) -> None:
    assert study_of(tmp_path, {"00_sample/dataset/name": "data/aime2025"}).datasets["aime2025"].hub == "data/aime2025"
    (tmp_path / "data").mkdir()
    with pytest.raises(SettingsError, match="data/aime2025, which is neither a folder nor a file"):
        study_of(tmp_path, {"00_sample/dataset/name": "data/aime2025"})
