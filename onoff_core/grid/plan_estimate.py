"""What is missing or stale would take: tokens, seconds, bytes, memory, from what was measured, or why that is unknown.

Every number rests on runs that are in the store. A range goes from the lowest to the highest that they allow; where
one run alone was measured there is no range, and its two ends are equal.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from onoff_core.grid.plan_measured import Measured, Measurements
from onoff_core.grid.room import distributions_bytes
from onoff_core.study import Partition

# What runs over tokens, at a speed that is the model's; the others take some time a response.
BY_THE_TOKEN = ("samples", "token_distributions", "cross_scores")
WITHOUT_TOKENS = ("rewards", "statistics", "confidence")  # no model runs, so any model's runs tell how long they take


@dataclass(frozen=True)
class Range:
    """From low to high."""

    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Range") -> "Range":
        return Range(self.low * other.low, self.high * other.high)

    def over(self, speed: "Range") -> "Range":
        """Divided by a speed: the low end by the highest one."""
        return Range(self.low / speed.high, self.high / speed.low)

    @staticmethod
    def of(value: float) -> "Range":
        return Range(value, value)

    @staticmethod
    def across(values: Sequence[float]) -> "Range":
        return Range(min(values), max(values))


@dataclass(frozen=True)
class Work:
    """An asset of a partition that is to be made."""

    asset: str
    state: str  # missing, stale, partial
    responses: int  # left to make; with sampling.until, at most
    tokens_known: int | None = None  # to score, where the responses are there; None: they are to be drawn first
    at_least: int | None = None  # responses left to make, with sampling.until; None: just as many as `responses`
    taken_over: int = 0  # responses that are there already and are written again
    tokens_taken_over: int | None = None  # None: not known

    @property
    def range(self) -> "Range":
        """How many responses are left to make."""
        return Range(self.responses if self.at_least is None else self.at_least, self.responses)


@dataclass(frozen=True)
class Unknown:
    """Why something is not known."""

    reason: str  # such as `no run of qwen3-8b`
    asset: str | None = None  # that such a run would have made; None: the reason is a whole sentence


@dataclass(frozen=True)
class Estimate:
    """What an asset would take. None: not known."""

    work: Work
    tokens: Range | None = None  # sampled or scored
    seconds: Range | None = None
    num_bytes: Range | None = None
    memory: int | None = None  # bytes, the most that was seen
    gpu_memory: int | None = None
    basis: tuple[str, ...] = ()  # what the numbers rest on
    unknown: tuple[Unknown, ...] = ()  # why there are none


@dataclass(frozen=True)
class PartitionEstimate:
    """What a partition would take, asset by asset."""

    partition: Partition
    assets: tuple[Estimate, ...]
    wrong: str | None = None  # why nothing can be said at all; None: something can

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        reasons = (reason for one in self.assets for reason in one.unknown)
        return tuple(dict.fromkeys([Unknown(self.wrong)] if self.wrong else reasons))


@dataclass
class _Notes:
    basis: list[str] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)


def estimate(partition: Partition, works: Sequence[Work], measured: Measurements) -> PartitionEstimate:
    return PartitionEstimate(partition, tuple(_estimate(partition, work, measured) for work in works))


def total(ranges: Iterable[Range | None]) -> Range:
    """The sum of those that are known."""
    found = Range(0, 0)
    for one in ranges:
        found = found if one is None else found + one
    return found


def _estimate(partition: Partition, work: Work, measured: Measurements) -> Estimate:
    notes = _Notes()
    runs = measured.of(work.asset)
    mine = [one for one in runs if one.model == partition.model]
    tokens = _tokens(partition, work, measured, mine, notes)
    seconds = _seconds(partition, work, tokens, mine, runs, notes)
    return Estimate(
        work,
        tokens=tokens,
        seconds=seconds,
        num_bytes=_bytes(partition, work, tokens, mine, runs),
        memory=max((m for one in mine if (m := one.costs.peak_memory_bytes) is not None), default=None),
        gpu_memory=max((m for one in mine if (m := one.costs.peak_gpu_memory_bytes) is not None), default=None),
        basis=tuple(notes.basis),
        unknown=tuple(notes.unknown),
    )


def _tokens(
    partition: Partition, work: Work, measured: Measurements, mine: Sequence[Measured], notes: _Notes
) -> Range | None:
    """None: not known, or an asset of which there are none."""
    if work.asset in WITHOUT_TOKENS:
        return None
    if work.asset in BY_THE_TOKEN:
        if work.tokens_known is not None:
            return Range.of(work.tokens_known)
        length = _length(partition, measured, notes)
        return None if length is None else length * work.range
    rates = [_each(one, one.costs.tokens) for one in mine if one.costs.tokens]
    found = [rate for rate in rates if rate is not None]
    return Range.across(found) * work.range if found else None


def _length(partition: Partition, measured: Measurements, notes: _Notes) -> Range | None:
    """Tokens of a response: of this partition's own responses, else of the model's on other data sets, else of other
    models' on this one.
    """
    longest = partition.sampling.max_length
    own = measured.lengths(partition.dataset, partition.model)
    if own is not None:
        low, high = own.mean(longest)
        notes.basis.append(f"lengths: {len(own.num_tokens):,} responses of {partition.key}")
        return Range(low, high)
    for what, keys in (
        (
            f"{partition.model} on",
            [key for key in measured.sampled() if key[1] == partition.model],
        ),
        (
            f"other models on {partition.dataset}:",
            [key for key in measured.sampled() if key[0] == partition.dataset],
        ),
    ):
        means = [of.mean(longest) for key in keys if (of := measured.lengths(*key)) is not None]
        if means:
            other = [key[0] if key[1] == partition.model else key[1] for key in keys]
            notes.basis.append(f"lengths: {what} {', '.join(other)}")
            return Range(min(low for low, _ in means), max(high for _, high in means))
    return None  # then there is no run that made samples of this model either, which is what is said


def _seconds(
    partition: Partition,
    work: Work,
    tokens: Range | None,
    mine: Sequence[Measured],
    runs: Sequence[Measured],
    notes: _Notes,
) -> Range | None:
    if work.responses == 0:
        return Range(0, 0)  # no model is loaded to take over what is there
    if work.asset in BY_THE_TOKEN:
        speeds = [one for one in _known(mine, lambda one: _ratio(one.costs.tokens, one.costs.work_seconds)) if one > 0]
        if not speeds:
            notes.unknown.append(Unknown(f"no run of {partition.model}", work.asset))
            return None
        _tell(notes, work.asset, mine)
        if tokens is None:
            return None
        return tokens.over(Range.across(speeds)) + _other(mine)
    usual = (mine or runs) if work.asset in WITHOUT_TOKENS else mine
    each = _known(usual, lambda one: _each(one, one.costs.work_seconds))
    if not each:
        of = "" if work.asset in WITHOUT_TOKENS else f" of {partition.model}"
        notes.unknown.append(Unknown(f"no run{of}", work.asset))
        return None
    _tell(notes, work.asset, usual)
    return Range.across(each) * work.range + _other(usual)


def _tell(notes: _Notes, asset: str, runs: Sequence[Measured]) -> None:
    probed = sum(one.is_probe for one in runs)
    count = f"{len(runs) - probed} run{'s' if len(runs) - probed != 1 else ''}" if len(runs) > probed else ""
    also = "a probe" if probed == 1 else f"{probed} probes"
    told = " and ".join(part for part in (count, also if probed else "") if part)
    places = ", ".join(dict.fromkeys(one.costs.place for one in runs))
    notes.basis.append(f"speed of {asset}: {told} on {places}")


def _other(runs: Sequence[Measured]) -> Range:
    """Seconds of a run besides its work."""
    found = _known(runs, lambda one: one.costs.other_seconds)
    return Range.across(found) if found else Range(0, 0)


def _bytes(
    partition: Partition, work: Work, tokens: Range | None, mine: Sequence[Measured], runs: Sequence[Measured]
) -> Range | None:
    """What is taken over is written again, too."""
    if work.asset in BY_THE_TOKEN:
        if tokens is None:
            return None
        every = tokens + _taken_over(work, tokens)
        if work.asset == "token_distributions":
            return _distributions_bytes(partition, every, mine, runs)
        rates = _known(mine or runs, lambda one: _ratio(one.costs.num_bytes, one.num_tokens))
        return every * Range.across(rates) if rates else None
    each = _known(mine or runs, lambda one: _ratio(one.costs.num_bytes, one.num_responses))
    return Range.across(each) * (work.range + Range.of(work.taken_over)) if each else None


def _taken_over(work: Work, tokens: Range) -> Range:
    """Tokens of the responses that are taken over; where they are not counted, as long as the others."""
    if work.tokens_taken_over is not None or not work.responses:
        return Range.of(work.tokens_taken_over or 0)
    share = work.taken_over / work.responses
    return Range(tokens.low * share, tokens.high * share)


def _distributions_bytes(
    partition: Partition, tokens: Range, mine: Sequence[Measured], runs: Sequence[Measured]
) -> Range | None:
    top_k = partition.distribution.top_k
    alike = [one for one in mine if one.costs.top_k == top_k]
    if top_k is not None and not alike:  # a row of so many alternatives takes about as much for any model
        alike = [one for one in runs if one.costs.top_k == top_k]
    rates = _known(alike, lambda one: _ratio(one.costs.num_bytes, one.costs.num_rows))
    if rates:
        return tokens * Range.across(rates)
    # Before compression; it is known only where the size of the vocabulary does not matter.
    return None if top_k is None else Range(0, distributions_bytes(round(tokens.high), top_k, 0))


def _each(one: Measured, value: float | None) -> float | None:
    """A response's share of what making the whole took; None where a part alone was made in what was measured."""
    if not one.costs.whole or one.num_responses is None:
        return None
    return _ratio(value, one.num_responses - one.costs.responses_taken_over)


def _ratio(value: float | None, count: float | None) -> float | None:
    return value / count if value is not None and count else None


def _known(runs: Iterable[Measured], of: Callable[[Measured], float | None]) -> list[float]:
    return [value for one in runs if (value := of(one)) is not None and value >= 0]
