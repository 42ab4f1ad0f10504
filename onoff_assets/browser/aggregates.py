"""One pass over the tokens of a partition, fragment by fragment: histograms, entropy by position, unsure tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_assets.browser.computing import Job, Say, job
from onoff_assets.browser.entropy_means import Difference, EntropySums, MeanEntropy
from onoff_assets.browser.reading import Reader, Responses
from onoff_assets.browser.unsure_tokens import Tokens, TokenTally
from onoff_core.store import Generation
from onoff_core.thinking_tables import drawn_tokens

# Nats. The bins have equal width, so that their counts can be compared; the entropy is at most ln V, which is about 12.
ENTROPY_EDGES = np.arange(0, 12.51, 0.1)
# Positions in buckets that grow by a quarter: single tokens first, then ever wider.
POSITION_EDGES = np.unique(np.floor(1.25 ** np.arange(60)).astype(np.int64)) - 1
REWARDS = ("wrong", "correct", "not graded")


@dataclass(frozen=True)
class TokenSummary:
    """The tokens of a partition."""

    num_tokens: int
    mean_entropy: float | None
    histogram: NDArray[np.int64]  # (len(REWARDS), len(ENTROPY_EDGES) - 1)
    position_count: NDArray[np.int64]  # (len(REWARDS), len(POSITION_EDGES))
    position_entropy: NDArray[np.float64]  # of the same shape; mean nats, nan where there is none
    position_low: NDArray[np.float64]  # its 95 % interval on other problems; nan for fewer than two problems
    position_high: NDArray[np.float64]
    by_reward: tuple[MeanEntropy, ...]  # in the order of REWARDS
    correct_minus_wrong: Difference | None  # of the mean entropies of their tokens
    unsure_tokens: pa.Table  # as in `unsure_tokens.py`


def summarise_tokens(distributions: Generation, responses: Responses, say: Say = lambda done, of: None) -> TokenSummary:
    """Read entropy, position and token_id of every token once; memory holds one fragment at a time."""
    rewards = pc.fill_null(responses.table["reward"], 2).to_numpy().astype(np.int64)
    bins, places = len(ENTROPY_EDGES) - 1, len(POSITION_EDGES)
    histogram = np.zeros((len(REWARDS), bins), np.int64)
    sums = EntropySums(responses.table["problem_id"], rewards, len(REWARDS), places)
    tokens = TokenTally()
    fragments = sorted(distributions.fragment_indices())
    for done, part in enumerate(_fragments(distributions, responses, fragments)):
        say(done, len(fragments))
        bin_of = np.clip(np.searchsorted(ENTROPY_EDGES, part.entropy, side="right") - 1, 0, bins - 1)
        histogram += np.bincount(rewards[part.row] * bins + bin_of, minlength=histogram.size).reshape(histogram.shape)
        place = np.searchsorted(POSITION_EDGES, part.position, side="right") - 1
        sums.add(part.row, place, part.entropy)
        tokens.add(part)
    unsure = tokens.table(responses)
    difference = sums.difference(REWARDS.index("correct"), REWARDS.index("wrong"))
    bands, by_reward = sums.ends(), sums.by_reward()
    return TokenSummary(
        sums.num_tokens, sums.mean, histogram, sums.count, sums.means(), *bands, by_reward, difference, unsure
    )


def _fragments(distributions: Generation, responses: Responses, fragments: Sequence[int]) -> Iterator[Tokens]:
    """Each fragment's tokens. It has the responses of the samples' fragment of the same number, in the same order."""
    fragment_of = responses.table["fragment"].to_numpy()
    lengths = responses.table["num_tokens"].to_numpy()
    for index in fragments:
        table = distributions.read_fragment(index, ["entropy", "position", "token_id", "forced"])
        rows = np.flatnonzero(fragment_of == index)
        row = np.repeat(rows, lengths[rows])[: table.num_rows]
        if "forced" in table.column_names and table["forced"].null_count < table.num_rows:
            table = drawn_tokens(table.append_column("row", pa.array(row)))
            row = table["row"].to_numpy()
        entropy, position, token_id = (table[name].to_numpy() for name in ("entropy", "position", "token_id"))
        yield Tokens(entropy.astype(np.float64), position.astype(np.int64), token_id.astype(np.int64), row)


def _summary_key(distributions: Generation, responses: Responses) -> tuple[object, ...]:
    return ("summary", distributions.folder, responses.rewards.folder if responses.rewards else None)


def token_summary(
    reader: Reader, distributions: Generation, responses: Responses, say: Say = lambda done, of: None
) -> TokenSummary:
    """The same as `summarise_tokens`, computed once for these generations and kept."""
    return reader.kept(
        _summary_key(distributions, responses),
        lambda: summarise_tokens(distributions, responses, say),
        lambda summary: 10_000 + summary.unsure_tokens.nbytes,
    )


def summary_job(reader: Reader, distributions: Generation, responses: Responses) -> Job[TokenSummary]:
    """The summary, under way or ready."""
    key = (str(reader.store.root), *_summary_key(distributions, responses))
    return job(key, lambda say: token_summary(reader, distributions, responses, say))


def problem_counts(responses: Responses) -> tuple[list[int], list[int]]:
    """(correct, graded) responses of each problem."""
    table = responses.table.filter(pc.is_valid(responses.table["reward"]))
    grouped = table.group_by("problem_id", use_threads=False).aggregate([("reward", "sum"), ("reward", "count")])
    return grouped["reward_sum"].to_pylist(), grouped["reward_count"].to_pylist()
