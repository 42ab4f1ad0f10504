"""The columns of the tables of the asset `confidence`."""

import pyarrow as pa

from onoff_core.columns import PROBLEM, SAMPLE, column

_MEASURE = column("measure", pa.string(), "a column of confidence; semantic_entropy: of confidence_problems")
_K = column("k", pa.int32(), "responses of each problem that the answer is chosen from")
_REASON = column("reason", pa.string(), "why numbers of this row are null", nullable=True)
_OTHER_PROBLEMS = "other problems like these"


def _number(name: str, comment: str) -> pa.Field:
    return column(name, pa.float64(), comment, nullable=True)


CONFIDENCE = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        column("num_tokens", pa.int32(), "tokens that the model drew; what was forced is in no number of this row"),
        _number("mean_log_prob", "nats, mean over tokens, by token_distributions"),
        _number("perplexity", "exp(-mean_log_prob)"),
        _number("mean_confidence", "nats, mean over tokens of the token confidence (DeepConf's, of the top-k)"),
        _number("lowest_window_confidence", "nats, the lowest mean token confidence of a window"),
        _number("bottom_window_confidence", "nats, mean over the lowest tenth of the windows"),
        _number("tail_confidence", "nats, mean token confidence of the last tokens"),
        _number("mean_entropy", "nats, mean over tokens"),
        _number("maximum_entropy", "nats, of the token with the highest"),
        _number("tail_entropy", "nats, mean over the last tokens"),
        _number("self_certainty", "nats, mean over tokens of the KL of the model's distribution from the uniform one"),
        column(
            "falling_positions", pa.list_(pa.int32()), "where the window that ends there is lower than all before it"
        ),
        column("falling_confidences", pa.list_(pa.float64()), "nats, of these windows; the last one is the lowest"),
        _REASON,
    ]
)
CONFIDENCE_PROBLEMS = pa.schema(
    [
        PROBLEM,
        column("num_samples", pa.int32(), "responses that are there"),
        column("num_answered", pa.int32(), "of them, with an answer that has a class"),
        column("num_classes", pa.int32(), "different answers among these"),
        _number("semantic_entropy", "nats, over the different answers, each response weighted by exp(mean_log_prob)"),
        _number("discrete_semantic_entropy", "nats, the same with all responses weighted alike"),
        _REASON,
    ]
)
CONFIDENCE_STATISTICS = pa.schema(
    [
        _MEASURE,
        column("num_problems", pa.int32(), "problems with a response that has a reward and the measure"),
        column("num_responses", pa.int32(), "responses with a reward and the measure"),
        column("num_right", pa.int32(), "of these, with reward 1"),
        column("num_without", pa.int32(), "responses with a reward and without the measure, which are left out"),
        _number("auroc", "chance that a right response looks surer than a wrong one, of any two; ties count half"),
        _number("auroc_low", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        _number("auroc_high", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        _number("within_auroc", "the same of two responses of one problem; mean over num_mixed problems"),
        _number("within_auroc_low", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        _number("within_auroc_high", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        column("num_mixed", pa.int32(), "problems with a right and a wrong response"),
        _number("aurc", "area under the risk-coverage curve: share wrong among those kept, mean over coverages"),
        _number("intercept", "of the logistic calibration on all responses: logit p = intercept + slope * measure"),
        _number("slope", "of the logistic calibration on all responses"),
        _number("calibration_error", "expected calibration error of the probabilities from other problems, 10 bins"),
        _number("calibration_error_low", f"95 % interval of it, {_OTHER_PROBLEMS}; the calibration is not fitted anew"),
        _number(
            "calibration_error_high", f"95 % interval of it, {_OTHER_PROBLEMS}; the calibration is not fitted anew"
        ),
        _number("calibration_error_by_chance", "what perfectly calibrated probabilities would show on average"),
        _number("brier_score", "mean squared difference of these probabilities and the reward"),
        column("window", pa.int32(), "tokens of a window"),
        column("tail", pa.int32(), "last tokens that count as the tail"),
        column("top_k", pa.int32(), "most probable tokens that make the token confidence"),
        _REASON,
    ]
)
CONFIDENCE_BINS = pa.schema(
    [
        _MEASURE,
        column("bin", pa.int32(), "0 has the least sure responses; equally many in each, ties together"),
        column("num_responses", pa.int32(), "responses in it"),
        column("num_problems", pa.int32(), "problems that these are of"),
        column("mean_measure", pa.float64(), "of these responses"),
        column("mean_probability", pa.float64(), "of being right, by the logistic calibration on other problems"),
        column("accuracy", pa.float64(), "share of these responses that are right"),
        _number("accuracy_low", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        _number("accuracy_high", f"95 % interval of it, {_OTHER_PROBLEMS}"),
    ]
)
CONFIDENCE_COVERAGE = pa.schema(
    [
        _MEASURE,
        column("coverage", pa.float64(), "share of the responses that is kept, the surest ones"),
        column("num_responses", pa.int32(), "responses kept"),
        column("threshold", pa.float64(), "the measure of the last one that is kept"),
        column("accuracy", pa.float64(), "share of the kept responses that are right; ties at the threshold averaged"),
        _number("accuracy_low", f"95 % interval of it, {_OTHER_PROBLEMS}"),
        _number("accuracy_high", f"95 % interval of it, {_OTHER_PROBLEMS}"),
    ]
)
_AGAINST_MAJORITY = [
    _number("accuracy", "mean over problems, over subsets of k responses; ties averaged"),
    _number("accuracy_low", f"95 % interval of it, {_OTHER_PROBLEMS}"),
    _number("accuracy_high", f"95 % interval of it, {_OTHER_PROBLEMS}"),
    _number("majority_accuracy", "maj@k of the same responses"),
    _number("difference", "accuracy minus majority_accuracy"),
    _number("difference_low", f"95 % interval of it, {_OTHER_PROBLEMS}; paired"),
    _number("difference_high", f"95 % interval of it, {_OTHER_PROBLEMS}; paired"),
    _number("p_value", "two-sided, of no difference on other problems; uncorrected"),
    _number("monte_carlo_error", "standard error of accuracy for drawing subsets; 0: all subsets, exact"),
]
CONFIDENCE_VOTING = pa.schema(
    [
        column("rule", pa.string(), "majority, weighted, top_10, top_50, top_90 or best_of"),
        column("measure", pa.string(), "the column of confidence that it goes by; null for majority", nullable=True),
        _K,
        column("num_problems", pa.int32(), "problems with rewards"),
        *_AGAINST_MAJORITY,
        _number("mean_num_tokens", "tokens drawn a problem, mean over problems"),
        _REASON,
    ]
)
CONFIDENCE_STOPPING = pa.schema(
    [
        column("kept_share", pa.float64(), "of the warm-up responses, the share above the threshold"),
        _K,
        column("warm_up", pa.int32(), "responses of these that run to their end and set the threshold"),
        column("num_problems", pa.int32(), "problems with rewards"),
        *_AGAINST_MAJORITY,
        _number("stopped_share", "of the responses after the warm-up, the share that falls below the threshold"),
        _number("mean_num_tokens", "tokens drawn a problem until all have ended or were stopped"),
        _number("full_num_tokens", "tokens drawn a problem without stopping"),
        _number("saved_share", "1 - mean_num_tokens / full_num_tokens"),
        _REASON,
    ]
)
