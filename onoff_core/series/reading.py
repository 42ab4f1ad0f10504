"""Read the steps of a series from the published catalog."""

from dataclasses import dataclass, fields
from typing import Any

from onoff_core.errors import StatisticsError
from onoff_core.store import Store, reading_catalog


@dataclass(frozen=True)
class SeriesStep:
    """One step of a training run on one data set; None where there is no number, and `missing` says why."""

    series: str
    step: int
    dataset: str
    model: str
    accuracy: float | None
    interval_low: float | None
    interval_high: float | None
    pass_at_k: list[dict[str, Any]] | None
    mean_num_tokens: float | None
    mean_entropy: float | None  # nats a token
    kl_to_first: float | None  # nats a token
    kl_to_previous: float | None  # nats a token
    residual: float | None
    in_study: bool | None
    is_stale: bool | None
    missing: list[dict[str, str]]


def series_names(store: Store, publish: bool = True) -> list[str]:
    """The series of which the catalog knows a checkpoint. `publish`: as of `reading_catalog`."""
    with reading_catalog(store, publish) as connection:
        known = "SELECT series FROM checkpoints UNION SELECT facts->>'series' FROM generations WHERE asset = 'samples'"
        rows = connection.execute(f"SELECT series FROM ({known}) WHERE series IS NOT NULL ORDER BY series").fetchall()
    return [name for (name,) in rows]


def series_steps(store: Store, name: str, dataset: str | None = None, publish: bool = True) -> list[SeriesStep]:
    """The steps of a series, data set by data set. Raises `StatisticsError` where there is nothing of it. `publish`: as
    of `reading_catalog`.
    """
    names = [field.name for field in fields(SeriesStep)]
    with reading_catalog(store, publish) as connection:
        rows = connection.execute(
            f"SELECT {', '.join(names)} FROM series "
            "WHERE series = $series AND ($dataset IS NULL OR dataset = $dataset) ORDER BY dataset, step",
            {"series": name, "dataset": dataset},
        ).fetchall()
    if not rows:
        of = "" if dataset is None else f" on {dataset}"
        raise StatisticsError(
            f"{store.root} has no samples of a step of series {name!r}{of}; materialize its models, or name another "
            "series (`onoff series` lists them)"
        )
    return [SeriesStep(*row) for row in rows]
