"""Open the Dagster instance that a command works with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from onoff_core.commands import EXPORT
from onoff_core.errors import PlatformError

if TYPE_CHECKING:
    import dagster as dg


def home_folder() -> Path:
    """DAGSTER_HOME; a `PlatformError` says what to type where there is none."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise PlatformError(f"DAGSTER_HOME is not set, so Dagster's records cannot be found; run: {EXPORT}")
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise PlatformError(
            f"DAGSTER_HOME is {home}, which is not the absolute path of a folder; `make ui` makes one, or run: "
            f"mkdir -p .dagster_home && cp dagster.yaml .dagster_home && {EXPORT}"
        )
    return Path(home)


@contextmanager
def open_instance() -> "Iterator[dg.DagsterInstance]":
    """The instance in DAGSTER_HOME; a `PlatformError` where there is none."""
    import dagster as dg

    home_folder()
    with dg.DagsterInstance.get() as instance:
        yield instance
