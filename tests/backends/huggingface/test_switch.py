"""Two small random Llamas in turns, against each of them alone and against plain forward passes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from onoff_core.backends import open_sampler, open_scorer
from onoff_core.backends.huggingface.cpu.switching import divergences, entropies
from onoff_core.backends.huggingface.loading import LoadedModel, load_beside, release_model
from onoff_core.backends.huggingface.switch import HuggingfaceSwitch, check_pair
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings, SamplingSettings, Study, SwitchSettings, parse_study
from tests.tiny import save_tiny_llama

REQUESTS = [Request(f"p{n // 3}", n % 3, tuple(range(3 + n // 3, 9 + 2 * (n // 3)))) for n in range(6)]
SAMPLING = SamplingSettings(max_length=9, num_samples=3, batch_size=4, temperature=0.9)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two-llamas")
    for seed, name in enumerate(("a", "b")):
        save_tiny_llama(root / name, seed)
    return root


@pytest.fixture(scope="module", autouse=True)
def _let_go() -> Iterator[None]:
    yield
    release_model()


def study(folders: Path, when: dict[str, Any], back: dict[str, Any] | None = None, **of_b: Any) -> Study:
    models = {
        "a": {"model_name": "a", "backend_specific": {"device": "cpu"}},
        "b": {"model_name": "b", "backend_specific": {"device": "cpu"}, **of_b},
        "mixed": {"backend_type": "switch", "switch": {"first": "a", "second": "b", "when": when, "back": back}},
    }
    return parse_study({"datasets": {"arithmetic": {}}, "models": models}, folders / "onoff.yaml")


def draw(
    study: Study, model: str = "mixed", requests: list[Request] = REQUESTS, sampling: SamplingSettings = SAMPLING
) -> dict[tuple[str, int], Response]:
    sampler = open_sampler(model, study.models[model], study.base_dir)
    try:
        found = list(sampler.sample(requests, sampling, 5, lambda count: None))
    finally:
        sampler.close()
    return {(one.request.problem_id, one.request.sample_index): one for one in found}


def same(found: dict[tuple[str, int], Response], other: dict[tuple[str, int], Response]) -> bool:
    return all(
        (found[key].token_ids, found[key].logprobs, found[key].finish_reason)
        == (other[key].token_ids, other[key].logprobs, other[key].finish_reason)
        for key in other
    ) and len(found) == len(other)


def test_a_condition_that_never_holds_gives_the_firsts_own_responses_exactly(folders: Path) -> None:
    one = study(folders, {"kl": 1e6})
    found = draw(one)
    assert same(found, draw(one, "a"))
    assert all(response.drawn_by == [1] * len(response.token_ids) for response in found.values())


@pytest.mark.parametrize("back", [None, {"tokens": 2}, {"kl": 0.0}])
def test_a_condition_that_always_holds_gives_the_seconds_exactly(folders: Path, back: dict[str, Any] | None) -> None:
    one = study(folders, {"entropy": 0.0}, back)
    found = draw(one)
    assert same(found, draw(one, "b"))
    assert all(response.drawn_by == [2] * len(response.token_ids) for response in found.values())


@pytest.fixture(scope="module")
def alone(folders: Path) -> list[LoadedModel]:
    """Both models, for plain forward passes."""
    return [load_beside(name, study(folders, {"kl": 1.0}).models[name], folders) for name in ("a", "b")]


def plain(alone: list[LoadedModel], response: Response) -> tuple[torch.Tensor, torch.Tensor]:
    """Each model's log-probabilities at each token of a response, (tokens, vocab) float64, by a forward pass alone."""
    prompt = response.request.prompt_ids
    found = []
    for loaded in alone:
        logits = plain_logits(loaded, [*prompt, *response.token_ids])[len(prompt) - 1 : -1]
        found.append(torch.log_softmax(logits.double(), -1))
    return found[0], found[1]


@pytest.fixture(scope="module")
def thresholds(folders: Path, alone: list[LoadedModel]) -> dict[str, float]:
    """Of each number, a value in the middle of those at the first's own tokens, so that both write."""
    first = list(draw(study(folders, {"kl": 1e6}), requests=REQUESTS[::3]).values())
    pairs = [plain(alone, response) for response in first]
    return {kind: _middle(torch.cat([_numbers(kind, *pair) for pair in pairs])) for kind in ("kl", "entropy")}


