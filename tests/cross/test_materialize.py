"""Cross-scores of a partition, from the settings to the tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onoff_core.backends.huggingface.loading import load_beside
from onoff_core.checks import check_cross_scores
from onoff_core.cross.responses import effective_sample_size
from onoff_core.errors import MissingInputError, ModelError
from onoff_core.grid.cross_scores import CrossMade, materialize_cross_scores
from onoff_core.grid.materialize import materialize_token_distributions
from onoff_core.grid.status import partition_status
from onoff_core.store import Store, connect_catalog
from onoff_core.store.upkeep import removable, verify
from onoff_core.study import Partition, load_study
from tests.cross.conftest import ALWAYS, KEY, Make
from tests.cross.test_pair_statistics import TOLERANCE, reference

NAMES = ("arithmetic", "tiny")


def rows_of(store: Store, table: str, by: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store.require(table, (*NAMES, by)).read().to_pylist()
    return rows


def test_every_token_has_what_float64_says(crossed: Any) -> None:
    partition, store, _ = crossed(["far"])
    models = []
    for name, settings in ((partition.model, partition.model_settings), ("far", partition.references[0].settings)):
        models.append(load_beside(name, settings, partition.base_dir).model.double())
    rows, summed = rows_of(store, "cross_scores", "far"), rows_of(store, "cross_responses", "far")
    samples = store.require("samples", NAMES).read().to_pylist()
    assert len(summed) == len(samples) == 12
    begin = 0
    for sample, response in zip(samples, summed, strict=True):
        own = rows[begin : begin + sample["num_tokens"]]
        begin += sample["num_tokens"]
        prompt, ids = sample["prompt_token_ids"], sample["token_ids"]
        assert [(row["position"], row["token_id"]) for row in own] == list(enumerate(ids))
        assert {(row["problem_id"], row["sample_index"], row["text"], row["divergence"]) for row in own} == {
            (sample["problem_id"], sample["sample_index"], "response", "exact")
        }
        with torch.inference_mode():
            logits = [model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] for model in models]
        wanted = reference(*logits, torch.tensor(ids))
        for name, values in wanted.items():
            found = np.array([row[name] for row in own])
            assert np.abs(found - values.numpy()).max() < TOLERANCE or name == "reference_rank", name
        assert response["sum_kl"] == pytest.approx(wanted["kl"].sum().item(), abs=1e-4)
        assert response["mean_js"] == pytest.approx(wanted["js"].mean().item(), abs=TOLERANCE)
        perplexity = np.exp(-wanted["reference_logprob"].mean().item())
        assert response["reference_perplexity"] == pytest.approx(perplexity, rel=1e-4)
        ratios = np.exp(wanted["log_ratio"].numpy())
        assert response["effective_sample_size"] == pytest.approx(ratios.sum() ** 2 / (ratios**2).sum(), rel=1e-4)
        assert response["level"] == "token"
    assert begin == len(rows)


def test_a_twin_has_no_divergence_and_noise_makes_one_grow(crossed: Any) -> None:
    _, store, made = crossed(["twin", "near", "far"])
    means = {name: rows_of(store, "cross_statistics", name)[0] for name in made.by_reference}
    assert means["twin"]["mean_kl"] == means["twin"]["mean_reverse_kl"] == means["twin"]["mean_js"] == 0
    assert means["twin"]["k1"] == means["twin"]["k3"] == 0
    assert means["twin"]["top_entropy_overlap"] == 1
    assert means["twin"]["effective_sample_size"] == 12
    assert 0 < means["near"]["mean_kl"] < means["far"]["mean_kl"] / 2
    assert means["near"]["kl_low"] < means["near"]["mean_kl"] < means["near"]["kl_high"]


def test_statistics_are_those_of_the_tokens(crossed: Any) -> None:
    _, store, _ = crossed(["far"])
    (row,), tokens = rows_of(store, "cross_statistics", "far"), rows_of(store, "cross_scores", "far")
    ratio = np.array([one["log_ratio"] for one in tokens], np.float64)
    assert row["num_tokens"] == len(tokens)
    assert row["num_problems"] == 4
    assert row["drawn_from_model"] is True
    assert row["k1"] == pytest.approx(-ratio.mean())
    assert row["k3"] == pytest.approx((np.exp(ratio) - 1 - ratio).mean())
    assert row["mean_kl"] == pytest.approx(np.mean([one["kl"] for one in tokens]), rel=1e-6)
    assert row["token_effective_sample_size"] == pytest.approx(effective_sample_size(ratio))
    count = int(0.2 * len(tokens))
    tops = [
        set(sorted(range(len(tokens)), key=lambda i, name=name: -tokens[i][name])[:count])
        for name in ("entropy", "reference_entropy")
    ]
    assert row["top_entropy_overlap"] == pytest.approx(len(tops[0] & tops[1]) / count)
    assert {one["statistic"] for one in row["missing"]} == {"mean_kl_lower", "mean_kl_upper"}


def test_a_reference_more_leaves_the_others_as_they_are(make_cross: Make, crossed: Any) -> None:
    _, store, first = crossed(["near"])
    before = first.by_reference["near"].manifest
    partition, store = make_cross(["near", "far"], sample=False)
    assert partition_status(partition, None, store)["cross_scores"] == "partial"
    second = materialize_cross_scores(partition, store)
    assert second.by_reference["near"].computed is False
    assert second.by_reference["near"].manifest == before
    assert second.by_reference["far"].computed is True
    assert partition_status(partition, None, store)["cross_scores"] == "complete"
    assert {one.partition[2] for one in store.current_manifests("cross_scores")} == {"near", "far"}
    assert removable(store) == []  # both are current, and so are the samples that they were made from
    assert [found for found in verify(store) if hasattr(found, "damaged")] == []
    assert all(evidence.holds for evidence in check_cross_scores(store, NAMES).values())


def test_what_makes_them_stale(make_cross: Make, crossed: Any) -> None:
    partition, store, _ = crossed(["near", "far"])
    assert partition_status(partition, None, store)["cross_scores"] == "complete"
    partition, store = make_cross(["near", "far"], sample=False, cross={"top_k": 3})
    assert partition_status(partition, None, store)["cross_scores"] == "stale"
    partition, store = make_cross(["near", "far"], sample=False, cross={"load": "in_turn"})  # speed, not content
    assert partition_status(partition, None, store)["cross_scores"] == "complete"
    partition, store = make_cross(["far"], sampling={**ALWAYS, "seed": 8})
    assert partition_status(partition, None, store)["cross_scores"] == "stale"
    partition, store = make_cross([], sample=False)
    assert "cross_scores" not in partition_status(partition, None, store)
    with pytest.raises(MissingInputError, match=r"models.tiny.scored_by"):
        materialize_cross_scores(partition, store)


def test_the_catalog_says_which_reference_and_which_is_stale(make_cross: Make, crossed: Any) -> None:
    crossed(["near", "far"])
    partition, store = make_cross(["far"], sample=False, cross={"top_k": 3})
    materialize_cross_scores(partition, store)
    with connect_catalog(store) as catalog:
        found = catalog.execute(
            "SELECT asset, reference, in_study, is_stale FROM generations WHERE reference IS NOT NULL ORDER BY ALL"
        ).fetchall()
        assert [row for row in found if row[0] == "cross_scores"] == [
            ("cross_scores", "far", True, False),
            ("cross_scores", "near", False, None),
        ]
        counts = catalog.execute(
            "SELECT reference, count(*) FROM cross_scores_of('arithmetic', 'tiny') GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        everything = catalog.execute(
            "SELECT reference, count(*) FROM cross_scores GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        assert counts == everything
        assert [name for name, _ in counts] == ["far", "near"]
        commented = catalog.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE table_name LIKE 'cross_%' AND comment IS NULL"
        ).fetchone()
        assert commented == (0,)


def test_solutions_are_scored_after_the_same_prompt(crossed: Any, tmp_path: Path) -> None:
    rows = [f'{{"id": "p{i}", "question": "q{i}", "answer": "{i}", "solution": "It is {i}."}}' for i in range(3)]
    (tmp_path / "mine.jsonl").write_text("\n".join([*rows, '{"id": "p3", "question": "q3", "answer": "3"}']))
    datasets = {"arithmetic": {"path": "mine.jsonl", "solution_column": "solution"}}
    _, store, _ = crossed(["far"], datasets=datasets, cross={"solutions": True})
    responses = rows_of(store, "cross_responses", "far")
    solutions = [row for row in responses if row["text"] == "solution"]
    assert [row["problem_id"] for row in solutions] == ["p0", "p1", "p2"]
    assert {row["sample_index"] for row in solutions} == {None}
    assert len(responses) == 3 + 12
    assert all(row["num_bytes"] == len("It is 0.") for row in solutions)
    tokens = [row for row in rows_of(store, "cross_scores", "far") if row["text"] == "solution"]
    assert len(tokens) == sum(row["num_tokens"] for row in solutions)
    kinds = {row["text"]: row for row in rows_of(store, "cross_statistics", "far")}
    assert kinds["solution"]["drawn_from_model"] is False
    assert kinds["solution"]["num_responses"] == 3
    assert all(evidence.holds for evidence in check_cross_scores(store, NAMES).values())


def test_bounds_hold_the_exact_divergence(make_cross: Make, crossed: Any) -> None:
    partition, store, _ = crossed(["far"])
    exact = rows_of(store, "cross_scores", "far")
    partition, store = make_cross(["far"], sample=False, cross={"divergence": "bounds"})
    with pytest.raises(MissingInputError, match="token_distributions"):
        materialize_cross_scores(partition, store)
    materialize_token_distributions(partition, store)
    materialize_cross_scores(partition, store)
    for one, bound in zip(exact, rows_of(store, "cross_scores", "far"), strict=True):
        assert bound["divergence"] == "bounds"
        assert bound["kl"] is None
        assert bound["kl_lower"] - 1e-3 <= one["kl"] <= bound["kl_upper"] + 1e-3  # top-k have 10 mantissa bits
        assert bound["js_lower"] - 1e-3 <= one["js"] <= bound["js_upper"] + 1e-3
        assert bound["reference_logprob"] == pytest.approx(one["reference_logprob"], abs=TOLERANCE)
    (row,) = rows_of(store, "cross_statistics", "far")
    assert row["mean_kl"] is None
    assert row["mean_kl_lower"] < row["mean_kl_upper"]
    assert all(evidence.holds for evidence in check_cross_scores(store, NAMES).values())


def test_another_model_than_the_one_that_sampled_is_refused(
    make_cross: Make, other_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint cannot see that a hub's `main` has moved, so the log-probabilities have to."""
    partition, store = make_cross(["near"])
    moved = partition.model_settings.model_copy(update={"model_name": str(other_folders["far"])})
    monkeypatch.setattr(
        "onoff_core.grid.cross_scores.open_pair_scorer", lambda first, *rest: real((first[0], moved), *rest)
    )
    from onoff_core.backends import open_pair_scorer as real

    with pytest.raises(ModelError, match=r"models.tiny does not say of its responses .* sample \d+, token \d+"):
        materialize_cross_scores(partition, store)
    assert store.current("cross_scores", (*NAMES, "near")) is None


