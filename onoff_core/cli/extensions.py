"""What other packages bring to `onoff`, such as all that needs Dagster: modules named by entry points.

`onoff.commands`  commands: `add(commands)`
`onoff.views`     what a notebook shows: `response_view(study, partition, problem_id, sample_index, **options)`
`onoff.status`    more that `onoff status` says: `add_arguments(command)`, `notes(study, unfinished_keys, args)`

Each must import nothing heavy until it is asked.
"""

import sys
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any


def extensions(group: str) -> list[Any]:
    """The modules of a group, in the order of their names; one that cannot be loaded is said and left out."""
    modules = []
    for name, entry in sorted(_entries(group).items()):
        try:
            modules.append(entry.load())
        except ImportError as error:
            print(f"{group} {name} is not there, for it cannot be loaded: {error}", file=sys.stderr)
    return modules


def _entries(group: str) -> dict[str, EntryPoint]:
    """Of the installed packages; and of this source tree, which an installation of before it grew does not know."""
    found = {entry.name: entry for entry in entry_points(group=group)}
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        declared = tomllib.loads(project.read_text("utf-8"))["project"]["entry-points"].get(group, {})
        found |= {name: EntryPoint(name, value, group) for name, value in declared.items()}
    return found
