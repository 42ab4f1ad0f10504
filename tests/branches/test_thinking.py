"""Branches of responses whose thinking a budget cut: continuations keep to it, and say what was put in."""

import math
from pathlib import Path

import numpy as np

from onoff_core.backends import open_sampler
from onoff_core.backends.fake import STOP
from onoff_core.branches.drawing import draw_chunks
from onoff_core.branches.planning import Model, Planner, chunks_of_positions
from onoff_core.branches.positions import BranchedResponse
from onoff_core.sampling import thinking_plan
from onoff_core.study import (
    BackendOptions,
    BranchSettings,
    FakeScript,
    ModelSettings,
    SamplingSettings,
    TaskSettings,
    ThinkingTags,
)
from onoff_core.study.branch_settings import Alternatives, BranchedPositions

SCRIPT = "<r>abcdefgh</r>It is 4."
CUT = b"<r>abcde</r>It is 4."  # under a budget of 8
PROMPT = "asked"


def test_continuations_keep_to_the_budget() -> None:
    options = BackendOptions(script=FakeScript(responses=(SCRIPT,)))
    settings = ModelSettings(backend_type="fake", model_name="fake", backend_specific=options)
    sampler = open_sampler("f", settings, Path())
    sampling = SamplingSettings(max_length=40, thinking_budget=8)
    plan = thinking_plan(sampler.tokenizer, TaskSettings(thinking=ThinkingTags(open="<r>", close="</r>")), sampling)
    token_ids = (*CUT, STOP)
    count = len(token_ids)
    of = BranchedResponse(
        problem_id="p", sample_index=0, prompt=PROMPT, prompt_ids=tuple(PROMPT.encode()), token_ids=token_ids, reward=0,
        entropy=np.zeros(count), logprob=np.full(count, math.log(0.6)), forced=frozenset(range(8, 12)),
        topk_ids=np.tile(np.array([120, 121], np.int32), (count, 1)), topk_logprobs=np.full((count, 2), math.log(0.3)),
    )  # fmt: skip
    branches = BranchSettings(
        positions=BranchedPositions(how="at", at=(5, 7, 13)), alternatives=Alternatives(top_k=1), continuations=2
    )
    model = Model.of(sampler.info, sampler.tokenizer.vocabulary)
    planner = Planner(branches, sampling, 1.0, model, plan)
    chunks = chunks_of_positions(planner.positions(of), 2)
    found = {}
    for _, continuations in draw_chunks(sampler, chunks, sampling, 1, 2, {}, thinking=plan):
        found |= {key: one for (key, index), one in continuations.items() if index == 0}
    assert (
        {key[2:]: (one.response, one.forced) for key, one in found.items()}
        == {
            (5, CUT[5]): ("<r>abc<r</r>It is 4.", (2, 3, 4, 5)),  # the script begins again; two tokens are left
            (5, 120): ("<r>abx<r</r>It is 4.", (2, 3, 4, 5)),
            (7, CUT[7]): ("<r>abcde</r>It is 4.", (0, 1, 2, 3)),  # the budget is used up
            (7, 120): ("<r>abcdx</r>It is 4.", (0, 1, 2, 3)),
            (13, CUT[13]): (CUT[:14].decode() + "<r></r>It is 4.", (3, 4, 5, 6)),  # it opens again, with nothing left
            (13, 120): (CUT[:13].decode() + "x<r></r>It is 4.", (3, 4, 5, 6)),
        }
    )
