"""`second_opinions` in Dagster: made where it is asked for, said in a sentence where not, stale by its own settings."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from onoff_assets.assets import build_assets
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.platform.conftest import CHAIN, Platform

KEY, JUDGE = "arithmetic|m", "arithmetic|judge"
ASKED = (*CHAIN, "second_opinions")


def scripted(*responses: str) -> dict[str, Any]:
    script = {"responses": list(responses)}
    return {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}


def sections(opinion: Any) -> dict[str, Any]:
    asked = {"task": {"second_opinion": opinion}} if opinion else {}
    return {
        "datasets": {"arithmetic": {"num_examples": 2}},
        "models": {"m": {**scripted(r"\boxed{1}"), **asked}, "judge": scripted("Verdict: different")},
        "sampling": {"max_length": 30, "num_samples": 2, "seed": 7},
    }


def ui(platform: Platform, key: str, assets: tuple[str, ...] = ASKED) -> dict[str, str]:
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    graph = platform.defs.get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(platform.instance, graph, LoadingContextForTest(platform.instance))
    return {asset: resolver.get_status(dg.AssetKey(asset), key).value.lower() for asset in assets}


def made(result: Any) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def shown_by_the_leaderboard(platform: Platform) -> str:
    [event] = platform.leaderboard().asset_materializations_for_node("leaderboard")
    return str(event.metadata["leaderboard"].value)


def test_where_none_is_asked_for_it_is_a_sentence_and_no_gap(
    platform: Callable[..., Platform], capfd: pytest.CaptureFixture[str]
) -> None:
    there = platform(**sections(None))
    for key in (KEY, JUDGE):
        assert made(there.materialize(key)) == set(CHAIN)
    assert there.requested() == []
    assert "second opinion" not in shown_by_the_leaderboard(there)
    result = there.materialize(KEY, "second_opinions")
    assert result.success
    assert made(result) == set()
    assert f"no second opinion of {KEY} is asked for; to get one, set task.second_opinion" in capfd.readouterr().err
    assert there.requested() == []


def test_it_is_asked_for_made_and_stale_by_its_own_settings(platform: Callable[..., Platform]) -> None:
    there = platform(**sections(None))
    there.materialize(KEY)
    there.materialize(JUDGE)

    def ask(opinion: Any) -> Callable[[dict[str, Any]], None]:
        return lambda content: content["models"]["m"].update(task={"second_opinion": opinion})

    there.change(ask({"kind": "rules"}))
    assert there.requested() == [KEY]  # and not the judge's, which does not ask
    assert ui(there, KEY) == {**dict.fromkeys(CHAIN, "fresh"), "second_opinions": "missing"}
    result = there.materialize(KEY)
    assert made(result) == set(ASKED)
    assert there.requested() == []
    assert ui(there, KEY) == dict.fromkeys(ASKED, "fresh")
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key.path == ["second_opinions"])
    shown = event.materialization.metadata
    assert shown["disagreement share"].value == 0
    assert shown["responses"].value == 4

    assert "second opinion differs" in shown_by_the_leaderboard(there)

    there.change(ask({"kind": "model", "model": "judge"}))
    assert there.requested() == [KEY]
    assert ui(there, KEY) == {**dict.fromkeys(CHAIN, "fresh"), "second_opinions": "stale"}
    assert made(there.materialize(KEY, "second_opinions")) == {"second_opinions"}
    assert there.requested() == []
    assert ui(there, KEY) == dict.fromkeys(ASKED, "fresh")

    there.change(lambda content: content["sampling"].update(seed=8))
    assert there.requested() == [KEY, JUDGE]
    assert ui(there, KEY) == dict.fromkeys(ASKED, "stale")
    there.materialize(KEY)
    assert ui(there, KEY) == dict.fromkeys(ASKED, "fresh")
    assert there.requested() == [JUDGE]
    assert made(there.materialize(JUDGE)) == set(CHAIN)
    assert there.requested() == []

    there.change(lambda content: content["models"]["m"].pop("task"))  # nobody asks any more: nothing is to be made
    assert there.requested() == []


@pytest.mark.parametrize(
    ("opinion", "pool"), [(None, None), ({"kind": "rules"}, None), ({"kind": "model", "model": "judge"}, "gpu")]
)
def test_it_waits_for_the_gpu_where_it_loads_a_model(
    platform: Callable[..., Platform], opinion: Any, pool: str | None
) -> None:
    there = platform(**sections(opinion))
    assert build_assets(there.study).second_opinions.op.pool == pool


def test_a_judge_that_fails_is_a_sentence_and_the_rest_is_made(platform: Callable[..., Platform]) -> None:
    content = sections({"kind": "model", "model": "judge"})
    content["models"]["judge"] = {"model_name": "./nowhere"}
    there = platform(**content)
    result = there.materialize(KEY, raises=False)
    assert not result.success
    assert made(result) == set(CHAIN)
    failed = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert [e.step_key for e in failed] == ["second_opinions"]
    assert "nowhere" in failed[0].step_failure_data.user_failure_data.description


def test_the_catalog_says_what_is_stale_and_what_nobody_asks_for(platform: Callable[..., Platform]) -> None:
    from onoff_core.grid.judging import open_store
    from onoff_core.store import publish_catalog, reading_catalog

    there = platform(**sections({"kind": "rules"}))
    there.materialize(KEY)
    for opinion, expected in (
        ({"kind": "rules"}, (True, False, None)),
        ({"kind": "model", "model": "judge"}, (True, True, "kind is 'model', was 'rules'")),
        (None, (True, None, "the settings ask for none any more")),
    ):
        there.change(lambda content, opinion=opinion: content["models"]["m"].update(task={"second_opinion": opinion}))
        store = open_store(load_study())
        publish_catalog(store)
        with reading_catalog(Store(str(store.root))) as connection:
            rows = connection.execute(
                "SELECT DISTINCT in_study, is_stale, stale_because FROM generations WHERE asset LIKE 'second_opinion%'"
            ).fetchall()
        assert rows == [expected]
