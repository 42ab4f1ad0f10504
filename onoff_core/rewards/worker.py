"""The grading process: reads a batch of jobs a line, writes an outcome a line.

    python -m onoff_core.rewards.worker MEMORY_BYTES CPU_SECONDS REWARD_TYPE

A process of its own, not a fork: it starts alike under every Dagster executor, from any thread and whatever the main
module is. The parent keeps the time (`pool`); here stands only what a process must do for itself: a limit on its
memory, and one on its processor time for each item, which keeps the deadline where the system does not tell the parent
how much was used, and ends a process that has outlived its parent.

In, JSON: a list of jobs a line.
    {"job": id, "gold": "...", "items": [[number, answer], ...]}               is each answer the gold answer?
    {"job": id, "known": [[class, answer], ...], "beside": "...", "items": ...}   which answers to this gold are equal?
Out, JSON, one a line: {"ready": true} once, {"done": true} after each batch, and between them
    {"job": id, "gold": true|false}            whether the gold answer parses, once it is worked out; if not, nothing
                                               more of this job
    {"job": id, "n": number, "value": true|false|class}
    {"exhausted": true}                        the memory did not suffice for what is being worked on; ends the process
    {"retired": true}                          much memory is in use; ends the process before the next item
"""

import json
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from onoff_core.rewards.answers import Answer
    from onoff_core.rewards.comparisons import Comparison

_RETIRE_SHARE = 0.75  # of the memory limit


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then ends us
    batches, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an outcome
    memory_bytes, cpu_seconds, reward_type = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    warnings.simplefilter("ignore")
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that we keep the time ourselves
    from onoff_core.rewards.answers import parse_answer
    from onoff_core.rewards.comparisons import COMPARISONS

    comparison = COMPARISONS[reward_type]
    parse_answer(r"\frac{x}{2}")  # the parser builds its tables at its first use
    retire_at = _peak_bytes() + int(memory_bytes * _RETIRE_SHARE)
    _limit(resource.RLIMIT_AS, _address_space() + memory_bytes)
    _say(outcomes, {"ready": True})
    try:
        for batch in batches:
            for job in json.loads(batch):
                if not _work(job, comparison, cpu_seconds, outcomes, retire_at):
                    _say(outcomes, {"retired": True})
                    return
            _say(outcomes, {"done": True})
    except MemoryError:
        _say(outcomes, {"exhausted": True})
    except BrokenPipeError:
        os._exit(1)  # the parent was killed: nobody is left who would read of it


def _work(job: dict[str, Any], comparison: "Comparison", cpu_seconds: int, outcomes: BinaryIO, retire_at: int) -> bool:
    """Do one job; False where this process has come to use too much memory to go on."""
    from onoff_core.rewards.answers import parse_answer

    gold_text = job["gold"] if "gold" in job else job["beside"]
    _limit_cpu(cpu_seconds)
    gold = None if gold_text is None else parse_answer(gold_text)
    if "gold" in job:
        assert gold is not None
        if gold.is_parsed:
            comparison.work_out(gold)
        _say(outcomes, {"job": job["job"], "gold": gold.is_parsed})
        if not gold.is_parsed:
            return True
    known = [(number, text) for number, text in job.get("known", ())]
    for number, text in job["items"]:
        _limit_cpu(cpu_seconds)
        if "gold" in job:
            assert gold is not None
            value: bool | int = comparison.is_equal(gold, text)
        else:
            value = _class_of(text, known, lambda one, other: comparison.is_same_class(gold, one, other))
        _say(outcomes, {"job": job["job"], "n": number, "value": value})
        if _peak_bytes() > retire_at:
            return False
    return True


def _class_of(text: str, known: list[tuple[int, str]], is_same: Callable[["Answer", "Answer"], bool]) -> int:
    """The class of the first known answer that this one equals, else a new one, which is then known too."""
    from onoff_core.rewards.answers import parse_answer

    answer = parse_answer(text)
    for number, other in known:
        if is_same(parse_answer(other), answer):
            return number
    new = max((number for number, _ in known), default=0) + 1
    known.append((new, text))
    return new


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _limit(kind: int, most: int) -> None:
    """Set a limit of this process; a lower one that it was started under (`ulimit`) stays."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _address_space() -> int:
    """What this process takes with its libraries loaded; a guess where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 1 << 30


def _limit_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds
    _limit(resource.RLIMIT_CPU, soft)


def _say(outcomes: BinaryIO, outcome: dict[str, Any]) -> None:
    outcomes.write(json.dumps(outcome).encode() + b"\n")
    outcomes.flush()


if __name__ == "__main__":
    main()
