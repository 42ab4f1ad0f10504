"""A partition of two models in turns is scored by the first, and compared with the second, as any other."""

from pathlib import Path

import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.requests import Request
from onoff_core.checks.counting import count_distributions
from onoff_core.errors import ModelError
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples, materialize_token_distributions
from onoff_core.study import load_study
from tests.conftest import MakeProject
from tests.tiny import save_tiny_llama


def quiet(line: str) -> None:
    """A log nobody reads."""


def test_what_the_second_drew_is_not_held_against_the_first(make_project: MakeProject, tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        save_tiny_llama(tmp_path / name, seed)
    plain = {name: {"model_name": name, "backend_specific": {"device": "cpu"}} for name in ("a", "b")}
    switch = {"first": "a", "second": "b", "when": {"entropy": 0.0}, "back": {"tokens": 2}}
    mixed = {"backend_type": "switch", "switch": switch, "scored_by": ["b"]}
    make_project(
        datasets={"arithmetic": {"num_examples": 1}},
        models={**plain, "mixed": mixed},
        sampling={"max_length": 5, "num_samples": 2, "seed": 3},
    )
    study = load_study()
    partition, store = study.partition("arithmetic|mixed"), open_store(study)
    samples = materialize_samples(partition, store, quiet)
    scored = materialize_token_distributions(partition, store, quiet)
    counts = count_distributions(samples.generation, scored.generation)
    assert counts.compared == 0  # the second drew all
    materialize_cross_scores(partition, store, quiet)
    rows = store.require("cross_scores", ("arithmetic", "mixed", "b")).read().to_pylist()
    drawn = [value for row in samples.generation.read()["token_logprobs"].to_pylist() for value in row]
    assert [row["reference_logprob"] for row in rows] == pytest.approx(drawn, abs=1e-4)
    assert any(abs(row["logprob"] - value) > 1e-3 for row, value in zip(rows, drawn, strict=True))
    statistics = store.require("cross_statistics", ("arithmetic", "mixed", "b")).read().to_pylist()
    assert [row["drawn_from_model"] for row in statistics] == [False]


def test_a_response_of_two_is_not_gone_on_with(make_project: MakeProject) -> None:
    fake = {"model_name": "fake", "backend_type": "fake"}
    switch = {"first": "a", "second": "b", "when": {"kl": 0.5}}
    make_project(models={"a": fake, "b": fake, "mixed": {"backend_type": "switch", "switch": switch}})
    study = load_study()
    sampler = open_sampler("mixed", study.models["mixed"], study.base_dir)
    sampling = study.partition("arithmetic|mixed").sampling
    with pytest.raises(ModelError, match=r"models\.mixed: problem p: a response of two models in turns cannot be"):
        list(sampler.sample([Request("p", 0, (1, 2, 3), begun=1)], sampling, 0, lambda count: None))
