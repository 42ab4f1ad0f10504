"""Logits that are not numbers are an error at the first of them, whichever decoder meets them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onoff_core.backends.huggingface.continuous import continuous_batches, told_logprob, told_scores
from onoff_core.backends.huggingface.cpu.loop import SlotLoop
from onoff_core.backends.huggingface.generate import generate_batches
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.requests import Request
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings
from tests.backends.huggingface.test_ends import PROMPT, spell
from tests.tiny import save_tiny_llama

SAID = [40, 41, 42, 43, 44, 45, 46, 47]
DECODERS: dict[str, Callable[..., object]] = {
    "loop": lambda *args: SlotLoop(*args).run(),
    "generate": generate_batches,
    "continuous": continuous_batches,
}


@pytest.fixture
def broken(tmp_path: Path) -> LoadedModel:
    """Says SAID, and has no numbers any more after its fourth token."""
    from transformers import LlamaForCausalLM

    folder = save_tiny_llama(tmp_path / "broken")
    model = LlamaForCausalLM.from_pretrained(folder)
    spell(model, SAID)
    with torch.no_grad():
        model.model.embed_tokens.weight[SAID[3]] = torch.nan
    model.save_pretrained(folder)
    settings = ModelSettings(model_name=str(folder), backend_specific=BackendOptions(device="cpu"))
    return load_model("broken", settings, folder)


@pytest.mark.parametrize("sampling", [{"do_sample": False}, {"temperature": 0.01, "top_k": 5, "top_p": 0.9}])
@pytest.mark.parametrize("decoder", list(DECODERS))
def test_every_decoder_says_where(broken: LoadedModel, decoder: str, sampling: dict[str, float]) -> None:
    settings = SamplingSettings(max_length=8, num_samples=1, batch_size=2, **sampling)
    asked = [Request("easy", 3, PROMPT)]
    drawn = []
    with pytest.raises(ModelError, match=r"problem easy, sample 3: .* logits at position 4 .* are not numbers"):
        list(DECODERS[decoder](broken, asked, settings, 0, 2, drawn.append))
    assert sum(drawn) <= 6  # at once, and not after max_length tokens


def test_infinite_logits_are_no_numbers_either(tiny_loaded: LoadedModel) -> None:
    settings = SamplingSettings(max_length=4)
    bias = tiny_loaded.model.lm_head.register_forward_hook(lambda module, given, found: found + torch.inf)
    try:
        with pytest.raises(ModelError, match="at position 0"):
            list(generate_batches(tiny_loaded, [Request("p", 0, PROMPT)], settings, 0, 1, lambda count: None))
    finally:
        bias.remove()


def test_scoring_says_where(broken: LoadedModel) -> None:
    """Attention over a whole response at once may carry what is no number to tokens before it, but not after."""
    with pytest.raises(ModelError, match=r"models\.broken at position [0-4] are not finite"):
        list(score(broken, PROMPT, [SAID[:6]], DistributionSettings()))


@pytest.mark.parametrize("vocab", [280, 49_152, 151_936])
def test_what_the_library_is_told_comes_back(vocab: int) -> None:
    logprobs = torch.tensor([0.0, -1e-4, -0.5, -20.0, -120.0, torch.nan])
    scores = told_scores(torch.tensor([3, 0, 9, 200, 5, 17]), logprobs, vocab)
    probabilities = scores.softmax(-1)  # as the library does it
    assert probabilities.argmax(-1).tolist() == [3, 0, 9, 200, 5, 17]
    found = torch.tensor([told_logprob(value, vocab) for value in probabilities.amax(-1).log().tolist()])
    torch.testing.assert_close(found, logprobs, atol=3e-5, rtol=1e-6, equal_nan=True)
