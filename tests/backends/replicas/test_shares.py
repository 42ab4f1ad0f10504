"""What each replica may use: GPUs, threads, and how many replicas a machine takes."""

from typing import Any

import pytest

from onoff_core.backends.replicas.shares import num_replicas, shares_of, visible_gpus
from onoff_core.errors import SettingsError
from onoff_core.study import BackendOptions


@pytest.mark.parametrize(
    ("count", "gpus", "expected"),
    [
        (2, "0123", ["01", "23"]),
        (3, "0123", ["0", "1", "23"]),
        (4, "0123", ["0", "1", "2", "3"]),
        (2, "", ["", ""]),
        (1, "01", ["01"]),
    ],
)
def test_gpus_are_shared_out_whole_and_once(count: int, gpus: str, expected: list[str]) -> None:
    assert ["".join(share.gpus) for share in shares_of(count, tuple(gpus), 8)] == expected


@pytest.mark.parametrize(("count", "threads", "each"), [(2, 16, 8), (3, 16, 5), (4, 2, 1)])
def test_threads_are_shared_out_and_nobody_has_none(count: int, threads: int, each: int) -> None:
    for share in shares_of(count, (), threads):
        environment = share.environment
        assert {environment[name] for name in environment if name.endswith("_NUM_THREADS")} == {str(each)}
        assert environment["CUDA_VISIBLE_DEVICES"] == ""


def test_threads_that_wait_sleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    (share,) = shares_of(1, ("GPU-1f",), 4)
    assert share.environment["OMP_WAIT_POLICY"] == "passive"
    assert share.environment["CUDA_VISIBLE_DEVICES"] == "GPU-1f"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert share.environment["OMP_WAIT_POLICY"] == "active"


def test_visible_gpus_keep_the_names_they_have() -> None:
    assert visible_gpus(3, {}) == ("0", "1", "2")
    assert visible_gpus(2, {"CUDA_VISIBLE_DEVICES": "4, 7"}) == ("4", "7")
    assert visible_gpus(1, {"CUDA_VISIBLE_DEVICES": "GPU-ab,9"}) == ("GPU-ab",)  # torch sees one: the other is none


def options(**values: Any) -> BackendOptions:
    return BackendOptions.model_validate(values)


@pytest.mark.parametrize(
    ("given", "num_gpus", "expected"),
    [
        ({}, 4, 1),
        ({"num_process": 3}, 4, 3),
        ({"replicas": 3}, 0, 3),  # the processor is shared
        ({"num_process": 3, "device": "cpu"}, 2, 3),
        ({"num_process": 2, "device": "cuda"}, 2, 2),
        ({"num_process": 2, "device_map": "auto"}, 5, 2),
    ],
)
def test_how_many_replicas_there_are(given: dict[str, Any], num_gpus: int, expected: int) -> None:
    assert num_replicas("m", options(**given), num_gpus) == (expected, None)


@pytest.mark.parametrize(
    ("given", "num_gpus", "most", "words"),
    [
        ({"num_process": 3}, 2, 2, "num_process is 3, but this machine shows 2 GPUs"),
        ({"num_process": 8, "device": "cuda"}, 1, 1, "shows 1 GPU[;,]"),
        ({"num_process": 2, "device": "cuda:1"}, 4, 1, r"device names one GPU \(cuda:1\)"),
    ],
)
def test_more_replicas_than_gpus(given: dict[str, Any], num_gpus: int, most: int, words: str) -> None:
    with pytest.raises(SettingsError, match=rf"models\.m: .*{words}.*write"):
        num_replicas("m", options(**given), num_gpus)
    count, warning = num_replicas("m", options(**given, num_process_at_most=True), num_gpus)
    assert count == most
    assert warning is not None
    assert warning.endswith(f"going on with {most}")


def test_both_names_for_one_thing() -> None:
    with pytest.raises(ValueError, match="mean the same"):
        options(num_process=2, replicas=2)
