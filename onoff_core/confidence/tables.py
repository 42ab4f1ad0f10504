"""The tables that are made of `confidence` and `rewards`: rows in, Arrow tables by name out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.confidence.calibration import Calibration, calibrate
from onoff_core.confidence.clustered import Interval
from onoff_core.confidence.discrimination import Scored, area_under_risk_coverage, auroc, selective_accuracy
from onoff_core.confidence.measures import MEASURES, SEMANTIC_ENTROPY, Measure
from onoff_core.confidence.responses import Key, Windows
from onoff_core.confidence.semantic import problem_row
from onoff_core.confidence.stopping import KEPT_SHARES, MOST_WARM_UP, Traces, stop_early
from onoff_core.confidence.voting import BY_MEASURE, NO_VOTE, Choice, Voters, choose
from onoff_core.statistics.intervals import difference_of, other_problems_interval
from onoff_core.tables import SCHEMAS

Row = dict[str, Any]
_SAME_VOTES = {"perplexity": "mean_log_prob"}  # the one falls as the other rises, and the weights are the same
_RULES = (("majority", None), *((rule, measure.name) for measure in MEASURES for rule in BY_MEASURE))


@dataclass(frozen=True)
class Verdicts:
    """What the table `rewards` says of each response."""

    rewards: Mapping[Key, int | None]
    classes: Mapping[Key, int | None]  # 0 is the gold answer; None: no answer, or its grading ran out of time

    @staticmethod
    def of(table: pa.Table) -> "Verdicts":
        names = ("problem_id", "sample_index", "reward", "answer_class", "status")
        rewards: dict[Key, int | None] = {}
        classes: dict[Key, int | None] = {}
        for problem, index, reward, answer_class, status in zip(*(table[n].to_pylist() for n in names), strict=True):
            rewards[problem, index] = reward
            classes[problem, index] = 0 if reward else None if status == "timeout" else answer_class
        return Verdicts(rewards, classes)


@dataclass(frozen=True)
class _Problem:
    """The responses to one problem that have a reward, with their rows of `confidence`."""

    voters: Voters
    rows: Sequence[Row]

    def values(self, measure: Measure) -> np.ndarray[Any, Any]:
        """(n,) higher is surer."""
        return measure.surer * np.array([row[measure.name] for row in self.rows], float)

    def weights(self, measure: Measure) -> np.ndarray[Any, Any]:
        return measure.weight(np.array([row[measure.name] for row in self.rows], float))


def confidence_tables(
    rows: Sequence[Row],
    verdicts: Verdicts,
    windows: Windows,
    ks: Sequence[int],
    warm_up: int | None,
    subsets: int,
) -> dict[str, pa.Table]:
    """Every table of the asset but `confidence` itself, whose rows are given.

    `ks`: for which numbers of responses answers are chosen; `warm_up` None: a quarter of a problem's, at most 16.
    """
    by_problem: dict[str, list[Row]] = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    semantic = [
        problem_row(problem, [verdicts.classes[_key(row)] for row in of], [row["mean_log_prob"] for row in of])
        for problem, of in by_problem.items()
    ]
    entropies = {row["problem_id"]: row["semantic_entropy"] for row in semantic}
    graded = [row for row in rows if verdicts.rewards[_key(row)] is not None]
    discrimination = [_Discrimination.of(measure, graded, verdicts) for measure in MEASURES] + [
        _Discrimination.of(
            SEMANTIC_ENTROPY,
            [{**row, SEMANTIC_ENTROPY.name: entropies[row["problem_id"]]} for row in graded],
            verdicts,
        )
    ]
    problems = list(_problems(by_problem, verdicts))
    made: dict[str, list[Row]] = {
        "confidence_problems": semantic,
        "confidence_statistics": [one.statistics(windows) for one in discrimination],
        "confidence_bins": [row for one in discrimination for row in one.bins()],
        "confidence_coverage": [row for one in discrimination for row in one.coverage()],
        "confidence_voting": list(_voting(problems, ks, subsets)),
        "confidence_stopping": list(_stopping(problems, ks, warm_up, subsets)),
    }
    return {name: pa.Table.from_pylist(content, schema=SCHEMAS[name]) for name, content in made.items()}


def _key(row: Row) -> Key:
    return row["problem_id"], row["sample_index"]


def _problems(by_problem: Mapping[str, Sequence[Row]], verdicts: Verdicts) -> Iterator[_Problem]:
    for problem, of in by_problem.items():
        rows = [row for row in of if verdicts.rewards[_key(row)] is not None]
        if rows:
            classes = [verdicts.classes[_key(row)] for row in rows]
            votes = np.array([NO_VOTE if one is None else one for one in classes], dtype=np.int64)
            yield _Problem(Voters(problem, votes, np.array([row["num_tokens"] for row in rows])), rows)


@dataclass(frozen=True)
class _Discrimination:
    """One measure against the rewards."""

    measure: Measure
    scored: Scored
    num_without: int
    calibration: Calibration | None

    @staticmethod
    def of(measure: Measure, graded: Sequence[Row], verdicts: Verdicts) -> "_Discrimination":
        there = [row for row in graded if row[measure.name] is not None]
        names = sorted({row["problem_id"] for row in there})
        numbers = {name: number for number, name in enumerate(names)}
        scored = Scored(
            measure.surer * np.array([row[measure.name] for row in there], float),
            np.array([verdicts.rewards[_key(row)] for row in there], float),
            np.array([numbers[row["problem_id"]] for row in there], np.int64),
            len(names),
        )
        return _Discrimination(measure, scored, len(graded) - len(there), calibrate(scored))

    @property
    def _without(self) -> str:
        if self.num_without:
            return f"no response with a reward has {self.measure.name}: see reason in confidence"
        return "no response has a reward"

    def statistics(self, windows: Windows) -> Row:
        scored, found, curve = self.scored, auroc(self.scored), self.calibration
        is_there = len(scored.values) > 0
        reasons = [] if is_there else [self._without]
        reasons += [found.reason] if found.reason else []
        if is_there and curve is None:
            reasons.append("intervals and calibration: one problem says nothing of others")
        within = self.measure is not SEMANTIC_ENTROPY
        if not within:
            reasons.append("within_auroc: the measure is one of a problem, not of a response")
        return {
            "measure": self.measure.name,
            "num_problems": scored.num_problems,
            "num_responses": len(scored.values),
            "num_right": int(scored.right.sum()),
            "num_without": self.num_without,
            "auroc": found.estimate,
            **_ends("auroc", found.interval),
            "within_auroc": found.within if within else None,
            **_ends("within_auroc", found.within_interval if within else None),
            "num_mixed": found.num_mixed,
            "aurc": area_under_risk_coverage(scored) if is_there else None,
            **self._calibrated(),
            "window": windows.window,
            "tail": windows.tail,
            "top_k": windows.top_k,
            "reason": "; ".join(reasons) or None,
        }

    def _calibrated(self) -> Row:
        curve = self.calibration
        if curve is None:
            names = ("intercept", "slope", "calibration_error", "calibration_error_by_chance", "brier_score")
            return {**dict.fromkeys(names), **_ends("calibration_error", None)}
        return {
            "intercept": curve.intercept,
            "slope": self.measure.surer * curve.slope,
            "calibration_error": curve.error,
            **_ends("calibration_error", curve.interval),
            "calibration_error_by_chance": curve.error_by_chance,
            "brier_score": curve.brier_score,
        }

    def bins(self) -> Iterator[Row]:
        for one in () if self.calibration is None else self.calibration.bins:
            yield {
                "measure": self.measure.name,
                "bin": one.number,
                "num_responses": one.num_responses,
                "num_problems": one.num_problems,
                "mean_measure": self.measure.surer * one.mean_value,
                "mean_probability": one.mean_probability,
                "accuracy": one.accuracy,
                **_ends("accuracy", one.interval),
            }

    def coverage(self) -> Iterator[Row]:
        for one in selective_accuracy(self.scored) if len(self.scored.values) else ():
            yield {
                "measure": self.measure.name,
                "coverage": one.coverage,
                "num_responses": one.num_responses,
                "threshold": self.measure.surer * one.threshold,
                "accuracy": one.accuracy,
                **_ends("accuracy", one.interval),
            }


def _ends(name: str, interval: Interval | None) -> Row:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _voting(problems: Sequence[_Problem], ks: Sequence[int], subsets: int) -> Iterator[Row]:
    """A row for majority, and for each other rule by each measure, at each k."""
    fewest = min((problem.voters.num for problem in problems), default=0)
    voters = [problem.voters for problem in problems]
    without = {one.name: sum(row[one.name] is None for of in problems for row in of.rows) for one in MEASURES}
    by_measure = {
        one.name: [(problem.values(one), problem.weights(one)) for problem in problems]
        for one in MEASURES
        if not without[one.name] and one.name not in _SAME_VOTES
    }
    for k in ks:
        reason = "no response has a reward" if not problems else None
        if problems and k > fewest:
            reason = f"a problem has fewer than {k} responses"
        found = {} if reason else choose(voters, by_measure, k, subsets)
        tokens = None if reason else float(np.mean([k * one.num_tokens.mean() for one in voters]))
        for rule, measure in _RULES:
            names = {"rule": rule, "measure": measure, "k": k, "num_problems": len(problems)}
            choice = found.get((rule, measure and _SAME_VOTES.get(measure, measure)))
            if choice is not None:
                yield {**names, **_compared(choice), "mean_num_tokens": tokens, "reason": _one_problem(problems)}
                continue
            why = reason or f"{measure} is null of {without[measure or '']} responses: see reason in confidence"
            yield {**names, **dict.fromkeys(_COMPARED), "mean_num_tokens": None, "reason": why}


_COMPARED = (
    *("accuracy", "accuracy_low", "accuracy_high", "majority_accuracy", "difference", "difference_low"),
    *("difference_high", "p_value", "monte_carlo_error"),
)


def _compared(found: Choice) -> Row:
    """Beside the majority, paired by problem."""
    beside = _beside_majority(found.right.tobytes(), found.majority.tobytes())
    return {**beside, "monte_carlo_error": found.monte_carlo_error}


@lru_cache(maxsize=4096)
def _beside_majority(rights: bytes, majorities: bytes) -> Row:
    """Of (m,) each as bytes: many rules choose alike, as all do among one response."""
    right, majority = np.frombuffer(rights), np.frombuffer(majorities)
    paired = difference_of(right - majority)
    return {
        "accuracy": float(right.mean()),
        **_ends("accuracy", other_problems_interval(right)),
        "majority_accuracy": float(majority.mean()),
        "difference": paired.difference,
        **_ends("difference", paired.interval),
        "p_value": paired.p_value,
    }


def _one_problem(problems: Sequence[_Problem]) -> str | None:
    return "intervals: one problem says nothing of others" if len(problems) == 1 else None


def _stopping(problems: Sequence[_Problem], ks: Sequence[int], warm_up: int | None, orders: int) -> Iterator[Row]:
    """A row for each share kept, at each k above the warm-up; where there is none, rows that say why."""
    fewest = min((problem.voters.num for problem in problems), default=0)
    first = max(1, min(MOST_WARM_UP, fewest // 4)) if warm_up is None else warm_up
    reason = "no response has a reward" if not problems else None
    if problems and first + 1 > fewest:
        reason = f"a problem has fewer than {first + 1} responses: {first} for the warm-up, and one to stop"
    if any(row["lowest_window_confidence"] is None for problem in problems for row in problem.rows):
        reason = "a response has no lowest_window_confidence: see reason in confidence"
    possible = [] if reason else [k for k in sorted({*ks, fewest}) if first < k <= fewest]
    traces = [] if reason else [_traces(problem) for problem in problems]
    for kept_share in KEPT_SHARES:
        names = {"kept_share": kept_share, "warm_up": first, "num_problems": len(problems)}
        if reason:
            nothing = (*_COMPARED, "stopped_share", "mean_num_tokens", "full_num_tokens", "saved_share")
            yield {**names, "k": first + 1, **dict.fromkeys(nothing), "reason": reason}
        for k in possible:
            found = stop_early(traces, kept_share, k, first, orders)
            tokens, full = float(found.tokens.mean()), float(found.full_tokens.mean())
            yield {
                **names,
                "k": k,
                **_compared(Choice(found.right, found.majority, found.monte_carlo_error)),
                "stopped_share": found.stopped_share,
                "mean_num_tokens": tokens,
                "full_num_tokens": full,
                "saved_share": 1 - tokens / full,
                "reason": _one_problem(problems),
            }


def _traces(problem: _Problem) -> Traces:
    return Traces(
        problem.voters,
        [np.array(row["falling_positions"], np.int64) for row in problem.rows],
        [np.array(row["falling_confidences"], float) for row in problem.rows],
    )
