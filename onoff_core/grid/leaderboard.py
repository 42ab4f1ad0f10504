"""Every partition's statistics side by side, and the models of a data set compared problem by problem."""

from dataclasses import dataclass
from itertools import combinations

from onoff_core.grid.fingerprints import CODE_VERSIONS, fingerprint_of
from onoff_core.grid.status import CurrentGenerations
from onoff_core.statistics import PairedDifference, paired_difference
from onoff_core.store import Store, reading_catalog

Row = tuple[str, str, float | None, float | None, float | None, int, float | None]


@dataclass(frozen=True)
class Comparison:
    """Two models on one data set; the better one is `first`."""

    dataset: str
    first: str
    second: str
    paired: PairedDifference


def leaderboard_version(known: CurrentGenerations) -> str:
    """What a leaderboard made now is made from, hashed: every partition's current statistics."""
    rows = sorted([*key, now.fingerprint] for (asset, key), now in known.items() if asset == "statistics")
    return fingerprint_of(["leaderboard", CODE_VERSIONS["leaderboard"], rows])


def leaderboard_rows(store: Store) -> list[Row]:
    """(dataset, model, accuracy, interval low, high, responses, mean tokens), the best of each data set first."""
    with reading_catalog(store) as connection:
        rows: list[Row] = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, num_samples, mean_num_tokens "
            "FROM statistics ORDER BY dataset, accuracy DESC NULLS LAST, model"
        ).fetchall()
    return rows


def comparisons(store: Store) -> list[Comparison]:
    """The paired difference of every two models of a data set, over the problems that both have verdicts on."""
    means: dict[str, dict[str, dict[str, float]]] = {}
    with reading_catalog(store) as connection:
        for dataset, model, problem, mean in connection.execute(
            "SELECT dataset, model, problem_id, avg(reward) FROM rewards WHERE reward IS NOT NULL "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall():
            means.setdefault(dataset, {}).setdefault(model, {})[problem] = mean
    found = []
    for dataset, models in means.items():
        for first, second in combinations(models, 2):
            paired = paired_difference(models[first], models[second])
            if paired is not None and paired.difference < 0:
                first, second, paired = second, first, paired_difference(models[second], models[first])
            if paired is not None:
                found.append(Comparison(dataset, first, second, paired))
    return found
