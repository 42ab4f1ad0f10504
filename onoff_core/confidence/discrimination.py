"""How well a measure tells right responses from wrong ones: AUROC over all and within problems, selective accuracy.

`values`: (n,) higher is surer; `right`: (n,) 1 or 0; `problems`: (n,) numbers 0 to m - 1 of the responses' problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onoff_core.confidence.clustered import Interval, pairs_interval, share_interval
from onoff_core.confidence.measures import Floats, Ints
from onoff_core.statistics.intervals import other_problems_interval

COVERAGES = tuple(step / 20 for step in range(1, 21))


@dataclass(frozen=True)
class Scored:
    """The responses that have both a reward and the measure."""

    values: Floats  # (n,) higher is surer
    right: Floats  # (n,) 1 or 0
    problems: Ints  # (n,) 0 to num_problems - 1
    num_problems: int

    def by_problem(self, of_responses: Floats) -> Floats:
        """(m,) sums over each problem's responses."""
        return np.bincount(self.problems, of_responses, self.num_problems).astype(np.float64)


@dataclass(frozen=True)
class Auroc:
    """What does not exist is None, with a reason."""

    estimate: float | None
    interval: Interval | None
    within: float | None  # mean over problems with right and wrong responses
    within_interval: Interval | None
    num_mixed: int  # such problems
    reason: str | None


def auroc(scored: Scored) -> Auroc:
    """The chance that a right response has a higher value than a wrong one, ties counting half: the area under the
    receiver operating characteristic (Hanley and McNeil 1982, "The Meaning and Use of the Area under a Receiver
    Operating Characteristic Curve", Radiology 143).

    Over all pairs it also pays to tell easy problems from hard ones. Within a problem (Taubenfeld et al. 2025,
    "Confidence Improves Self-Consistency in LLMs", arXiv:2502.06233) it is what choosing among responses can use.
    """
    won = pairs_won(scored)
    rights, wrongs = scored.by_problem(scored.right), scored.by_problem(1 - scored.right)
    mixed = (rights > 0) & (wrongs > 0)
    within = np.diag(won)[mixed] / (rights * wrongs)[mixed]
    pairs = rights.sum() * wrongs.sum()
    if not pairs:
        all_of = "right" if rights.sum() else "wrong"
        return Auroc(None, None, None, None, 0, f"auroc: all responses are {all_of}" if len(scored.right) else None)
    return Auroc(
        float(won.sum() / pairs),
        pairs_interval(won, rights, wrongs),
        float(within.mean()) if len(within) else None,
        other_problems_interval(within),
        int(mixed.sum()),
        None if len(within) else "within_auroc: no problem has both right and wrong responses",
    )


def pairs_won(scored: Scored) -> Floats:
    """(m, m) of the right responses of problem i and the wrong ones of problem j, how many pairs have a higher value at
    the right one, ties counting half.
    """
    won = np.zeros((scored.num_problems, scored.num_problems))
    is_right = scored.right == 1
    values, owners = scored.values[is_right], scored.problems[is_right]
    for problem in range(scored.num_problems):
        wrong = np.sort(scored.values[~is_right & (scored.problems == problem)])
        below = (np.searchsorted(wrong, values, "left") + np.searchsorted(wrong, values, "right")) / 2
        won[:, problem] = np.bincount(owners, below, scored.num_problems)
    return won


@dataclass(frozen=True)
class Kept:
    """The accuracy of the surest responses alone."""

    coverage: float
    num_responses: int
    threshold: float  # the value of the last one
    accuracy: float
    interval: Interval | None


def selective_accuracy(scored: Scored, coverages: Sequence[float] = COVERAGES) -> list[Kept]:
    """The accuracy of the surest share of the responses, at each coverage (El-Yaniv and Wiener 2010, "On the
    Foundations of Noise-free Selective Classification", JMLR 11). Of responses that tie at the threshold each counts
    with the share of them that is kept. The interval is at this threshold.
    """
    n, found = len(scored.values), []
    falling = np.sort(scored.values)[::-1]
    for coverage in coverages:
        count = int(np.ceil(coverage * n - 1e-9))
        threshold = falling[count - 1]
        above, tied = scored.values > threshold, scored.values == threshold
        kept = above + tied * ((count - above.sum()) / tied.sum())
        interval = share_interval(scored.by_problem(kept * scored.right), scored.by_problem(kept))
        found.append(Kept(coverage, count, float(threshold), float(kept @ scored.right / count), interval))
    return found


def area_under_risk_coverage(scored: Scored) -> float:
    """The mean over 1 to n responses kept of the share that is wrong among them, ties averaged (Geifman, Uziel and
    El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", arXiv:1805.08206).
    """
    order = np.argsort(-scored.values, kind="stable")
    _, groups = np.unique(-scored.values[order], return_inverse=True)
    wrong = 1 - scored.right[order]
    expected = (np.bincount(groups, wrong) / np.bincount(groups))[groups]
    return float((np.cumsum(expected) / np.arange(1, len(wrong) + 1)).mean())
