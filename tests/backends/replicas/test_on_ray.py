"""Replicas on a Ray cluster of this machine: the same responses, also when an actor is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.replicas.engine import ReplicatedSampler, release_replicas
from onoff_core.backends.replicas.on_ray import RayReplica
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, FakeScript, ModelSettings
from tests.backends.replicas.test_engine import SAMPLING, asked, rows, sample, settings
from tests.conftest import ROOT

ray = pytest.importorskip("ray")


def on_ray(script: dict[str, Any] | None = None, **options: Any) -> ModelSettings:
    specific = BackendOptions(
        num_process=2, replicas_on="ray", script=FakeScript(**script) if script else None, **options
    )
    return ModelSettings(backend_type="fake", model_name="fake", backend_specific=specific)


@pytest.mark.ray_cluster
def test_actors_draw_what_one_process_draws_also_when_one_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    ray.init(address="local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    try:
        expected = sample(settings(None))
        with pytest.raises(SettingsError, match="Ray cluster has 0; write at most 0"):
            open_sampler("f", on_ray(num_gpus=1), Path())
        sampler = open_sampler("f", on_ray({"seconds_per_response": 0.1}), Path())
        assert isinstance(sampler, ReplicatedSampler)
        assert (sampler.info.device or "").startswith("2 replicas: Ray node ")
        found = []
        for number, response in enumerate(sampler.sample(asked(), SAMPLING, 3, lambda tokens: None)):
            found.append(response)
            if number == 4:
                victim = sampler.dealer.replicas[0]
                assert isinstance(victim, RayReplica)
                os.kill(victim.process_id, signal.SIGKILL)
        assert rows(found) == expected
        release_replicas()
        nowhere = ModelSettings(
            model_name="/not/on/that/machine",
            backend_specific=BackendOptions(num_process=1, replicas_on="ray", num_gpus=0),
        )
        with pytest.raises(ModelError, match=r"/not/on/that/machine is not a folder"):
            open_sampler("m", nowhere, Path())
    finally:
        release_replicas()
        ray.shutdown()


def test_without_ray_and_without_a_cluster_a_sentence_says_so() -> None:
    with pytest.raises(ModelError, match=r"models\.f: Ray does not answer at 127\.0\.0\.1:1: ") as raised:
        open_sampler("f", on_ray(ray_address="127.0.0.1:1"), Path())
    assert isinstance(raised.value.__cause__, ConnectionError)
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from tests.backends.replicas.test_engine import *\n"
        "from onoff_core.study import *\n"
        "options = BackendOptions(num_process=2, replicas_on='ray')\n"
        "open_sampler('f', ModelSettings(backend_type='fake', model_name='f', backend_specific=options), Path())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "SettingsError: models.f: backend_specific.replicas_on is ray, which is not installed" in done.stderr
    assert "pip install 'onoff[ray]'" in done.stderr


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "head", "head:port", ":6379"])
def test_an_address_that_is_none_of_a_head(address: str) -> None:
    with pytest.raises(SettingsError, match=r"models\.f: .*ray_address .*such as head:6379"):
        open_sampler("f", on_ray(ray_address=address), Path())


def test_keys_of_ray_go_with_ray() -> None:
    with pytest.raises(ValueError, match="go with replicas_on: ray"):
        BackendOptions(ray_address="a:1")
