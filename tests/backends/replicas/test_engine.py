"""Replicas behind the contract: one answer whatever their number, and whatever befalls them. Over the fake engine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from onoff_core.backends import open_sampler, open_scorer
from onoff_core.backends.fake import STOP
from onoff_core.backends.replicas import engine
from onoff_core.backends.replicas.engine import ReplicatedSampler, ReplicatedScorer
from onoff_core.backends.replicas.places import ProcessReplica
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import (
    BackendOptions,
    DistributionSettings,
    FakeFault,
    FakeScript,
    ModelSettings,
    SamplingSettings,
)
from tests.conftest import ROOT

SAMPLING = SamplingSettings(max_length=40, batch_size=8)


def settings(num_process: int | None = 2, timeout_seconds: float = 1800.0, **script: Any) -> ModelSettings:
    options = BackendOptions(
        num_process=num_process, timeout_seconds=timeout_seconds, script=FakeScript(**script) if script else None
    )
    return ModelSettings(backend_type="fake", model_name="fake", backend_specific=options)


def asked(problems: int = 12, samples: int = 4) -> list[Request]:
    return [Request(f"p{n}", s, (65, n)) for n in range(problems) for s in range(samples)]


Rows = dict[tuple[str, int], tuple[list[int], list[float], str]]


def rows(responses: list[Response]) -> Rows:
    assert len({(r.request.problem_id, r.request.sample_index) for r in responses}) == len(responses)
    return {
        (r.request.problem_id, r.request.sample_index): (r.token_ids, r.logprobs, r.finish_reason) for r in responses
    }


def sample(model: ModelSettings, tokens: list[int] | None = None) -> Rows:
    count = [] if tokens is None else tokens
    return rows(list(open_sampler("f", model, Path()).sample(asked(), SAMPLING, 3, count.append)))


def processes(replicated: ReplicatedSampler | ReplicatedScorer) -> list[int]:
    started = replicated.dealer.replicas
    assert all(isinstance(one, ProcessReplica) for one in started)
    return [one.process_id for one in started if isinstance(one, ProcessReplica)]


def test_any_number_of_replicas_draws_the_same_responses() -> None:
    alone, tokens = sample(settings(None)), []
    assert sample(settings(2), tokens) == alone
    assert sum(tokens) == sum(len(ids) for ids, _, _ in alone.values())  # progress counts each token once
    assert sample(settings(3)) == alone


def test_all_of_them_work_and_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 0.05 s a response, 48 take 2.4 seconds alone."""
    sampler = open_sampler("f", settings(2, seconds_per_response=0.05), Path())
    assert sampler.info.device == "2 replicas: cpu"
    began = time.monotonic()
    assert len(list(sampler.sample(asked(), SAMPLING, 0, lambda tokens: None))) == 48
    assert time.monotonic() - began < 0.9 * 48 * 0.05
    monkeypatch.setattr("onoff_core.backends.fake.num_gpus", lambda: 5)
    on_gpus = open_sampler("other", settings(2), Path())
    assert on_gpus.info.device == "2 replicas: GPUs 0, 1, GPUs 2, 3, 4"


