"""A research file as it is read: where it lies, what of it is known here, and what a person is told about it."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onoff_core.errors import SettingsError
from onoff_core.study.checking import shown
from onoff_core.study.files import expanded
from onoff_core.study.study import suggestion

SAMPLE, DIST, VISUALIZE = "00_sample", "01_dist", "02_visualize"
RESULTS_FILE = "results.json"

Mapped = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResearchFile:
    """A research file, and where it and its relative paths lie."""

    path: Path
    root: Path
    notes: list[str] = field(default_factory=list)  # where a key is read otherwise than by the scripts, a line each

    def error(self, key: str, what: str) -> SettingsError:
        return SettingsError(f"{self.path}: {key}: {what}")

    def warn(self, key: str, what: str) -> None:
        logger.warning("%s: %s: %s", self.path, key, what)

    def note(self, key: str, what: str) -> None:
        """Say in `onoff check` that a key is read otherwise than the scripts read it."""
        self.notes.append(f"{key}: {what}")

    def section(self, raw: Any, key: str) -> Mapped:
        """A part of the file as settings by name; null is an empty one."""
        if raw is not None and not isinstance(raw, dict):
            raise self.error(key, f"settings by name are wanted (name: value), not {shown(raw)}")
        return raw or {}

    def deciding(self, raw: Any, key: str, names: tuple[str, ...]) -> Mapped:
        """The same, without sections that nobody here knows; a plain value nobody knows is an error."""
        for name, value in self.section(raw, key).items():
            if name not in names and not isinstance(value, dict):
                raise self.error(f"{key}.{name}", f"unknown key{suggestion(str(name), names)}")
        return self.known(raw, key, names)

    def known(self, raw: Any, key: str, names: tuple[str, ...]) -> Mapped:
        """The same, without anything that nobody here knows."""
        section = self.section(raw, key)
        for name in section:
            if name not in names:
                self.warn(f"{key}.{name}", "is not known to this project; ignored")
        return {name: value for name, value in section.items() if name in names}

    def folder(self, raw: Any, key: str, bare: Path | None = None) -> Path:
        """The folder that is named, or that of a file of JSON or NPZ; `bare` is where one without a folder lies."""
        if not isinstance(raw, str) or not raw:
            raise self.error(key, f"a folder is wanted, not {shown(raw)}")
        path = (bare if bare and "/" not in raw else self.root) / expanded(raw, f"{self.path}: {key}")
        if path.suffix not in (".json", ".npz"):
            return path
        if path.stem not in ("results", "statistics", "distributions"):
            self.warn(key, f"{path.name} is written under this project's name for it, such as {RESULTS_FILE}")
        return path.parent

    def file(self, raw: Any, key: str) -> Path | None:
        """The file that is named; None where none is."""
        if raw is None:
            return None
        if not isinstance(raw, str):
            raise self.error(key, f"the path of a file is wanted, not {shown(raw)}")
        return self.root / expanded(raw, f"{self.path}: {key}")
