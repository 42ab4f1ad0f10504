"""What the attacked processes do: the real commands, in processes of their own that have everything imported.

They are forked from one that imported all of it and opened nothing, so that hundreds of them cost seconds.
"""

import contextlib
import ctypes
import faulthandler
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import onoff_assets.code_location
import onoff_core.backends.fake
import onoff_core.cli.main as command_line
import onoff_core.exchange.importing
import onoff_core.rewards
import onoff_core.sampling
import onoff_core.store.upkeep
from onoff_core.distributions import load_distributions
from onoff_core.errors import OnoffError
from onoff_core.grid import materialize
from onoff_core.grid.judging import open_store
from onoff_core.machine import interruption_of, what_it_lacked
from onoff_core.store import reading_catalog
from onoff_core.store.schema import TABLES_IN_CATALOG, VIEWS
from onoff_core.study import load_study
from onoff_core.tables import SCHEMAS

_ = (onoff_assets, onoff_core)
KEY = "arithmetic|tiny"
MAKERS = ("samples", "rewards", "statistics", "token_distributions")
# Of a generation's row in the catalog: what two runs of the same settings need not share.
_OWN = {
    "generations": ("completed_at", "facts"),
    "fragments": ("num_bytes", "sha256"),
    "onoff_catalog": ("fresh_bytes",),
}


@dataclass(frozen=True)
class Limits:
    """What the process is allowed."""

    more_memory: int | None = None  # bytes of address space beyond what it has
    files: int | None = None
    file_bytes: int | None = None
    powerless: bool = False  # root, without the power to pass over permissions: as any other user
    environment: dict[str, str | None] = field(default_factory=dict)  # None: without


def onoff(*arguments: str) -> int:
    """A command, as it is typed."""
    return command_line.main(list(arguments))


def make(key: str = KEY, *assets: str) -> int:
    """The assets of a partition, with what a run of Dagster says of errors."""
    try:
        study = load_study()
        store = open_store(study)
        for asset in assets or MAKERS:
            getattr(materialize, f"materialize_{asset}")(study.partition(key), store, print)
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if interruption_of(error) is not None:
            print("interrupted", file=sys.stderr)
            return 130
        if not isinstance(error, OnoffError) and what_it_lacked(error) is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def digest() -> int:
    """Print what the store holds, as hashes: of each current generation's rows, and of the catalog's tables."""
    store = open_store(load_study())
    found: dict[str, Any] = {}
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            generation = store.current(asset, partition)
            rows = None if generation is None else [generation.fingerprint, generation.read().to_pylist()]
            found[f"{asset} {'|'.join(partition)}"] = _hash(rows)
    with reading_catalog(store) as connection:
        for table in (*TABLES_IN_CATALOG, *VIEWS):
            columns = [name for name, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]
            kept = ", ".join(f'"{name}"' for name in columns if name not in _OWN.get(table, ()))
            rows = connection.execute(f"SELECT {kept} FROM {table}").fetchall()
            found[f"catalog {table}"] = _hash(sorted(map(repr, rows)))
    print("digest", json.dumps(found))
    return 0


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def load(folder: str) -> int:
    """Read the first array of exported distributions, as a notebook does."""
    data = load_distributions(folder)
    np.asarray(data["results"][0]["samples"][0]["distributions"])
    return 0


ACTIONS: dict[str, Callable[..., int]] = {"onoff": onoff, "make": make, "digest": digest, "load": load}


class Actor:
    """A process that does some of the above, one after the other; its output in files."""

    def __init__(self, folder: Path, *steps: Sequence[str], limits: Limits | None = None) -> None:
        self._output = folder.parent / f"{folder.name}-{len(list(folder.parent.iterdir()))}.out"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.attacks.acting"])
        given = (str(folder), [list(step) for step in steps], limits or Limits(), str(self._output))
        self.process = context.Process(target=_act, args=given)
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def begun(self) -> "Actor":
        """Wait until it begins its first step: before that it is Python's and not ours."""
        while not Path(self._output).exists() or "begins" not in Path(self._output).read_text():
            assert self.process.exitcode is None
            time.sleep(0.005)
        return self

    def end(self, seconds: float = 120) -> "Ended":
        """Wait for it."""
        self.process.join(seconds)
        hung = self.process.exitcode is None
        if hung:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
        return Ended(self.process.exitcode or 0, self._output.read_text(errors="replace"), hung)

    def kill(self, number: int) -> None:
        """Send it a signal. On a fast machine it may have ended before; what it left is looked at all the same."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int  # of the last step; negative: the signal that ended it
    output: str
    hung: bool

    @property
    def statuses(self) -> list[int]:
        """Of each step."""
        return [int(line.split()[-1]) for line in self.output.splitlines() if line.startswith("=== ")]

    def fault(self, allowed: Sequence[int] = (0, 1)) -> str | None:
        """What a user should not see; None: nothing of the kind."""
        if self.hung:
            return "it hung"
        if "Traceback (most recent call last)" in self.output or "Fatal Python error" in self.output:
            return "a traceback:\n" + self.output[-1500:]
        if self.status not in allowed:
            return f"it ended with {self.status}:\n" + self.output[-1500:]
        if any(status not in allowed for status in self.statuses):
            return f"statuses {self.statuses}:\n" + self.output[-1500:]
        return None

    @property
    def digest(self) -> dict[str, str] | None:
        """Of its last step that printed one."""
        lines = [line for line in self.output.splitlines() if line.startswith("digest ")]
        return dict(json.loads(lines[-1].removeprefix("digest "))) if lines else None


def _give_up_capabilities() -> None:
    """All of root's powers over files of others, and over permissions of its own."""
    header = struct.pack("Ii", 0x20080522, 0)  # of capset(2), version 3; the second: this process
    if ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _act(folder: str, steps: list[list[str]], limits: Limits, output: str) -> None:
    os.setpgid(0, 0)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    faulthandler.enable(2)
    os.chdir(folder)
    for name in ("ONOFF_CONFIG", "ONOFF_STORE", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    for name, value in limits.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if limits.powerless and os.geteuid() == 0:
        _give_up_capabilities()
    if limits.more_memory is not None:
        had = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (had + limits.more_memory,) * 2)
    if limits.files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits.files,) * 2)
    if limits.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)
    status = 0
    print("begins", flush=True)
    for name, *arguments in steps:
        began = time.monotonic()
        try:
            status = ACTIONS[name](*arguments)
        except OnoffError as error:  # of a digest
            print(f"error: {error}")
            status = 1
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 70
        print(f"=== {time.monotonic() - began:.2f} s, status {name} {' '.join(arguments)}: {status}", flush=True)
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
