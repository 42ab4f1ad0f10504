"""`confidence` in Dagster: made where it is asked for, said in a sentence where not, stale by its own settings."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from onoff_core.checks import CHECKS
from tests.platform.conftest import CHAIN, Platform

KEY = "arithmetic|m"
ASKED = (*CHAIN, "confidence")


def sections(confidence: Any) -> dict[str, Any]:
    script = {"responses": [r"\boxed{1}", r"so \boxed{2}"]}
    return {
        "datasets": {"arithmetic": {"num_examples": 2}},
        "models": {"m": {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}},
        "sampling": {"max_length": 30, "num_samples": 4, "seed": 7},
        **({} if confidence is None else {"confidence": confidence}),
    }


def ui(platform: Platform) -> dict[str, str]:
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    graph = platform.defs.get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(platform.instance, graph, LoadingContextForTest(platform.instance))
    return {asset: resolver.get_status(dg.AssetKey(asset), KEY).value.lower() for asset in ASKED}


def made(result: Any) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def test_it_is_asked_for_made_and_stale_by_its_own_settings(
    platform: Callable[..., Platform], capfd: pytest.CaptureFixture[str]
) -> None:
    there = platform(**sections({}))
    assert there.requested() == [KEY]
    result = there.materialize(KEY)
    assert made(result) == set(ASKED)
    assert there.requested() == []
    assert ui(there) == dict.fromkeys(ASKED, "fresh")
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key.path == ["confidence"])
    shown = event.materialization.metadata
    assert shown["dagster/row_count"].value == 8
    assert "self\\_certainty" in shown["right from wrong"].value
    assert "majority" in shown["answers chosen, at the largest k"].value
    passed = {
        e.check_name: e.passed for e in result.get_asset_check_evaluations() if e.asset_key.path == ["confidence"]
    }
    assert passed == {check.name: True for check in CHECKS["confidence"]}

    there.change(lambda content: content.update(confidence={"window": 3}))
    assert there.requested() == [KEY]
    assert ui(there) == {**dict.fromkeys(CHAIN, "fresh"), "confidence": "stale"}
    assert made(there.materialize(KEY, "confidence")) == {"confidence"}
    assert ui(there) == dict.fromkeys(ASKED, "fresh")

    there.change(lambda content: content.update(distribution={"top_k": 3}))
    assert there.requested() == [KEY]
    assert ui(there) == {**dict.fromkeys(CHAIN, "fresh"), "token_distributions": "stale", "confidence": "stale"}

    there.change(lambda content: [content.pop(name) for name in ("confidence", "distribution")])
    capfd.readouterr()
    result = there.materialize(KEY, "confidence")
    assert result.success
    assert made(result) == set()
    assert f"no confidence of {KEY} is asked for; to get it, write `confidence: {{}}`" in capfd.readouterr().err
