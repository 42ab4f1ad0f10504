"""A process that is killed while it makes an asset."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

_WORK = """
import os, signal
from {module} import {function}
from onoff_core.store import Generation, Store
from onoff_core.study import load_study
study, write, count = load_study(), Generation.write_fragment, 0
def counting(self, *arguments):
    global count
    count += 1
    if count > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, *arguments)
Generation.write_fragment = counting
{function}(study.partition({key!r}), Store(study.store_path))
"""


def killed_at_the_third_fragment(folder: Path, module: str, function: str, key: str) -> None:
    """Make an asset of the project in the folder, and be killed when the third fragment would be written."""
    script = _WORK.format(module=module, function=function, key=key)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
