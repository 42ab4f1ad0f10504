"""The fake engine: what it says, what its numbers are, and how it fails when told to. None of it needs torch."""

import math
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onoff_core.backends import open_sampler, open_scorer, open_tokenizer, scorer_kind
from onoff_core.backends.fake import STOP, VOCABULARY_SIZE
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.study import (
    BackendOptions,
    DistributionSettings,
    FakeFault,
    FakeScript,
    ModelSettings,
    SamplingSettings,
)
from onoff_core.tasks import Prompt
from tests.conftest import ROOT

LN_V = math.log(VOCABULARY_SIZE)


def settings(**script: Any) -> ModelSettings:
    return ModelSettings(
        backend_type="fake", model_name="fake", backend_specific=BackendOptions(script=FakeScript(**script))
    )


def sample(requests: list[Request], sampling: SamplingSettings, seed: int = 0, **script: Any) -> list[Response]:
    sampler = open_sampler("f", settings(**script), Path())
    return list(sampler.sample(requests, sampling, seed, lambda tokens: None))


def by_key(responses: list[Response]) -> dict[tuple[str, int], list[int]]:
    return {(r.request.problem_id, r.request.sample_index): r.token_ids for r in responses}


def asked(problems: int = 2, samples: int = 3) -> list[Request]:
    return [Request(f"p{n}", s, (65, 66)) for n in range(problems) for s in range(samples)]


def test_it_says_what_the_script_has_in_turn() -> None:
    found = sample(asked(1, 3), SamplingSettings(max_length=50), responses=("one", "zwei ü"))
    tokenizer = open_tokenizer("f", settings(), Path())
    assert [tokenizer.decode(one.token_ids) for one in found] == ["one", "zwei ü", "one"]
    assert all(one.finish_reason == "stop" and one.token_ids[-1] == STOP for one in found)


def test_limits_and_stop_strings_hold_for_scripted_responses() -> None:
    (cut,) = sample(asked(1, 1), SamplingSettings(max_length=3), responses=("abcdef",))
    assert (bytes(cut.token_ids), cut.finish_reason) == (b"abc", "length")
    (stopped,) = sample(asked(1, 1), SamplingSettings(max_length=9, stop_strings=("cd",)), responses=("abcdef",))
    assert (bytes(stopped.token_ids), stopped.finish_reason) == (b"abcd", "stop_string")


def test_without_a_script_it_draws_uniformly_by_seed_problem_and_sample() -> None:
    sampling = SamplingSettings(max_length=400)
    found = {(r.request.problem_id, r.request.sample_index): r.token_ids for r in sample(asked(), sampling, 5)}
    backwards = {
        (r.request.problem_id, r.request.sample_index): r.token_ids for r in sample(asked()[::-1], sampling, 5)
    }
    assert found == backwards
    assert len({tuple(ids) for ids in found.values()}) == len(found)
    assert found != by_key(sample(asked(), sampling, 6))
    lengths = [len(r.token_ids) for r in sample(asked(200, 4), SamplingSettings(max_length=30_000), 1)]
    assert np.mean(lengths) == pytest.approx(VOCABULARY_SIZE, rel=0.15)  # it stops with probability 1 / V a token


def test_every_number_is_that_of_uniform_logits() -> None:
    scorer = open_scorer("f", settings(), Path())
    (kept, whole) = (
        next(iter(scorer.score((1, 2), [[3, 4, STOP]], DistributionSettings(top_k=top_k)))) for top_k in (5, None)
    )
    for scores in (kept, whole):
        assert scores["entropy"] == pytest.approx([LN_V] * 3)
        assert scores["logprob"] == pytest.approx([-LN_V] * 3)
        assert scores["varentropy"].tolist() == [0.0] * 3
        assert scores["rank"].tolist() == [1] * 3
    assert kept["topk_ids"].shape == kept["topk_logprobs"].shape == (3, 5)
    assert kept["tail_mass"] == pytest.approx([1 - 5 / VOCABULARY_SIZE] * 3)
    assert "topk_ids" not in whole.columns
    assert np.exp(whole["topk_logprobs"]).sum(-1) == pytest.approx([1.0] * 3)


def test_what_crosses_the_border_can_be_pickled() -> None:
    (response,) = sample(asked(1, 1), SamplingSettings(max_length=9))
    again = pickle.loads(pickle.dumps(response))
    assert again == response
    (scores,) = open_scorer("f", settings(), Path()).score((1,), [response.token_ids], DistributionSettings())
    copied = pickle.loads(pickle.dumps(scores))
    assert all((copied[name] == values).all() for name, values in scores.columns.items())


@pytest.mark.parametrize(
    ("kind", "error"), [("error", ModelError), ("connection", ConnectionError), ("out_of_memory", MemoryError)]
)
def test_it_fails_after_so_many_responses_and_once_if_told_so(kind: Any, error: type, tmp_path: Path) -> None:
    sampling = SamplingSettings(max_length=4)
    fault = FakeFault(kind=kind, after=2, once=str(tmp_path / "happened"))
    sampler = open_sampler("f", settings(sampling_fault=fault), Path())
    responses = sampler.sample(asked(), sampling, 0, lambda tokens: None)
    assert [next(responses).request.sample_index for _ in range(2)] == [0, 1]
    with pytest.raises(error, match=kind):
        next(responses)
    assert len(list(sampler.sample(asked(), sampling, 0, lambda tokens: None))) == 6


def test_it_dies_by_a_real_kill() -> None:
    code = (
        "from tests.backends.test_fake import *\n"
        "sample(asked(), SamplingSettings(max_length=4), sampling_fault=FakeFault(kind='die', after=1))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL


def test_a_scorer_that_is_told_to_fails_names_the_model() -> None:
    scorer = open_scorer("f", settings(scoring_fault=FakeFault(kind="error", after=1)), Path())
    scored = scorer.score((1,), [[1], [2]], DistributionSettings())
    assert next(scored)["rank"].tolist() == [1]
    with pytest.raises(ModelError, match=r"models\.f"):
        next(scored)


def test_who_scores_whom() -> None:
    assert scorer_kind(settings()) == "fake"
    assert scorer_kind(ModelSettings(model_name="a/b")) == "huggingface"


def test_nothing_of_it_imports_torch() -> None:
    code = (
        "import sys; from tests.backends.test_fake import *; "
        "sample(asked(), SamplingSettings(max_length=4)); "
        "import onoff_core.grid.materialize, onoff_core.sampling, onoff_core.distributions.extract; "
        "print([m for m in ('torch', 'transformers', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_text_goes_through_bytes() -> None:
    tokenizer = open_tokenizer("f", settings(), Path())
    ids = tokenizer.encode(Prompt("1 × 2", add_special_tokens=False))
    assert tokenizer.vocabulary.bytes_of(ids) == "1 × 2".encode()
    assert tokenizer.decode([*ids, STOP]) == "1 × 2"
    assert tokenizer.chat_template([{"role": "user", "content": "hi"}]).endswith("<|im_start|>assistant\n")
