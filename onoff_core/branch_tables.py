"""The columns of the tables of the asset `branches`."""

import pyarrow as pa

from onoff_core.columns import PROBLEM, SAMPLE, column

_POSITION = column("position", pa.int32(), "of the response's token that the branch takes the place of")
BRANCHES = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        _POSITION,
        column("token_id", pa.int32(), "the token taken there"),
        column("probability", pa.float64(), "that the model gave it, by token_distributions"),
        column("is_sampled", pa.bool_(), "the token that the response has there"),
        column("num_continuations", pa.int32(), "continuations with a reward"),
        column("num_correct", pa.int32(), "of them with reward 1"),
        column("value", pa.float64(), "their mean reward; null: none has one", nullable=True),
        column("value_low", pa.float64(), "95 % interval of it, the continuations drawn again", nullable=True),
        column("value_high", pa.float64(), "95 % interval of it, the continuations drawn again", nullable=True),
        column("is_exact", pa.bool_(), "one continuation is all there can be: the token ends the response, or greedy"),
        column("mean_num_tokens", pa.float64(), "tokens, of the whole responses with this branch"),
        column("advantage", pa.float64(), "value minus the position's value", nullable=True),
        column("advantage_low", pa.float64(), "95 % interval of it", nullable=True),
        column("advantage_high", pa.float64(), "95 % interval of it", nullable=True),
        column("effect", pa.string(), "gained or lost beside the sampled token, beyond 95 %; else null", nullable=True),
    ]
)
CONTINUATIONS = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        _POSITION,
        column("token_id", pa.int32(), "the token taken there"),
        column("continuation_index", pa.int32(), "0 to num_continuations - 1 of the branch"),
        column("token_ids", pa.list_(pa.int32()), "after that token, as sampled; empty: it ends the response"),
        column("token_logprobs", pa.list_(pa.float32()), "nats, raw model at T = 1, of token_ids"),
        column("response", pa.string(), "the whole: the response before the position, the token, what followed"),
        column("finish_reason", pa.string(), "as in samples"),
        column("num_tokens", pa.int32(), "length of token_ids"),
        column("extracted_answer", pa.string(), "LaTeX; null where the response gives none", nullable=True),
        column("reward", pa.int8(), "1 correct, 0 not; null where the gold answer cannot be read", nullable=True),
        column("status", pa.string(), "as in rewards"),
        column(
            "forced_positions",
            pa.list_(pa.int32()),
            "which of token_ids, from 0, were put in and not drawn; null: no sampling.thinking_budget",
            nullable=True,
        ),
    ]
)
BRANCH_POSITIONS = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        _POSITION,
        column(
            "step",
            pa.int32(),
            "with positions.how steps: the paragraph that ends here, 0 is the first; else null",
            nullable=True,
        ),
        column("entropy", pa.float64(), "nats, of the distribution there, by token_distributions"),
        column("num_branches", pa.int32(), "tokens taken there"),
        column("coverage", pa.float64(), "probability of the tokens taken there"),
        column(
            "value",
            pa.float64(),
            "before the token: the branches' by their probability; steps: of the step before",
            nullable=True,
        ),
        column("value_low", pa.float64(), "95 % interval of it", nullable=True),
        column("value_high", pa.float64(), "95 % interval of it", nullable=True),
        column("value_after", pa.float64(), "after the sampled token: its branch's", nullable=True),
        column("value_after_low", pa.float64(), "95 % interval of it", nullable=True),
        column("value_after_high", pa.float64(), "95 % interval of it", nullable=True),
        column("drop", pa.float64(), "value minus value_after", nullable=True),
        column("drop_low", pa.float64(), "95 % interval of it", nullable=True),
        column("drop_high", pa.float64(), "95 % interval of it", nullable=True),
        column("is_lost_here", pa.bool_(), "the largest drop of a response with reward 0, if it is beyond 95 %"),
    ]
)
BRANCH_PROBLEMS = pa.schema(
    [
        PROBLEM,
        column("num_responses", pa.int32(), "responses that were gone back into"),
        column("num_positions", pa.int32(), "positions of them with a drop that is known"),
        column("num_drops", pa.int32(), "positions where the value drops by branches.drop or more"),
        column("auroc", pa.float64(), "of entropy as a sign of these drops; null: see reason", nullable=True),
        column("reason", pa.string(), "why auroc is null", nullable=True),
    ]
)