def test_a_store_that_is_pruned_keeps_the_samples_of_a_reference(make_cross: Make, crossed: Any) -> None:
    """They are what its rows are of, though other samples are current."""
    partition, store, made = crossed(["far"])
    partition, store = make_cross(["far"], sampling={**ALWAYS, "seed": 8})
    former = made.by_reference["far"].manifest.inputs["samples"]
    assert store.require("samples", NAMES).fingerprint != former
    assert [removal.generation.fingerprint for removal in removable(store)] == []
    materialize_cross_scores(partition, store)
    gone = {removal.generation.folder.split("/")[0] for removal in removable(store)}
    assert gone == {"samples", "cross_scores", "cross_responses", "cross_statistics"}
    assert isinstance(made, CrossMade)


def test_all_models_by_one_reference(make_cross: Make) -> None:
    partition, _ = make_cross(["near"], sample=False, cross={"references": ["far"]})
    study = load_study()
    assert [one.name for one in study.partition(KEY).references] == ["near"]  # a model's own word is the last
    assert [one.name for one in study.partition("arithmetic|near").references] == ["far"]
    assert study.partition("arithmetic|far").references == ()
    assert isinstance(partition, Partition)


def test_damage_is_made_again_alone(crossed: Any) -> None:
    partition, store, made = crossed(["far"])
    generation = store.require("cross_responses", (*NAMES, "far"))
    fragment = Path(store.root) / generation.folder / "00000.parquet"
    fragment.write_bytes(fragment.read_bytes()[:100])
    again = materialize_cross_scores(partition, store)
    assert again.computed
    assert len(rows_of(store, "cross_responses", "far")) == 12
    assert store.require("cross_scores", (*NAMES, "far")).manifest() == made.by_reference["far"].manifest
