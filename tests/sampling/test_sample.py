"""Chunks to tables, over the fake engine: every response in its row, in order, whatever order they end in."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.contract import ModelInfo, OnTokens, Sampler, Tokenizer
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.problems import Problem
from onoff_core.sampling import chunks_of, sample_chunks
from onoff_core.study import BackendOptions, FakeScript, ModelSettings, SamplingSettings, TaskSettings
from onoff_core.tables import SCHEMAS

PROBLEMS = [Problem(f"p{number}", f"What is {number} + 1?", str(number + 1)) for number in range(9)]
SAMPLING = SamplingSettings(max_length=40, num_samples=8)


class Shuffled:
    """A sampler whose responses end in an order of their own."""

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self.sampler, self.random = sampler, random.Random(seed)

    @property
    def info(self) -> ModelInfo:
        return self.sampler.info

    @property
    def tokenizer(self) -> Tokenizer:
        return self.sampler.tokenizer

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        responses = list(self.sampler.sample(requests, sampling, seed, on_tokens))
        self.random.shuffle(responses)
        return iter(responses)

    def close(self) -> None:
        self.sampler.close()


def fake(**script: Any) -> Sampler:
    options = BackendOptions(script=FakeScript(**script))
    return open_sampler("f", ModelSettings(backend_type="fake", model_name="fake", backend_specific=options), Path())


@pytest.mark.parametrize("seed", range(3))
def test_rows_do_not_depend_on_the_order_in_which_responses_end(seed: int) -> None:
    chunks = chunks_of(PROBLEMS, SAMPLING.num_samples)
    plain = dict(sample_chunks(fake(), chunks, TaskSettings(), SAMPLING, 4))
    shuffled = dict(sample_chunks(Shuffled(fake(), seed), chunks, TaskSettings(), SAMPLING, 4))
    assert plain == shuffled
    for chunk, table in plain.items():
        assert table.schema == SCHEMAS["samples"]
        keys = list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))
        assert keys == [(problem.problem_id, index) for problem in chunk.problems for index in range(8)]


def test_what_a_row_holds() -> None:
    ((_, table),) = sample_chunks(
        fake(responses=("It is \\boxed{1}.",)), chunks_of(PROBLEMS[:1], 1), TaskSettings(template_type="simple"),
        SamplingSettings(max_length=40, num_samples=1), 4,
    )  # fmt: skip
    (row,) = table.to_pylist()
    assert row["prompt"].startswith("Question: What is 0 + 1?")
    assert bytes(row["prompt_token_ids"]).decode() == row["prompt"]
    assert row["response"] == "It is \\boxed{1}."
    assert len(row["token_ids"]) == len(row["token_logprobs"]) == row["num_tokens"] == len(row["response"]) + 1
    assert row["finish_reason"] == "stop"


def test_a_chunk_is_there_as_soon_as_its_last_response_has_ended() -> None:
    counted = 0

    def count(tokens: int) -> None:
        nonlocal counted
        counted += 1

    chunks = chunks_of(PROBLEMS, SAMPLING.num_samples)
    sampled = sample_chunks(fake(), chunks, TaskSettings(), SAMPLING, 4, count)
    next(sampled)
    assert counted == len(chunks[0].problems) * 8 < len(PROBLEMS) * 8


def test_a_prompt_longer_than_the_model_takes_names_the_problem() -> None:
    long = Problem("endless", "1 + " * 20_000, "1")
    with pytest.raises(ModelError, match=r"problem endless: its prompt has \d+ tokens, but models\.f takes 32768"):
        list(sample_chunks(fake(), chunks_of([long], 1), TaskSettings(), SAMPLING, 4))
