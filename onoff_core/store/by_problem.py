"""Read a table of responses problem by problem, whichever fragments a problem's rows lie in.

Samples that were taken over, and those of each round of `sampling.until`, are fragments of their own, so a problem may
have rows in several. Fragments hold consecutive problems, so few of them are in memory at a time.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_core.store.generation import Generation
from onoff_core.store.provenance import is_imported
from onoff_core.store.store import Store

Row = dict[str, Any]
_KEY = ("problem_id", "sample_index")
_KEPT = 2  # fragments in memory beyond those that the problem at hand has


@dataclass(frozen=True)
class Placed:
    """A row, and the fragment it is in."""

    fragment: int
    row: Row


class ByProblem:
    """The responses of a generation, by problem and sample index."""

    def __init__(self, generation: Generation, columns: Sequence[str], order: Sequence[str] = ()) -> None:
        """`columns`: that are read besides the key; `order`: of the problems, where it is not that of their rows."""
        self._generation, self._columns = generation, list(dict.fromkeys([*_KEY, *columns]))
        self.fragments: dict[str, set[int]] = {problem_id: set() for problem_id in order}  # of each problem
        for index in sorted(generation.fragment_indices()):
            for problem_id in generation.read_fragment(index, ["problem_id"])["problem_id"].to_pylist():
                self.fragments.setdefault(problem_id, set()).add(index)
        self._kept: OrderedDict[int, dict[str, list[Row]]] = OrderedDict()

    @staticmethod
    def of(store: Store, samples: Generation, columns: Sequence[str], rows: Generation | None = None) -> "ByProblem":
        """Of these samples, or of a generation that was made from them: in the order of the data set, where they were
        drawn here; imported ones keep their own.
        """
        manifest = samples.manifest()
        order: list[str] = []
        if not is_imported(manifest):
            problems = store.generation("problems", samples.partition[:1], manifest.inputs["problems"])
            order = problems.read()["problem_id"].to_pylist()
        return ByProblem(rows or samples, columns, order)

    @property
    def is_cut(self) -> bool:
        """Whether the rows come in another order than that of the fragments."""
        order = [sorted(fragments) for fragments in self.fragments.values() if fragments]
        return any(len(one) > 1 for one in order) or order != sorted(order)

    def problems(self) -> Iterator[list[Placed]]:
        """The responses of each problem that has any, by sample index."""
        for problem_id, fragments in self.fragments.items():
            placed = [
                Placed(index, row)
                for index in sorted(fragments)
                for row in self._read(index, len(fragments))[problem_id]
            ]
            if placed:
                yield sorted(placed, key=lambda one: one.row["sample_index"])

    def _read(self, index: int, needed: int) -> dict[str, list[Row]]:
        """The rows of a fragment by problem."""
        if index not in self._kept:
            rows: dict[str, list[Row]] = {}
            for row in self._generation.read_fragment(index, self._columns).to_pylist():
                rows.setdefault(row["problem_id"], []).append(row)
            self._kept[index] = rows
        self._kept.move_to_end(index)
        while len(self._kept) > needed + _KEPT:
            self._kept.popitem(last=False)
        return self._kept[index]
