"""The columns of what every study has: problems, samples, rewards, statistics, distributions, second opinions."""

import pyarrow as pa

from onoff_core.columns import MISSING as _MISSING
from onoff_core.columns import PROBLEM as _PROBLEM
from onoff_core.columns import SAMPLE as _SAMPLE
from onoff_core.columns import column as _column

PROBLEMS = pa.schema(
    [
        _PROBLEM,
        _column("question", pa.string(), "as the data set has it"),
        _column("answer", pa.string(), "the gold answer, LaTeX"),
        _column("solution", pa.string(), "a reference solution", nullable=True),
        _column("subject", pa.string(), "the publisher's", nullable=True),
        _column("level", pa.string(), "the publisher's difficulty", nullable=True),
    ]
)
VOCABULARY = pa.schema(
    [
        _column("token_id", pa.int32(), "0 to vocabulary size - 1"),
        _column("piece", pa.binary(), "the token's bytes; they concatenate to the response"),
        _column("special", pa.bool_(), "a special or added token, or an id the tokenizer does not have"),
    ]
)
SAMPLES = pa.schema(
    [
        _PROBLEM,
        _SAMPLE,
        _column("prompt", pa.string(), "the text the model was given"),
        _column("prompt_token_ids", pa.list_(pa.int32()), "as the model was given them"),
        _column("response", pa.string(), "token_ids decoded, without a stop token at the end"),
        _column("token_ids", pa.list_(pa.int32()), "as sampled, a stop token at the end included"),
        _column("token_logprobs", pa.list_(pa.float32()), "nats, raw model at T = 1, as sampled; empty: imported"),
        _column(
            "finish_reason",
            pa.string(),
            "stop, length, length_in_thinking (with task.thinking) or stop_string; unknown: imported",
        ),
        _column("num_tokens", pa.int32(), "length of token_ids"),
        _column(
            "rollout_logprobs",
            pa.list_(pa.float32()),
            "nats, by the engine that drew an imported response, at facts.logprobs_temperature; null: not imported",
            nullable=True,
        ),
        _column(
            "trainer_logprobs",
            pa.list_(pa.float32()),
            "nats, by the trainer of an imported response, at facts.logprobs_temperature; null: not imported",
            nullable=True,
        ),
        _column(
            "drawn_by",
            pa.list_(pa.int8()),
            "of backend_type switch: which model drew each token, 1 the first, 2 the second; null: one drew all",
            nullable=True,
        ),
        _column(
            "answer_start",
            pa.int32(),
            "position of the first token after the thinking, num_tokens if none follows, by task.thinking when it was "
            "sampled; null: none was closed, or task.thinking was not set",
            nullable=True,
        ),
        _column(
            "step_starts",
            pa.list_(pa.int32()),
            "position of the first token of each paragraph of the thinking; null: task.thinking was not set",
            nullable=True,
        ),
        _column(
            "forced_positions",
            pa.list_(pa.int32()),
            "positions of tokens that were put in and not drawn; no sum of log-probabilities counts them; null: "
            "no sampling.thinking_budget",
            nullable=True,
        ),
    ]
)
REWARDS = pa.schema(
    [
        _PROBLEM,
        _SAMPLE,
        _column("extracted_answer", pa.string(), "LaTeX; null where the response gives none", nullable=True),
        _column(
            "reward",
            pa.int8(),
            "1 correct, 0 not; null where the gold answer cannot be read or worked out",
            nullable=True,
        ),
        _column("status", pa.string(), "correct, wrong, no_answer, gold_unparsed or timeout"),
        _column(
            "answer_class",
            pa.int32(),
            "mathematically equal answers of one problem share a number, 0 is the gold answer; null without an answer",
            nullable=True,
        ),
        _column(
            "reason",
            pa.string(),
            "of no_answer, gold_unparsed, timeout: where an answer was looked for, what took too long; else null",
            nullable=True,
        ),
    ]
)
_K_ESTIMATE = pa.list_(
    pa.struct(
        [pa.field("k", pa.int32(), nullable=False), pa.field("estimate", pa.float64()), pa.field("reason", pa.string())]
    )
)
_BOTH_INTERVALS = ("other_problems_low", "other_problems_high", "same_problems_low", "same_problems_high")
_K_INTERVAL = pa.list_(
    pa.struct(
        [
            pa.field("k", pa.int32(), nullable=False),
            *(pa.field(name, pa.float64()) for name in (*_BOTH_INTERVALS, "lowest", "highest")),
        ]
    )
)
STATISTICS = pa.schema(
    [
        _column("num_problems", pa.int32(), "problems with at least one verdict"),
        _column("num_samples", pa.int32(), "responses with a verdict"),
        _column("accuracy", pa.float64(), "mean over problems of the problem's mean reward", nullable=True),
        _column("standard_error", pa.float64(), "of the accuracy, clustered by problem", nullable=True),
        _column("interval_low", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column("interval_high", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column("pass_at_k", _K_ESTIMATE, "unbiased, for k = 1, 2, 4, ...; null with a reason for k > n"),
        _column("maj_at_k", _K_ESTIMATE, "majority of k responses, over all subsets, ties averaged; null as pass_at_k"),
        _column("mean_num_tokens", pa.float64(), "tokens", nullable=True),
        _column("median_num_tokens", pa.float64(), "tokens", nullable=True),
        _column("num_tokens_q05", pa.float64(), "tokens, 5 % quantile", nullable=True),
        _column("num_tokens_q25", pa.float64(), "tokens, 25 % quantile", nullable=True),
        _column("num_tokens_q75", pa.float64(), "tokens, 75 % quantile", nullable=True),
        _column("num_tokens_q95", pa.float64(), "tokens, 95 % quantile", nullable=True),
        _column("truncated_share", pa.float64(), "responses ended by max_length", nullable=True),
        _column("unanswered_share", pa.float64(), "responses without an answer", nullable=True),
        _column("timeout_share", pa.float64(), "responses whose grading ran out of time", nullable=True),
        _column("num_gold_unparsed", pa.int32(), "responses left out because the gold answer cannot be parsed"),
        _column("missing", _MISSING, "why each null number is null"),
        _column("same_problems_low", pa.float64(), "95 % interval of the accuracy, these drawn again", nullable=True),
        _column("same_problems_high", pa.float64(), "95 % interval of the accuracy, these drawn again", nullable=True),
        _column("accuracy_lowest", pa.float64(), "were every response without a verdict wrong", nullable=True),
        _column("accuracy_highest", pa.float64(), "were every response without a verdict right", nullable=True),
        _column("pass_at_k_intervals", _K_INTERVAL, "of each k, both 95 % intervals and the bounds", nullable=True),
        _column("maj_at_k_intervals", _K_INTERVAL, "of each k, both 95 % intervals and the bounds", nullable=True),
        _column("within_variance", pa.float64(), "mean over problems of p (1 - p), unbiased", nullable=True),
        _column("between_variance", pa.float64(), "variance over problems of p, unbiased", nullable=True),
        _column("num_timeouts", pa.int32(), "responses whose grading ran out of time: reward 0", nullable=True),
        _column("num_missing", pa.int32(), "responses asked for and not there; imported: 0", nullable=True),
        _column("num_problems_unknown", pa.int32(), "problems without a verdict: in the bounds alone", nullable=True),
        _column(
            "until_stopped",
            pa.string(),
            "why sampling.until stopped: narrow enough, most reached or no verdicts; null: it is not set",
            nullable=True,
        ),
        _column(
            "until_num_samples", pa.int32(), "responses per problem where it stopped; null: as above", nullable=True
        ),
        _column(
            "until_low", pa.float64(), "95 % interval of the accuracy on these problems, at any stop", nullable=True
        ),
        _column(
            "until_high", pa.float64(), "95 % interval of the accuracy on these problems, at any stop", nullable=True
        ),
        # Null where task.thinking was not set.
        _column("thinking_share", pa.float64(), "responses that think", nullable=True),
        _column("mean_thinking_tokens", pa.float64(), "tokens of the thinking", nullable=True),
        _column("median_thinking_tokens", pa.float64(), "tokens of the thinking", nullable=True),
        _column("mean_answer_tokens", pa.float64(), "tokens of the answer", nullable=True),
        _column("median_answer_tokens", pa.float64(), "tokens of the answer", nullable=True),
        _column("truncated_in_thinking_share", pa.float64(), "responses that max_length ended thinking", nullable=True),
        _column("cut_share", pa.float64(), "responses that sampling.thinking_budget cut", nullable=True),
    ]
)
# Columns of `statistics` that tell of what settings ask for; elsewhere they are null, and no exported file has them.
STATISTICS_IF_ASKED = (
    *("until_stopped", "until_num_samples", "until_low", "until_high"),
    *("thinking_share", "mean_thinking_tokens", "median_thinking_tokens", "mean_answer_tokens", "median_answer_tokens"),
    *("truncated_in_thinking_share", "cut_share"),
)
PROBLEM_STATISTICS = pa.schema(
    [
        _PROBLEM,
        _column("num_samples", pa.int32(), "responses the problem was to have, those not there included"),
        _column("num_graded", pa.int32(), "responses with a reward"),
        _column("num_correct", pa.int32(), "responses with reward 1"),
        _column("num_no_answer", pa.int32(), "responses without an answer"),
        _column("num_timeouts", pa.int32(), "responses whose grading ran out of time: reward 0, not known to be wrong"),
        _column("num_gold_unparsed", pa.int32(), "responses without a reward: the gold answer cannot be read"),
        _column("num_missing", pa.int32(), "responses that were asked for and are not there"),
        _column(
            "other_answer_counts", pa.list_(pa.int32()), "responses of each wrong answer, rising; equal ones are one"
        ),
        _column("pass_rate", pa.float64(), "mean reward", nullable=True),
        _column(
            "same_problems_low", pa.float64(), "95 % interval of pass_rate, this problem drawn again", nullable=True
        ),
        _column(
            "same_problems_high", pa.float64(), "95 % interval of pass_rate, this problem drawn again", nullable=True
        ),
        _column("pass_rate_lowest", pa.float64(), "pass_rate were every response without a verdict wrong"),
        _column("pass_rate_highest", pa.float64(), "pass_rate were every response without a verdict right"),
        _column(
            "answer_entropy", pa.float64(), "nats, over the different answers given; null: none compared", nullable=True
        ),
        _column("majority_answer", pa.string(), "the answer given most often, as written most often", nullable=True),
        _column("majority_share", pa.float64(), "its share of the responses with a reward", nullable=True),
        _column("majority_is_correct", pa.bool_(), "null where it ties with another answer", nullable=True),
        _column("mean_num_tokens", pa.float64(), "tokens; null: made elsewhere", nullable=True),
        _column("mean_thinking_tokens", pa.float64(), "tokens; null: task.thinking was not set", nullable=True),
        _column("mean_answer_tokens", pa.float64(), "tokens; null: task.thinking was not set", nullable=True),
    ]
)
COMPARISONS = pa.schema(
    [
        _column("first_model", pa.string(), "the more accurate of the two on the problems both have"),
        _column("second_model", pa.string(), "the other one"),
        _column("statistic", pa.string(), "accuracy, pass_at_k or maj_at_k"),
        _column("k", pa.int32(), "responses; 1 for accuracy"),
        _column("num_problems", pa.int32(), "problems on which both have verdicts"),
        _column("first_estimate", pa.float64(), "the first model's, on these problems"),
        _column("second_estimate", pa.float64(), "the second model's, on these problems"),
        _column("difference", pa.float64(), "first minus second"),
        _column("other_problems_low", pa.float64(), "95 % interval, other problems like these; paired", nullable=True),
        _column("other_problems_high", pa.float64(), "95 % interval, other problems like these; paired", nullable=True),
        _column("same_problems_low", pa.float64(), "95 % interval, these problems, drawn again", nullable=True),
        _column("same_problems_high", pa.float64(), "95 % interval, these problems, drawn again", nullable=True),
        _column("difference_lowest", pa.float64(), "whatever responses without a verdict are", nullable=True),
        _column("difference_highest", pa.float64(), "whatever responses without a verdict are", nullable=True),
        _column("p_value", pa.float64(), "two-sided, of no difference on other problems; uncorrected", nullable=True),
        _column("num_compared", pa.int32(), "pairs of models of this data set at this statistic and k"),
        _column("holm_p_value", pa.float64(), "p_value corrected for num_compared (Holm)", nullable=True),
        _column("every_pair_low", pa.float64(), "as other_problems, of all num_compared pairs at once", nullable=True),
        _column("every_pair_high", pa.float64(), "as other_problems, of all num_compared pairs at once", nullable=True),
        _column("every_k_low", pa.float64(), "as other_problems, of all k of this pair at once", nullable=True),
        _column("every_k_high", pa.float64(), "as other_problems, of all k of this pair at once", nullable=True),
        _column("curves", pa.string(), "cross, first_above, second_above or undecided, by every_k", nullable=True),
    ]
)
SECOND_OPINIONS = pa.schema(
    [
        _PROBLEM,
        _SAMPLE,
        _column("reward", pa.int8(), "the first opinion: that of the rewards it was made from", nullable=True),
        _column("same_text", pa.bool_(), "spelled like the gold answer; null: no answer to compare", nullable=True),
        _column("same_number", pa.bool_(), "as a number the gold answer; null: no answer to compare", nullable=True),
        _column("judge_response", pa.string(), "what the judge wrote; null: it was not asked", nullable=True),
        _column("judge_finish_reason", pa.string(), "stop, length or stop_string; null: not asked", nullable=True),
        _column(
            "judge_verdict",
            pa.bool_(),
            "whether the judge calls the answers the same; null: it was not asked, or gave no verdict",
            nullable=True,
        ),
        _column(
            "second_verdict",
            pa.bool_(),
            "the second opinion: the judge's where it was asked, else the rules'; null: there is none",
            nullable=True,
        ),
        _column(
            "agrees",
            pa.bool_(),
            "whether both call it right or both wrong; null: one of them is not there",
            nullable=True,
        ),
    ]
)
_DISAGREEMENT = "mean over problems of the problem's share"
SECOND_OPINION_STATISTICS = pa.schema(
    [
        _column("num_problems", pa.int32(), "problems with at least one response of two verdicts"),
        _column("num_responses", pa.int32(), "responses with two verdicts"),
        _column("num_disagreements", pa.int32(), "of these, those whose verdicts differ"),
        _column("num_only_first_right", pa.int32(), "of these, right by the reward and wrong by the second opinion"),
        _column("num_only_second_right", pa.int32(), "of these, wrong by the reward and right by the second opinion"),
        _column("disagreement_share", pa.float64(), f"responses whose verdicts differ: {_DISAGREEMENT}", nullable=True),
        _column("disagreement_low", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column("disagreement_high", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column("only_first_right_share", pa.float64(), f"right by the reward alone: {_DISAGREEMENT}", nullable=True),
        _column("only_first_right_low", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column("only_first_right_high", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column(
            "only_second_right_share",
            pa.float64(),
            f"right by the second opinion alone: {_DISAGREEMENT}",
            nullable=True,
        ),
        _column("only_second_right_low", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        _column(
            "only_second_right_high", pa.float64(), "95 % interval of it, other problems like these", nullable=True
        ),
        _column("num_without_answer", pa.int32(), "responses without an answer: there is nothing to compare"),
        _column("num_without_reward", pa.int32(), "responses with an answer and no reward: the gold answer is unread"),
        _column("num_judged", pa.int32(), "responses whose answer the judge was asked about; 0 for rules"),
        _column("num_unclear", pa.int32(), "responses with an answer on which the judge gave no verdict"),
    ]
)
TOKEN_DISTRIBUTIONS = pa.schema(
    [
        _PROBLEM,
        _SAMPLE,
        _column("position", pa.int32(), "0 is the first generated token"),
        _column("token_id", pa.int32(), "the token that was sampled"),
        _column("logprob", pa.float32(), "nats, of that token"),
        _column("rank", pa.int32(), "of that token, 1 is the most probable"),
        _column("entropy", pa.float32(), "nats, over the whole vocabulary, before any truncation"),
        _column("varentropy", pa.float32(), "nats^2, variance of the surprisal"),
        _column("logsumexp", pa.float32(), "logit = logprob + logsumexp"),
        _column("tail_mass", pa.float32(), "probability outside the top-k"),
        _column("topk_ids", pa.list_(pa.int32()), "by falling probability; null: all ids in order", nullable=True),
        _column("topk_logprobs", pa.list_(pa.float32()), "nats, never renormalised, 10 mantissa bits"),
        _column(
            "forced",
            pa.bool_(),
            "whether the token was put in, not drawn: no statistic counts it; null: no token of the response was",
            nullable=True,
        ),
        _column(
            "mean_log_prob_vocabulary",
            pa.float32(),
            "nats, mean log-probability of all tokens of the vocabulary; null: scored before it was kept",
            nullable=True,
        ),
    ]
)
