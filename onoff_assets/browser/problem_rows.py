"""The problems of a partition as one table: how often each was solved, with its interval, and its responses in numbers.

The counts are those of `problem_statistics` where that was made of these very rewards; else they are computed here, by
the same function.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onoff_assets.browser.noted import NOTES
from onoff_assets.browser.queries import Column
from onoff_assets.browser.reading import Reader, Responses
from onoff_core.statistics import responses_by_problem
from onoff_core.statistics.problem_table import problem_statistics

COLUMNS = (
    Column("problem_id", "problem", "text", "sorted as the data set has them", width=6.5, in_given_order=True, need=1,
           line=1),
    Column("question", "question", "text", "as the data set has it", width=9, need=2, line=4, grows=True),
    Column("pass_rate", "pass rate", "number", "mean reward, as is the bar below it; where one points at it, its 95 % "
           "interval, were this problem drawn again", digits=2, width=6, need=1, line=1),
    Column("num_correct", "correct", "number", "responses with reward 1", width=4.4, need=2),
    Column("num_graded", "graded", "number", "responses with a reward", width=4.4, need=2),
    Column("majority_answer", "most given", "text", "the answer given most often", width=6, need=1, line=2),
    Column("num_tied", "tied", "number", "other answers that were given as often as the one given most", width=4),
    Column("answer", "gold", "text", "the gold answer, as the data set has it", width=6, need=1, line=2),
    Column("answer_entropy", "answer entropy", "number", "nats, over the different answers given: 0 is always the same",
           digits=2, width=7),
    Column("mean_confidence", "confidence", "number", "nats, mean over the tokens of its responses; larger is surer",
           digits=2, width=6, need=1, line=3),
    Column("mean_entropy", "entropy", "number", "nats, mean over the tokens of its responses", digits=3, width=5.4,
           need=1, line=3),
    Column("mean_num_tokens", "tokens", "number", "mean length of its responses", digits=0, width=4.8, need=1, line=3),
    Column("num_starred", "★", "number", "responses that have a star", width=2.6, need=2, line=1),
    replace(NOTES, meaning="tags and comments on its responses or on their tokens"),
    Column("num_truncated", "truncated", "number", "responses cut off at max_length", width=5.4),
    Column("num_no_answer", "no answer", "number", "responses without an answer", width=5.6),
    Column("subject", "subject", "choice", "where the data set says it", width=6.5),
    Column("level", "level", "choice", "where the data set says it", width=4),
    Column("same_problems_low", "from", "number", "lower end of the pass rate's 95 % interval", digits=2, width=4),
    Column("same_problems_high", "to", "number", "upper end of the pass rate's 95 % interval", digits=2, width=4),
)  # fmt: skip
_COUNTED = ("pass_rate", "same_problems_low", "same_problems_high", "num_correct", "num_graded", "num_no_answer",
            "mean_num_tokens", "answer_entropy", "majority_answer")  # fmt: skip

_OF_GRADED = ("num_correct", "num_no_answer")  # not known, and not 0, of a problem before any response is graded


def problem_table(reader: Reader, responses: Responses) -> pa.Table:
    """A row per problem in the data set's order, with the columns of `COLUMNS` but those over tokens."""
    graded = responses.rewards.folder if responses.rewards else None
    key = ("problem-rows", responses.samples.folder, graded)
    return reader.kept(key, lambda: _made(reader, responses), lambda table: table.nbytes)


def _made(reader: Reader, responses: Responses) -> pa.Table:
    ids = pa.array(responses.problem_ids, pa.string())
    counts = _counts(reader, responses)
    table = pa.table({"problem_id": ids})
    place = pc.index_in(ids, counts["problem_id"].combine_chunks())
    counts = counts.take(place)
    is_graded = pc.greater(counts["num_graded"], 0)
    for name in _COUNTED:
        unknown = pa.scalar(None, counts[name].type)
        known = pc.if_else(is_graded, counts[name], unknown) if name in _OF_GRADED else counts[name]
        table = table.append_column(name, known)
    table = table.append_column("num_tied", _tied(counts))
    table = table.append_column("num_truncated", _truncated(responses, ids))
    problems = reader.problems(responses.samples)
    place = pc.index_in(ids, problems["problem_id"].combine_chunks())
    for name in ("answer", "question", "subject", "level"):
        table = table.append_column(name, problems[name].take(place))
    return table.combine_chunks()


def _counts(reader: Reader, responses: Responses) -> pa.Table:
    made = reader.store.current("problem_statistics", responses.samples.partition)
    is_of_these = made is not None and responses.rewards is not None and (
        made.manifest().inputs.get("rewards") == responses.rewards.fingerprint
    )  # fmt: skip
    if made is not None and is_of_these:
        return made.read()
    return problem_statistics(responses_by_problem(responses.table), responses.table, responses.table)


def _tied(counts: pa.Table) -> pa.Array:
    """How many other answers were given as often as the one given most; null where none was given.

    The correct answer, however it is written, is one, and so is each class of wrong ones.
    """
    found: list[int | None] = []
    for row in counts.select(["num_correct", "other_answer_counts"]).to_pylist():
        sizes = [row["num_correct"] or 0, *(row["other_answer_counts"] or ())]
        found.append(sizes.count(max(sizes)) - 1 if any(sizes) else None)
    return pa.array(found, pa.int32())


def _truncated(responses: Responses, ids: pa.Array) -> pa.Array:
    cut = responses.table.filter(pc.starts_with(responses.table["finish_reason"], "length"))  # also in its thinking
    counted = cut.group_by("problem_id", use_threads=False).aggregate([("problem_id", "count")])
    place = pc.index_in(ids, counted["problem_id"].combine_chunks())
    return pc.fill_null(counted["problem_id_count"].take(place).combine_chunks(), 0)


PER_TOKEN = ("mean_entropy", "mean_confidence")


def with_numbers(table: pa.Table, responses: Responses, numbers: pa.Table) -> pa.Table:
    """The table with each problem's means over all its tokens, from those of each response (`numbers_job`)."""
    place = pc.index_in(responses.table["problem_id"], table["problem_id"].combine_chunks()).to_numpy()
    lengths = responses.table["num_tokens"].to_numpy().astype(np.float64)
    size = table.num_rows
    for name in PER_TOKEN:
        if name not in numbers.column_names:
            continue
        values = np.asarray(numbers[name].to_numpy(), dtype=np.float64)
        known = ~np.isnan(values)
        tokens = np.bincount(place[known], weights=lengths[known], minlength=size)
        total = np.bincount(place[known], weights=(values * lengths)[known], minlength=size)
        means = np.divide(total, tokens, out=np.full(size, np.nan), where=tokens > 0)
        table = table.append_column(name, pa.array(means, from_pandas=True))
    return table
