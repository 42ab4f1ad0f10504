"""The columns of `problem_statistics` and `comparisons`, with units."""

import pyarrow as pa


def _column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


PROBLEM_STATISTICS = pa.schema(
    [
        _column("problem_id", pa.string(), "unique within the data set"),
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
