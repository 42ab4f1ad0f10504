"""One pass over the tokens of a partition, fragment by fragment: histograms, entropy by position, unsure tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_assets.browser.reading import Reader, Responses
from onoff_core.store import Generation
from onoff_core.thinking_tables import drawn_tokens

# Nats. The bins have equal width, so that their counts can be compared; the entropy is at most ln V, which is about 12.
ENTROPY_EDGES = np.arange(0, 12.51, 0.1)
# Positions in buckets that grow by a quarter: single tokens first, then ever wider.
POSITION_EDGES = np.unique(np.floor(1.25 ** np.arange(60)).astype(np.int64)) - 1
REWARDS = ("wrong", "correct", "not graded")
UNSURE = 1.0  # nats
_EXAMPLES = 3


@dataclass(frozen=True)
class UnsureToken:
    """A token that was drawn where the model was unsure."""

    token_id: int
    unsure: int  # times it was drawn at an entropy of at least UNSURE
    drawn: int  # times it was drawn at all
    mean_entropy: float  # nats, where it was drawn
    examples: tuple[tuple[str, int, int], ...]  # (problem_id, sample_index, position), the highest entropies


@dataclass(frozen=True)
class TokenSummary:
    """The tokens of a partition."""

    num_tokens: int
    mean_entropy: float | None
    histogram: NDArray[np.int64]  # (len(REWARDS), len(ENTROPY_EDGES) - 1)
    position_count: NDArray[np.int64]  # (len(REWARDS), len(POSITION_EDGES))
    position_entropy: NDArray[np.float64]  # of the same shape; mean nats, nan where there is none
    unsure_tokens: tuple[UnsureToken, ...]


@dataclass(frozen=True)
class _Fragment:
    entropy: NDArray[np.float64]
    position: NDArray[np.int64]
    token_id: NDArray[np.int64]
    row: NDArray[np.int64]  # the row of the token's response in the responses' table


def summarise_tokens(distributions: Generation, responses: Responses, num_tokens_shown: int = 40) -> TokenSummary:
    """Read entropy, position and token_id of every token once; memory holds one fragment at a time."""
    rewards = np.array([2 if r is None else r for r in responses.table["reward"].to_pylist()], dtype=np.int64)
    bins, places = len(ENTROPY_EDGES) - 1, len(POSITION_EDGES)
    histogram = np.zeros((len(REWARDS), bins), np.int64)
    count, total = np.zeros((len(REWARDS), places), np.int64), np.zeros((len(REWARDS), places))
    tokens = _TokenTally()
    for part in _fragments(distributions, responses):
        bin_of = np.clip(np.searchsorted(ENTROPY_EDGES, part.entropy, side="right") - 1, 0, bins - 1)
        np.add.at(histogram, (rewards[part.row], bin_of), 1)
        place = np.searchsorted(POSITION_EDGES, part.position, side="right") - 1
        np.add.at(count, (rewards[part.row], place), 1)
        np.add.at(total, (rewards[part.row], place), part.entropy)
        tokens.add(part)
    with np.errstate(invalid="ignore"):
        means = total / count
    number = int(count.sum())
    mean = float(total.sum() / number) if number else None
    return TokenSummary(number, mean, histogram, count, means, tokens.top(num_tokens_shown, responses))


def _fragments(distributions: Generation, responses: Responses) -> Iterator[_Fragment]:
    """Each fragment's tokens. It has the responses of the samples' fragment of the same number, in the same order."""
    fragment_of = responses.table["fragment"].to_numpy()
    lengths = responses.table["num_tokens"].to_numpy()
    for index in sorted(distributions.fragment_indices()):
        table = distributions.read_fragment(index, ["entropy", "position", "token_id", "forced"])
        rows = np.flatnonzero(fragment_of == index)
        row = np.repeat(rows, lengths[rows])[: table.num_rows]
        if "forced" in table.column_names and table["forced"].null_count < table.num_rows:
            table = drawn_tokens(table.append_column("row", pa.array(row)))
            row = table["row"].to_numpy()
        entropy, position, token_id = (table[name].to_numpy() for name in ("entropy", "position", "token_id"))
        yield _Fragment(entropy.astype(np.float64), position.astype(np.int64), token_id.astype(np.int64), row)


class _TokenTally:
    """Counts how often each token id was drawn, and how often where the model was unsure; keeps examples of that."""

    def __init__(self) -> None:
        self.drawn: dict[int, int] = {}
        self.unsure: dict[int, int] = {}
        self.entropy: dict[int, float] = {}
        self.examples: dict[int, list[tuple[float, int, int]]] = {}

    def add(self, part: _Fragment) -> None:
        ids, index, counts = np.unique(part.token_id, return_inverse=True, return_counts=True)
        sums = np.bincount(index, weights=part.entropy)
        above = part.entropy >= UNSURE
        unsure = np.bincount(index[above], minlength=len(ids))
        for i, token_id in enumerate(ids.tolist()):
            self.drawn[token_id] = self.drawn.get(token_id, 0) + int(counts[i])
            self.unsure[token_id] = self.unsure.get(token_id, 0) + int(unsure[i])
            self.entropy[token_id] = self.entropy.get(token_id, 0.0) + float(sums[i])
        order = np.flatnonzero(above)
        order = order[np.argsort(-part.entropy[order], kind="stable")]
        for i in order.tolist():
            kept = self.examples.setdefault(int(part.token_id[i]), [])
            example = (float(part.entropy[i]), int(part.row[i]), int(part.position[i]))
            if len(kept) < _EXAMPLES:
                kept.append(example)
            elif example[0] > kept[-1][0]:
                kept[-1] = example
            kept.sort(reverse=True)

    def top(self, number: int, responses: Responses) -> tuple[UnsureToken, ...]:
        wanted = sorted((t for t, n in self.unsure.items() if n), key=lambda t: (-self.unsure[t], t))[:number]
        problem_ids, samples = responses.table["problem_id"], responses.table["sample_index"]
        return tuple(
            UnsureToken(
                token_id,
                self.unsure[token_id],
                self.drawn[token_id],
                self.entropy[token_id] / self.drawn[token_id],
                tuple((problem_ids[r].as_py(), samples[r].as_py(), p) for _, r, p in self.examples[token_id]),
            )
            for token_id in wanted
        )


def token_summary(reader: Reader, distributions: Generation, responses: Responses) -> TokenSummary:
    """The same as `summarise_tokens`, computed once for these generations and kept."""
    graded = responses.rewards.folder if responses.rewards else None
    key = ("summary", distributions.folder, graded)
    return reader.kept(key, lambda: summarise_tokens(distributions, responses), lambda summary: 100_000)


def problem_counts(responses: Responses) -> tuple[list[int], list[int]]:
    """(correct, graded) responses of each problem."""
    table = responses.table.filter(pc.is_valid(responses.table["reward"]))
    grouped = table.group_by("problem_id", use_threads=False).aggregate([("reward", "sum"), ("reward", "count")])
    return grouped["reward_sum"].to_pylist(), grouped["reward_count"].to_pylist()
