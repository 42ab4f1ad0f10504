"""Cut a partition's responses into chunks, a fragment each. An interrupted run loses at most the chunks in work.

The cut depends on the number of problems and of samples only, both of which decide the fingerprint, so an interrupted
run and the one that goes on from it always agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from onoff_core.problems import Problem

_MIN_RESPONSES, _MAX_RESPONSES, _CHUNKS = 32, 512, 100


@dataclass(frozen=True)
class Chunk:
    """Some consecutive problems, with all samples of each."""

    index: int
    problems: tuple[Problem, ...]


def chunks_of(problems: Sequence[Problem], num_samples: int) -> tuple[Chunk, ...]:
    """About a hundred chunks of 32 to 512 responses, whole problems each."""
    wanted = min(_MAX_RESPONSES, max(_MIN_RESPONSES, len(problems) * num_samples // _CHUNKS))
    size = max(1, wanted // num_samples)
    return tuple(
        Chunk(number, tuple(problems[begin : begin + size]))
        for number, begin in enumerate(range(0, len(problems), size))
    )
