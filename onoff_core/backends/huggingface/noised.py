"""A copy of a model with noise on its weights: another model with the same tokenizer, for trying what compares two."""

from pathlib import Path

import torch

from onoff_core.backends.huggingface.loading import load_beside
from onoff_core.study import ModelSettings


@torch.no_grad()
def save_noised_copy(name: str, settings: ModelSettings, base_dir: Path, folder: Path, scale: float, seed: int) -> None:
    """Write a copy of `models.<name>` to a folder, as `save_pretrained` does. Raises `ModelError`.

    Each matrix gets normal noise of `scale` times the standard deviation of its own weights, always the same with the
    same seed; norms and biases stay.
    """
    loaded = load_beside(name, settings, base_dir)
    draw = torch.Generator(device="cpu").manual_seed(seed)
    for weights in loaded.model.parameters():
        if weights.dim() > 1:
            noise = torch.randn(weights.shape, generator=draw, dtype=torch.float32)
            weights.add_((noise * weights.float().std().cpu() * scale).to(weights))
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
