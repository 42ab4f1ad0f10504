"""Every partition's statistics side by side, and the models of a data set compared problem by problem."""

from dataclasses import dataclass

from onoff_core.grid.fingerprints import CODE_VERSIONS, fingerprint_of
from onoff_core.grid.status import CurrentGenerations
from onoff_core.statistics import PairedDifference
from onoff_core.store import Store, reading_catalog

Row = tuple[str, str, float | None, float | None, float | None, int, float | None, str | None]


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
    """(dataset, model, accuracy, interval low, high, responses, mean tokens, why it is stale), the best of each data
    set first; without what is no longer in the study.
    """
    with reading_catalog(store) as connection:
        rows: list[Row] = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, num_samples, mean_num_tokens, stale_because "
            "FROM leaderboard WHERE in_study IS NOT FALSE ORDER BY dataset, accuracy DESC NULLS LAST, model"
        ).fetchall()
    return rows


def comparisons(store: Store) -> list[Comparison]:
    """The paired difference of every two models of a data set, over the problems that both have verdicts on; without
    what is stale or no longer in the study.
    """
    with reading_catalog(store) as connection:
        rows = connection.execute(
            "SELECT dataset, first, second, num_problems, difference, standard_error, interval_low, interval_high, "
            "p_value FROM comparisons WHERE in_study IS NOT FALSE AND is_stale IS NOT TRUE "
            "ORDER BY dataset, first, second"
        ).fetchall()
    return [
        Comparison(
            dataset, first, second,
            PairedDifference(problems, difference, error, None if low is None else (low, high), p_value),
        )
        for dataset, first, second, problems, difference, error, low, high, p_value in rows
    ]  # fmt: skip
