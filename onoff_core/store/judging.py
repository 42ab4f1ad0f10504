"""What a study says of the results in a store: whether they are of it, and whether its settings would make them anew.

The store knows no settings. Who does gives it a `Judge`, and each publication writes down what that said, so that SQL
can tell present results from former ones. `leaderboard` and `comparisons` are tables made from what the catalog holds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from onoff_core.store import schema

Key = tuple[str, tuple[str, ...]]  # asset, partition
_SAME = "g.asset = j.asset AND g.dataset IS NOT DISTINCT FROM j.dataset AND g.model IS NOT DISTINCT FROM j.model"


@dataclass(frozen=True)
class Judged:
    """A current generation, as a judge sees it."""

    fingerprint: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    imported: bool


@dataclass(frozen=True)
class Judgement:
    """What a study says of it."""

    in_study: bool
    is_stale: bool | None  # None: not of the study, or it cannot be told
    reason: str | None  # why it is stale, or why that cannot be told


class Judge(Protocol):
    """A study, as a publication asks it."""

    @property
    def version(self) -> str:
        """The hash of all that judgements rest on besides the results; where it is another, all are judged again."""

    def judge(self, found: Mapping[Key, Judged]) -> Mapping[Key, Judgement]:
        """Each generation's judgement. Of a partition always all generations are given."""


def apply(connection: duckdb.DuckDBPyConnection, judge: Judge, changed: set[Key], anew: bool) -> bool:
    """Write down what the judge says of what has changed, or of everything; whether there was anything to say."""
    ((former,),) = connection.execute("SELECT judged_by FROM onoff_catalog").fetchall()
    everything = anew or former != judge.version
    found = _found(connection, None if everything else {schema.names_of(*key)[0] for key in changed})
    if not everything and not changed:
        return False
    judgements = judge.judge(found)
    rows = [
        {
            "asset": asset,
            **dict(zip(("dataset", "model"), schema.names_of(asset, partition), strict=True)),
            "in_study": said.in_study,
            "is_stale": said.is_stale,
            "stale_because": said.reason,
        }
        for (asset, partition), said in judgements.items()
    ]
    if rows:
        connection.register("judged", pa.Table.from_pylist(rows, schema=_JUDGED))
        connection.execute(
            "UPDATE generations AS g SET in_study = j.in_study, is_stale = j.is_stale, stale_because = j.stale_because "
            f"FROM judged AS j WHERE {_SAME} AND (g.in_study, g.is_stale, g.stale_because) IS DISTINCT FROM "
            "(j.in_study, j.is_stale, j.stale_because)"
        )
        connection.unregister("judged")
    connection.execute("UPDATE onoff_catalog SET judged_by = ? WHERE judged_by IS DISTINCT FROM ?", [judge.version] * 2)
    return True


_JUDGED = pa.schema(
    [
        ("asset", pa.string()),
        ("dataset", pa.string()),
        ("model", pa.string()),
        ("in_study", pa.bool_()),
        ("is_stale", pa.bool_()),
        ("stale_because", pa.string()),
    ]
)


_COMPARED = pa.schema(
    [
        ("dataset", pa.string()),
        ("first", pa.string()),
        ("second", pa.string()),
        ("difference", pa.float64()),
        ("standard_error", pa.float64()),
        ("interval_low", pa.float64()),
        ("interval_high", pa.float64()),
        ("p_value", pa.float64()),
        ("num_problems", pa.int32()),
    ]
)


def _found(connection: duckdb.DuckDBPyConnection, datasets: set[str | None] | None) -> dict[Key, Judged]:
    """Everything, or what is of these data sets (None among them: of none)."""
    rows = connection.execute(
        "SELECT asset, dataset, model, fingerprint, inputs, settings, facts->'imported' FROM generations "
        "WHERE $all OR list_contains($datasets, coalesce(dataset, ''))",
        {"all": datasets is None, "datasets": [name or "" for name in datasets or ()]},
    ).fetchall()
    return {
        (asset, tuple(name for name in names if name is not None)): Judged(
            fingerprint, json.loads(inputs), json.loads(settings), imported is not None and bool(json.loads(imported))
        )
        for asset, *names, fingerprint, inputs, settings, imported in rows
    }


