"""Several models of a data set in pairs: the differences of their accuracies, corrected for one another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.browser.at_k import comparison_rows, statistics_row
from onoff_assets.browser.computing import Job, Say, job
from onoff_assets.browser.reading import Reader, Responses
from onoff_core.statistics import comparison_table, responses_by_problem
from onoff_core.statistics.stored import Ends, ends

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """One model's accuracy minus another's, paired by problem."""

    difference: float
    interval: Ends  # 95 %, other problems like these; of this pair alone
    holm_p_value: float | None  # corrected for `num_compared` pairs; None: too few problems
    num_problems: int
    num_compared: int

    @property
    def is_significant(self) -> bool:
        return self.holm_p_value is not None and self.holm_p_value < SIGNIFICANT

    def reversed(self) -> "Difference":
        interval = None if self.interval is None else (-self.interval[1], -self.interval[0])
        return Difference(-self.difference, interval, self.holm_p_value, self.num_problems, self.num_compared)


def without_statistics(reader: Reader, models: Mapping[str, Responses]) -> dict[str, str]:
    """Why a model cannot be one of a family of comparisons yet: it has no complete statistics of its verdicts.

    A run may be at it. It would count as a model that differs from none, and so weaken what is said of the others.
    """
    reasons = {}
    for name, responses in models.items():
        if responses.rewards is None:
            reasons[name] = "its responses are not graded"
        elif reader.store.current("statistics", responses.samples.partition) is None:
            reasons[name] = "it has no statistics yet"
        elif statistics_row(reader, responses) is None:
            reasons[name] = "its statistics are of other verdicts than those that are there now"
    return reasons


def pairs_job(reader: Reader, dataset: str, models: Mapping[str, Responses]) -> Job[list[dict[str, Any]]]:
    """The rows that `paired_differences` is of, under way or ready: of 40 models there are 780 pairs."""
    stored = comparison_rows(reader, dataset, list(models.values()))
    made = reader.store.current("comparisons", (dataset,)) if stored else None
    identity = [(one.samples.folder, one.rewards.folder if one.rewards else None) for one in models.values()]

    def make(say: Say) -> list[dict[str, Any]]:
        if stored:
            return stored
        counted = {name: responses_by_problem(responses.table) for name, responses in models.items()}
        rows: list[dict[str, Any]] = comparison_table(counted, [1]).to_pylist()
        return rows

    return job((str(reader.store.root), "pairs", None if made is None else made.folder, *identity), make)


def paired_differences(
    reader: Reader, dataset: str, models: Mapping[str, Responses]
) -> tuple[dict[tuple[str, str], Difference], int]:
    """Of every two of these models in both directions, and for how many pairs they are corrected.

    They are the data set's `comparisons` where that is of all these verdicts, and so corrected for all its models; else
    they are computed here for these models alone, by the same function.
    """
    rows = pairs_job(reader, dataset, models).result(600.0) or []
    found: dict[tuple[str, str], Difference] = {}
    compared = 0
    for row in rows:
        first, second = row["first_model"], row["second_model"]
        if row["statistic"] != "accuracy" or first not in models or second not in models:
            continue
        compared = row["num_compared"]
        one = Difference(
            row["difference"], ends(row, "other_problems"), row["holm_p_value"], row["num_problems"], compared
        )
        found[first, second], found[second, first] = one, one.reversed()
    return found, compared


def solved_by(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[int, int, int, int]:
    """Problems that both solve, the first alone, the second alone, neither; solved is a mean reward of at least 1/2."""
    both = first.keys() & second.keys()
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for problem in both:
        counts[first[problem] >= 0.5, second[problem] >= 0.5] += 1
    return counts[True, True], counts[True, False], counts[False, True], counts[False, False]


def shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    """The share of the values in each bin; values at the last edge belong to the last bin."""
    import numpy as np

    counts = np.histogram(np.asarray(values, dtype=float), np.asarray(edges, dtype=float))[0]
    return [float(count) / max(1, int(counts.sum())) for count in counts]
