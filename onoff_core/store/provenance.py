"""How a generation came to be, read from its manifest: the one way to ask for what `settings` and `facts` hold.

A field that may be unknown is None, and its comment says when. A manifest that lacks what every one of its kind has
raises `StoreError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from onoff_core.errors import StoreError
from onoff_core.store.manifest import Manifest
from onoff_core.study import SamplingSettings

IDS_FROM_TEXT = "from text"


@dataclass(frozen=True)
class SamplesProvenance:
    """Of a generation of samples."""

    imported: bool  # brought in from elsewhere, so that no setting of the study can make it stale
    imported_from: str | None  # the file; None: sampled here
    references_differing: int | None  # of the file's and the data set's; None: sampled here
    model_name: str
    backend_type: str
    model_revision: str | None  # the commit that was loaded; None: imported, or there is none
    torch_dtype: str | None  # None: imported
    device: str | None  # None: imported
    sampling: SamplingSettings | None  # None: imported, so how the responses were drawn is not known
    seed: int | None  # that was used, also where the settings have none; None: imported
    seconds: float | None  # None: imported
    tokens_per_second: float | None  # None: imported, or nothing was left to draw
    engine: str | None  # of servers, with its version; None: imported, or the model ran in processes of ours
    not_promised: tuple[str, ...]  # what the servers could not show and the settings do not require
    ids_from_text: bool  # the server said text only, which was tokenized

    @staticmethod
    def of(manifest: Manifest) -> "SamplesProvenance":
        facts, model = manifest.facts, _section(manifest, "model")
        imported = is_imported(manifest)
        return SamplesProvenance(
            imported=imported,
            imported_from=_needed(manifest, facts, "imported_from") if imported else None,
            references_differing=_needed(manifest, facts, "num_references_differing") if imported else None,
            model_name=_needed(manifest, model, "model_name"),
            backend_type=_needed(manifest, model, "backend_type"),
            model_revision=facts.get("model_revision"),
            torch_dtype=facts.get("torch_dtype"),
            device=facts.get("device"),
            sampling=None if imported else _sampling(manifest),
            seed=None if imported else _needed(manifest, facts, "seed"),
            seconds=facts.get("seconds"),
            tokens_per_second=facts.get("tokens_per_second"),
            engine=facts.get("engine"),
            not_promised=tuple(facts.get("not_promised", ())),
            ids_from_text=facts.get("ids") == IDS_FROM_TEXT,
        )


@dataclass(frozen=True)
class ScoresProvenance:
    """Of a generation of token distributions."""

    vocab_size: int  # the number of logits
    temperature: float  # logits were divided by it
    top_k: int | None  # None: the whole vocabulary
    device: str | None  # None: not recorded
    seconds: float | None  # None: not recorded
    tokens_per_second: float | None  # None: nothing was left to score

    @staticmethod
    def of(manifest: Manifest) -> "ScoresProvenance":
        facts, settings = manifest.facts, manifest.settings
        return ScoresProvenance(
            vocab_size=int(_needed(manifest, facts, "vocab_size")),
            temperature=float(_needed(manifest, settings, "temperature")),
            top_k=_needed(manifest, settings, "top_k"),
            device=facts.get("device"),
            seconds=facts.get("seconds"),
            tokens_per_second=facts.get("tokens_per_second"),
        )


def is_imported(manifest: Manifest) -> bool:
    """Whether a generation was brought in by `onoff import`."""
    return bool(manifest.facts.get("imported"))


def _sampling(manifest: Manifest) -> SamplingSettings:
    try:
        return SamplingSettings(**_section(manifest, "sampling"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StoreError(
            f"the manifest of {_name(manifest)}: settings.sampling.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def _section(manifest: Manifest, name: str) -> Mapping[str, Any]:
    found = _needed(manifest, manifest.settings, name)
    if not isinstance(found, dict):
        raise StoreError(f"the manifest of {_name(manifest)}: {name} holds no values by name")
    return found


def _needed(manifest: Manifest, values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise StoreError(
            f"the manifest of {_name(manifest)} does not say {name}; materialize {manifest.asset} of "
            f"{'|'.join(manifest.partition)} again"
        )
    return values[name]


def _name(manifest: Manifest) -> str:
    return "/".join((manifest.asset, *manifest.partition, manifest.fingerprint))
