"""Branches in Dagster: asked for by the settings alone, stale by what decides them, checked."""

from collections.abc import Callable
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from tests.platform.conftest import CHAIN, Platform

KEY = "arithmetic|tiny"
SECTION = {"responses": {"per_problem": 1}, "positions": {"most": 2}, "continuations": 2}


def ui_status(platform: Platform, asset: str = "branches") -> str:
    graph = platform.defs.get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(platform.instance, graph, LoadingContextForTest(platform.instance))
    return resolver.get_status(dg.AssetKey(asset), KEY).value.lower()


def test_branches_are_made_and_turn_stale_where_they_are_asked_for(platform: Callable[..., Platform]) -> None:
    made = platform()
    made.materialize(KEY)
    assert made.requested() == []
    refused = made.materialize(KEY, "branches", raises=False)
    assert not refused.success
    (failure,) = [event for event in refused.all_node_events if event.is_step_failure]
    said = str(failure.step_failure_data.error_display_string)
    assert "do not ask for branches of arithmetic|tiny: write `branches: {}` into onoff.yaml" in said

    with_others = made.materialize(KEY, "statistics", "branches")  # as *Materialize all* does
    assert with_others.success
    assert with_others.asset_materializations_for_node("branches") == []

    made.change(lambda content: content.update(branches=SECTION))
    assert made.requested() == [KEY]
    result = made.materialize(KEY)  # the job of the study has them now
    checks = {
        e.check_name: e.passed for e in result.get_asset_check_evaluations() if e.asset_key == dg.AssetKey("branches")
    }
    assert checks == dict.fromkeys(
        (
            "continuations_are_complete",
            "branches_begin_as_their_responses",
            "probabilities_are_those_of_the_distributions",
            "sampled_branches_agree_with_what_happened",
        ),
        True,
    )
    assert made.requested() == []
    assert ui_status(made) == "fresh"

    def more(content: dict[str, Any]) -> None:
        content["branches"] = {**SECTION, "continuations": 3}

    made.change(more)
    assert made.requested() == [KEY]
    assert ui_status(made) == "stale"
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "fresh")}
    made.materialize(KEY, "branches")
    assert ui_status(made) == "fresh"
    assert made.requested() == []
    made.change(lambda content: content.pop("branches"))
    assert made.requested() == []
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "fresh")}
