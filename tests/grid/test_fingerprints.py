"""Fingerprints that users' stores have: a result made under a setting stays the result of that setting.

`golden/fingerprints.json` was written by release 0.1.0. A code version that is raised on purpose changes fingerprints
on purpose, so the versions of that release are put in here.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core.grid import fingerprints
from onoff_core.grid.status import wanted_fingerprints
from onoff_core.study import Partition, parse_study

GOLDEN = Path(__file__).parent / "golden"
RELEASE_0_1_0 = {"samples": "1", "rewards": "4", "statistics": "2", "token_distributions": "1"}
EXPECTED: dict[str, dict[str, str]] = json.loads((GOLDEN / "fingerprints.json").read_text())


@pytest.fixture
def of_release(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in RELEASE_0_1_0.items():
        monkeypatch.setitem(fingerprints.CODE_VERSIONS, name, version)
    monkeypatch.setattr("onoff_core.backends.identity.package_version", lambda package: "0.1.2")


def partitions() -> dict[str, Partition]:
    content: dict[str, Any] = yaml.safe_load((GOLDEN / "onoff.yaml").read_text())
    return parse_study(content, Path("/study/onoff.yaml")).partitions


@pytest.mark.parametrize("key", sorted(EXPECTED))
def test_fingerprints_are_those_of_0_1_0(key: str, of_release: None) -> None:
    partition = partitions()[key]
    found = {
        "settings": fingerprints.sampling_settings_version(partition),
        **wanted_fingerprints(partition, "0123456789abcdef"),
    }
    assert {name: found[name] for name in EXPECTED[key]} == EXPECTED[key]  # later assets are not in it


def test_they_cover_every_partition_of_the_golden_study() -> None:
    assert set(partitions()) == set(EXPECTED)


def test_the_scorer_counts_where_it_is_another_than_the_usual_one(of_release: None) -> None:
    partition = partitions()["arithmetic|embedded"]
    settings = partition.model_settings.model_copy(update={"backend_type": "fake"})
    other = dataclasses.replace(partition, model_settings=settings)
    assert "scorer" not in fingerprints.distribution_settings(partition)
    assert fingerprints.distribution_settings(other)["scorer"] == "fake"
