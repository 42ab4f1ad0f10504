"""Commands that messages tell a user to type, each spelled in one place."""

import os
from collections.abc import Iterable

EXPORT = "mkdir -p .dagster_home && export DAGSTER_HOME=$PWD/.dagster_home"  # where `make` puts it


def materialize_command(assets: Iterable[str], key: str) -> str:
    """What to type to make these assets of a partition, `dataset|model`; without a DAGSTER_HOME Dagster would forget
    that it did, so that is a part of it.
    """
    home = "" if os.environ.get("DAGSTER_HOME") else f"{EXPORT} && "
    return (
        f"{home}dagster asset materialize --select {','.join(assets)} --partition '{key}' -m onoff_assets.definitions"
    )
