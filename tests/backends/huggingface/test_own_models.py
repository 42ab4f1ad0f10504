"""Models as people have them: a GGUF file, an adapter, a folder that lacks something; and what a model leaves unset."""

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from onoff_core.backends import generation_defaults, open_sampler, open_tokenizer, what_loading_refuses
from onoff_core.backends.huggingface.loading import load_model
from onoff_core.backends.identity import model_identity, model_source
from onoff_core.cli.main import main
from onoff_core.errors import ModelError
from onoff_core.grid.materialize import materialize_samples, materialize_token_distributions
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import BackendOptions, ModelSettings, load_study
from onoff_core.tasks import Prompt
from tests.conftest import MakeProject


def settings_of(place: Path | str, **more: Any) -> ModelSettings:
    return ModelSettings(model_name=str(place), backend_specific=BackendOptions(device="cpu"), **more)


# GGUF


def write_gguf(file: Path, tiny_folder: Path) -> Path:
    """The small model as llama.cpp keeps one."""
    config = json.loads((tiny_folder / "config.json").read_text())
    tokenizer = json.loads((tiny_folder / "tokenizer.json").read_text())["model"]
    tensors = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).state_dict()
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(shared)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].__getitem__)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if number < 3 else 1 for number in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_bos_token_id(config["bos_token_id"])

    def permuted(weights: np.ndarray, count: int) -> np.ndarray:
        """llama.cpp keeps the two halves of a rotary head interleaved."""
        rows = weights.reshape(count, 2, weights.shape[0] // count // 2, weights.shape[1])
        return rows.swapaxes(1, 2).reshape(weights.shape)

    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, tensor in tensors.items():
        weights, key = tensor.numpy(), name.removesuffix(".weight")
        if key in top:
            writer.add_tensor(f"{top[key]}.weight", weights)
            continue
        layer, inner = key.removeprefix("model.layers.").split(".", 1)
        if inner.endswith(("q_proj", "k_proj")):
            weights = np.ascontiguousarray(permuted(weights, heads if "q_proj" in inner else shared))
        writer.add_tensor(f"blk.{layer}.{names[inner]}.weight", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONOFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("named", ["the file", "its folder"])
def test_a_gguf_file_or_a_folder_with_only_one(tmp_path: Path, tiny_folder: Path, own_cache: Path, named: str) -> None:
    (tmp_path / "models").mkdir()
    file = write_gguf(tmp_path / "models" / "Tiny.Q8.GGUF", tiny_folder)
    settings = settings_of(file if named == "the file" else file.parent)
    assert model_source(settings, tmp_path) == str(file)
    assert what_loading_refuses(settings, tmp_path, needs_template=False) == []
    loaded = load_model("gguf", settings, tmp_path)
    ours = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, ours(ids).logits, atol=1e-4, rtol=1e-4)
    assert open_tokenizer("gguf", settings, tmp_path).encode(Prompt(" answer", False))
    first = model_identity(settings, tmp_path)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert model_identity(settings, tmp_path) != first


def test_several_gguf_files_and_one_that_is_none(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"junk")
    settings = settings_of(tmp_path / "a.gguf")
    (wrong,) = what_loading_refuses(settings, tmp_path, needs_template=False)
    assert "is no GGUF file; download it again" in wrong
    with pytest.raises(ModelError, match=r"a\.gguf: cannot be read as a model in GGUF"):
        load_model("a", settings, tmp_path)
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"holds 2 \.gguf files; name one, such as .*a\.gguf"):
        model_identity(settings_of(tmp_path), tmp_path)
    with pytest.raises(ModelError, match=r"gone\.gguf is not a folder nor a \.gguf file"):
        model_identity(settings_of("gone.gguf"), tmp_path)


# Adapters


