"""pass@k and maj@k of two models side by side, with both intervals, as the statistics and comparisons have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.browser.reading import Reader, Responses
from onoff_core.statistics.at_k import Kind
from onoff_core.statistics.stored import Figure, figure_of, figures

KINDS: tuple[Kind, ...] = ("pass_at_k", "maj_at_k")


@dataclass(frozen=True)
class Row:
    """Two models at one k; None where a model's statistics have no number there."""

    kind: Kind
    k: int
    figures: tuple[Figure | None, Figure | None]
    difference: Figure | None  # the first minus the second, paired; None where it was not compared


def figures_of(reader: Reader, responses: Responses) -> "dict[Place, Figure]":
    """pass@k and maj@k of a partition at every k it was asked for; empty where the statistics are of other verdicts."""
    row = statistics_row(reader, responses)
    return {} if row is None else {(kind, k): figure for kind in KINDS for k, figure in figures(row, kind).items()}


def statistics_row(reader: Reader, responses: Responses) -> dict[str, Any] | None:
    """The statistics of these very verdicts; None where there are none."""
    made = reader.store.current("statistics", responses.samples.partition)
    if made is None or responses.rewards is None or made.manifest().inputs["rewards"] != responses.rewards.fingerprint:
        return None
    return reader.kept(("statistics", made.folder), lambda: dict(made.read().to_pylist()[0]), lambda _: 10_000)


def read_at_k(reader: Reader, pair: Sequence[Responses]) -> list[Row]:
    """Every k of either model's statistics. Statistics of other verdicts than these are left out."""
    first, second = (figures_of(reader, responses) for responses in pair)
    differences = _differences(reader, pair)
    places = sorted({*first, *second}, key=lambda place: (KINDS.index(place[0]), place[1]))
    return [
        Row(*place, (first.get(place), second.get(place)), differences.get(place))
        for place in places
        if place in first or place in second
    ]


Place = tuple[Kind, int]


def _differences(reader: Reader, pair: Sequence[Responses]) -> dict[Place, Figure]:
    """From the data set's table `comparisons`, where it is of these verdicts."""
    (dataset, one), (_, other) = (responses.samples.partition for responses in pair)
    found: dict[Place, Figure] = {}
    for row in comparison_rows(reader, dataset, pair):
        models = (row["first_model"], row["second_model"])
        if row["statistic"] not in KINDS or set(models) != {one, other}:
            continue
        figure = figure_of(row["difference"], row)
        found[row["statistic"], row["k"]] = figure if models == (one, other) else _reversed(figure)
    return found


def comparison_rows(reader: Reader, dataset: str, models: Sequence[Responses]) -> list[dict[str, Any]]:
    """The data set's table `comparisons`; empty where it is not of all these models' verdicts."""
    made = reader.store.current("comparisons", (dataset,))
    if made is None or not all(_is_of_these(reader, made.manifest().facts, responses) for responses in models):
        return []
    return reader.kept(("comparisons", made.folder), lambda: made.read().to_pylist(), lambda read: 1000 * len(read))


def _is_of_these(reader: Reader, facts: dict[str, Any], responses: Responses) -> bool:
    key = responses.samples.partition
    by_problem = reader.store.current("problem_statistics", key)
    if by_problem is None or responses.rewards is None:
        return False
    is_compared = facts.get("problem_statistics", {}).get(key[1]) == by_problem.fingerprint
    return is_compared and by_problem.manifest().inputs["rewards"] == responses.rewards.fingerprint


def _reversed(figure: Figure) -> Figure:
    return Figure(
        -figure.estimate, *(end and (-end[1], -end[0]) for end in (figure.other_problems, figure.same_problems))
    )
