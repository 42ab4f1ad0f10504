"""The settings of `confidence` decide it alone; killed in the middle it goes on, and then a change of them is said."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from onoff_core.checks import check_confidence
from onoff_core.errors import MissingInputError, SettingsError
from onoff_core.grid.confidence import materialize_confidence
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.grid.status import partition_status, wanted_fingerprints
from onoff_core.store import Store, publish_catalog, reading_catalog
from onoff_core.study import load_study, parse_study
from onoff_core.tables import CONFIDENCE_TABLES
from tests.conftest import MakeProject
from tests.grid.killed import killed_at_the_third_fragment
from tests.grid.test_confidence import change, opened, write


def test_its_settings_decide_nothing_else(tmp_path: Path) -> None:
    def wanted(confidence: Any, **sections: Any) -> dict[str, str]:
        write(tmp_path, confidence, **sections)
        return wanted_fingerprints(opened(tmp_path)[0], "0123456789abcdef")

    before = wanted(None)
    assert "confidence" not in before
    usual = wanted({})
    assert {name: usual[name] for name in before} == before
    others = [{"window": 9}, {"tail": 9}, {"top_k": 9}, {"warm_up": 9}, {"subsets": 9}]
    found = [wanted(one) for one in others]
    assert all({name: one[name] for name in before} == before for one in found)
    more = wanted({}, statistics={"k": [1, 2]})
    assert len({usual["confidence"], more["confidence"], *(one["confidence"] for one in found)}) == 7
    assert wanted({"window": None, "top_k": 20}) == usual


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        ({"window": 0}, r"onoff\.yaml: confidence\.window: "),
        ({"subsets": 1.5}, r"confidence\.subsets: "),
        ({"tails": 3}, r"confidence\.tails: unknown key.*tail"),
        ("yes", r"confidence: "),
    ],
)
def test_bad_settings_are_one_sentence(confidence: Any, said: str) -> None:
    content = {"datasets": {"aime2025": {}}, "models": {"m": {"model_name": "a/b"}}, "confidence": confidence}
    with pytest.raises(SettingsError, match=said):
        parse_study(content, Path("/study/onoff.yaml"))


def test_killed_in_the_middle_it_goes_on_from_there(make_project: MakeProject) -> None:
    script = {"script": {"responses": [r"\boxed{1}", "nothing", r"it is \boxed{2}"]}}
    folder = make_project(
        datasets={"arithmetic": {"num_examples": 9}},
        models={"tiny": {"model_name": "fake", "backend_type": "fake", "backend_specific": script}},
        sampling={"max_length": 40, "num_samples": 10, "seed": 7},  # three chunks
        confidence={},
    )
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    with pytest.raises(MissingInputError, match="samples of arithmetic"):
        materialize_confidence(partition, store)
    chain = (materialize_samples, materialize_rewards, materialize_statistics, materialize_token_distributions)
    for materialize in chain:
        materialize(partition, store)
    assert partition_status(partition, None, store)["confidence"] == "missing"
    killed_at_the_third_fragment(folder, "onoff_core.grid.confidence", "materialize_confidence", "arithmetic|tiny")
    assert partition_status(partition, None, store)["confidence"] == "partial"
    said: list[str] = []
    made = materialize_confidence(partition, store, said.append)
    assert "resuming: 2 of 3 chunks there" in said
    assert made.manifest.num_rows == 90
    assert made.manifest.facts["window"] == 16  # a sixteenth of 40 tokens would be less than is allowed
    assert partition_status(partition, None, store)["confidence"] == "complete"
    shutil.copytree("store", "other", ignore=shutil.ignore_patterns("confidence*", "catalog*"))
    other, key = Store(str(folder / "other")), ("arithmetic", "tiny")
    materialize_confidence(partition, other)  # in one go
    for table in CONFIDENCE_TABLES:
        assert store.require(table, key).read().equals(other.require(table, key).read()), table
    rows = made.generation.read().to_pylist()
    assert all(row["self_certainty"] == pytest.approx(0, abs=1e-5) for row in rows)  # uniform
    assert all(evidence.holds for evidence in check_confidence(store, ("arithmetic", "tiny")).values())
    change(folder, lambda content: content.update(confidence={"window": 5}))
    store = open_store(load_study())
    publish_catalog(store)
    with reading_catalog(store) as connection:
        said = connection.execute("SELECT DISTINCT asset LIKE 'confidence%', stale_because FROM generations").fetchall()
    assert set(said) == {(False, None), (True, "window is 5, was None")}
