"""The science of onoff: sample a language model on math problems, verify, count, and look inside.

Nothing in this package imports dagster or streamlit. Its packages are layers; an import may only point to an earlier
one: (errors, boxes, tables, progress), study, problems, tasks, backends, (sampling, rewards, statistics,
distributions), store, grid, exchange, cli, frames.

In a notebook, `onoff_core.open_study()` opens a study's results (`frames.py`).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_DOORS = {"open_study": "onoff_core.frames"}  # name -> the module that has it


def __getattr__(name: str) -> Any:
    """Doors to upper layers, imported when they are asked for: those import this package."""
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
