"""Branching beside sampling at the same rows.

Sampling is the yardstick: 8 GSM8K-like prompts x 8 samples, up to 96 new tokens, 64 rows, temperature 1, float32, the
embedded model. Branching goes back into 4 of those responses, at 4 positions each, the sampled token and the two most
probable others, 8 continuations of each, up to the same 96 tokens of the whole response. Tokens a second of what was
newly drawn; planning and what the responses and their branches have in common is in the time, grading is not.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.figures import Figure, interleaved
from benchmarks.workloads import embedded_model, word_problem_requests
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.engine import HuggingfaceModel
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.requests import Response
from onoff_core.branches.drawing import draw_chunks
from onoff_core.branches.planning import Model, Planner, chunks_of_positions
from onoff_core.branches.positions import BranchedResponse
from onoff_core.study import BranchSettings, DistributionSettings, SamplingSettings

PROBLEMS, SAMPLES, MAX_TOKENS, ROWS = 8, 8, 96, 64
RESPONSES, POSITIONS, CONTINUATIONS = 4, 4, 8
SAMPLING = SamplingSettings(max_length=MAX_TOKENS, num_samples=SAMPLES, batch_size=ROWS, temperature=1.0)


def sample(loaded: LoadedModel) -> tuple[float, list[Response]]:
    """Tokens a second of sampling, and what was drawn."""
    requests = word_problem_requests(loaded, PROBLEMS, SAMPLES)
    began = time.perf_counter()
    drawn = list(decode(loaded, requests, SAMPLING, seed=0))
    return sum(len(response.token_ids) for response in drawn) / (time.perf_counter() - began), drawn


def branched_responses(loaded: LoadedModel, drawn: Sequence[Response]) -> list[BranchedResponse]:
    """The longest responses, with what a scorer says of their tokens."""
    longest = sorted(drawn, key=lambda response: -len(response.token_ids))[:RESPONSES]
    found = []
    for response in longest:
        (scores,) = HuggingfaceModel(loaded).score(
            response.request.prompt_ids, [response.token_ids], DistributionSettings(top_k=5)
        )
        found.append(
            BranchedResponse(
                problem_id=response.request.problem_id,
                sample_index=response.request.sample_index,
                prompt="",
                prompt_ids=response.request.prompt_ids,
                token_ids=tuple(response.token_ids),
                reward=0,
                entropy=np.asarray(scores["entropy"]),
                logprob=np.asarray(scores["logprob"]),
                topk_ids=np.asarray(scores["topk_ids"]),
                topk_logprobs=np.asarray(scores["topk_logprobs"]),
            )
        )
    return found


def branch(loaded: LoadedModel, responses: Sequence[BranchedResponse]) -> float:
    """Tokens a second of branching."""
    settings = BranchSettings.model_validate(
        {
            "positions": {"how": "every", "n": MAX_TOKENS // (2 * POSITIONS), "most": POSITIONS},
            "alternatives": {"top_k": 3, "min_probability": 0.0},
            "continuations": CONTINUATIONS,
        }
    )
    model, tokens = HuggingfaceModel(loaded), [0]

    def count(more: int) -> None:
        tokens[0] += more

    began = time.perf_counter()
    planner = Planner(settings, SAMPLING, 1.0, Model.of(model.info, loaded.vocabulary))
    positions = [position for response in responses for position in planner.positions(response)]
    chunks = chunks_of_positions(positions, CONTINUATIONS)
    for _ in draw_chunks(model, chunks, SAMPLING, 0, CONTINUATIONS, {}, count):
        pass
    return tokens[0] / (time.perf_counter() - began)


def run(repeats: int) -> list[Figure]:
    torch.manual_seed(0)
    loaded = embedded_model()
    _, drawn = sample(loaded)  # packs the weights, too
    responses = branched_responses(loaded, drawn)
    medians = interleaved(
        {"sampling": lambda: sample(loaded)[0], "branches": lambda: branch(loaded, responses)}, repeats, _say
    )
    sampling, branches = medians["sampling"], medians["branches"]
    return [
        Figure(f"sampling, {ROWS} rows", sampling, "tokens/s"),
        Figure(f"branches, {ROWS} rows", branches, "tokens/s", "sampling", branches / sampling, ">= 0.9"),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
