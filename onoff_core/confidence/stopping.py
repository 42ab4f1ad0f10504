"""DeepConf's early stopping, simulated from responses that ran to their end.

Of k responses to a problem, in a random order, the first w run to their end. The threshold is that quantile of their
lowest window confidences above which a share `kept` of them lies. Each later response stops at the first window below
it. Then those vote that never fell below, the warm-up's too, each with its lowest window confidence (Fu et al. 2025,
arXiv:2508.15260, DeepConf online, without its stop at a consensus). Averaged over random orders with a fixed seed.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onoff_core.confidence.measures import Floats, Ints
from onoff_core.confidence.voting import Voters, members_of, vote
from onoff_core.statistics.majority import majority_share

KEPT_SHARES = (0.1, 0.5, 0.9)
MOST_WARM_UP = 16  # DeepConf's


@dataclass(frozen=True)
class Traces:
    """The responses to one problem as far as stopping them goes."""

    voters: Voters
    positions: Sequence[Ints]  # of each response, where its window confidence is lower than before
    confidences: Sequence[Floats]  # of these windows, falling; the last is the lowest

    @property
    def lowest(self) -> Floats:
        return np.array([values[-1] for values in self.confidences])


@dataclass(frozen=True)
class Stopped:
    """Of each problem (m,), the mean over orders; tokens are those drawn."""

    right: Floats
    majority: Floats
    tokens: Floats
    full_tokens: Floats
    stopped_share: float  # of the responses after the warm-up
    monte_carlo_error: float  # standard error of the mean of `right`


def stop_early(problems: Sequence[Traces], kept_share: float, k: int, warm_up: int, orders: int) -> Stopped:
    """Stop the responses to every problem; warm_up < k <= the fewest responses of a problem."""
    found = [_simulate(traces, kept_share, k, warm_up, orders) for traces in problems]
    better, saved, stopped = (np.stack([one[part] for one in found]) for part in range(3))  # (m, orders)
    majority = np.array([majority_share(traces.voters.ballot, k) for traces in problems])
    full = np.array([k * traces.voters.num_tokens.mean() for traces in problems])
    return Stopped(
        np.clip(majority + better.mean(axis=1), 0.0, 1.0),
        majority,
        full - saved.mean(axis=1),
        full,
        float(stopped.mean()),
        math.sqrt(better.var(axis=1, ddof=1).sum() / orders) / len(problems),
    )


def _simulate(traces: Traces, kept_share: float, k: int, warm_up: int, orders: int) -> tuple[Floats, Floats, Floats]:
    """(orders,) each: how much more right the answer is than the majority's, the tokens saved, the share stopped."""
    voters, lowest = traces.voters, traces.lowest
    draw = np.random.default_rng(zlib.crc32(voters.problem_id.encode()))
    order = draw.random((orders, voters.num)).argsort(axis=1)[:, :k]
    first, later = order[:, :warm_up], order[:, warm_up:]
    threshold = np.quantile(lowest[first], 1 - kept_share, axis=1)  # (orders,)
    drawn = np.stack(
        [tokens_until(*trace, threshold) for trace in zip(traces.positions, traces.confidences, strict=True)]
    )  # (n, orders)
    spared = voters.num_tokens[:, None] - np.minimum(drawn, voters.num_tokens[:, None])
    saved = spared[later, np.arange(orders)[:, None]].sum(axis=1)
    stopped = (lowest[later] < threshold[:, None]).mean(axis=1)
    everyone = members_of(order, voters.num)  # (n, orders)
    inside = everyone & (lowest[:, None] >= threshold)
    answered = voters.answered
    classes = voters.classes[answered]
    right = vote(inside[answered], classes, lowest[answered])
    majority = vote(everyone[answered], classes, np.ones(len(classes)))
    return right - majority, saved, stopped


def tokens_until(positions: Ints, confidences: Floats, thresholds: Floats) -> Floats:
    """(t,) how many tokens of a response are drawn until a window is below each threshold; infinite: none ever is."""
    at = np.searchsorted(-confidences, -thresholds, side="right")
    found: Floats = np.append(positions + 1, np.inf)[at]
    return found
