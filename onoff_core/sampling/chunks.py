"""Cut a partition's responses into chunks, a fragment each. An interrupted run loses at most the chunks in work.

The cut depends on the number of problems and of samples only, both of which decide the fingerprint, so an interrupted
run and the one that goes on from it always agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onoff_core.problems import Problem

ResponseKey = tuple[str, int]  # problem_id, sample_index
_MIN_RESPONSES, _MAX_RESPONSES, _CHUNKS = 32, 512, 100


@dataclass(frozen=True)
class Begun:
    """A response that was drawn before, up to a smaller `max_length`, and goes on."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, raw model at temperature 1
    forced_positions: tuple[int, ...] = ()  # of tokens that were put in, not drawn


@dataclass(frozen=True)
class Chunk:
    """Some consecutive problems, with the same samples of each."""

    index: int
    problems: tuple[Problem, ...]
    samples: range
    elsewhere: frozenset[ResponseKey] = frozenset()  # responses that another fragment has
    begun: Mapping[ResponseKey, Begun] = field(default_factory=dict, hash=False)  # responses that are gone on with

    @property
    def keys(self) -> list[ResponseKey]:
        """Its responses, by problem and sample index."""
        every = ((problem.problem_id, index) for problem in self.problems for index in self.samples)
        return [key for key in every if key not in self.elsewhere]


def chunks_of(
    problems: Sequence[Problem], num_samples: int, first_sample: int = 0, first_index: int = 0
) -> tuple[Chunk, ...]:
    """About a hundred chunks of 32 to 512 responses, whole problems each, with the samples from `first_sample` on."""
    samples = range(first_sample, num_samples)
    wanted = min(_MAX_RESPONSES, max(_MIN_RESPONSES, len(problems) * len(samples) // _CHUNKS))
    size = max(1, wanted // len(samples))
    return tuple(
        Chunk(first_index + number, tuple(problems[begin : begin + size]), samples)
        for number, begin in enumerate(range(0, len(problems), size))
    )
