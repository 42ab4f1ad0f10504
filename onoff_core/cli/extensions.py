"""Commands that other packages bring, such as those that need Dagster: entry points of the group `onoff.commands`."""

import sys
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

GROUP = "onoff.commands"


def extension_commands() -> list[Any]:
    """The modules named by the entry points, by name; one that cannot be loaded is said and left out."""
    modules = []
    for name, entry in sorted(_entries().items()):
        try:
            modules.append(entry.load())
        except ImportError as error:
            print(f"onoff {name} is not there, for it cannot be loaded: {error}", file=sys.stderr)
    return modules


def _entries() -> dict[str, EntryPoint]:
    """Of the installed packages; and of this source tree, which an installation of before it grew does not know."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        declared = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"][GROUP]
        found |= {name: EntryPoint(name, value, GROUP) for name, value in declared.items()}
    return found
