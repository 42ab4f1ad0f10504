"""Imported samples can be browsed, before they are scored and after, though how they were drawn is not known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from benchmarks.synthetic import write_partition
from onoff_core.exchange.importing import import_results
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.problems import load_problems
from onoff_core.store import Store, publish_catalog
from onoff_core.study import load_study
from onoff_core.tables import SCHEMAS, UNKNOWN
from tests.browser.conftest import problems
from tests.browser.test_pages import components, texts


def test_their_text_is_shown_and_what_to_run(page: Callable[..., Any], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    write_partition(store, "d", "m", problems(), with_distributions=False)
    samples = store.require("samples", ("d", "m"))
    rows = [row | {"token_logprobs": [], "finish_reason": UNKNOWN} for row in samples.read().to_pylist()]
    samples.write_fragment(0, [pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])])
    publish_catalog(store)
    test = page("response", store, dataset="d", model="m", problem="p0", sample=0)
    assert not test.exception
    assert "onoff_token_view" not in components(test)
    assert "imported" in texts(test)
    assert any("so the answer is 2" in code.value for code in test.code)


def test_a_real_import_graded_and_scored_with_a_token_picked_and_the_lens_on(
    page: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = {
        "datasets": {"arithmetic": {"num_examples": 1}},
        "models": {"m": {"model_name": "fake", "backend_type": "fake"}},
        "store": {"path": str(tmp_path / "store")},
    }
    (tmp_path / "onoff.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(tmp_path)
    partition = load_study().partition("arithmetic|m")
    (problem,) = load_problems("arithmetic", partition.dataset_settings, tmp_path)
    result = {"question": problem.question, "reference": problem.answer, "samples": ["It is \\boxed{5}.", "No."]}
    (tmp_path / "results.json").write_text(json.dumps({"results": [result]}))
    store = Store(str(tmp_path / "store"))
    import_results(partition, store, tmp_path / "results.json")
    for step in (materialize_rewards, materialize_statistics, materialize_token_distributions):
        step(partition, store)
    test = page("response", store, dataset="arithmetic", model="m", problem=problem.problem_id, sample=0, token=3)
    assert not test.exception
    test.toggle[0].set_value(True).run()
    assert not test.exception
    assert "onoff_bar_view" in components(test)
    assert "How these responses were drawn is not known" in texts(test)
    values = {box.label: box.value for box in test.number_input}
    assert (values["Temperature"], values["Top-p"], values["Top-k (0: all)"]) == (1.0, 1.0, 0)
