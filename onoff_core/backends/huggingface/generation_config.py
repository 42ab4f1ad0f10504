"""A model's `generation_config.json`: how its makers sample. It counts where the settings leave that to the model."""

import json
import logging
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from onoff_core.backends.huggingface.places import cannot_load, place_of
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings
from onoff_core.study.settings import MODEL_DEFAULTS

logger = logging.getLogger(__name__)
_NAME = "generation_config.json"
# What changes what is drawn and is not done here, with the value that does nothing.
_NOT_DONE = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "top_h": None,
}


def generation_defaults(name: str, settings: ModelSettings, base_dir: Path) -> dict[str, Any]:
    """Those of `MODEL_DEFAULTS` that the model's file has; none where it has no such file. What else the file asks for
    and is not done here is warned of. Raises `ModelError`.
    """
    place, revision = place_of(settings, base_dir)
    try:
        file = cached_file(place, _NAME, revision=revision, _raise_exceptions_for_missing_entries=False)
        content = json.loads(Path(file).read_text("utf-8")) if file is not None else {}
    except (OSError, ValueError) as error:
        raise cannot_load(name, f"the {_NAME} of {settings.model_name}", place, error) from error
    if not isinstance(content, dict):
        raise ModelError(f"models.{name}: {file} holds no values by name; remove generation_defaults, or mend the file")
    for key, nothing in _NOT_DONE.items():
        if content.get(key) not in (None, nothing):
            logger.warning("models.%s: its %s asks for %s %s, which is not done here", name, _NAME, key, content[key])
    found = {key: content[key] for key in MODEL_DEFAULTS if content.get(key) is not None}
    if found.get("top_k") in (0, -1):  # no truncation, which is null here
        del found["top_k"]
    return found
