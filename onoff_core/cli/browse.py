"""`onoff browse`: become the browser over the store. The process is replaced, so ending it ends the server."""

import argparse
import importlib.util
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from onoff_core.errors import SettingsError, StoreError
from onoff_core.study import load_study

# The settings of .streamlit/config.toml, for a start in another folder: this machine only, no telemetry.
DEFAULTS = {
    "server.address": "127.0.0.1",
    "server.port": "8501",
    "server.headless": "true",
    "server.allowedHosts": "localhost 127.0.0.1",  # in a variable a list is parted by spaces
    "server.enableXsrfProtection": "true",
    "server.enableCORS": "true",
    "server.fileWatcherType": "none",
    "runner.postScriptGC": "false",
    "browser.gatherUsageStats": "false",
    "theme.light.primaryColor": "#1d7ed8",
    "theme.dark.primaryColor": "#1d7ed8",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "stacktrace",
}


def add(commands: Any) -> None:
    command = commands.add_parser(
        "browse",
        help="look at responses token by token, in a web browser",
        description="Serve the browser on this machine: pages over the store, while runs write. Results are only "
        "read; notes that people make are kept beside them, unless --read-only. "
        "Everything after -- goes to `streamlit run`, such as -- --server.port 8600.",
    )
    command.add_argument("--store", help="a store's folder or URL; the study's own without it")
    command.add_argument("--read-only", action="store_true", help="let nobody make notes: the store is only read")
    command.add_argument("streamlit", nargs="*", help=argparse.SUPPRESS)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    command, environment = command_of(args.store, args.streamlit, read_only=args.read_only)
    print("the browser: Ctrl-C ends it", file=sys.stderr, flush=True)
    os.execve(command[0], command, environment)


def command_of(store: str | None, options: list[str], *, read_only: bool = False) -> tuple[list[str], dict[str, str]]:
    """What to start and in which environment; the browser's package is found and not imported."""
    spec = importlib.util.find_spec("onoff_assets")
    if spec is None or spec.origin is None or importlib.util.find_spec("streamlit") is None:
        raise StoreError("the browser is not installed here; run: pip install -e . in the project's folder")
    environment = dict(os.environ)
    if read_only:
        environment["ONOFF_READ_ONLY"] = "1"
    if store is not None:
        environment["ONOFF_STORE"] = store if "://" in store else str(_existing(Path(store)))
    elif "ONOFF_STORE" not in environment:
        load_study()  # an error in the settings is better told here than on a page
    environment = {**_defaults(Path(".streamlit/config.toml")), **environment}
    script = Path(spec.origin).parent / "browser" / "app.py"
    return [sys.executable, "-m", "streamlit", "run", str(script), *options], environment


def _defaults(config: Path) -> dict[str, str]:
    """As variables, what the folder's own settings leave open: a variable would outweigh the file.

    A theme of its own is one whole, into which nothing is mixed.
    """
    try:
        told = tomllib.loads(config.read_text()) if config.exists() else {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: not readable ({error}); mend it, or start in another folder") from error
    left_open = {}
    for option, value in DEFAULTS.items():
        section, _, name = option.partition(".")
        there = told.get(section, {})
        if name not in there and not (there and section == "theme"):
            left_open["STREAMLIT_" + re.sub(r"\.|(?<=[a-z])(?=[A-Z])", "_", option).upper()] = value
    return left_open


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise SettingsError(f"--store {folder}: no such folder; give the folder that holds samples/, rewards/, ...")
    return folder.resolve()
