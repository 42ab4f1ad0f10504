"""What a run tells others of itself while it is at work: how far it is, how fast, and when something last went on.

It stands in a small file beside the run's lock, and goes with the lock; what a killed run left is read by nobody, since
nobody holds the lock then. It decides nothing and enters no fingerprint, and a run whose sign cannot be written goes
on without. Where there are no locks, as on S3, there are no signs either.
"""

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from onoff_core.errors import StoreError
from onoff_core.progress import Progress
from onoff_core.store.files import Files
from onoff_core.store.generation import Generation

logger = logging.getLogger(__name__)

_NAME, _SCRATCH = ".progress.json", ".progress.new"


@dataclass(frozen=True)
class LifeSign:
    """How far a run said it was, `at` seconds since 1970. `done` and `total` are of the unit, in this run."""

    done: int
    total: int
    unit: str
    pace: str  # "57 tokens/s, 3 min 5 s left"; empty where it is not known yet
    at: float
    is_going: bool  # whether anything was done yet; until then `at` is when it began


class Signs:
    """Keeps the life sign of the run that writes a generation; the `sign` of a `Progress`."""

    def __init__(self, generation: Generation) -> None:
        self._files, self._folder = generation.files, _folder(generation.asset, generation.partition)
        self._said = False

    def __call__(self, progress: Progress) -> None:
        if not self._files.locks or not self._files.exists(self._folder):
            return
        sign = LifeSign(
            progress.done,
            progress.total,
            progress.unit,
            ", ".join(progress.pace()),
            time.time(),
            progress.done > 0 or progress.tokens > 0,
        )
        scratch = self._files.path(f"{self._folder}/{_SCRATCH}")
        try:
            scratch.write_text(json.dumps(asdict(sign)))
            os.replace(scratch, self._files.path(f"{self._folder}/{_NAME}"))
        except OSError as error:
            if not self._said:
                logger.warning("%s: how far the run is cannot be told (%s); it goes on", scratch, error)
            self._said = True


def find_sign(files: Files, asset: str, partition: tuple[str, ...]) -> LifeSign | None:
    """What the run that holds the partition's lock said last; None where it said nothing, or nothing that is whole."""
    if not files.locks:
        return None
    try:
        content = files.find_bytes(f"{_folder(asset, partition)}/{_NAME}")
        return None if content is None else _sign(json.loads(content))
    except (StoreError, OSError, ValueError, TypeError):  # it went between two looks, or is not one of ours
        return None


def remove_sign(files: Files, asset: str, partition: tuple[str, ...]) -> None:
    """Take the sign away; where that cannot be, it stays, and nobody reads it without a lock."""
    if not files.locks:
        return
    for name in (_SCRATCH, _NAME):
        try:
            files.path(f"{_folder(asset, partition)}/{name}").unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s of %s stays (%s)", name, "|".join(partition), error)


def _sign(found: Any) -> LifeSign:
    sign = LifeSign(**found)
    kinds: dict[str, Any] = {"done": int, "total": int, "unit": str, "pace": str, "at": (int, float), "is_going": bool}
    if not all(isinstance(getattr(sign, name), kind) for name, kind in kinds.items()):
        raise ValueError("not a life sign")
    return sign


def _folder(asset: str, partition: tuple[str, ...]) -> str:
    return "/".join((asset, *partition))
