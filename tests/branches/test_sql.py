"""The documents' SQL on branches, in the published catalog, and its comments."""

import re

import pytest

from onoff_core.branches.agreement import auroc
from onoff_core.store import connect_catalog
from onoff_core.tables import BRANCH_TABLES, SCHEMAS
from tests.branches import chain
from tests.branches.conftest import MakeChain, Project
from tests.conftest import ROOT


def queries() -> list[str]:
    found = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), flags=re.DOTALL)
    return [query for query in found if set(BRANCH_TABLES) & set(re.findall(r"\w+", query))]


def test_the_documented_questions_are_answered(make_chain: MakeChain) -> None:
    project = make_chain(problems=4)
    project.branch(continuations=30, responses={"per_problem": 6, "status": "wrong"})
    answers = []
    with connect_catalog(project.store) as connection:
        for query in queries():
            found = connection.execute(query)
            names = [column[0] for column in found.description]
            answers.append([dict(zip(names, row, strict=True)) for row in found.fetchall()])
        commented = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE table_name LIKE '%branch%' OR "
            "table_name = 'continuations'"
        ).fetchall()
    along, advantages, lost, agreement = answers
    _check_along(project, along)
    rows = project.rows("branches")
    best = sorted((row["advantage"] for row in rows), reverse=True)[:20]
    assert [row["advantage"] for row in advantages] == best
    assert {row["token"] for row in advantages} <= {"g", "b"}
    assert lost
    assert all(row["drop_low"] > 0 and row["better_token"] == chain.GOOD for row in lost)
    positions = project.rows("branch_positions")
    exact = auroc([row["entropy"] for row in positions], [row["drop"] >= 0.2 for row in positions])
    assert agreement[0]["auroc"] == pytest.approx(exact, abs=1e-12)
    assert agreement[0]["num_drops"] == sum(row["drop"] >= 0.2 for row in positions)
    documented = {(name, column) for name, column, comment in commented if comment}
    assert {(table, column) for table in BRANCH_TABLES for column in SCHEMAS[table].names} <= documented


def _check_along(project: Project, along: list[dict[str, object]]) -> None:
    rows = project.rows("branch_positions")
    assert len(along) == min(50, len(rows))
    first = [
        row
        for row in rows
        if (row["problem_id"], row["sample_index"]) == (along[0]["problem_id"], along[0]["sample_index"])
    ]
    assert [row["value"] for row in along[: len(first)]] == [row["value"] for row in first]
    assert [row["position"] for row in first] == list(range(chain.STEPS))
