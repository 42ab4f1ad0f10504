"""A replica as a process of this machine.

    python -m onoff_core.backends.replicas.child FILE_DESCRIPTOR PARENT_PROCESS_ID DIE_WITH_PARENT

A program of its own, not a fork and not a copy of the main module: its share of GPUs and threads stands in its
environment before anything is imported, and it starts alike from a notebook, a test or any executor.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    descriptor, parent, die_with_parent = (int(argument) for argument in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then ends us
    if die_with_parent and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        return
    os.dup2(2, 1)  # what a library prints is no answer of ours
    from multiprocessing.connection import Connection

    from onoff_core.backends.replicas.serving import serve

    serve(Connection(descriptor))


if __name__ == "__main__":
    main()
