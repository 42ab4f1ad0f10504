"""Why a model cannot be run in one way or another, in words, for the log."""

from onoff_core.backends.huggingface.loading import LoadedModel

_KEYS_AND_VALUES = {"full_attention", "sliding_attention"}
_IN_WORDS = {
    "chunked_attention": "attention in chunks",
    "linear_attention": "a running state instead of keys and values",
    "mamba": "a running state instead of keys and values",
    "hybrid": "a running state beside keys and values",
    "conv": "convolutions over the last tokens",
}


def other_layers(loaded: LoadedModel) -> str | None:
    """What layers a model has that do not just keep keys and values of every token, by its configuration; None: none
    are known.
    """
    config = loaded.model.config.get_text_config()
    kinds = sorted(set(getattr(config, "layer_types", None) or ()) - _KEYS_AND_VALUES)
    named = [f"{_IN_WORDS[kind]} ({kind})" if kind in _IN_WORDS else f"layers of kind {kind}" for kind in kinds]
    return ", ".join(named) or None


def said(error: Exception) -> str:
    """An error in one line: its kind where its text alone does not tell, and the text's first line."""
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else "no message"
    return first if isinstance(error, NotImplementedError) else f"{type(error).__name__}: {first}"
