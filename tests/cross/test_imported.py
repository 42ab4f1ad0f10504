"""Rollouts that came from elsewhere are scored by two models like any other responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.errors import ModelError
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_token_distributions
from onoff_core.study import load_study
from tests.conftest import tiny_model
from tests.cross.conftest import Make

NAMES = ("arithmetic", "trained")


def test_imported_rollouts_by_a_reference(
    make_cross: Make, other_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {**tiny_model(other_folders["near"]), "scored_by": ["tiny"]}
    _, store = make_cross([], more={"trained": trained})
    rows = store.require("samples", ("arithmetic", "tiny")).read().to_pylist()
    kept = ("problem_id", "prompt_token_ids", "token_ids")
    Path("rollouts.jsonl").write_text("\n".join(json.dumps({name: row[name] for name in kept}) for row in rows))
    assert main(["import", "rollouts.jsonl", "--dataset", "arithmetic", "--model", "trained"]) == 0
    study = load_study()
    partition, store = study.partition("arithmetic|trained"), open_store(study)
    made = materialize_cross_scores(partition, store)
    assert made.manifest.facts["tokens_compared_with_sampler"] == 0
    found = store.require("cross_responses", (*NAMES, "tiny")).read().to_pylist()
    assert [row["num_tokens"] for row in found] == [row["num_tokens"] for row in rows]
    assert all(row["mean_kl"] > 0 for row in found)
    (statistics,) = store.require("cross_statistics", (*NAMES, "tiny")).read().to_pylist()
    assert statistics["drawn_from_model"] is None

    materialize_token_distributions(partition, store)
    again = materialize_cross_scores(partition, store, again=True)
    assert again.manifest.facts["tokens_compared_with_sampler"] == again.manifest.num_rows
    moved = partition.model_settings.model_copy(update={"model_name": str(other_folders["far"])})
    _open_as(monkeypatch, moved)
    with pytest.raises(ModelError, match="does not say of its responses what it said"):
        materialize_cross_scores(partition, store, again=True)


def _open_as(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Load other weights than the settings name, as a hub whose `main` has moved does."""
    from onoff_core.backends import open_pair_scorer as real

    monkeypatch.setattr(
        "onoff_core.grid.cross_scores.open_pair_scorer", lambda first, *rest: real((first[0], settings), *rest)
    )
