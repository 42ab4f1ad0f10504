"""Commands that messages tell a user to type, each spelled in one place."""

from collections.abc import Iterable


def materialize_command(assets: Iterable[str], key: str) -> str:
    """What to type to make these assets of a partition, `dataset|model`."""
    return f"dagster asset materialize --select {','.join(assets)} --partition '{key}' -m onoff_assets.definitions"
