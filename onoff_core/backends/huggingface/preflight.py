"""What loading would refuse, found without loading: for `onoff check`, in a second and without a model's memory.

Only what is on this machine is looked at: a folder, a GGUF file, an adapter, the device. A hub is not asked.
"""

import importlib.util
import json
import re
import struct
from pathlib import Path
from typing import Any

from onoff_core.backends.identity import PYPI_PREFIX, adapter_folder, gguf_of, local_model
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tiktoken.model")
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")


def what_loading_refuses(settings: ModelSettings, base_dir: Path, *, needs_template: bool) -> list[str]:
    """Each thing that is wrong, as a sentence. `needs_template`: a task wants the tokenizer's own chat template."""
    found = _device(settings)
    if settings.adapter is not None:
        found += _adapter(settings.adapter, base_dir)
    if settings.model_name.startswith(PYPI_PREFIX):
        return found
    place = local_model(settings.model_name, base_dir)
    if place is None:
        return found
    gguf = gguf_of(place)
    if gguf is not None:
        with gguf.open("rb") as file:
            return found if file.read(4) == b"GGUF" else [*found, f"{gguf} is no GGUF file; download it again"]
    return found + _folder(place, settings, needs_template)


def _device(settings: ModelSettings) -> list[str]:
    wanted = settings.backend_specific.device
    if wanted is None or wanted == "cpu":
        return []
    if not _DEVICE.fullmatch(wanted):
        return [f"backend_specific.device is {wanted!r}, which torch does not know; write cpu, cuda, cuda:1 or mps"]
    import torch

    if wanted.startswith("cuda"):
        number = int(wanted.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            return [
                f"backend_specific.device is {wanted}, but this machine shows torch {torch.cuda.device_count()} GPUs"
            ]
    return []


def _adapter(name: str, base_dir: Path) -> list[str]:
    found = []
    if importlib.util.find_spec("peft") is None:
        found.append("an adapter needs peft; install it with: pip install 'onoff[lora]'")
    try:
        adapter_folder(name, base_dir)
    except ModelError as error:
        found.append(str(error))
    return found


def _folder(folder: Path, settings: ModelSettings, needs_template: bool) -> list[str]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        return [f"{folder} has no config.json, which save_pretrained writes"]
    except (OSError, ValueError) as error:
        return [f"{folder / 'config.json'} cannot be read: {error}"]
    found = _architecture(folder, config if isinstance(config, dict) else {}, settings)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        found.append(f"{folder} has no tokenizer ({', '.join(_TOKENIZERS[:3])}, ...); copy it beside the weights")
    elif needs_template and not _has_template(folder):
        found.append(f"{folder} has no chat template; set task.template_type to chatml, llama or simple")
    return found + _weights(folder)


def _architecture(folder: Path, config: dict[str, Any], settings: ModelSettings) -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    from onoff_core.backends.huggingface.places import no_language_model

    reason = no_language_model(config)
    if reason is not None:
        return [f"{folder} {reason}; name a causal language model"]
    known = config.get("model_type") in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if not known and not settings.backend_specific.trust_remote_code:
        return [f"{folder} brings code of its own; backend_specific.trust_remote_code: true runs it, if you trust it"]
    return []


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text("utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


def _weights(folder: Path) -> list[str]:
    """Whether every file of weights is there and whole."""
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (folder / index).is_file():
            try:
                named = sorted(set(json.loads((folder / index).read_text("utf-8"))["weight_map"].values()))
            except (OSError, ValueError, KeyError, AttributeError) as error:
                return [f"{folder / index} cannot be read: {error}"]
            missing = [name for name in named if not (folder / name).is_file()]
            if missing:
                return [
                    f"{folder} lacks {len(missing)} of its {len(named)} files of weights, the first is {missing[0]}"
                ]
            return [wrong for name in named if (wrong := _damage(folder / name)) is not None]
    whole = folder / "model.safetensors"
    if whole.is_file():
        wrong = _damage(whole)
        return [] if wrong is None else [wrong]
    if (folder / "pytorch_model.bin").is_file():
        return []
    return [f"{folder} has no weights (model.safetensors, or the shards that its index names)"]


def _damage(file: Path) -> str | None:
    """Whether a safetensors file ends where its header says; others cannot be judged without reading them."""
    if file.suffix != ".safetensors":
        return None
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if opened.read(1) != b"{":
                raise ValueError("it has no header")
            header = json.loads(b"{" + opened.read(length - 1)) if length < size else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        return f"{file} is no safetensors file ({error}); download it again"
    if not ends or size != 8 + length + max(ends):
        return f"{file} is cut off; download it again"
    return None
