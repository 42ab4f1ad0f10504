"""A small random model of every family that people ask for, as its configuration says it."""

from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from onoff_core.backends.huggingface.loading import LoadedModel
from tests.tiny import tiny_config, tiny_tokenizer

_MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_LINEAR: dict[str, Any] = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"],
}
_LATENT: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
_ROUTED: dict[str, Any] = {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
_GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
_MAMBA2: dict[str, Any] = {
    "num_attention_heads": None,
    "state_size": 8,
    "num_heads": 8,
    "head_dim": 8,
    "expand": 2,
    "n_groups": 2,
    "chunk_size": 8,
}
_FALCON: dict[str, Any] = {
    "mamba_d_ssm": 64,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}
_LLAMA4: dict[str, Any] = {
    "num_hidden_layers": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "intermediate_size_mlp": 64,
    "attention_chunk_size": 8,
}
_WINDOW: dict[str, Any] = {"sliding_window": 6}  # shorter than the sequences
_GPT_OSS: dict[str, Any] = {**_WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2}
_JAMBA: dict[str, Any] = {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaConfig", {}),
    "Llama 4": ("Llama4TextConfig", _LLAMA4),
    "Qwen3": ("Qwen3Config", {}),
    "Qwen3-MoE": ("Qwen3MoeConfig", _MOE),
    "Qwen3-Next": ("Qwen3NextConfig", {**_MOE, **_LINEAR, "shared_expert_intermediate_size": 16}),
    "Qwen3.5": ("Qwen3_5TextConfig", _LINEAR),
    "Gemma 2": ("Gemma2Config", {**_WINDOW, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 8}),
    "Gemma 3": ("Gemma3TextConfig", {**_WINDOW, "query_pre_attn_scalar": 8}),
    "Mistral": ("MistralConfig", _WINDOW),
    "Phi": ("PhiConfig", {}),
    "GPT-2": ("GPT2Config", _GPT2),
    "DeepSeek-V3": ("DeepseekV3Config", {**_LATENT, **_ROUTED}),
    "gpt-oss": ("GptOssConfig", _GPT_OSS),
    "Mamba 2": ("Mamba2Config", _MAMBA2),
    "Falcon-H1": ("FalconH1Config", _FALCON),
    "LFM2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"]}),
    "Jamba": ("JambaConfig", _JAMBA),
    "Cohere 2": ("Cohere2Config", _WINDOW),
}


def random_family(name: str) -> LoadedModel:
    """A random model of a family, kept in memory; its weights are large enough for attention to matter."""
    tokenizer = tiny_tokenizer()
    kind, changes = FAMILIES[name]
    arguments = tiny_config(tokenizer, **changes)
    if kind in ("GPT2Config", "Mamba2Config"):  # which have words of their own for what Llama's kin share
        kept = {"vocab_size", "hidden_size", "num_hidden_layers", *changes} - {"num_attention_heads"}
        dropped = {"hidden_size", "num_hidden_layers"} if kind == "GPT2Config" else set()
        arguments = {key: value for key, value in arguments.items() if key in kept - dropped}
    config = getattr(transformers, kind)(**arguments)
    for special in ("eos_token_id", "bos_token_id", "pad_token_id"):
        setattr(config, special, getattr(tokenizer, special))
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return LoadedModel(name, model, tokenizer, torch.device("cpu"), None, frozenset({tokenizer.eos_token_id}))
