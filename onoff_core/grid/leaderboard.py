"""Every partition's statistics side by side, and the models of a data set compared problem by problem."""

import json
from dataclasses import dataclass

from onoff_core.grid.fingerprints import CODE_VERSIONS, fingerprint_of
from onoff_core.grid.status import CurrentGenerations
from onoff_core.statistics import PairedDifference, ProblemResponses, responses_by_problem
from onoff_core.statistics.comparing import compare_curves, holm, pairs_of
from onoff_core.statistics.intervals import Interval
from onoff_core.store import Store, reading_catalog


@dataclass(frozen=True)
class Row:
    """A partition's statistics; None where there is no number, or where they were made before it was computed."""

    dataset: str
    model: str
    accuracy: float | None
    other_problems: tuple[float | None, float | None]  # 95 % interval, on other problems like these
    same_problems: tuple[float | None, float | None]  # 95 % interval, on these problems drawn again
    bounds: tuple[float | None, float | None]  # accuracy if every response without a verdict were wrong, or right
    num_samples: int
    mean_num_tokens: float | None
    disagreement: tuple[float | None, float | None, float | None]  # share of second opinions that differ, 95 % interval
    stale_because: str | None  # None: it is not stale, or nobody has said so


@dataclass(frozen=True)
class Comparison:
    """Two models' accuracies on one data set; the better one is `first`."""

    dataset: str
    first: str
    second: str
    paired: PairedDifference  # on other problems like these
    same_problems: Interval  # on these problems, drawn again
    holm_p_value: float | None  # `paired.p_value`, corrected for all pairs of the data set
    num_compared: int  # the number of these pairs


def leaderboard_version(known: CurrentGenerations) -> str:
    """The hash of what a leaderboard is made from: every partition's current statistics, and those of second opinions
    where there are any.
    """
    rows = sorted([*key, now.fingerprint] for (asset, key), now in known.items() if asset == "statistics")
    second = sorted(
        [*key, now.fingerprint] for (asset, key), now in known.items() if asset == "second_opinion_statistics"
    )
    return fingerprint_of(["leaderboard", CODE_VERSIONS["leaderboard"], rows, *([second] if second else [])])


def leaderboard_rows(store: Store) -> list[Row]:
    """The best of each data set first, without what is no longer in the study."""
    with reading_catalog(store) as connection:
        found = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, same_problems_low, same_problems_high, "
            "accuracy_lowest, accuracy_highest, num_samples, mean_num_tokens, stale_because, "
            "disagreement_share, disagreement_low, disagreement_high "
            "FROM leaderboard WHERE in_study IS NOT FALSE ORDER BY dataset, accuracy DESC NULLS LAST, model"
        ).fetchall()
    return [
        Row(
            dataset=row[0],
            model=row[1],
            accuracy=row[2],
            other_problems=(row[3], row[4]),
            same_problems=(row[5], row[6]),
            bounds=(row[7], row[8]),
            num_samples=row[9],
            mean_num_tokens=row[10],
            stale_because=row[11],
            disagreement=row[12:15],
        )
        for row in found
    ]


def grading_versions(store: Store) -> list[str]:
    """The versions of math-verify and what it rests on that the rewards of the leaderboard were graded with, each set
    once; more than one means that rows next to each other were not graded alike. `not recorded` is of before it was.
    """
    with reading_catalog(store) as connection:
        rows = connection.execute(
            "SELECT DISTINCT coalesce((facts->'$.run.packages')::VARCHAR, 'not recorded') FROM generations "
            "WHERE asset = 'rewards' AND in_study IS NOT FALSE ORDER BY ALL"
        ).fetchall()
    return [", ".join(f"{name} {version}" for name, version in json.loads(row).items()) if row.startswith("{") else row
            for (row,) in rows]  # fmt: skip


def comparisons(store: Store) -> list[Comparison]:
    """The paired difference of every two models of a data set, over the problems that both have verdicts on; without
    what is stale or no longer in the study.

    Made from the rewards, so that it is there even if the statistics are older than the table `comparisons`.
    """
    models: dict[str, dict[str, dict[str, ProblemResponses]]] = {}
    with reading_catalog(store) as connection:
        partitions = connection.execute(
            "SELECT dataset, model FROM generations WHERE asset = 'rewards' AND num_rows > 0 "
            "AND in_study IS NOT FALSE AND is_stale IS NOT TRUE ORDER BY ALL"
        ).fetchall()
        for dataset, model in partitions:
            rewards = connection.execute(
                "SELECT problem_id, reward, status, answer_class FROM rewards WHERE dataset = ? AND model = ?",
                [dataset, model],
            ).to_arrow_table()
            models.setdefault(dataset, {})[model] = responses_by_problem(rewards)
    return [comparison for dataset, of in models.items() for comparison in _compared(dataset, of)]


def _compared(dataset: str, models: dict[str, dict[str, ProblemResponses]]) -> list[Comparison]:
    pairs = pairs_of(models)
    curves = [compare_curves("pass_at_k", models[first], models[second], [1], len(pairs)) for first, second in pairs]
    points = [curve.points[0] for curve in curves if curve is not None]  # a pair has a problem in common
    p_values = {place: p for place, point in enumerate(points) if (p := point.paired.p_value) is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values()), len(pairs)), strict=True))
    return [
        Comparison(dataset, *pair, point.paired, point.same_problems, adjusted.get(place), len(pairs))
        for place, (pair, point) in enumerate(zip(pairs, points, strict=True))
    ]
