"""Every partition's statistics side by side."""

from onoff_core.store import Store, connect_catalog

Row = tuple[str, str, float | None, float | None, float | None, int, float | None]


def leaderboard_rows(store: Store) -> list[Row]:
    """(dataset, model, accuracy, interval low, high, responses, mean tokens), the best of each data set first."""
    with connect_catalog(store) as connection:
        rows: list[Row] = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, num_samples, mean_num_tokens "
            "FROM statistics ORDER BY dataset, accuracy DESC NULLS LAST, model"
        ).fetchall()
    return rows
