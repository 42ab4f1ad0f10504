"""Imported samples under Dagster: graded and scored by a run without `samples`, and left alone by the schedule."""

from collections.abc import Callable

from onoff_core.checks import check_samples
from onoff_core.exchange.importing import import_results
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.exchange.test_results import GOLDEN
from tests.platform.conftest import Platform

KEY = "golden|tiny"


def test_imported_samples_are_graded_and_kept(platform: Callable[..., Platform]) -> None:
    ours = platform(datasets={"golden": {"path": str(GOLDEN / "problems.jsonl")}})
    study = load_study(ours.folder / "onoff.yaml")
    store = Store(study.store_path)
    assert ours.requested() == [KEY]
    imported = import_results(study.partition(KEY), store, GOLDEN).generation.fingerprint
    assert ours.requested() == []
    found = check_samples(store, ("golden", "tiny"), max_truncated_share=0.2)
    assert [name for name, evidence in found.items() if not evidence.holds] == []
    result = ours.materialize(KEY, "rewards", "statistics", "token_distributions")
    assert result.success
    assert [check.check_name for check in result.get_asset_check_evaluations() if not check.passed] == []
    assert store.require("samples", ("golden", "tiny")).fingerprint == imported
    runs = {
        asset: store.require(asset, ("golden", "tiny")).manifest().facts.get("dagster_run_id")
        for asset in ("samples", "rewards", "statistics", "token_distributions")
    }
    made_here = dict.fromkeys(("rewards", "statistics", "token_distributions"), result.run_id)
    assert runs == {"samples": None, **made_here}
    assert store.require("rewards", ("golden", "tiny")).read()["reward"].to_pylist() == [1, 0, 1, 0, 1, 1]
    assert ours.requested() == []
