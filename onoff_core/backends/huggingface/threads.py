"""How the threads of torch and numba wait for each other. Called before either is imported.

OpenMP's threads wait by spinning, for about a millisecond of a core. Beside another busy process the thread they wait
for is often not running, and all spin in vain: decoding fell to 0.06 of its speed. With a short spin, which still
bridges the gap between two operations of a decode step, a waiting thread then sleeps and leaves its core. The
libraries read these variables once, when they are loaded. What a model does beside busy processes: `neighbours`.
"""

import os
from collections.abc import MutableMapping

from onoff_core.backends.cores import quota, said_threads, usable_cores

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # a user who sets one has decided
_SPINS = "10000"  # rounds of some tens of nanoseconds


def settle_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have waiting threads sleep soon, and numba take as many threads as `OMP_NUM_THREADS` says. What the user has set
    stays.

    Where a container may use fewer cores' time than there are cores (`quota`), torch would start a thread for each, and
    the system would stop them all for most of every tenth of a second: there are as many as the quota pays.
    """
    if not any(name in environment for name in _WAITING):
        environment["GOMP_SPINCOUNT"] = _SPINS
    if quota() is not None:
        environment.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    wanted = said_threads(environment)
    if wanted is not None:
        environment.setdefault("NUMBA_NUM_THREADS", str(wanted))
