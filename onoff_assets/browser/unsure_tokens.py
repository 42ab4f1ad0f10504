"""How often each token was drawn where the model was unsure, with the places where it was most so: a row a token."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_assets.browser.queries import Column
from onoff_assets.browser.reading import Responses, Vocabulary

UNSURE = 1.0  # nats
_EXAMPLES = 3
_AROUND = 5  # tokens before and after an example, so that one sees where it stands
_MOST_KEPT = 500_000  # places, before all but the best of each token are dropped

COLUMNS = (
    Column("piece", "token", "text", "what the token stands for", width=8, need=1, line=1, mono=True),
    Column("token_id", "id", "number", "the token's id", width=4.6, need=2, line=1, mono=True),
    Column("times_unsure", "times unsure", "number", f"drawn where the entropy was at least {UNSURE:g} nat", width=6.6,
           need=1, line=2),
    Column("unsure_percent", "% of its draws", "number", "per cent of its draws where the model was unsure",
           width=7.4, need=1, line=2),
    Column("times_drawn", "times drawn", "number", "drawn at all", width=6.6, need=2, line=2),
    Column("token_entropy", "mean entropy", "number", "nats, mean where it was drawn", digits=2, width=7, need=1,
           line=3),
    Column("token_max_entropy", "max entropy", "number", "nats, the largest where it was drawn", digits=2, width=6.8,
           need=2, line=3),
    Column("examples", "where it was most unsure: problem, sample, token", "links", "the highest entropies", width=18,
           need=2, line=4, grows=True),
)  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """Drawn tokens, one after the other."""

    entropy: NDArray[np.float64]
    position: NDArray[np.int64]
    token_id: NDArray[np.int64]
    row: NDArray[np.int64]  # the row of the token's response in the responses' table


AnyTokens = TypeVar("AnyTokens", bound=Tokens)


@dataclass(frozen=True)
class Places(Tokens):
    """Drawn tokens with those around each: (tokens, 2 * `_AROUND` + 1) ids, -1 where the response has none."""

    around: NDArray[np.int64]


class TokenTally:
    """Counts how often each token id was drawn, and how often where the model was unsure; keeps examples of that."""

    def __init__(self) -> None:
        self._drawn, self._unsure, self._entropy = np.zeros(0), np.zeros(0), np.zeros(0)  # by token id
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._places = [Places(np.zeros(0), *nothing, np.zeros((0, 2 * _AROUND + 1), np.int64))]
        self._num_places = 0

    def add(self, part: Tokens) -> None:
        above = part.entropy >= UNSURE
        self._drawn = _sum(self._drawn, np.bincount(part.token_id))
        self._unsure = _sum(self._unsure, np.bincount(part.token_id[above]))
        self._entropy = _sum(self._entropy, np.bincount(part.token_id, weights=part.entropy))
        unsure = np.flatnonzero(above)
        self._places.append(_places(part, unsure[_best(_taken(part, unsure))]))
        self._num_places += len(self._places[-1].row)
        if self._num_places > _MOST_KEPT:
            self._places = [self._best_places()]
            self._num_places = 0

    def _best_places(self) -> Places:
        joined = _joined(self._places)
        return _taken(joined, _best(joined))

    def table(self, responses: Responses) -> pa.Table:
        """The columns of `COLUMNS` but `piece`, of tokens that were drawn where the model was unsure, the most often so
        first."""
        best = self._best_places()
        ids, starts = np.unique(best.token_id, return_index=True)
        unsure = _sum(np.zeros(len(self._drawn)), self._unsure)[ids]
        order = np.argsort(-unsure, kind="stable")
        examples = _examples(best, starts, responses).take(pa.array(order))
        ids, unsure, largest = ids[order], unsure[order], best.entropy[starts][order] if len(ids) else np.zeros(0)
        drawn = self._drawn[ids]
        return pa.table(
            {
                "token_id": ids,
                "times_unsure": unsure.astype(np.int64),
                "unsure_percent": 100 * unsure / drawn,
                "times_drawn": drawn.astype(np.int64),
                "token_entropy": self._entropy[ids] / drawn,
                "token_max_entropy": largest,
                "examples": examples,
            }
        )


def in_context(around: list[int], vocabulary: Vocabulary) -> str:
    """An example's token between ⟦ ⟧ among those around it; … where the response goes on."""
    before, token, after = around[:_AROUND], around[_AROUND], around[_AROUND + 1 :]
    parts = [
        "" if -1 in before else "…",
        vocabulary.text_of([one for one in before if one >= 0]),
        f"⟦{vocabulary.text_of([token])}⟧",
        vocabulary.text_of([one for one in after if one >= 0]),
        "" if -1 in after else "…",
    ]
    return "".join(parts)


def with_pieces(table: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    """The table with what each token stands for."""
    labels = [vocabulary.label(token_id) for token_id in table["token_id"].to_pylist()]
    return table.add_column(0, "piece", pa.array(labels, pa.string()))


def _sum(total: NDArray[np.float64], more: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Of two arrays by token id, the longer of which decides the length."""
    made = np.zeros(max(len(total), len(more)))
    made[: len(total)] += total
    made[: len(more)] += more
    return made


def _taken(tokens: AnyTokens, rows: NDArray[np.int64]) -> AnyTokens:
    return type(tokens)(*(value[rows] for value in vars(tokens).values()))


def _joined(parts: list[AnyTokens]) -> AnyTokens:
    return type(parts[0])(
        *(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True))
    )


def _places(part: Tokens, at: NDArray[np.int64]) -> Places:
    """Tokens of a part, by their numbers in it, with those around them in their responses."""
    near = at[:, None] + np.arange(-_AROUND, _AROUND + 1)
    there = np.clip(near, 0, max(0, len(part.row) - 1))
    is_same = (near == there) & (part.row[there] == part.row[at][:, None])
    return Places(**vars(_taken(part, at)), around=np.where(is_same, part.token_id[there], -1))


def _best(tokens: Tokens) -> NDArray[np.int64]:
    """The numbers of those of the highest entropies, by token id, the highest first; of equal ones the first in the
    data set."""
    order = np.lexsort((tokens.position, tokens.row, -tokens.entropy, tokens.token_id))
    ids = tokens.token_id[order]
    _, starts, counts = np.unique(ids, return_index=True, return_counts=True)
    rank = np.arange(len(ids)) - np.repeat(starts, counts)
    return np.asarray(order[rank < _EXAMPLES])


def _examples(best: Places, starts: NDArray[np.int64], responses: Responses) -> pa.Array:
    """A list of {problem, sample, token, around} for each token id."""
    rows = pa.array(best.row)
    columns = [responses.table[name].take(rows).combine_chunks() for name in ("problem_id", "sample_index")]
    around = pa.FixedSizeListArray.from_arrays(pa.array(best.around.ravel(), pa.int64()), 2 * _AROUND + 1)
    columns += [pa.array(best.position), around]
    places = pa.StructArray.from_arrays(columns, ["problem", "sample", "token", "around"])
    return pa.ListArray.from_arrays(pa.array([*starts.tolist(), len(best.row)], pa.int32()), places)
