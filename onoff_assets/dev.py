"""`dagster dev` with our webserver in the place of Dagster's."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from dagster._cli import dev  # there is no public way to choose the webserver
from dagster._cli.workspace import cli_target

from onoff_assets.filling import MODULE
from onoff_core.errors import PlatformError

_STARTER = "open_ipc_subprocess"  # what dev_command_impl starts the webserver and the daemon with


def serve(host: str, port: int) -> None:
    """Until interrupted. A backfill waits for code that does not load, and does not fail."""
    os.environ.setdefault("DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR", "1")
    plain, guarded = vars(dev)[_STARTER], []

    def start(parts: Sequence[str], **options: Any) -> Any:
        if list(parts[1:3]) == ["-m", "dagster_webserver"]:
            guarded.append(True)
            return plain([sys.executable, "-m", "onoff_assets.webserver", *parts[3:]], **options)
        if not guarded:
            raise PlatformError(f"this Dagster starts {parts[:3]} first; its webserver would have no guard")
        return plain(parts, **options)

    setattr(dev, _STARTER, start)
    options = cli_target.WorkspaceOpts(module_name=(MODULE,))  # type: ignore[attr-defined]
    dev.dev_command_impl("info", "info", "colored", str(port), host, False, None, False, options)
