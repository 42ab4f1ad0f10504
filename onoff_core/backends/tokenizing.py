"""A model's tokenizer without its weights: for turning text into token ids where nothing has to be computed."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from onoff_core.backends.loading import LoadedModel, cannot_load, place_of
from onoff_core.study import ModelSettings


def load_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
    """The model of `models.<name>` as far as its tokenizer and configuration go. Its weights are on the meta device:
    they take no memory, and running it is an error. Raises `ModelError`.
    """
    place, revision = place_of(settings, base_dir)
    trusted = settings.backend_specific.trust_remote_code
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=trusted)
        config = AutoConfig.from_pretrained(place, revision=revision, trust_remote_code=trusted)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trusted)
    except Exception as error:  # as in loading
        raise cannot_load(name, f"the tokenizer of {settings.model_name}", place, error) from error
    ends = frozenset() if tokenizer.eos_token_id is None else frozenset({tokenizer.eos_token_id})
    return LoadedModel(name, model, tokenizer, torch.device("meta"), None, ends)
