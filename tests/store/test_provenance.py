"""What a manifest says of how a result came to be, and what it says where it does not know."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import StoreError
from onoff_core.store import Manifest
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.study import SamplingSettings

MODEL = {"model_name": "pypi:x", "revision": "1", "backend_type": "huggingface", "torch_dtype": "auto"}
SAMPLING = SamplingSettings(max_length=9, stop_strings=("a",))


def manifest(asset: str, settings: dict[str, Any], facts: dict[str, Any]) -> Manifest:
    return Manifest(1, asset, ("d", "m"), "0123456789abcdef", {}, settings, (), 0.0, facts)


def sampled(**facts: Any) -> Manifest:
    settings = {"model": MODEL, "sampling": SAMPLING.model_dump(mode="json", exclude={"batch_size"})}
    return manifest("samples", settings, {"seed": 3, "torch_dtype": "float32", **facts})


def test_of_sampled_responses() -> None:
    found = SamplesProvenance.of(sampled(device="cpu", seconds=2.0, tokens_per_second=None, model_revision="abc"))
    assert found == SamplesProvenance(
        imported=False,
        imported_from=None,
        references_differing=None,
        model_name="pypi:x",
        backend_type="huggingface",
        model_revision="abc",
        torch_dtype="float32",
        device="cpu",
        sampling=SAMPLING,
        seed=3,
        seconds=2.0,
        tokens_per_second=None,
        model=MODEL,
    )


def test_of_imported_responses_what_nobody_knows_is_none() -> None:
    facts = {"imported": True, "imported_from": "results.json", "num_references_differing": 2, "seed": None}
    found = SamplesProvenance.of(manifest("samples", {"imported": "0", "model": MODEL}, facts))
    assert (found.imported, found.imported_from, found.references_differing) == (True, "results.json", 2)
    unknown = (found.sampling, found.seed, found.torch_dtype, found.device, found.seconds, found.tokens_per_second)
    assert unknown == (None,) * 6


def test_of_token_distributions() -> None:
    found = ScoresProvenance.of(manifest("token_distributions", {"temperature": 1, "top_k": None}, {"vocab_size": 7}))
    assert (found.vocab_size, found.temperature, found.top_k, found.device) == (7, 1.0, None, None)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (dataclasses.replace(sampled(), settings={"model": MODEL}), "does not say sampling"),
        (dataclasses.replace(sampled(), settings={"model": MODEL, "sampling": 3}), "sampling holds no values by name"),
        (dataclasses.replace(sampled(), settings={"model": MODEL, "sampling": {"top_p": 7.0}}), "sampling.top_p"),
        (dataclasses.replace(sampled(), facts={}), "does not say seed"),
    ],
)
def test_what_every_manifest_of_samples_has(broken: Manifest, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        SamplesProvenance.of(broken)


def test_scores_without_the_size_of_the_vocabulary() -> None:
    with pytest.raises(StoreError, match="token_distributions/d/m/0123456789abcdef does not say vocab_size"):
        ScoresProvenance.of(manifest("token_distributions", {"temperature": 1.0, "top_k": 3}, {}))


def test_every_manifest_of_the_store_is_read_this_way() -> None:
    """`settings` and `facts` are dictionaries on disk; in the code nothing but their one reader looks into them."""
    root = Path(__file__).parents[2]
    readers = [path for package in ("onoff_core", "onoff_assets") for path in (root / package).rglob("*.py")]
    inside = [
        str(path.relative_to(root))
        for path in readers
        for pattern in (".settings[", ".facts[", ".facts.get(", ".settings.get(")
        if f"manifest(){pattern}" in path.read_text() or f"manifest{pattern}" in path.read_text()
    ]
    assert set(inside) <= {"onoff_core/store/provenance.py"}
