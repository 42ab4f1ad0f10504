"""The documents' SQL on cross-scores, in the published catalog, and their files as other programs read them."""

import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from onoff_core.grid.materialize import materialize_rewards
from onoff_core.store import CATALOG_NAME, Store
from onoff_core.tables import SCHEMAS
from tests.conftest import ROOT
from tests.cross.test_materialize import NAMES, rows_of

TABLES = ("cross_scores", "cross_responses", "cross_statistics")


def queries() -> list[str]:
    found = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), flags=re.DOTALL)
    return [query for query in found if set(TABLES) & set(re.findall(r"\w+", query))]


def answers(store: Store) -> list[list[dict[str, Any]]]:
    with duckdb.connect(store.files.location(CATALOG_NAME), read_only=True) as connection:
        found = []
        for query in queries():
            result = connection.execute(query)
            names = [column[0] for column in result.description]
            found.append([dict(zip(names, row, strict=True)) for row in result.fetchall()])
        return found


def test_the_documented_questions_are_answered(crossed: Any) -> None:
    partition, store, _ = crossed(["near", "far"])
    materialize_rewards(partition, store)
    largest, coincide, tenths, estimators, by_status = answers(store)
    rows = {name: rows_of(store, "cross_scores", name) for name in ("near", "far")}
    every = [abs(row["log_ratio"]) for of in rows.values() for row in of]
    assert [abs(row["log_ratio"]) for row in largest] == pytest.approx(sorted(every, reverse=True)[:20])
    for name, found in (("far", 0), ("near", 1)):
        (statistics,) = rows_of(store, "cross_statistics", name)
        assert coincide[found]["reference"] == estimators[found]["reference"] == name
        assert coincide[found]["coincide"] == pytest.approx(statistics["top_entropy_overlap"])
        assert estimators[found]["k1"] == pytest.approx(statistics["k1"], rel=1e-5, abs=1e-8)
        assert estimators[found]["k3"] == pytest.approx(statistics["k3"], rel=1e-4, abs=1e-8)
        assert estimators[found]["exact_kl"] == pytest.approx(statistics["mean_kl"], rel=1e-5)
    own = [row for row in tenths if row["reference"] == "far"]
    assert [row["tenth"] for row in own] == list(range(1, 11))
    change = np.mean([row["entropy"] - row["reference_entropy"] for row in rows["far"]])
    weights = [row["positions"] for row in own]
    assert np.average([row["mean_change"] for row in own], weights=weights) == pytest.approx(change, abs=1e-6)
    assert sum(row["responses"] for row in by_status) == 2 * 12


def test_files_are_read_as_they_are(crossed: Any) -> None:
    _, store, _ = crossed(["far"])
    for table in TABLES:
        folder = Path(store.root) / store.require(table, (*NAMES, "far")).folder
        found = pd.read_parquet(sorted(folder.glob("*.parquet")))
        assert list(found.columns) == SCHEMAS[table].names
        assert len(found) == len(rows_of(store, table, "far"))