def test_shares_stand_in_the_environment_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onoff_core.backends.fake.num_gpus", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    sampler = open_sampler("f", settings(2), Path())
    assert isinstance(sampler, ReplicatedSampler)
    seen = [psutil.Process(process).environ() for process in processes(sampler)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == ["0,1", "2,3"]
    assert {one[name] for one in seen for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")} == {"3"}


def test_more_replicas_than_gpus_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onoff_core.backends.fake.num_gpus", lambda: 1)
    for opened in (open_sampler, open_scorer):
        with pytest.raises(SettingsError, match="shows 1 GPU"):
            opened("f", settings(2), Path())


@pytest.mark.parametrize("kind", ["die", "stall", "connection"])
def test_a_replica_that_fails_once_costs_time_only(kind: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fault = FakeFault(kind=kind, after=3, once=str(tmp_path / "happened"))
    model = settings(2, timeout_seconds=3.0, sampling_fault=fault)
    if kind == "connection":  # not a lost replica: an error, of the kind that is tried again
        with pytest.raises(ConnectionError, match="it was lost"):
            sample(model)
    assert sample(model) == sample(settings(None))
    assert (tmp_path / "happened").exists()
    if kind != "connection":
        assert "is started again, and the chunk of problem" in caplog.text
    assert any(record.name == "onoff_core.backends.fake" for record in caplog.records)  # what it said itself


@pytest.mark.parametrize(("kind", "how"), [("die", "ended by SIGKILL"), ("stall", "silent for")])
def test_three_tries_then_an_error_that_names_chunk_device_and_signal(kind: Any, how: str) -> None:
    model = settings(2, timeout_seconds=1.0, sampling_fault=FakeFault(kind=kind))
    with pytest.raises(
        ModelError, match=rf"models\.f: replica \d \(cpu\) was lost: {how}.*chunk of problems? p\d.*3 times"
    ):
        sample(model)


def test_a_poisoned_response_does_not_take_the_rest_with_it_before_its_third_try() -> None:
    """Each try gets further: what has been answered is not asked for again."""
    dying = settings(2, sampling_fault=FakeFault(kind="die", after=20))
    assert sample(dying) == sample(settings(None))


def test_errors_of_the_model_keep_their_kind_and_cause() -> None:
    with pytest.raises(ModelError, match=r"^models\.f: the script says error, after 1 responses$"):
        sample(settings(2, sampling_fault=FakeFault(kind="error", after=1)))
    with pytest.raises(MemoryError):
        sample(settings(2, sampling_fault=FakeFault(kind="out_of_memory", after=1)))


def test_a_model_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    model = ModelSettings(model_name=str(tmp_path), backend_specific=BackendOptions(num_process=2, device="cpu"))
    with pytest.raises(ModelError, match=r"models\.m: .*cannot be loaded"):
        open_scorer("m", model, Path())


def test_killed_from_outside_in_the_middle() -> None:
    expected = sample(settings(None))
    sampler = open_sampler("f", settings(2, seconds_per_response=0.03), Path())
    assert isinstance(sampler, ReplicatedSampler)
    found = []
    for number, response in enumerate(sampler.sample(asked(), SAMPLING, 3, lambda tokens: None)):
        found.append(response)
        if number in (5, 20):
            os.kill(processes(sampler)[number % 2], signal.SIGKILL)
    assert rows(found) == expected


def scored(model: ModelSettings, ahead: bool = True) -> list[list[dict[str, Any]]]:
    scorer = open_scorer("f", model, Path())
    work = [([1, 2, n], [[3, 4, STOP], [5] * (n + 1), [6]]) for n in range(20)]
    calls = (scorer.score(prompt, responses, DistributionSettings(top_k=2)) for prompt, responses in work)
    begun = list(calls) if ahead else calls
    return [[dict(scores.columns) for scores in call] for call in begun]


def test_scores_come_in_order_whichever_replica_is_first() -> None:
    for ahead in (True, False):
        alone, shared = scored(settings(None), ahead), scored(settings(3), ahead)
        np.testing.assert_equal(shared, alone)
    assert [len(one["rank"]) for one in scored(settings(2))[7]] == [3, 8, 1]


@pytest.mark.parametrize("kind", ["die", "stall"])
def test_scoring_survives_a_lost_replica(kind: Any, tmp_path: Path) -> None:
    fault = FakeFault(kind=kind, after=1, once=str(tmp_path / "happened"))
    np.testing.assert_equal(scored(settings(2, timeout_seconds=3.0, scoring_fault=fault)), scored(settings(None)))
    assert (tmp_path / "happened").exists()


def test_an_error_of_scoring_stands_where_it_belongs() -> None:
    scorer = open_scorer("f", settings(2), Path())
    first, second, third = (
        scorer.score([1], responses, DistributionSettings()) for responses in ([[1], [2]], [[3], []], [[4]])
    )
    assert len(list(first)) == 2
    assert next(second)["rank"].tolist() == [1]
    with pytest.raises(ModelError, match="without tokens"):
        next(second)
    assert len(list(third)) == 1


def test_what_is_ahead_of_its_turn_takes_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_MOST_BUFFERED_BYTES", 1_000_000)
    scorer = open_scorer("f", settings(3), Path())
    assert isinstance(scorer, ReplicatedScorer)
    whole = DistributionSettings(top_k=None)  # a kilobyte a token
    calls = [scorer.score([n], [[7] * 300] * 4, whole) for n in range(24)]
    most = 0
    for call in calls:
        for scores in call:
            most = max(most, sum(unit.buffered_bytes for unit in scorer._pending))
            assert scores["topk_logprobs"].shape == (300, 258)
            time.sleep(0.005)
    assert most < 4_000_000  # of 30 MB; a unit of the one in turn may be over


def test_work_that_nobody_wants_any_more_is_dropped() -> None:
    sampler = open_sampler("f", settings(2, seconds_per_response=0.05), Path())
    for _ in sampler.sample(asked(), SAMPLING, 3, lambda tokens: None):
        break
    scorer = open_scorer("f", settings(2, seconds_per_response=0.05), Path())
    scorer.score([1], [[2]] * 3, DistributionSettings())
    scorer.close()
    began = time.monotonic()
    scored(settings(2, seconds_per_response=0.05))
    assert time.monotonic() - began < 30


def test_one_set_of_replicas_samples_and_scores() -> None:
    sampler = open_sampler("f", settings(2), Path())
    assert isinstance(sampler, ReplicatedSampler)
    before = processes(sampler)
    sampler.close()
    scorer = open_scorer("f", settings(2), Path())
    assert isinstance(scorer, ReplicatedScorer)
    assert processes(scorer) == before
    scored(settings(2))
    open_sampler("g", settings(2), Path())
    assert not any(psutil.pid_exists(process) for process in before)  # another model: the memory is free


def test_a_thread_that_ends_does_not_take_its_replicas_work_with_it() -> None:
    found: list[Rows] = []
    thread = threading.Thread(target=lambda: found.append(sample(settings(2))))
    thread.start()
    thread.join(120)
    assert found[0] == sample(settings(2)) == sample(settings(None))


PARENT = """
import sys
from tests.backends.replicas.test_engine import *
sampler = open_sampler("f", settings(2, sampling_fault=FakeFault(kind="stall", after=2)), Path())
print(*processes(sampler), flush=True)
list(sampler.sample(asked(), SAMPLING, 3, lambda tokens: None))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_replica_outlives_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(word) for word in parent.stdout.readline().split()]
    assert len(children) == 2
    time.sleep(0.5)
    parent.send_signal(how)
    parent.wait(60)
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(child) for child in children):
        assert time.monotonic() < deadline, "a replica is still there"
        time.sleep(0.05)
