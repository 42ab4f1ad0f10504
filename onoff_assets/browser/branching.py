"""What would have happened at a token: the branches of a response, their values, and their continuations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onoff_assets.browser.numbers import short
from onoff_assets.browser.reading import Reader, Responses
from onoff_assets.browser.text import plain, visible
from onoff_core.store import Generation

_END = 90  # characters shown of a continuation that is not opened
_LONGEST = 20_000  # characters of a continuation
_MOST = 200  # continuations sent of one branch


@dataclass(frozen=True)
class Branching:
    """The branches of a partition, which were made from the responses that are shown."""

    reader: Reader
    branches: Generation
    positions: Generation
    continuations: Generation

    def of_response(self, problem_id: str, sample_index: int) -> list[dict[str, Any]]:
        """The rows of `branch_positions` of a response, by position."""
        table = self.reader.kept(("rows", self.positions.folder), self.positions.read, lambda table: table.nbytes)
        rows: list[dict[str, Any]] = _of_response(table, problem_id, sample_index).sort_by("position").to_pylist()
        return rows

    def at(self, problem_id: str, sample_index: int, position: int) -> list[dict[str, Any]]:
        """The rows of `branches` at a position, with their fragment: the sampled token first, then by probability."""
        table = self.reader.kept(("rows", self.branches.folder), self._read_branches, lambda table: table.nbytes)
        of = _of_response(table, problem_id, sample_index)
        rows: list[dict[str, Any]] = of.filter(pc.equal(of["position"], position)).to_pylist()
        return sorted(rows, key=lambda row: (not row["is_sampled"], -row["probability"]))

    def continued(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The continuations of a branch."""
        where = {name: row[name] for name in ("problem_id", "sample_index", "position", "token_id")}
        columns = [*where, "token_ids", "reward", "extracted_answer"]
        found: list[dict[str, Any]] = self.continuations.read_rows(row["fragment"], where, columns).to_pylist()
        return found

    def _read_branches(self) -> pa.Table:
        indices = sorted(self.branches.fragment_indices())
        return pa.concat_tables([_with_fragment(self.branches, index) for index in indices])


def branching_of(reader: Reader, responses: Responses) -> Branching | None:
    """The partition's branches; None where there are none of these very responses."""
    branches = reader.following("branches", responses)
    if branches is None:
        return None
    key = responses.samples.partition
    positions, continuations = (
        reader.store.generation(name, key, branches.fingerprint) for name in ("branch_positions", "continuations")
    )
    if not (positions.is_complete and continuations.is_complete):
        return None
    return Branching(reader, branches, positions, continuations)


def as_payload(
    rows: Sequence[dict[str, Any]],
    label: Callable[[int], str],
    text_of: Callable[[list[int]], str],
    position: int,
    chosen: int | None,
    continued: Sequence[dict[str, Any]],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """What `components.branch_view` draws; `temperature` is that of the tokens' probabilities."""
    shown = [
        {
            "token_id": row["token_id"],
            "label": label(row["token_id"]),
            "probability": short(row["probability"]),
            "sampled": row["is_sampled"],
            "correct": row["num_correct"],
            "count": row["num_continuations"],
            "value": row["value"],
            "low": row["value_low"],
            "high": row["value_high"],
            "exact": row["is_exact"],
            "effect": row["effect"],
        }
        for row in rows
    ]
    alone = len(rows) == 1
    note = (
        "Only the sampled token was gone on from here."
        if alone
        else "Gone on from each token as the response was drawn; ▶ is the one that it has. Click one to read on."
    )
    note += f" Probabilities are the model's at temperature {temperature:g}."
    return {
        "title": f"What would have happened at token {position}",
        "note": note,
        "rows": shown,
        "chosen": chosen,
        "texts": [_text(row, text_of) for row in continued[:_MOST]],
    }


def _text(row: dict[str, Any], text_of: Callable[[list[int]], str]) -> dict[str, Any]:
    text = text_of(row["token_ids"]) or "(the token ends the response)"
    answer = row["extracted_answer"]
    return {
        "reward": row["reward"],
        "answer": None if answer is None else visible(answer, 60),
        "end": visible(("…" if len(text) > _END else "") + text[-_END:].strip()),
        "text": plain(text[:_LONGEST]) + ("…" if len(text) > _LONGEST else ""),
    }


def _with_fragment(generation: Generation, index: int) -> pa.Table:
    table = generation.read_fragment(index)
    return table.append_column("fragment", pa.array([index] * table.num_rows, pa.int32()))


def _of_response(table: pa.Table, problem_id: str, sample_index: int) -> pa.Table:
    return table.filter(
        pc.and_(pc.equal(table["problem_id"], problem_id), pc.equal(table["sample_index"], sample_index))
    )
