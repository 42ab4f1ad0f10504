"""Estimates as people read them: `1.2M to 1.5M`, `2 h 10 min to 3 h`, `3.4 GB`; and a plan's one line for a log."""

from collections.abc import Callable, Sequence

from onoff_core.grid.plan_estimate import WITHOUT_TOKENS, Estimate, PartitionEstimate, Range, total
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
    if value < 0.5:
        return "under 1 s"
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
    if len(known) == len(ranges):
        return range_text(total(known), text)
    least = text(total(known).low)
    return NOT_KNOWN if least == text(0) else f"at least {least}"


def together_text(assets: Sequence[Estimate]) -> str:
    """What they take in all."""
    seconds, num_bytes = ([getattr(one, name) for one in assets] for name in ("seconds", "num_bytes"))
    told = {
        "tokens": total_text(tokens_of(assets), count_text),
        "one after another": total_text(seconds, seconds_text),
        "of disk": total_text(num_bytes, bytes_text),
    }
    memory = max((one.memory for one in assets if one.memory is not None), default=None)
    parts = [f"{value} {unit}" for unit, value in told.items() if value != NOT_KNOWN]
    parts += [] if memory is None else [f"up to {bytes_text(memory)} of memory"]
    return ", ".join(parts) or "unknown"


def unknown_lines(found: Sequence[PartitionEstimate]) -> dict[str, list[str]]:
    """Why something is unknown -> the keys of the partitions of which it is."""
    assets: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = {}
    for partition in found:
        for why in partition.unknown:
            assets.setdefault(why.reason, [])
            keys.setdefault(why.reason, [])
            if why.asset is not None and why.asset not in assets[why.reason]:
                assets[why.reason].append(why.asset)
            if partition.partition.key not in keys[why.reason]:
                keys[why.reason].append(partition.partition.key)
    return {
        f"{reason} that made {' and '.join(made)} yet" if made else reason: keys[reason]
        for reason, made in assets.items()
    }


def tokens_of(assets: Sequence[Estimate]) -> list[Range | None]:
    """Of the assets that have tokens."""
    return [one.tokens for one in assets if one.work.asset not in WITHOUT_TOKENS]


def log_line(found: Sequence[PartitionEstimate]) -> str:
    """What a night's partitions would take, in one line."""
    assets = [one for partition in found for one in partition.assets]
    if not assets and not any(partition.wrong for partition in found):
        return "nothing to estimate: all is there"
    told, reasons = f"estimated: {together_text(assets)}", unknown_lines(found)
    count = sum(bool(partition.unknown) for partition in found)
    return told if not reasons else f"{told}; not known of {count}: {'; '.join(reasons)} (see onoff plan)"