def save_adapter(folder: Path, tiny_folder: Path, seed: int = 0) -> Path:
    """A small random LoRA adapter for the small model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    config = LoraConfig(r=2, lora_alpha=32, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(folder)
    return folder


def test_an_adapter_is_added_to_its_model(tmp_path: Path, tiny_folder: Path) -> None:
    from peft import PeftModel

    adapter = save_adapter(tmp_path / "adapter", tiny_folder)
    ids = torch.tensor([[5, 6, 7, 8]])
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    with torch.no_grad():
        plain = base(ids).logits
        wanted = PeftModel.from_pretrained(base, str(adapter))(ids).logits
        found = load_model("lora", settings_of(tiny_folder, adapter="adapter"), tmp_path).model(ids).logits
    assert (wanted - plain).abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_an_adapters_content_is_in_the_models_identity(tmp_path: Path, tiny_folder: Path) -> None:
    save_adapter(tmp_path / "adapter", tiny_folder)
    without = model_identity(settings_of(tiny_folder), tmp_path)
    first = model_identity(settings_of(tiny_folder, adapter="adapter"), tmp_path)
    assert without.items() < first.items()
    save_adapter(tmp_path / "adapter", tiny_folder, seed=1)
    assert model_identity(settings_of(tiny_folder, adapter="adapter"), tmp_path) != first


def test_an_adapter_through_the_grid(make_project: MakeProject, tiny_folder: Path) -> None:
    def draw(**more: Any) -> list[list[int]]:
        model = {"model_name": str(tiny_folder), "backend_specific": {"device": "cpu"}, **more}
        folder = make_project(models={"tiny": model})
        partition = load_study(folder / "onoff.yaml").partition("arithmetic|tiny")
        made = materialize_samples(partition, Store(str(folder / "store")))
        materialize_token_distributions(partition, Store(str(folder / "store")))
        ids: list[list[int]] = made.generation.read()["token_ids"].to_pylist()
        return ids

    plain = draw()
    save_adapter(Path("adapter"), tiny_folder)
    assert draw(adapter="adapter") != plain


def test_an_adapter_that_is_none_or_anothers(tmp_path: Path, tiny_folder: Path) -> None:
    settings = settings_of(tiny_folder, adapter="adapter")
    with pytest.raises(ModelError, match="adapter is no folder; name the one that peft's save_pretrained wrote"):
        model_identity(settings, tmp_path)
    (tmp_path / "adapter").mkdir()
    assert "needs adapter_config.json" in what_loading_refuses(settings, tmp_path, needs_template=False)[0]
    save_adapter(tmp_path / "adapter", tiny_folder)
    other = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**other, "target_modules": ["nowhere"]}))
    with pytest.raises(ModelError, match=r"models\.tiny: the adapter .* cannot be loaded over its model"):
        load_model("tiny", settings, tmp_path)


def test_an_adapter_without_peft(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_adapter(tmp_path / "adapter", tiny_folder)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"an adapter needs peft; install it with: pip install 'onoff\[lora\]'"):
        load_model("tiny", settings_of(tiny_folder, adapter="adapter"), tmp_path)


# What loading would refuse


def broken(folder: Path, tiny_folder: Path, how: str) -> Path:
    """A copy of the small model with something wrong."""
    shutil.copytree(tiny_folder, folder)
    weights = folder / "model.safetensors"
    match how:
        case "no config":
            (folder / "config.json").unlink()
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
        case "no weights":
            weights.unlink()
        case "cut off":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "junk":
            weights.write_bytes(b"<!DOCTYPE html>")
        case "a shard is missing":
            weights.rename(folder / "model-00001-of-00002.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        case "another kind":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "model_type": "vit", "architectures": None}))
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no config", "has no config.json"),
        ("no tokenizer", "has no tokenizer (tokenizer.json"),
        ("no weights", "has no weights (model.safetensors"),
        ("cut off", "model.safetensors is cut off; download it again"),
        ("junk", "model.safetensors is no safetensors file"),
        ("a shard is missing", "lacks 1 of its 2 files of weights, the first is model-00002-of-00002.safetensors"),
        ("another kind", "is of kind 'vit', which transformers"),
    ],
)
def test_check_finds_what_loading_refuses(
    make_project: MakeProject, tiny_folder: Path, capsys: pytest.CaptureFixture[str], how: str, said: str
) -> None:
    folder = make_project(models={"own": {"model_name": "own", "backend_specific": {"device": "cpu"}}})
    broken(folder / "own", tiny_folder, how)
    assert main(["check"]) == 1
    assert said in capsys.readouterr().err
    with pytest.raises(ModelError):
        load_model("own", settings_of("own"), folder)


def test_check_of_what_is_whole(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    make_project()
    assert main(["check"]) == 0


@pytest.mark.parametrize(("device", "said"), [("cuda:7", "shows torch"), ("gpu", "which torch does not know")])
def test_check_of_a_device(tiny_folder: Path, device: str, said: str) -> None:
    settings = ModelSettings(model_name=str(tiny_folder), backend_specific=BackendOptions(device=device))
    (wrong,) = what_loading_refuses(settings, tiny_folder, needs_template=False)
    assert said in wrong


@pytest.mark.parametrize("template", ["model", "openai"])
def test_check_of_a_template_that_there_is_not(
    make_project: MakeProject, tiny_folder: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project(models={"own": {"model_name": "own"}}, task={"template_type": template})
    shutil.copytree(tiny_folder, folder / "own")
    assert main(["check"]) == 0
    (folder / "own" / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "own" / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "own" / "tokenizer_config.json").write_text(json.dumps(config))
    assert main(["check"]) == 1
    assert "has no chat template; set task.template_type to chatml, llama or simple" in capsys.readouterr().err


# A token that the model does not have


def test_a_prompts_token_beyond_the_embedding_is_one_sentence(make_project: MakeProject, tiny_folder: Path) -> None:
    folder = make_project(models={"own": {"model_name": "own", "backend_specific": {"device": "cpu"}}})
    shutil.copytree(tiny_folder, folder / "own")
    tokenizer = json.loads((folder / "own" / "tokenizer.json").read_text())
    beyond = {**tokenizer["added_tokens"][0], "id": 400, "content": "<|beyond|>"}
    tokenizer["added_tokens"].append(beyond)
    (folder / "own" / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "p.jsonl").write_text('{"question": "What is <|beyond|>?", "answer": "1"}')
    study = (folder / "onoff.yaml").read_text().replace("arithmetic:\n    num_examples: 4", "own:\n    path: p.jsonl")
    (folder / "onoff.yaml").write_text(study)
    partition = load_study(folder / "onoff.yaml").partition("own|own")
    with pytest.raises(ModelError, match=r"problem test-0: its prompt has the token id \d+, but models\.own has embed"):
        materialize_samples(partition, Store(str(folder / "store")))


# What is left to the model


def with_generation_config(folder: Path, tiny_folder: Path, **values: Any) -> Path:
    shutil.copytree(tiny_folder, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


def test_what_is_not_set_is_the_models(
    make_project: MakeProject, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sampling = {"max_length": 4, "num_samples": 2, "top_p": 0.5, "seed": 7, "generation_defaults": "model"}
    folder = make_project(
        models={"own": {"model_name": "own", "backend_specific": {"device": "cpu"}}}, sampling=sampling
    )
    with_generation_config(folder / "own", tiny_folder, temperature=0.3, top_k=3, top_p=0.9, repetition_penalty=1.1)
    partition = load_study(folder / "onoff.yaml").partition("arithmetic|own")
    with caplog.at_level(logging.WARNING):
        made = materialize_samples(partition, Store(str(folder / "store")))
    assert made.manifest.facts["generation_defaults"] == {"temperature": 0.3, "top_k": 3}
    drawn = SamplesProvenance.of(made.manifest).sampling
    assert drawn is not None
    assert (drawn.temperature, drawn.top_k, drawn.top_p) == (0.3, 3, 0.5)
    assert "asks for repetition_penalty 1.1, which is not done here" in caplog.text
    written = {name: value for name, value in sampling.items() if name != "generation_defaults"}
    folder = make_project(
        models={"own": {"model_name": "own", "backend_specific": {"device": "cpu"}}},
        sampling={**written, "temperature": 0.3, "top_k": 3},
    )
    same = materialize_samples(load_study(folder / "onoff.yaml").partition("arithmetic|own"), Store(str(folder / "b")))
    assert same.generation.read().equals(made.generation.read())
    assert same.generation.fingerprint != made.generation.fingerprint


def test_a_model_without_the_file_leaves_our_defaults(tmp_path: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "own")
    (tmp_path / "own" / "generation_config.json").unlink()
    assert generation_defaults("own", settings_of("own"), tmp_path) == {}
    assert open_sampler("own", settings_of("own"), tmp_path).info.name == "own"
