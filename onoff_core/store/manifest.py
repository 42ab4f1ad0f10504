"""A manifest: what a finished generation holds, and how it came to be. It names the version of its own schema.

Within one version tables may gain nullable columns (old files read null there). A change that older readers could not
understand raises `SCHEMA_VERSION`. Then either an entry in `UPGRADES` turns an older manifest into today's, or reading
it is an error that says what to do.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from onoff_core.errors import StoreError
from onoff_core.tables import SCHEMA_VERSION

# From a version to the next one: a manifest's JSON in, the newer form of it out.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_EXACTLY = ConfigDict(strict=True, extra="forbid")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # of a dataset, a model, a fingerprint: one part of a path
_MOST = 1 << 48  # rows or bytes of a file; the sum of many still fits into 64 bits
END_OF_TIME = 253_402_300_799  # seconds since 1970, the end of the year 9999


@dataclass(frozen=True)
class Fragment:
    """One file of a generation."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACTLY

    name: Annotated[str, Field(pattern=r"^[0-9]{5,15}\.parquet$")]
    num_rows: Annotated[int, Field(ge=0, le=_MOST)]
    num_bytes: Annotated[int, Field(ge=0, le=_MOST)]
    sha256: str

    @property
    def index(self) -> int:
        return int(self.name.removesuffix(".parquet"))


@dataclass(frozen=True)
class Manifest:
    """What a finished generation holds, and how it came to be."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACTLY

    schema_version: int
    asset: str
    partition: tuple[str, ...]  # (dataset, model), (dataset,) or (model,)
    fingerprint: str
    inputs: dict[str, str]  # asset -> fingerprint of the generation it was made from
    settings: dict[str, Any]  # the settings that the fingerprint hashes, for people to read
    fragments: tuple[Fragment, ...]
    # Seconds since 1970, UTC; for people: nothing is ordered by it.
    completed_at: Annotated[float, Field(ge=0, le=END_OF_TIME)]
    facts: dict[str, Any] = field(default_factory=dict)  # measured while it was made: seconds, tokens per second, seed

    @property
    def num_rows(self) -> int:
        return sum(fragment.num_rows for fragment in self.fragments)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @staticmethod
    def from_json(content: bytes, where: str) -> "Manifest":
        try:
            manifest = _MANIFEST.validate_json(json.dumps(_upgraded(plain_json(content), where)))
            if len({fragment.name for fragment in manifest.fragments}) < len(manifest.fragments):
                raise ValueError("it names a fragment twice")
            for made_from in manifest.inputs.values():
                if not NAME.fullmatch(made_from):
                    raise ValueError(f"inputs: {made_from!r} is no fingerprint")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{where}: not a manifest ({_said(error)}); remove this file and materialize the "
                "partition again: it goes on from the fragments beside it"
            ) from error
        return manifest


_MANIFEST = TypeAdapter(Manifest)


def plain_json(content: bytes | str) -> Any:
    """The content of a small JSON file of ours; `ValueError` if it is no JSON, or is nested too deeply to read."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def plain_object(content: bytes | str) -> dict[str, Any]:
    """Like `plain_json`, of a file that holds values by name."""
    found = plain_json(content)
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__}, no values by name")
    return found


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _upgraded(raw: dict[str, Any], where: str) -> dict[str, Any]:
    version = raw["schema_version"]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{where}: written by a newer onoff (schema {version}, this one knows {SCHEMA_VERSION}); update onoff"
        )
    while version < SCHEMA_VERSION:
        if version not in UPGRADES:
            raise StoreError(
                f"{where}: written by an older onoff (schema {version}, this one reads {SCHEMA_VERSION}); remove this "
                "generation's folder and materialize the partition again, or read the store with the older onoff"
            )
        raw = UPGRADES[version](raw)
        version = raw["schema_version"]
    return raw
