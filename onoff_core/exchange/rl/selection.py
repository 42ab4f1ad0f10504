"""Choose problems by how often models solve them, and a control that is chosen without regard to that."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.sources import PassRate, Source

# Whose pass rate has to lie in the band where there are several models.
Rule = Literal["every", "any", "mean"]
RULES: tuple[Rule, ...] = get_args(Rule)
# equal-size: from all problems with a pass rate, so that some may be in both; disjoint: from those outside the band.
Control = Literal["equal-size", "disjoint"]
CONTROLS: tuple[Control, ...] = get_args(Control)

TRAIN, CONTROL = "train", "control"  # the splits: what was chosen, and what was drawn beside it
_ROUNDING = 1e-9
_MOST_VALUES = 12  # distinct pass rates that a message lists one by one


@dataclass(frozen=True)
class Band:
    """Pass rates from `low` to `high`, both included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"

    def holds(self, share: float) -> bool:
        return self.low - _ROUNDING <= share <= self.high + _ROUNDING


@dataclass(frozen=True)
class Choice:
    """How problems are chosen. `band` None: every problem that has a pass rate by every model."""

    band: Band | None = None
    rule: Rule = "every"
    control: Control | None = None
    seed: int = 0  # of the control


@dataclass(frozen=True)
class Selection:
    """What was chosen; problem ids in the data set's order."""

    chosen: tuple[str, ...]
    control: tuple[str, ...]  # empty: none was asked for
    pool: tuple[str, ...]  # with a pass rate by every model: what both were chosen from
    without_rate: tuple[str, ...]  # no response with a verdict, by some model
    shared: int = field(init=False)  # in both

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared", len(set(self.chosen) & set(self.control)))


def select(problem_ids: Sequence[str], sources: Sequence[Source], choice: Choice) -> Selection:
    """Raises `ExchangeError` where the band keeps nothing, or leaves too few problems for the control."""
    pool = tuple(one for one in problem_ids if all(_share(source, one) is not None for source in sources))
    chosen = tuple(one for one in pool if _is_chosen(one, sources, choice))
    if not chosen:
        raise ExchangeError(_nothing_left(pool, sources, choice))
    return Selection(
        chosen, _control(pool, chosen, choice), pool, tuple(one for one in problem_ids if one not in set(pool))
    )


def mean_share(rates: Sequence[PassRate]) -> float:
    """The mean over models of their pass rates of one problem."""
    return sum(rate.share for rate in rates if rate.share is not None) / len(rates)


def fewest_graded(pool: Sequence[str], sources: Sequence[Source]) -> int:
    """The least number of verdicts that a pass rate of the pool rests on."""
    return min(source.pass_rates[one].num_graded for source in sources for one in pool)


def _share(source: Source, problem_id: str) -> float | None:
    rate = source.pass_rates.get(problem_id)
    return None if rate is None else rate.share


def _is_chosen(problem_id: str, sources: Sequence[Source], choice: Choice) -> bool:
    band, rates = choice.band, [source.pass_rates[problem_id] for source in sources]
    if band is None:
        return True
    match choice.rule:
        case "every":
            return all(band.holds(rate.share) for rate in rates if rate.share is not None)
        case "any":
            return any(band.holds(rate.share) for rate in rates if rate.share is not None)
        case "mean":
            return band.holds(mean_share(rates))


def _control(pool: Sequence[str], chosen: Sequence[str], choice: Choice) -> tuple[str, ...]:
    """As many problems as were chosen, in the data set's order.

    They are those whose hash with the seed is smallest: a draw without replacement that is the same on every machine
    and in every version of every library.
    """
    if choice.control is None:
        return ()
    outside = set(chosen) if choice.control == "disjoint" else set()
    candidates = [one for one in pool if one not in outside]
    if len(candidates) < len(chosen):
        raise ExchangeError(
            f"a disjoint control of {len(chosen)} problems is not to be had: {len(candidates)} are outside of the "
            "band; narrow --pass-rate, or take --control equal-size, which may share problems with the selection"
        )
    drawn = set(sorted(candidates, key=lambda one: draw_key(choice.seed, one))[: len(chosen)])
    return tuple(one for one in candidates if one in drawn)


def draw_key(seed: int, name: str) -> str:
    """Names in the order of their keys are in a random order that the seed alone decides."""
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()


def _nothing_left(pool: Sequence[str], sources: Sequence[Source], choice: Choice) -> str:
    if not pool:
        return "no problem has a pass rate by every model: no response of them has a verdict (see onoff status)"
    lines = "\n".join(f"  {source.model}: {distribution(_shares(pool, source))}" for source in sources)
    of = f" by the rule {choice.rule}" if len(sources) > 1 else ""
    return (
        f"no problem has a pass rate in {choice.band}{of}; problems by pass rate:\n{lines}\nchoose another --pass-rate"
    )


def _shares(pool: Sequence[str], source: Source) -> list[float]:
    return [share for one in pool if (share := source.pass_rates[one].share) is not None]


def distribution(shares: Sequence[float]) -> str:
    """`0 (3 problems), 0.25 (1), 1 (4)`; by tenths where there are many values."""
    counts: Mapping[str, int]
    if len(set(shares)) <= _MOST_VALUES:
        counts = {f"{value:.3g}": count for value, count in sorted(Counter(shares).items())}
    else:
        counts = _by_tenths(shares)
    parts = [f"{name} ({count})" for name, count in counts.items()]
    return ", ".join(
        [parts[0].replace(")", " problem)" if next(iter(counts.values())) == 1 else " problems)"), *parts[1:]]
    )


def _by_tenths(shares: Sequence[float]) -> dict[str, int]:
    """0 and 1 apart, for what nobody or everybody solves is what a band is to leave out."""
    found = {"0": sum(share == 0 for share in shares)}
    for tenth in range(10):
        inside = sum(0 < share < 1 and int(share * 10) == tenth for share in shares)
        found[f"{tenth / 10:g} to {(tenth + 1) / 10:g}"] = inside
    found["1"] = sum(share == 1 for share in shares)
    return {name: count for name, count in found.items() if count}
