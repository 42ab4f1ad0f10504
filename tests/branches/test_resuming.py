"""`kill -9` in the middle of branching: what was written is kept, and the rows are those of an unkilled run."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from onoff_core.errors import StoreError
from onoff_core.grid.branches import materialize_branches
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.grid.status import partition_status
from tests.branches import chain
from tests.branches.conftest import BRANCHES, KEY, MakeChain, Project
from tests.branches.test_chain import continuations
from tests.conftest import ROOT

WORK = """
import dataclasses
from onoff_core import backends
backends._ENGINES["fake"] = dataclasses.replace(backends._ENGINES["fake"], module="tests.branches.chain")
from onoff_core.errors import StoreError
from onoff_core.grid.branches import materialize_branches
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.grid.judging import open_store
from onoff_core.study import load_study
study = load_study()
materialize_branches(study.partition("chain|tiny"), open_store(study))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_and_started_again_is_as_if_never_killed(make_chain: MakeChain) -> None:
    project = make_chain()
    project.write(branches={**BRANCHES, "continuations": 6})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), chain.DIE_AFTER: "150"}
    done = subprocess.run([sys.executable, "-c", WORK], cwd=project.folder, env=environment, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert project.store.current("branches", KEY) is None
    assert partition_status(project.partition, None, project.store)["branches"] == "partial"
    written = {path: path.stat().st_mtime_ns for path in project.folder.glob("store/continuations/**/*.parquet")}
    assert 2 <= len(written) < 8
    made = materialize_branches(project.partition, project.store, project.said.append)
    assert f"resuming: {len(written)} of 8 chunks there" in project.said
    assert len(chain.drawn) == made.manifest.facts["drawn_now"] == 48 * 6 - 36 * len(written)
    assert {path: path.stat().st_mtime_ns for path in written} == written  # not written a second time
    resumed = {table: project.rows(table) for table in ("branches", "branch_positions", "branch_problems")}
    again = continuations(project)
    project = make_chain(store={"path": "whole"})
    project.branch(continuations=6)
    assert continuations(project) == again
    assert {table: project.rows(table) for table in resumed} == resumed


def test_a_damaged_fragment_alone_is_made_again(make_chain: MakeChain) -> None:
    project = make_chain()
    made = project.branch()
    before = {table: project.rows(table) for table in ("continuations", "branches", "branch_positions")}
    for table in before:
        folder = project.folder / "store" / project.store.require(table, KEY).folder
        damaged = sorted(folder.glob("*.parquet"))[0]
        damaged.write_bytes(damaged.read_bytes()[:-20])
    chain.drawn.clear()
    again = materialize_branches(project.partition, project.store)
    assert again.computed
    assert again.generation.fingerprint == made.generation.fingerprint
    assert 0 < len(chain.drawn) < 96  # those of one fragment
    assert {table: project.rows(table) for table in before} == before


def make_samples_anew(project: Project) -> None:
    """As if the samples had been lost: with `seed: null` they have the same fingerprint, and another seed."""
    for made in ("samples", "rewards", "token_distributions"):
        shutil.rmtree(project.folder / "store" / made)
    for make in (materialize_samples, materialize_rewards, materialize_token_distributions):
        make(project.partition, project.store, project.said.append)
    chain.drawn.clear()


def test_continuations_of_samples_with_another_seed_are_not_taken_over(make_chain: MakeChain) -> None:
    project = make_chain(problems=1, sampling={"max_length": 40, "num_samples": 4, "seed": None})
    project.branch()
    count = len(chain.drawn)
    make_samples_anew(project)
    made = project.branch(continuations=5)
    assert made.manifest.facts["drawn_now"] == len(chain.drawn) == count // 4 * 5  # all of them, though 4 were there
    folder = project.folder / "store" / made.generation.folder.replace("branches/", "continuations/", 1)
    (folder / "manifest.json").unlink()  # as if it had been killed
    (folder / "00000.parquet").unlink()
    make_samples_anew(project)
    with pytest.raises(StoreError, match="begun from samples that were drawn with another seed"):
        materialize_branches(project.partition, project.store)
    assert materialize_branches(project.partition, project.store, again=True).computed
