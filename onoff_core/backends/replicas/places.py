"""Start a replica as a process of this machine.

To its parent a replica is a connection, behind which `serving` runs, and a way to end it. A function that starts one is
a `Start`; a replica in another place, such as a Ray cluster, is another `Start` and nothing else changes.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from onoff_core.backends.replicas.shares import Share

PACKAGE_ROOT = Path(__file__).parents[3]


class Replica(Protocol):
    """A started replica. Nothing has been said to it yet."""

    @property
    def place(self) -> str:
        """Where it lives, for people: `cpu`, `GPU 0`."""

    @property
    def connection(self) -> Connection: ...

    def end(self) -> str:
        """End it if it has not ended, wait until it has, and say how it ended."""


Start = Callable[[], Replica]


class ProcessReplica:
    """A process of its own, which dies with this one."""

    def __init__(self, share: Share) -> None:
        self.place = share.place
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        # The system ends a child with the thread that started it, so only the main thread may ask for that; the end of
        # the connection, which the child watches, says the same a moment later.
        dies_with_parent = threading.current_thread() is threading.main_thread()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "onoff_core.backends.replicas.child"),
                    *(str(theirs.fileno()), str(os.getpid()), str(int(dies_with_parent))),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path, **share.environment},
            )
        self._connection = Connection(ours.detach())

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def process_id(self) -> int:
        return self._process.pid

    def end(self) -> str:
        self._connection.close()
        self._process.kill()
        status = self._process.wait()
        return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
