"""The version of the code that makes results."""

import subprocess
from functools import cache
from pathlib import Path

from onoff_core import __version__

_ROOT = Path(__file__).parents[1]


@cache
def code_version() -> str:
    """The commit of the checkout, with `+` if it was changed since; outside a checkout onoff's version."""
    if not (_ROOT / ".git").exists():
        return __version__
    try:
        commit, changed = _git("rev-parse", "--short=12", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):  # there is no git, or it refuses a checkout of another user
        return __version__
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
