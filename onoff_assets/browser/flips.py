"""The problems on which two models change sides."""

from collections.abc import Mapping


def flips(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(problem, first, second) where one model is mostly correct and the other mostly wrong; the widest apart first."""
    both = [(problem, first[problem], second[problem]) for problem in first if problem in second]
    apart = [row for row in both if (row[1] >= 0.5) != (row[2] >= 0.5)]
    return sorted(apart, key=lambda row: (-abs(row[1] - row[2]), row[0]))
