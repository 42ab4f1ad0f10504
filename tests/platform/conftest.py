"""The platform in this process: definitions of a study that is handed in, on an instance of its own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from onoff_assets.backfills import find_backfills
from onoff_assets.code_location import build_definitions
from onoff_assets.partition_states import partition_states
from onoff_core.grid.plan import plan
from onoff_core.store import Store
from onoff_core.study import Study, load_study
from tests.conftest import ROOT, MakeProject

CHAIN = ("samples", "rewards", "statistics", "token_distributions")


@dataclass
class Platform:
    """A project folder, its definitions as a code location would load them now, and a Dagster instance."""

    folder: Path
    instance: dg.DagsterInstance

    study: Study = field(init=False)
    defs: dg.Definitions = field(init=False)

    def load(self) -> None:
        """Read `onoff.yaml` again: what reloading the code location does."""
        self.study = load_study(self.folder / "onoff.yaml")
        self.defs = build_definitions(self.study)

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit `onoff.yaml` and reload."""
        self.write(change)
        self.load()

    def write(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit `onoff.yaml`; the definitions stay as they were loaded."""
        path = self.folder / "onoff.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def materialize(self, key: str, *assets: str, raises: bool = True, tags: dict[str, str] | None = None) -> Any:
        """One run over a partition: the whole chain, or the assets named."""
        job = self.defs.resolve_job_def("grid") if not assets else self._job_of(assets)
        selection = [dg.AssetKey(asset) for asset in assets] or None  # as the UI says it
        return job.execute_in_process(
            instance=self.instance, partition_key=key, raise_on_error=raises, tags=tags or {}, asset_selection=selection
        )

    def leaderboard(self, raises: bool = True) -> Any:
        """A run of the leaderboard."""
        selection = [dg.AssetKey("leaderboard")]
        return self._job_of(("leaderboard",)).execute_in_process(
            instance=self.instance, asset_selection=selection, raise_on_error=raises
        )

    def _job_of(self, assets: tuple[str, ...]) -> dg.JobDefinition:
        job = dg.define_asset_job("some", dg.AssetSelection.assets(*assets))
        return dg.Definitions.merge(self.defs, dg.Definitions(jobs=[job])).resolve_job_def("some")

    def tick(self) -> Any:
        """What the schedule's and the sensor's tick plan now."""
        graph, automation = self.defs.get_repository_def().asset_graph, self.study.automation
        backfills = find_backfills(self.instance, graph)
        known = partition_states(self.instance, self.study, Store(self.study.store_path), backfills)
        return plan(known, automation.max_partitions, automation.max_failures)

    def requested(self) -> list[str]:
        return [state.key for state in self.tick().requested]

    def ui_status(self) -> dict[str, dict[str, str]]:
        """key -> asset -> missing, stale or fresh: what the UI shows, by the resolver behind it."""
        graph = self.defs.get_repository_def().asset_graph
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        return {
            key: {asset: resolver.get_status(dg.AssetKey(asset), key).value.lower() for asset in CHAIN}
            for key in self.study.partitions
        }

    def check(self, name: str, key: str, result: Any) -> Any:
        """The evaluation of a check in a run's result."""
        found = [e for e in result.get_asset_check_evaluations() if e.check_name == name]
        assert len(found) == 1, f"{name} was evaluated {len(found)} times for {key}"
        return found[0]


@contextmanager
def at(folder: Path) -> Iterator[Platform]:
    """The project in a folder that has one, with the instance kept beside it; as the working directory."""
    (folder / "dagster").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        patch.chdir(folder)
        there = Platform(folder, instance)
        there.load()
        yield there


@pytest.fixture
def platform(make_project: MakeProject) -> Iterator[Callable[..., Platform]]:
    """Make a platform over a project with these sections."""
    with dg.DagsterInstance.local_temp() as instance:

        def make(**sections: Any) -> Platform:
            made = Platform(make_project(**sections), instance)
            made.load()
            return made

        yield make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME of its own, made as the Makefile makes one, for this process and those it starts."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return home
