"""pass@k and maj@k as a row of the `statistics` table has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onoff_core.statistics.at_k import Kind

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Figure:
    """A number with its two 95 % intervals; what does not exist is None."""

    estimate: float
    other_problems: Ends  # other problems like these
    same_problems: Ends  # these problems, drawn again


def figures(row: Mapping[str, Any], kind: Kind) -> dict[int, Figure]:
    """By k, wherever there is a number. A row from before the intervals were computed has null for them."""
    intervals = {one["k"]: one for one in row[f"{kind}_intervals"] or ()}
    return {
        one["k"]: figure_of(one["estimate"], intervals.get(one["k"], {}))
        for one in row[kind]
        if one["estimate"] is not None
    }


def figure_of(estimate: float, row: Mapping[str, Any]) -> Figure:
    """A number and the intervals that a row has of it."""
    return Figure(estimate, ends(row, "other_problems"), ends(row, "same_problems"))


def ends(row: Mapping[str, Any], name: str) -> Ends:
    """The interval of this name; None where one of its ends is not there."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return None if low is None or high is None else (low, high)
