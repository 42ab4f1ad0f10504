"""Two small random models on the same texts, by every way of running them, against both run whole in float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onoff_core.backends.huggingface import pairs
from onoff_core.backends.huggingface.loading import load_beside
from onoff_core.backends.huggingface.pair_sides import ManySide, WholeSide
from onoff_core.backends.huggingface.pairs import HuggingfacePair
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, ModelSettings
from tests.cross.test_pair_statistics import TOLERANCE, reference
from tests.tiny import save_tiny_llama

PROMPT = [5, 9, 40, 41, 7]
TEXTS = [[8, 30, 31, 90, 2], [11], [8, 30, 12, 60, 61, 62, 63, 64, 65, 66, 67, 68, 2]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Two models with one tokenizer and other weights."""
    folder = tmp_path_factory.mktemp("pair")
    return tuple(
        (name, ModelSettings(model_name=str(save_tiny_llama(folder / name, seed)), backend_specific=options()))
        for seed, name in enumerate(("first", "second"))
    )  # type: ignore[return-value]


def options() -> BackendOptions:
    return BackendOptions(device="cpu", torch_dtype="float32")


def wanted(models: tuple[Any, Any], text: list[int], vocab: int | None = None) -> dict[str, torch.Tensor]:
    both = []
    for name, settings in models:
        model = load_beside(name, settings, Path("/")).model.double()
        with torch.inference_mode():
            both.append(model(torch.tensor([PROMPT + text])).logits[0, len(PROMPT) - 1 : -1])
    return reference(both[0][:, :vocab], both[1][:, :vocab], torch.tensor(text))


def scored(models: tuple[Any, Any], how: Any, prepare: Callable[[HuggingfacePair], None] = lambda pair: None) -> Any:
    pair = HuggingfacePair(*models, Path("/"), how)
    pair.prepare((PROMPT, text) for text in TEXTS)
    prepare(pair)
    try:
        return list(pair.score(PROMPT, TEXTS, 5))
    finally:
        pair.close()


def many(pair: HuggingfacePair) -> None:
    assert pair._sides is not None
    pair._sides = tuple(ManySide(side.loaded, one_by_one=False) for side in pair._sides)  # type: ignore[union-attr,assignment]


def whole(pair: HuggingfacePair) -> None:
    assert pair._sides is not None
    pair._sides = tuple(WholeSide(side.loaded) for side in pair._sides)  # type: ignore[union-attr,assignment]


@pytest.mark.parametrize(
    ("how", "prepare"),
    [("together", lambda pair: None), ("together", many), ("together", whole), ("in_turn", lambda pair: None)],
    ids=["cached", "many", "whole", "in turn"],
)
def test_every_way_gives_the_divergences_of_float64(
    models: tuple[Any, Any], how: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_LOGITS_PER_SLICE", 4 * 300)  # several slices a text
    for text, found in zip(TEXTS, scored(models, how, prepare), strict=True):
        for name, values in wanted(models, text).items():
            assert np.abs(found[name] - values.numpy()).max() < TOLERANCE or name == "reference_rank", name
        assert (found["kl"] > 0.01).all()  # they are two models


@pytest.mark.parametrize("how", ["together", "in_turn"])
def test_a_model_against_itself_gives_zero(models: tuple[Any, Any], how: Any) -> None:
    twin = (models[0], ("twin", models[0][1]))
    for found in scored(twin, how):
        limit = 0 if how == "together" else 1e-7
        for name in ("kl", "reverse_kl", "js"):
            assert found[name].max() <= limit, name


def test_rows_of_padding_are_left_out(models: tuple[Any, Any]) -> None:
    """The second model has more rows than tokens; both distributions are over the ids that both have."""
    pair = HuggingfacePair(*models, Path("/"), "together")
    second = pair._sides[1].loaded.model  # type: ignore[index]
    size = second.config.vocab_size
    torch.manual_seed(0)
    second.resize_token_embeddings(size + 13, mean_resizing=False)
    found = list(pair.score(PROMPT, TEXTS, 5))
    pair.close()
    for text, scores in zip(TEXTS, found, strict=True):
        assert np.abs(scores["kl"] - wanted(models, text)["kl"].numpy()).max() < TOLERANCE


def test_a_text_that_is_too_long_or_empty_is_named_after_those_before(models: tuple[Any, Any]) -> None:
    pair = HuggingfacePair(*models, Path("/"), "together")
    for bad, why in (([], "a text without tokens"), ([7] * 600, "models.first takes 512")):
        scores = pair.score(PROMPT, [TEXTS[0], bad, TEXTS[1]], 5)
        assert len(next(scores)["kl"]) == len(TEXTS[0])
        with pytest.raises(ModelError, match=why):
            next(scores)
    pair.close()


def test_memory_that_does_not_suffice_takes_half_as_many_tokens(
    models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fails = pairs.pair_statistics, iter([True])

    def once(*args: Any) -> Any:
        if next(fails, False):
            raise RuntimeError("CUDA out of memory")
        return real(*args)

    monkeypatch.setattr(pairs, "pair_statistics", once)
    found = scored(models, "together", many)
    assert [len(one["kl"]) for one in found] == [len(text) for text in TEXTS]
    assert np.abs(found[2]["kl"] - wanted(models, TEXTS[2])["kl"].numpy()).max() < TOLERANCE


def test_where_both_do_not_fit_one_runs_after_the_other(
    models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = pairs.load_beside, []

    def first_time(*args: Any) -> Any:
        tries.append(args[0])
        if len(tries) == 1:
            raise ModelError("cannot be loaded") from torch.OutOfMemoryError("CUDA out of memory")
        return real(*args)

    monkeypatch.setattr(pairs, "load_beside", first_time)
    with pytest.raises(ModelError):
        HuggingfacePair(*models, Path("/"), "together")
    tries.clear()
    found = scored(models, "either")
    assert tries == ["second", "second"]
    assert np.abs(found[0]["kl"] - wanted(models, TEXTS[0])["kl"].numpy()).max() < TOLERANCE
