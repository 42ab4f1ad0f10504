r"""Problems that stand in several data sets: the same text, nearly the same, or one inside the other.

Texts are compared as tokens: words, numbers and signs of the normalised text (`tokens_of`: Unicode NFKC, lower case, no
`$`, no spacing or sizing commands of LaTeX). Two texts share an n-gram where `n` tokens in a row are equal; a text
that is shorter is one n-gram as a whole. Of the sets A and B of two texts' n-grams

    containment of A in B   |A & B| / |A|         (Broder 1997, "On the resemblance and containment of documents")
    resemblance             |A & B| / |A | B|

A pair is reported where the containment of one of the two in the other is at least the threshold: `equal` where all
tokens are, `near` where the resemblance reaches the threshold too, else `contained`.

Pairs are found by an inverted index over 64-bit hashes of n-grams. If |A & B| >= t |A|, then one of the
|A| - ceil(t |A|) + 1 rarest n-grams of A is in B (prefix filtering, Chaudhuri, Ganti and Kaushik 2006, "A primitive
operator for similarity joins in data cleaning"), so only these are looked up, and no pair is missed.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from onoff_core.problems.problem import Problem

Kind = Literal["equal", "near", "contained"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NGRAM = 8  # tokens
THRESHOLD = 0.5

Ints = NDArray[np.int64]

# Commands that change how a text looks and not what it says, and thin spaces.
_LOOKS = re.compile(
    r"\\(?:(?:left|right|bigl?|bigr?|biggl?|biggr?|displaystyle|textstyle|limits|quad|qquad)(?![a-z])|[,;:!\s])",
    re.IGNORECASE,
)
_VARIANTS = re.compile(r"\\[dt]frac(?![a-z])", re.IGNORECASE)
_TOKEN = re.compile(r"\\[a-z]+|[^\W\d_]+|\d+|\S")
_BATCH = 1 << 20  # n-grams that are looked at side by side
MOST_CANDIDATES = 2_000  # texts that are looked at for one: a phrase of all of them makes everybody a candidate
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Pair:
    """Two problems that overlap. Data sets are in the order in which they were given."""

    first: tuple[str, str]  # data set, problem id
    second: tuple[str, str]
    kind: Kind
    first_in_second: float  # containment
    second_in_first: float
    resemblance: float
    same_answer: bool  # the gold answers are equal as texts; a variant with other numbers has another one


@dataclass(frozen=True)
class Between:
    """How much two data sets overlap."""

    first: str
    second: str
    num_pairs: Mapping[Kind, int]
    num_same_answer: int  # pairs whose gold answers are equal as texts
    num_first: int  # problems of the first that are in a pair
    num_second: int


@dataclass(frozen=True)
class Overlap:
    """What was found."""

    between: tuple[Between, ...]  # those with pairs
    pairs: tuple[Pair, ...]  # the strongest first; not all of them where there are more than were asked for
    num_cut_short: int  # problems whose candidates were too many to look at all


def tokens_of(text: str) -> list[str]:
    r"""`What is $\dfrac{1}{2}$?` -> `what`, `is`, `\frac`, `{`, `1`, `}`, `{`, `2`, `}`, `?`"""
    plain = unicodedata.normalize("NFKC", text).replace("$", " ")
    return _TOKEN.findall(_VARIANTS.sub(r"\\frac", _LOOKS.sub(" ", plain)).casefold())


def find_overlap(
    datasets: Mapping[str, Sequence[Problem]],
    *,
    ngram: int = NGRAM,
    threshold: float = THRESHOLD,
    within: bool = False,
    most_pairs: int = 100_000,
) -> Overlap:
    """The overlapping pairs of problems of two data sets; `within`: of one data set too. `threshold` lies above 0 and
    is at most 1.
    """
    names = list(datasets)
    problems = [problem for of in datasets.values() for problem in of]
    owner = np.repeat(np.arange(len(names)), [len(of) for of in datasets.values()])
    index = _Index([tokens_of(problem.question) for problem in problems], ngram)
    found, num_cut_short = index.pairs(owner, threshold, within)
    first, second, shared = found
    union = index.sizes[first] + index.sizes[second] - shared
    resemblance = shared / np.maximum(1, union)
    kinds = np.where(index.whole[first] == index.whole[second], 0, np.where(resemblance >= threshold, 1, 2))
    answers = np.array([hash("".join(problem.answer.split())) for problem in problems], dtype=np.int64)
    same = answers[first] == answers[second]
    order = np.argsort(-resemblance, kind="stable")[:most_pairs]
    pairs = []
    for at in order:
        one, other = problems[first[at]], problems[second[at]]
        pairs.append(
            Pair(
                (names[owner[first[at]]], one.problem_id),
                (names[owner[second[at]]], other.problem_id),
                KINDS[kinds[at]],
                float(shared[at] / index.sizes[first[at]]),
                float(shared[at] / index.sizes[second[at]]),
                float(resemblance[at]),
                bool(same[at]),
            )
        )
    return Overlap(_between(names, owner, (first, second), kinds, same), tuple(pairs), num_cut_short)


def _between(
    names: Sequence[str], owner: Ints, found: tuple[Ints, Ints], kinds: Ints, same: NDArray[np.bool_]
) -> tuple[Between, ...]:
    first, second = found
    both = owner[first] * len(names) + owner[second]
    between = []
    for one in np.unique(both):
        chosen = both == one
        counts = np.bincount(kinds[chosen], minlength=len(KINDS))
        between.append(
            Between(
                names[one // len(names)],
                names[one % len(names)],
                dict(zip(KINDS, map(int, counts), strict=True)),
                int(same[chosen].sum()),
                len(np.unique(first[chosen])),
                len(np.unique(second[chosen])),
            )
        )
    return tuple(between)


class _Index:
    """The n-grams of all texts, numbered from the rarest to the commonest, by text and by n-gram."""

    def __init__(self, texts: Sequence[Sequence[str]], ngram: int) -> None:
        hashes, owners = _hashes(texts, ngram)
        values, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        rank = np.empty(len(values), dtype=np.int64)
        rank[np.argsort(counts, kind="stable")] = np.arange(len(values))
        self.width = np.int64(max(1, len(values)))
        self.keys = np.unique(owners * self.width + rank[numbers])  # text, n-gram; each counts once in a text
        self.owners, self.grams = np.divmod(self.keys, self.width)
        self.starts = np.searchsorted(self.owners, np.arange(len(texts) + 1))  # of each text in `keys`
        self.sizes = np.diff(self.starts)  # (texts,) different n-grams
        order = np.argsort(self.grams, kind="stable")
        self.postings = self.owners[order]  # texts, by n-gram
        self.posting_starts = np.searchsorted(self.grams[order], np.arange(len(values) + 1))
        self.whole = np.array([hash(tuple(text)) for text in texts], dtype=np.int64)  # of all tokens of each text

    def pairs(self, owner: Ints, threshold: float, within: bool) -> tuple[tuple[Ints, Ints, Ints], int]:
        """((first, second, shared n-grams), texts cut short) of every pair that reaches the threshold, each once, first
        before second.
        """
        texts, grams, cut_short = self._probes(threshold)
        reach = np.diff(self.posting_starts)[grams]
        found: list[Ints] = []
        for batch in _batches(reach):
            mine = np.repeat(texts[batch], reach[batch])
            others = self.postings[_spread(self.posting_starts[grams[batch]], reach[batch])]
            apart = mine != others if within else owner[mine] != owner[others]
            low, high = np.minimum(mine, others)[apart], np.maximum(mine, others)[apart]
            found.append(np.unique(low * len(self.sizes) + high))
        candidates = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
        first, second = np.divmod(candidates, max(1, len(self.sizes)))
        shared = self._shared(first, second)
        reaches = shared >= threshold * np.minimum(self.sizes[first], self.sizes[second]) - 1e-9
        return (first[reaches], second[reaches], shared[reaches]), cut_short

    def _probes(self, threshold: float) -> tuple[Ints, Ints, int]:
        """(text, n-gram) of every n-gram to look up, and how many texts have more candidates than are looked at."""
        rarest = self.sizes - np.ceil(threshold * self.sizes - 1e-9).astype(np.int64) + 1
        position = np.arange(len(self.keys)) - np.repeat(self.starts[:-1], self.sizes)
        reach = np.diff(self.posting_starts)[self.grams]
        probing = (position < np.repeat(rarest, self.sizes)) & (reach > 1)
        texts, grams, reach = self.owners[probing], self.grams[probing], reach[probing]
        so_far = np.cumsum(reach)
        begins = np.searchsorted(texts, texts)  # where each one's text begins
        before = so_far - reach
        looked_at = so_far - before[begins] <= MOST_CANDIDATES
        return texts[looked_at], grams[looked_at], len(np.unique(texts[~looked_at]))

    def _shared(self, first: Ints, second: Ints) -> Ints:
        """(pairs,) how many n-grams the two texts share."""
        swap = self.sizes[first] > self.sizes[second]
        small, large = np.where(swap, second, first), np.where(swap, first, second)
        counts = np.zeros(len(first), dtype=np.int64)
        for batch in _batches(self.sizes[small]):
            lengths = self.sizes[small[batch]]
            wanted = np.repeat(large[batch], lengths) * self.width
            wanted += self.grams[_spread(self.starts[small[batch]], lengths)]
            at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
            there = np.concatenate([[0], np.cumsum(self.keys[at] == wanted)])
            ends = np.cumsum(lengths)
            counts[batch] = there[ends] - there[ends - lengths]
        return counts


def _hashes(texts: Sequence[Sequence[str]], ngram: int) -> tuple[NDArray[np.uint64], Ints]:
    """(hash, text) of every n-gram; of a text that is shorter, one hash of the whole."""
    numbers: dict[str, int] = {}
    flat = np.fromiter((numbers.setdefault(token, len(numbers)) for token in chain(*texts)), dtype=np.uint64)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    mixed = _mixed(flat + np.uint64(1))
    count = np.where(lengths >= ngram, lengths - ngram + 1, 0)
    at = _spread(starts, count)
    hashes = np.zeros(len(at), dtype=np.uint64)
    for offset in range(ngram):
        hashes = hashes * _MIX + mixed[at + offset]
    short = np.flatnonzero((lengths < ngram) & (lengths > 0))
    whole = np.zeros(len(short), dtype=np.uint64)
    for offset in range(ngram - 1):
        at = np.minimum(starts[short] + offset, max(0, len(mixed) - 1))
        whole = np.where(offset < lengths[short], whole * _MIX + mixed[at], whole)
    # What is shorter is no n-gram of a longer text, even where the tokens are the first of it.
    whole = _mixed(whole + lengths[short].astype(np.uint64))
    return np.concatenate([hashes, whole]), np.concatenate([np.repeat(np.arange(len(texts)), count), short])


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014): neighbouring numbers come far apart."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _spread(starts: Ints, lengths: Ints) -> Ints:
    """The numbers from each start on, as many as its length says, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


def _batches(lengths: Ints) -> Iterator[slice]:
    """Slices whose lengths sum to about a batch."""
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        done = ends[begin] - lengths[begin]
        end = max(begin + 1, int(np.searchsorted(ends, done + _BATCH, side="right")))
        yield slice(begin, end)
        begin = end
