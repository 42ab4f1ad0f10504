"""Types of checks: an invariant, and the evidence for or against it."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 5  # offenders named in the evidence

Key = tuple[str, int]  # problem_id, sample_index


@dataclass(frozen=True)
class Evidence:
    """Whether an invariant holds, with a sentence and the numbers behind it."""

    holds: bool
    says: str
    facts: dict[str, Any] = field(default_factory=dict)


Found = Mapping[str, Evidence]  # by the check's name

# blocks: tables made from this one would be wrong, so none is made. error, warns: they are made, and this is shown.
Consequence = Literal["blocks", "error", "warns"]


@dataclass(frozen=True)
class Check:
    """An invariant of a table: the function that finds the evidence, and the consequence if it does not hold."""

    find: Callable[..., Evidence]
    consequence: Consequence

    @property
    def name(self) -> str:
        return self.find.__name__

    @property
    def description(self) -> str:
        """The function's docstring, as one line: the only place that says what the check means."""
        return " ".join((inspect.getdoc(self.find) or "").split())


def keys_of(table: "pa.Table | pa.RecordBatch") -> list[Key]:
    """(problem_id, sample_index) of each row."""
    return list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))


def examples(keys: Iterable[Key]) -> dict[str, str]:
    """The first offenders by name, as a fact; nothing where there is none."""
    shown = [f"{problem} sample {index}" for problem, index in list(keys)[:SHOWN]]
    return {"for example": ", ".join(shown)} if shown else {}