def derive(connection: duckdb.DuckDBPyConnection, graded: set[tuple[str, ...]] | None) -> None:
    """Bring `statistics`' marks, `leaderboard` and `comparisons` up to the other tables.

    `graded`: the partitions whose rewards have changed; None: all.
    """
    _compare(connection, graded)
    connection.execute(
        "UPDATE statistics AS s SET in_study = g.in_study, is_stale = g.is_stale FROM generations AS g "
        "WHERE g.asset = 'statistics' AND g.dataset = s.dataset AND g.model = s.model "
        "AND (s.in_study, s.is_stale) IS DISTINCT FROM (g.in_study, g.is_stale)"
    )
    named = ", ".join(schema.LEADERBOARD)
    connection.execute("DELETE FROM leaderboard")
    connection.execute(
        f"INSERT INTO leaderboard BY NAME SELECT {named} FROM statistics AS s JOIN "
        "(SELECT dataset, model, stale_because FROM generations WHERE asset = 'statistics') USING (dataset, model) "
        "ORDER BY dataset, accuracy DESC NULLS LAST, model"
    )
    connection.execute(
        "UPDATE comparisons AS c SET in_study = a.in_study AND b.in_study, is_stale = a.is_stale OR b.is_stale "
        "FROM generations AS a, generations AS b WHERE a.asset = 'rewards' AND b.asset = 'rewards' "
        "AND a.dataset = c.dataset AND b.dataset = c.dataset AND a.model = c.first AND b.model = c.second "
        "AND (c.in_study, c.is_stale) IS DISTINCT FROM (a.in_study AND b.in_study, a.is_stale OR b.is_stale)"
    )


def _compare(connection: duckdb.DuckDBPyConnection, graded: set[tuple[str, ...]] | None) -> None:
    """Each changed model with every other one of its data set, over the problems that both have verdicts on."""
    for dataset, model in graded or ():
        connection.execute("DELETE FROM comparisons WHERE dataset = ? AND ? IN (first, second)", [dataset, model])
    if graded is None:
        connection.execute("DELETE FROM comparisons")
    datasets = sorted({key[0] for key in graded}) if graded is not None else _graded_datasets(connection)
    rows = []
    for dataset in datasets:
        means: dict[str, dict[str, float]] = {}
        for model, problem, mean in connection.execute(
            "SELECT model, problem_id, avg(reward) FROM rewards WHERE dataset = ? AND reward IS NOT NULL "
            "GROUP BY ALL ORDER BY ALL",
            [dataset],
        ).fetchall():
            means.setdefault(model, {})[problem] = mean
        for pair in combinations(means, 2):
            if graded is None or any((dataset, model) in graded for model in pair):
                rows += _compared(dataset, pair, means)
    if rows:
        connection.register("compared", pa.Table.from_pylist(rows, schema=_COMPARED))
        connection.execute("INSERT INTO comparisons BY NAME SELECT * FROM compared")
        connection.unregister("compared")


def _graded_datasets(connection: duckdb.DuckDBPyConnection) -> list[str]:
    found = connection.execute("SELECT DISTINCT dataset FROM rewards ORDER BY ALL").fetchall()
    return [dataset for (dataset,) in found]


def _compared(dataset: str, pair: tuple[str, str], means: Mapping[str, dict[str, float]]) -> list[dict[str, object]]:
    """The better one first; nothing where they have no problem in common."""
    from onoff_core.statistics import paired_difference

    first, second = pair
    paired = paired_difference(means[first], means[second])
    if paired is not None and paired.difference < 0:
        first, second, paired = second, first, paired_difference(means[second], means[first])
    if paired is None:
        return []
    low, high = paired.interval or (None, None)
    return [
        {
            "dataset": dataset,
            "first": first,
            "second": second,
            "difference": paired.difference,
            "standard_error": paired.standard_error,
            "interval_low": low,
            "interval_high": high,
            "p_value": paired.p_value,
            "num_problems": paired.num_problems,
        }
    ]
