"""Which fragments a partition's samples lie in, where some of the responses are there already.

Samples of a range of indices are cut into pieces, some consecutive problems each. A piece is one fragment of what is
drawn; where a former generation may have its responses, three: what is taken over from there, what goes on with a
response that ended there, and what is drawn. Their numbers follow from the problems and from what is said of the former
generation, so an interrupted run and the one that goes on from it agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from onoff_core.problems import Problem
from onoff_core.sampling.chunks import Chunk, chunks_of


@dataclass(frozen=True)
class Piece:
    """Some problems with some samples of each."""

    chunk: Chunk  # under the number of the fragment of what is drawn
    taken: int | None = None  # the number of the fragment of what is taken over; None: all is drawn
    resumed: int | None = None  # the number of the fragment of responses that are gone on with

    @property
    def indices(self) -> list[int]:
        """Of its fragments, those that may be there."""
        return [index for index in (self.taken, self.resumed, self.chunk.index) if index is not None]


@dataclass
class Pieces:
    """The pieces of all problems, one range of samples after the other."""

    problems: Sequence[Problem]
    known: frozenset[str] = frozenset()  # problems that the former generation has
    num_known: int = 0  # the samples that it has of each
    end: int = field(default=0, init=False)  # of the samples so far
    _index: int = field(default=0, init=False)

    def up_to(self, num_samples: int) -> list[Piece]:
        """The pieces of the next samples, up to so many of each problem."""
        found: list[Piece] = []
        for end in sorted({min(num_samples, max(self.end, self.num_known)), num_samples}):
            if end > self.end:
                found += self._layer(self.end, end)
                self.end = end
        return found

    def _layer(self, begin: int, end: int) -> list[Piece]:
        if end > self.num_known:
            return [Piece(chunk) for chunk in self._chunks(self.problems, begin, end)]
        known = [problem for problem in self.problems if problem.problem_id in self.known]
        new = [problem for problem in self.problems if problem.problem_id not in self.known]
        taken, resumed, drawn = (self._chunks(known, begin, end) for _ in range(3))
        pieces = [Piece(c, a.index, b.index) for a, b, c in zip(taken, resumed, drawn, strict=True)]
        return [*pieces, *(Piece(chunk) for chunk in self._chunks(new, begin, end))]

    def _chunks(self, problems: Sequence[Problem], begin: int, end: int) -> tuple[Chunk, ...]:
        found = chunks_of(problems, end, begin, self._index)
        self._index += len(found)
        return found
