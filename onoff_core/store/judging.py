"""Judgements of results by a study: whether they are in it, and whether its settings would make them anew.

The store knows no settings. A caller that does gives it a `Judge`, and each publication records the judgements, so that
SQL can tell present results from former ones. `leaderboard` is a table made from what the catalog holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from onoff_core.store import schema
from onoff_core.store.manifest import plain_json, plain_object

Key = tuple[str, tuple[str, ...]]  # asset, partition
_SAME = f"g.asset = j.asset AND {schema.same_partition('g', 'j')}"


@dataclass(frozen=True)
class Judged:
    """A current generation, as a judge sees it."""

    fingerprint: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    imported: bool


@dataclass(frozen=True)
class Judgement:
    """A study's judgement of a generation."""

    in_study: bool
    is_stale: bool | None  # None: not of the study, or it cannot be told
    reason: str | None  # why it is stale, or why that cannot be told


class Judge(Protocol):
    """A study, as a publication sees it."""

    @property
    def version(self) -> str:
        """The hash of everything but the results that decides judgements; when it changes, all are judged again."""

    @property
    def checkpoints(self) -> Mapping[str, tuple[str, int]]:
        """model -> (series, step) of each model that is a step of a training run."""

    def judge(self, found: Mapping[Key, Judged]) -> Mapping[Key, Judgement]:
        """The judgement of each generation. All current generations of a partition are given together."""


def apply(connection: duckdb.DuckDBPyConnection, judge: Judge, changed: set[Key], anew: bool) -> bool:
    """Record the judgements of changed generations, or of all. Returns whether there was anything to judge."""
    ((former,),) = connection.execute("SELECT judged_by FROM onoff_catalog").fetchall()
    everything = anew or former != judge.version
    if everything:
        _keep_checkpoints(connection, judge.checkpoints)
    found = _found(connection, None if everything else {schema.names_of(*key)[0] for key in changed})
    if not everything and not changed:
        return False
    judgements = judge.judge(found)
    rows = [
        {
            "asset": asset,
            **dict(zip(schema.NAMES, schema.names_of(asset, partition), strict=True)),
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


def _keep_checkpoints(connection: duckdb.DuckDBPyConnection, checkpoints: Mapping[str, tuple[str, int]]) -> None:
    connection.execute("DELETE FROM checkpoints")
    rows = [[model, series, step] for model, (series, step) in checkpoints.items()]
    if rows:
        connection.executemany("INSERT INTO checkpoints VALUES (?, ?, ?)", rows)


_JUDGED = pa.schema(
    [
        ("asset", pa.string()),
        ("dataset", pa.string()),
        ("model", pa.string()),
        ("reference", pa.string()),
        ("in_study", pa.bool_()),
        ("is_stale", pa.bool_()),
        ("stale_because", pa.string()),
    ]
)


def _found(connection: duckdb.DuckDBPyConnection, datasets: set[str | None] | None) -> dict[Key, Judged]:
    """All current generations, or those of these data sets (None stands for those without a data set)."""
    rows = connection.execute(
        f"SELECT asset, {', '.join(schema.NAMES)}, fingerprint, inputs, settings, facts->'imported' FROM generations "
        "WHERE $all OR list_contains($datasets, coalesce(dataset, ''))",
        {"all": datasets is None, "datasets": [name or "" for name in datasets or ()]},
    ).fetchall()
    return {
        (asset, tuple(name for name in names if name is not None)): Judged(
            fingerprint,
            plain_object(inputs),
            plain_object(settings),
            imported is not None and bool(plain_json(imported)),
        )
        for asset, *names, fingerprint, inputs, settings, imported in rows
    }


def derive(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the marks of `statistics` and `comparisons`, and `leaderboard`, up to the other tables."""
    connection.execute(
        "UPDATE statistics AS s SET in_study = g.in_study, is_stale = g.is_stale FROM generations AS g "
        "WHERE g.asset = 'statistics' AND g.dataset = s.dataset AND g.model = s.model "
        "AND (s.in_study, s.is_stale) IS DISTINCT FROM (g.in_study, g.is_stale)"
    )
    connection.execute(
        "UPDATE comparisons AS c SET in_study = a.in_study AND b.in_study, is_stale = a.is_stale OR b.is_stale "
        "FROM generations AS a, generations AS b WHERE a.asset = 'statistics' AND b.asset = 'statistics' "
        "AND a.dataset = c.dataset AND b.dataset = c.dataset AND a.model = c.first_model AND b.model = c.second_model "
        "AND (c.in_study, c.is_stale) IS DISTINCT FROM (a.in_study AND b.in_study, a.is_stale OR b.is_stale)"
    )
    connection.execute("DELETE FROM leaderboard")
    connection.execute(
        f"INSERT INTO leaderboard BY NAME SELECT {', '.join(schema.LEADERBOARD)} FROM statistics JOIN "
        "(SELECT dataset, model, stale_because FROM generations WHERE asset = 'statistics') USING (dataset, model) "
        f"LEFT JOIN ({_OPINIONS_OF_THESE_REWARDS}) USING (dataset, model) "
        "ORDER BY dataset, accuracy DESC NULLS LAST, model"
    )


# Second opinions on other verdicts than the statistics are of say nothing about these.
_OPINIONS_OF_THESE_REWARDS = (
    "SELECT dataset, model, disagreement_share, disagreement_low, disagreement_high FROM second_opinion_statistics "
    "JOIN (SELECT dataset, model, inputs->>'rewards' AS rewards FROM generations WHERE asset = "
    "'second_opinion_statistics') AS second USING (dataset, model) "
    "JOIN (SELECT dataset, model, inputs->>'rewards' AS rewards FROM generations WHERE asset = 'statistics') AS first "
    "USING (dataset, model) WHERE first.rewards = second.rewards"
)
