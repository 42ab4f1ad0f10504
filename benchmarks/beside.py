"""Decoding beside other busy processes, as a share of the speed without them.

4 prompts x 8 samples of 48 tokens, the embedded model, each measurement in a process of its own, since how threads wait
is settled when torch is loaded. Beside our way stands OpenMP's usual one, whose threads are as many as cores, whatever
else runs, and spin for 300,000 rounds: what it gains without neighbours is what ours costs there.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.figures import Figure, interleaved

PROBLEMS, SAMPLES, TOKENS, ROWS = 4, 8, 48, 32
# Ends with its parent, whatever ends that.
_BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_USUAL = {"GOMP_SPINCOUNT": "300000", "OMP_DYNAMIC": "false"}  # what libgomp does where nothing is said


def run(repeats: int, neighbours: int, say: Callable[[str], None]) -> list[Figure]:
    medians = interleaved(
        {
            "onoff, alone": lambda: _measured({}, 0),
            "onoff, beside": lambda: _measured({}, neighbours),
            "spinning, alone": lambda: _measured(_USUAL, 0),
            "spinning, beside": lambda: _measured(_USUAL, neighbours),
        },
        repeats,
        say,
    )
    quiet, beside = medians["onoff, alone"], medians["onoff, beside"]
    usual, usual_beside = medians["spinning, alone"], medians["spinning, beside"]
    name = f"beside {neighbours} busy"
    return [
        Figure("spinning threads, alone", usual, "tokens/s"),
        Figure(f"spinning threads, {name}", usual_beside, "tokens/s", "spinning, alone", usual_beside / usual),
        Figure("onoff, alone", quiet, "tokens/s", "spinning, alone", quiet / usual, ">= 0.95"),
        Figure(f"onoff, {name}", beside, "tokens/s", "onoff, alone", beside / quiet, ">= 0.45"),
    ]


def _measured(changes: dict[str, str], neighbours: int) -> float:
    """Tokens a second of one process with these variables, beside so many that are busy."""
    environment = {name: value for name, value in os.environ.items() if name not in (*_WAITING, "OMP_DYNAMIC")}
    with _busy(neighbours):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.beside"],
            env={**environment, **changes},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(done.stdout.split()[-1])


@contextmanager
def _busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _tokens_per_second() -> float:
    from collections import Counter

    from benchmarks.sampling import ours
    from benchmarks.workloads import embedded_model, word_problem_requests

    loaded = embedded_model()
    requests = word_problem_requests(loaded, PROBLEMS, SAMPLES)
    ours(loaded, requests[:SAMPLES], 4, ROWS, Counter())  # packs the weights
    return ours(loaded, requests, TOKENS, ROWS, Counter())


if __name__ == "__main__":
    print(_tokens_per_second())
