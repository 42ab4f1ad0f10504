"""A job of sampling as it is handed to a process, and what comes back. Standard library only."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

_MARK = "onoff-bench-done: "  # engines print lines of their own


@dataclass(frozen=True)
class Job:
    """Draw `samples` responses to each prompt at temperature 1, without truncation."""

    model: str  # a folder in transformers' layout
    problems: list[dict[str, str]]  # id, question and answer, for who renders prompts by itself
    prompts: list[list[int]]  # the token ids that come of it
    samples: int
    max_tokens: int
    stop_token_ids: list[int]
    dtype: str  # float32 or bfloat16
    rows: int  # responses side by side


@dataclass(frozen=True)
class Done:
    """What a process found."""

    lengths: list[int]  # tokens of each response, a stop token at its end left out
    seconds: float  # of decoding: after the engine was ready
    version: str  # of the engine


def serve(run: Callable[[Job], Done]) -> None:
    """The whole of such a program."""
    done = run(Job(**json.load(sys.stdin)))
    print(f"\n{_MARK}{json.dumps(asdict(done))}", flush=True)


def read_done(printed: str) -> Done:
    """What `serve` printed among other lines. Raises `ValueError` where it did not."""
    lines = [line for line in printed.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise ValueError("the process ended without a result")
    return Done(**json.loads(lines[-1].removeprefix(_MARK)))
