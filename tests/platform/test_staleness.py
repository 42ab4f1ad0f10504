"""A changed setting makes stale what it decides, in the partitions it decides, and nothing else; in the UI's words and
in those of `onoff status`, which agree.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from onoff_assets.backfills import Backfills
from onoff_assets.input_versions import latest_versions
from onoff_assets.partition_states import partition_states
from onoff_core.cli.main import main
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import write_study
from tests.platform.conftest import CHAIN, Platform, at

GRID = {
    "datasets": {"one": {"source": "arithmetic", "num_examples": 2}, "two": {"source": "arithmetic", "num_examples": 3}}
}
ONE, TWO = "one|tiny", "two|tiny"
ALL_FRESH = dict.fromkeys(CHAIN, "fresh")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and a Dagster instance with a grid of two partitions, both made; copied for each test."""
    folder = tmp_path_factory.mktemp("filled")
    write_study(folder, None, **GRID)
    with at(folder) as made:
        for key in (ONE, TWO):
            made.materialize(key)
    return folder


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Iterator[Platform]:
    with at(shutil.copytree(template, tmp_path / "filled")) as copied:
        yield copied


def cli_status(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """key -> asset -> complete, partial, stale or missing, as `onoff status` prints it."""
    capsys.readouterr()
    assert main(["status"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    header = lines[0]
    rows = [dict(zip(header, line, strict=True)) for line in lines[2:] if len(line) == len(header)]
    return {f"{row['dataset']}|{row['model']}": {asset: row[asset] for asset in CHAIN} for row in rows}


WORDS = {"complete": "fresh", "stale": "stale", "-": "missing"}


def says_the_same(ui: dict[str, dict[str, str]], cli: dict[str, dict[str, str]]) -> bool:
    return ui == {key: {asset: WORDS[mark] for asset, mark in assets.items()} for key, assets in cli.items()}


def test_all_is_fresh_after_a_run(filled: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    assert filled.requested() == []
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}
    assert cli_status(capsys) == {key: dict.fromkeys(CHAIN, "complete") for key in (ONE, TWO)}


def last_version(platform: Platform, asset: str, key: str) -> str:
    """The data version that Dagster has of a partition: observed, or materialized."""
    kinds = (dg.DagsterEventType.ASSET_OBSERVATION, dg.DagsterEventType.ASSET_MATERIALIZATION)
    for kind in kinds:
        if key in (found := latest_versions(platform.instance, asset, kind)):
            return found[key]
    raise AssertionError(f"{asset} of {key} has no version")


@pytest.mark.parametrize("seed", [7, 8])
def test_every_materialization_says_what_it_was_made_from(filled: Platform, seed: int) -> None:
    """The data version of each asset it depends on, as Dagster knows them; in a run that has something to do, too."""
    filled.change(lambda content: content["sampling"].update(seed=seed))
    result = filled.materialize(ONE)
    graph = filled.defs.get_repository_def().asset_graph
    for event in result.get_asset_materialization_events():
        asset = event.asset_key.to_user_string()
        inputs = [parent.to_user_string() for parent in graph.get(event.asset_key).parent_keys]
        assert event.materialization.metadata["input versions"].value == {
            one: last_version(filled, one, "one" if one == "problems" else ONE) for one in inputs
        }, asset


def change_sampling(content: dict[str, Any]) -> None:
    content["datasets"]["one"]["sampling"] = {"temperature": 0.5}


def change_num_examples(content: dict[str, Any]) -> None:
    content["datasets"]["one"]["num_examples"] = 1


@pytest.mark.parametrize("change", [change_sampling, change_num_examples])
def test_what_decides_samples_makes_one_partition_stale(
    filled: Platform, change: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    filled.change(change)
    assert filled.requested() == [ONE]
    ui = filled.ui_status()
    assert ui == {ONE: dict.fromkeys(CHAIN, "stale"), TWO: ALL_FRESH}
    cli = cli_status(capsys)
    assert cli == {ONE: dict.fromkeys(CHAIN, "stale"), TWO: dict.fromkeys(CHAIN, "complete")}
    assert says_the_same(ui, cli)

    filled.materialize(ONE, "samples")
    assert filled.ui_status()[ONE] == {**dict.fromkeys(CHAIN, "stale"), "samples": "fresh"}
    assert says_the_same(filled.ui_status(), cli_status(capsys))
    filled.materialize(ONE)
    assert filled.requested() == []
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}


@pytest.mark.parametrize("assets", [("rewards",), ("statistics",), ("rewards", "statistics"), ("token_distributions",)])
def test_what_is_made_from_stale_samples_is_stale(
    filled: Platform, assets: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    filled.change(change_sampling)
    filled.materialize(ONE, *assets)
    assert filled.ui_status() == {ONE: dict.fromkeys(CHAIN, "stale"), TWO: ALL_FRESH}
    assert says_the_same(filled.ui_status(), cli_status(capsys))
    assert filled.requested() == [ONE]
    assert says_the_same(filled.ui_status(), cli_status(capsys))
    filled.change(lambda content: content["datasets"]["one"].pop("sampling"))  # what was made is right again
    assert filled.requested() == []
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}


def test_a_setting_changed_in_a_run_makes_stale_what_the_run_makes(
    filled: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick of the reloaded code location comes while a run with the former settings draws its samples."""
    from onoff_core.grid import materialize

    grade = materialize.materialize_rewards

    def tick_first(*arguments: Any, **options: Any) -> Any:
        filled.write(change_sampling)
        changed = load_study()
        partition_states(filled.instance, changed, Store(changed.store_path), Backfills())
        return grade(*arguments, **options)

    monkeypatch.setattr(materialize, "materialize_rewards", tick_first)
    filled.materialize(ONE)
    filled.load()
    assert filled.requested() == [ONE]
    assert filled.ui_status() == {ONE: dict.fromkeys(CHAIN, "stale"), TWO: ALL_FRESH}
    assert says_the_same(filled.ui_status(), cli_status(capsys))


def test_top_k_leaves_samples_and_rewards_alone(filled: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    filled.change(lambda content: content["distribution"].update(top_k=3))
    assert filled.requested() == [ONE, TWO]
    expected = {**ALL_FRESH, "token_distributions": "stale"}
    assert filled.ui_status() == {ONE: expected, TWO: expected}
    assert says_the_same(filled.ui_status(), cli_status(capsys))
    filled.materialize(ONE)
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: expected}


def test_batch_size_decides_nothing(filled: Platform) -> None:
    filled.change(lambda content: content["sampling"].update(batch_size=3))
    assert filled.requested() == []
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}


def test_a_setting_taken_back_needs_no_run(filled: Platform) -> None:
    filled.change(change_sampling)
    assert filled.requested() == [ONE]
    filled.change(lambda content: content["datasets"]["one"].pop("sampling"))
    assert filled.requested() == []
    assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}


def test_a_new_model_is_a_missing_column(filled: Platform) -> None:
    def add(content: dict[str, Any]) -> None:
        content["models"]["second"] = dict(content["models"]["tiny"])

    filled.change(add)
    assert filled.requested() == ["one|second", "two|second"]
    ui = filled.ui_status()
    assert ui[ONE] == ui[TWO] == ALL_FRESH
    assert ui["one|second"] == ui["two|second"] == dict.fromkeys(CHAIN, "missing")


def test_what_the_store_lost_is_requested(filled: Platform) -> None:
    """Dagster remembers a materialization whose result was removed; the tick looks at the store as well."""
    shutil.rmtree(filled.folder / "store" / "rewards" / "two")
    assert filled.requested() == [TWO]


def test_statistics_k_makes_statistics_stale_alone(filled: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    """Set, changed and taken back; results by the default settings know of no such dependency and stay fresh."""
    stale = {**ALL_FRESH, "statistics": "stale"}
    for statistics in ({"k": [1, 2]}, {"k": "all"}, {}):
        filled.change(lambda content, statistics=statistics: content.update(statistics=statistics))
        assert filled.requested() == [ONE, TWO]
        assert filled.ui_status() == {ONE: stale, TWO: stale}
        # `partial`: what was made before by the settings that are back is there, and is not current
        assert {found["statistics"] for found in cli_status(capsys).values()} <= {"stale", "partial"}
        for key in (ONE, TWO):
            filled.materialize(key, "statistics")
        assert filled.requested() == []
        assert filled.ui_status() == {ONE: ALL_FRESH, TWO: ALL_FRESH}
        assert says_the_same(filled.ui_status(), cli_status(capsys))


@pytest.mark.parametrize("setting", [None, {"k": [1, 2]}])
def test_every_statistics_materialization_says_its_own_settings(filled: Platform, setting: Any) -> None:
    filled.change(lambda content: content.update(statistics=setting))
    result = filled.materialize(ONE, "statistics")
    graph = filled.defs.get_repository_def().asset_graph
    [event] = result.get_asset_materialization_events()
    inputs = [parent.to_user_string() for parent in graph.get(event.asset_key).parent_keys]
    assert ("statistics_settings" in inputs) == (setting is not None)
    shown = event.materialization.metadata["input versions"].value
    assert shown == {one: last_version(filled, one, ONE) for one in inputs}
