"""The columns of the tables that hold imported log-probabilities of a training run against ours."""

import pyarrow as pa

from onoff_core.columns import PROBLEM, SAMPLE, column

_PAIR = (
    column("numerator", pa.string(), "whose probabilities are divided: ours or trainer"),
    column("denominator", pa.string(), "by whose: rollout (the engine that drew the tokens) or trainer"),
)
_NUM_COMPARED = column("num_tokens", pa.int32(), "tokens compared")
ROLLOUT_MISMATCH = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        *_PAIR,
        _NUM_COMPARED,
        column("mean_log_ratio", pa.float64(), "nats, mean over tokens of log numerator - log denominator"),
        column("mean_abs_log_ratio", pa.float64(), "nats, mean of its absolute value"),
        column("sequence_log_ratio", pa.float64(), "nats, its sum: the log ratio of the whole response"),
        column("lowest_log_ratio", pa.float64(), "nats, of one token"),
        column("highest_log_ratio", pa.float64(), "nats, of one token"),
        column("worst_position", pa.int32(), "of the token with the largest absolute log ratio"),
        column("k3", pa.float64(), "nats, mean of ratio - 1 - log ratio: estimates KL(denominator || numerator)"),
        column("ess_share", pa.float64(), "effective sample size of the tokens' ratios, share of num_tokens"),
    ]
)
_VETOED = pa.list_(
    pa.struct(
        [
            pa.field("threshold", pa.float64(), nullable=False),
            pa.field("tokens", pa.float64(), nullable=False),
            pa.field("responses", pa.float64(), nullable=False),
        ]
    )
)
ROLLOUT_MISMATCH_STATISTICS = pa.schema(
    [
        *_PAIR,
        column("num_responses", pa.int32(), "responses compared"),
        _NUM_COMPARED,
        column("mean_ratio", pa.float64(), "mean of the tokens' ratios; 1 where the two agree", nullable=True),
        column("mean_abs_log_ratio", pa.float64(), "nats, over tokens", nullable=True),
        column(
            "k1", pa.float64(), "nats a token, minus the mean log ratio: KL(denominator || numerator)", nullable=True
        ),
        column("k3", pa.float64(), "nats a token, mean of ratio - 1 - log ratio: the same KL", nullable=True),
        column("token_ess_share", pa.float64(), "effective sample size of the tokens' ratios, a share", nullable=True),
        column("response_ess_share", pa.float64(), "of the ratios of whole responses, a share", nullable=True),
        column("lowest_log_ratio", pa.float64(), "nats, of one token", nullable=True),
        column("highest_log_ratio", pa.float64(), "nats, of one token", nullable=True),
        column("vetoed", _VETOED, "shares of tokens, and of responses with one, whose ratio is below a threshold"),
        column("logprobs_temperature", pa.float64(), "of the imported log-probabilities"),
        column("reason", pa.string(), "why there is no number", nullable=True),
    ]
)
