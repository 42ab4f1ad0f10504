"""What the Dagster UI shows of a materialization: numbers first, one style of keys, titled links, nothing empty."""

import re
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from onoff_assets.metadata import markdown_table
from tests.platform.conftest import CHAIN, Platform
from tests.platform.test_second_opinions import ASKED, KEY, sections

LAST = ("computed now", "input versions", "generation", "path", "dagster/column_schema")
FIRST = {
    "samples": "mean tokens",
    "rewards": "mean reward",
    "statistics": "accuracy",
    "token_distributions": "mean entropy (nats)",
    "second_opinions": "disagreement share",
}


@pytest.fixture
def shown(platform: Callable[..., Platform]) -> dict[str, dict[str, Any]]:
    result = platform(**sections({"kind": "rules"})).materialize(KEY)
    events = result.get_asset_materialization_events()
    return {event.asset_key.to_user_string(): dict(event.materialization.metadata) for event in events}


def test_a_materialization_says_first_what_one_looks_for(shown: dict[str, dict[str, Any]]) -> None:
    assert set(shown) == set(ASKED)
    for asset, metadata in shown.items():
        names = list(metadata)
        assert names[0] == FIRST[asset]
        assert isinstance(metadata[names[0]].value, float)
        assert tuple(names[-len(LAST) :]) == LAST
        for name in names:
            assert re.fullmatch(r"dagster/[a-z_]+|[A-Za-z0-9@%,() ]+", name), name
            assert metadata[name].value not in (None, "", {}, []), name
        titles = re.findall(r"\[([^\]]+)\]\((http[^)]+)\)", metadata["look at it"].value)
        assert [title for title, _ in titles] == ["responses", "problems, the worst first"]
        assert all("dataset=arithmetic&model=m" in link for _, link in titles)
        tall = [name for name in names if isinstance(metadata[name], dg.MarkdownMetadataValue)]
        assert tall[0] == "look at it"
        assert names.index(tall[-1]) < names.index("settings")
        made_by = metadata["made by"].value
        assert made_by["ended_at"].endswith(" UTC")
        assert None not in made_by.values()
        columns = metadata["dagster/column_schema"].value.columns
        assert all(len(column.type) <= len("list[struct]") for column in columns)
        settings = metadata["settings"].value
        assert settings["sampling"]["num_samples"] == 2
        assert settings["model"]["model_name"] == "fake"
    assert shown["rewards"]["settings"].value["rewards"]["reward_type"]
    pass_at_k = next(c for c in shown["statistics"]["dagster/column_schema"].value.columns if c.name == "pass_at_k")
    assert pass_at_k.type == "list[struct]"
    assert pass_at_k.description.endswith("; each has k, estimate, reason")


def test_all_assets_are_in_one_group_which_dagster_shows_open(platform: Callable[..., Platform]) -> None:
    graph = platform(**sections(None)).defs.get_repository_def().asset_graph
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {"grid"}
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} > {*CHAIN, "problems", "settings"}
    alone = [key for key in graph.get_all_asset_keys() if not graph.get(key).parent_keys | graph.get(key).child_keys]
    assert alone == []


def test_the_inputs_say_what_they_are_of(platform: Callable[..., Platform]) -> None:
    graph = platform(**sections(None)).defs.get_repository_def().asset_graph
    problems, settings = (graph.get(dg.AssetKey(name)).metadata for name in ("problems", "settings"))
    assert list(problems) == ["data sets", "code version"]
    assert "| arithmetic | test |" in problems["data sets"].value
    assert list(settings) == ["partitions", "settings file"]
    assert "| arithmetic\\|m |" in settings["partitions"].value


def test_the_leaderboard_begins_with_its_table(platform: Callable[..., Platform]) -> None:
    there = platform(**sections(None))
    there.materialize(KEY)
    [event] = there.leaderboard().asset_materializations_for_node("leaderboard")
    assert list(event.metadata) == ["dagster/row_count", "look at it", "leaderboard", "graded with"]


def test_a_table_has_no_column_that_is_empty() -> None:
    table = markdown_table(["k", "why not", "stale"], [[1, None, ""], [2, None, "b|c"]])
    assert isinstance(table, dg.MarkdownMetadataValue)
    assert table.value.splitlines() == ["| k | stale |", "| --- | --- |", "| 1 |  |", "| 2 | b\\|c |"]
