"""Beside busy processes a model takes fewer threads, and its numbers stay the same."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from onoff_core.backends.huggingface import neighbours
from onoff_core.backends.huggingface.loading import LoadedModel, load_beside
from onoff_core.backends.huggingface.neighbours import most_threads, threads_for
from onoff_core.backends.huggingface.scoring import score
from onoff_core.grid.run_record import _accelerators
from onoff_core.study import DistributionSettings, ModelSettings
from tests.tiny import save_tiny_llama


@pytest.mark.parametrize(
    ("free", "most", "threads"),
    [
        (2.0, 2, 2),
        (1.7, 2, 2),
        (1.5, 2, 1),  # a busy process that shares a core with one of ours
        (0.0, 2, 1),
        (13.2, 16, 13),
        (2.0, 16, 8),
        (0.1, 3, 2),
        (16.0, 4, 4),
        (0.2, 1, 1),
    ],
)
def test_a_thread_for_each_free_core_and_half_of_them_at_least(free: float, most: int, threads: int) -> None:
    assert threads_for(free, most) == threads


class _Cores:
    """Stands in for the machine's: tells what the test says."""

    free: float | None = None

    def look(self) -> float | None:
        return self.free


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Cores]:
    before, told = torch.get_num_threads(), _Cores()
    torch.set_num_threads(4)
    monkeypatch.setattr(neighbours, "_threads", None)
    monkeypatch.setattr(neighbours, "FreeCores", lambda: told)
    monkeypatch.delenv("OMP_DYNAMIC", raising=False)
    yield told
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("model"))


def _loaded(folder: Path) -> LoadedModel:
    return load_beside("tiny", ModelSettings(model_name=str(folder)), folder)


def _entropies(loaded: LoadedModel) -> list[float]:
    [scores] = score(loaded, [5, 6, 7], [list(range(20, 60))], DistributionSettings())
    return [float(entropy) for entropy in scores.columns["entropy"]]


def test_threads_follow_the_free_cores_and_change_no_number(
    cores: _Cores, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, neighbours.__name__)
    loaded = _loaded(folder)
    seen, told = [], []
    for free in (None, 4.0, 3.5, 0.5, None, 3.9):
        cores.free = free
        told.append(_entropies(loaded))
        seen.append(torch.get_num_threads())
    assert seen == [4, 4, 3, 2, 2, 4]
    assert all(entropies == pytest.approx(told[0], abs=1e-6) for entropies in told)
    told_once = [record.message for record in caplog.records if record.name == neighbours.__name__]
    assert told_once == ["other processes are busy, 3.5 cores are free: 3 of 4 threads for now"]


def test_threads_that_a_library_sets_anew_are_given_up_again_and_those_of_the_user_are_the_most(
    cores: _Cores, folder: Path
) -> None:
    loaded = _loaded(folder)
    cores.free = 2.0
    _entropies(loaded)
    for given, free, taken in ((4, 2.0, 2), (3, 9.0, 3), (3, 1.0, 2)):  # numba's first use sets all; the user's 3
        torch.set_num_threads(given)
        cores.free = free
        _entropies(loaded)
        assert torch.get_num_threads() == taken


def test_a_second_model_and_the_runs_record_know_the_threads_of_a_quiet_machine(cores: _Cores, folder: Path) -> None:
    first = _loaded(folder)
    cores.free = 1.0
    _entropies(first)
    second = _loaded(folder)
    assert torch.get_num_threads() == 2
    assert most_threads() == _accelerators()["threads"] == 4
    cores.free = 4.0
    _entropies(second)
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("said", ["false", "FALSE"])
def test_a_user_may_keep_all_threads(cores: _Cores, folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("OMP_DYNAMIC", said)
    loaded = _loaded(folder)
    cores.free = 1.0
    _entropies(loaded)
    assert torch.get_num_threads() == 4


def test_one_thread_is_one(cores: _Cores, folder: Path) -> None:
    torch.set_num_threads(1)
    loaded = _loaded(folder)
    cores.free = 4.0
    _entropies(loaded)
    assert torch.get_num_threads() == 1