def _middle(numbers: torch.Tensor) -> float:
    """Between two of the numbers, so that none is on it."""
    ordered = numbers.sort().values
    gaps = ordered[1:] - ordered[:-1]
    middle = slice(len(gaps) // 3, 2 * len(gaps) // 3 + 1)
    place = int(gaps[middle].argmax()) + middle.start
    return float(ordered[place : place + 2].mean())


@pytest.mark.parametrize("kind", ["kl", "entropy"])
def test_each_token_is_drawn_by_whom_the_numbers_say(
    folders: Path, alone: list[LoadedModel], thresholds: dict[str, float], kind: str
) -> None:
    threshold = thresholds[kind]
    found = draw(study(folders, {kind: threshold}))
    writers = [writer for response in found.values() for writer in response.drawn_by or []]
    assert 0.1 < writers.count(2) / len(writers) < 0.9
    for response in list(found.values())[:4]:
        log_p, log_q = plain(alone, response)
        expected = [2 if number > threshold else 1 for number in _numbers(kind, log_p, log_q).tolist()]
        assert response.drawn_by == expected
        for position, (token, writer) in enumerate(zip(response.token_ids, expected, strict=True)):
            by = (log_p, log_q)[writer - 1]
            assert response.logprobs[position] == pytest.approx(float(by[position, token]), abs=1e-4)


def _numbers(kind: str, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    p = log_p.exp()
    return (p * (log_p - log_q)).sum(-1) if kind == "kl" else -(p * log_p).sum(-1)


def test_a_response_does_not_depend_on_what_is_drawn_beside_it(folders: Path, thresholds: dict[str, float]) -> None:
    one = study(folders, {"kl": thresholds["kl"]}, {"tokens": 2})
    together = draw(one)
    assert {writer for response in together.values() for writer in response.drawn_by or []} == {1, 2}
    for request in (REQUESTS[4],):
        single = draw(one, requests=[request])[request.problem_id, request.sample_index]
        among = together[request.problem_id, request.sample_index]
        assert (single.token_ids, single.drawn_by) == (among.token_ids, among.drawn_by)
    again = draw(one, requests=REQUESTS[::-1], sampling=SAMPLING.model_copy(update={"batch_size": 6}))
    assert {key: response.token_ids for key, response in again.items()} == {
        key: response.token_ids for key, response in together.items()
    }


def test_the_first_scores_and_both_are_loaded_once(
    folders: Path, alone: list[LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    from onoff_core.backends.huggingface import loading

    loaded: list[str] = []
    real = loading._load

    def counting(name: str, settings: ModelSettings, base_dir: Path) -> LoadedModel:
        loaded.append(settings.model_name)
        return real(name, settings, base_dir)

    release_model()
    monkeypatch.setattr(loading, "_load", counting)
    one = study(folders, {"kl": 0.02})
    response = next(iter(draw(one).values()))
    scorer = open_scorer("mixed", one.models["mixed"], folders)
    scores = next(scorer.score(response.request.prompt_ids, [response.token_ids], _distribution()))
    assert loaded == ["a", "b"]
    log_p, _ = plain(alone, response)
    expected = log_p.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
    assert torch.allclose(torch.tensor(scores["logprob"]).double(), expected, atol=1e-4)


def _distribution() -> Any:
    from onoff_core.study import DistributionSettings

    return DistributionSettings()


@pytest.fixture
def pair(folders: Path) -> tuple[LoadedModel, LoadedModel, SwitchSettings]:
    one = study(folders, {"kl": 1.0})
    switch = one.models["mixed"].switch
    assert switch is not None
    loaded = [load_beside(name, one.models[name], folders) for name in ("a", "b")]
    return loaded[0], loaded[1], switch


def test_another_tokenizer_or_vocabulary_is_refused(pair: tuple[LoadedModel, LoadedModel, SwitchSettings]) -> None:
    first, second, switch = pair
    HuggingfaceSwitch("mixed", first, second, switch)
    pieces = list(second.vocabulary.pieces)
    pieces[40] = b"other"
    vars(second)["vocabulary"] = dataclasses.replace(second.vocabulary, pieces=tuple(pieces))
    with pytest.raises(ModelError, match="a and b have different tokenizers \\(token 40 is"):
        check_pair("mixed", first, second, switch)


def test_a_larger_vocabulary_is_refused(pair: tuple[LoadedModel, LoadedModel, SwitchSettings]) -> None:
    first, second, switch = pair
    second.model.resize_token_embeddings(second.vocab_size + 8)
    with pytest.raises(ModelError, match=r"a has logits for \d+ tokens and b for \d+"):
        check_pair("mixed", first, second, switch)


def test_divergences_are_exact() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(3, 50), torch.randn(3, 50)
    p, q = torch.softmax(first.double(), -1), torch.softmax(second.double(), -1)
    assert torch.allclose(divergences(first, second), (p * (p / q).log()).sum(-1), atol=1e-12)
    assert divergences(first, first).abs().max() == 0
    assert torch.allclose(entropies(first), -(p * p.log()).sum(-1), atol=1e-12)
    cut = first.clone()
    cut[0, 3] = -torch.inf  # no probability: 0 ln 0 is 0
    assert torch.isfinite(divergences(cut, second)[0])
    assert torch.isinf(divergences(first, cut)[0])
    assert torch.isfinite(entropies(cut)).all()
