"""Estimates as people read them: `1.2M to 1.5M`, `2 h 10 min to 3 h`, `3.4 GB`; and a plan's one line for a log."""

from collections.abc import Callable, Sequence

from onoff_core.grid.plan_estimate import Estimate, PartitionEstimate, Range, total
from onoff_core.progress import duration

_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
NOT_KNOWN = "?"


def count_text(value: float) -> str:
    """`812`, `1.2M`."""
    for size, letter in _SIZES:
        if value >= size:
            return f"{_digits(value / size)}{letter}"
    return f"{value:.0f}"


def bytes_text(value: float) -> str:
    """`3.4 GB`."""
    for size, letter in _SIZES:
        if value >= size:
            return f"{_digits(value / size)} {letter}B"
    return f"{value:.0f} B"


def seconds_text(value: float) -> str:
    """`42 s`, `2 h 10 min`, `3 days 4 h`."""
    if value < 86_400:
        return duration(value)
    hours = round(value / 3600)
    days = hours // 24
    return f"{days} day{'s' if days != 1 else ''} {hours % 24} h"


def _digits(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def range_text(found: Range | None, text: Callable[[float], str]) -> str:
    """`LOW to HIGH`; one value where both read the same; a question mark where it is not known."""
    if found is None:
        return NOT_KNOWN
    low, high = text(found.low), text(found.high)
    return low if low == high else f"{low} to {high}"


def total_text(ranges: Sequence[Range | None], text: Callable[[float], str]) -> str:
    """Of all together; `at least` where some are not known, a question mark where none is."""
    known = [one for one in ranges if one is not None]
    if not known and ranges:
        return NOT_KNOWN
    told = range_text(total(known), text)
    return told if len(known) == len(ranges) else f"{told} and more"


def tokens_of(assets: Sequence[Estimate]) -> list[Range | None]:
    """Of the assets that have tokens."""
    return [one.tokens for one in assets if one.work.asset not in ("rewards", "statistics")]


def log_line(found: Sequence[PartitionEstimate]) -> str:
    """What a night's partitions would take, in one line."""
    assets = [one for partition in found for one in partition.assets]
    if not assets and not any(partition.wrong for partition in found):
        return "nothing to estimate: all is there"
    told = (
        f"estimated: {total_text(tokens_of(assets), count_text)} tokens, "
        f"{total_text([one.seconds for one in assets], seconds_text)} one after another, "
        f"{total_text([one.num_bytes for one in assets], bytes_text)} of disk"
    )
    reasons = dict.fromkeys(reason for partition in found for reason in partition.unknown)
    count = sum(bool(partition.unknown) for partition in found)
    return told if not reasons else f"{told}; unknown in part for {count}: {'; '.join(reasons)} (onoff plan --probe 2)"
