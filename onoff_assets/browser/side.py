"""Two responses beside each other: where they part, which two to show, and one text as two models see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.browser.conditions import Conditions
from onoff_assets.browser.measures import (
    DIVERGENCE,
    DIVERGENCE_AT_LEAST,
    ENTROPY,
    LOG_RATIO,
    REFERENCE_ENTROPY,
    Measure,
)
from onoff_assets.browser.pieces import Piece
from onoff_assets.browser.reading import Key, Overlay, Reader, Responses, Sample, Vocabulary
from onoff_assets.browser.verdicts import short_verdict
from onoff_core.store import Generation

_CROSS = (
    "position", "token_id", "logprob", "entropy", "reference_logprob", "reference_rank", "reference_entropy",
    "log_ratio", "kl", "kl_lower", "kl_upper",
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One of the two."""

    key: Key
    responses: Responses
    sample: Sample
    vocabulary: Vocabulary
    distributions: Generation | None
    overlay: Overlay
    conditions: Conditions

    def values(self, measure: str) -> list[float]:
        """What colours its tokens."""
        if measure == "entropy":
            assert self.overlay.entropy is not None
            return self.overlay.entropy
        return [-value for value in self.overlay.logprob]


def common_tokens(left: Side, right: Side) -> int:
    """How many tokens both begin with: of the same bytes, whatever each model's vocabulary calls them."""
    first, second = left.sample.token_ids, right.sample.token_ids
    shared = 0
    for one, two in zip(first, second, strict=False):
        if _spelled(left.vocabulary, one) != _spelled(right.vocabulary, two):
            break
        shared += 1
    return shared


def _spelled(vocabulary: Vocabulary, token_id: int) -> tuple[bytes, bool]:
    return vocabulary.bytes_of(token_id), vocabulary.is_special(token_id)


def choose_samples(
    left: Sequence[tuple[int, int | None]], right: Sequence[tuple[int, int | None]], wanted: int | None, same: bool
) -> tuple[int, int]:
    """The two sample indices to open with, of (sample_index, reward) of each: one correct and one wrong where there are
    such; `wanted` stays the first. `same`: both are of one model, so the second is another sample.
    """
    firsts = [(i, reward) for i, reward in left if wanted is None or i == wanted]
    pairs = [(i, a, j, b) for i, a in firsts for j, b in right if not (same and i == j)]
    apart = [(i, j) for i, a, j, b in pairs if a is not None and b is not None and a != b]
    if apart:
        return apart[0]
    return (pairs[0][0], pairs[0][2]) if pairs else (firsts[0][0], right[0][0])


def pair_payload(
    left: Side, right: Side, pieces: tuple[Sequence[Piece], Sequence[Piece]], shared: int
) -> dict[str, Any]:
    """What `components.pair_view` draws: the tokens that both begin with, and what each goes on with."""
    known = left.overlay.entropy is not None and right.overlay.entropy is not None
    measure = "entropy" if known else "surprisal"
    first, second = left.values(measure), right.values(measure)
    return {
        "edges": ENTROPY.edges,
        "titles": [_title(side) for side in (left, right)],
        "conditions": left.conditions.sentence_beside(right.conditions),
        "measure": measure,
        "shared": _tokens(pieces[0][:shared], first[:shared]),
        "left": _tokens(pieces[0][shared:], first[shared:]),
        "right": _tokens(pieces[1][shared:], second[shared:]),
    }


def _title(side: Side) -> str:
    return f"{side.key[1]}, sample {side.sample.sample_index}: {short_verdict(side.sample.status)}"


def _tokens(pieces: Sequence[Piece], values: Sequence[float]) -> dict[str, Any]:
    return {
        "text": [piece.text for piece in pieces],
        "mark": {str(i): piece.mark for i, piece in enumerate(pieces) if piece.mark},
        "kind": {str(i): piece.kind for i, piece in enumerate(pieces) if piece.kind != "text"},
        "values": [round(value, 3) for value in values],
    }


@dataclass(frozen=True)
class SameText:
    """One response, token for token as the model that wrote it and another one, the reference, see it."""

    reference: str
    rows: list[dict[str, Any]]

    @property
    def measures(self) -> list[tuple[Measure, list[float]]]:
        """What can colour its tokens, the divergence first."""
        exact = all(row["kl"] is not None for row in self.rows)
        divergence = DIVERGENCE if exact else DIVERGENCE_AT_LEAST
        return [
            (divergence, [_known(row["kl"] if exact else row["kl_lower"]) for row in self.rows]),
            (LOG_RATIO, [abs(row["log_ratio"]) for row in self.rows]),
            (ENTROPY, [row["entropy"] for row in self.rows]),
            (REFERENCE_ENTROPY, [row["reference_entropy"] for row in self.rows]),
        ]


def _known(value: float | None) -> float:
    return 0.0 if value is None else value  # at least: where nothing is known of it, no less than 0


def references_of(reader: Reader, responses: Responses) -> list[str]:
    """The models that scored these very responses token for token."""
    key = responses.samples.partition
    found = [one[2] for one in reader.store.partitions("cross_scores") if one[:2] == key]
    return [name for name in found if _scores(reader, responses, name) is not None]


def same_text(reader: Reader, responses: Responses, sample: Sample, reference: str) -> SameText | None:
    """The response as both models see it; None where they have no token ids in common."""
    scores = _scores(reader, responses, reference)
    if scores is None:
        return None
    fragment = responses.fragment_of(sample.problem_id, sample.sample_index)
    if fragment not in scores.fragment_indices():
        return None
    where: dict[str, str | int] = {
        "problem_id": sample.problem_id,
        "sample_index": sample.sample_index,
        "text": "response",
    }
    table = reader.kept(
        ("cross", scores.folder, sample.problem_id, sample.sample_index),
        lambda: scores.read_rows(fragment, where, _CROSS),
        lambda table: table.nbytes,
    )
    rows = table.sort_by("position").to_pylist()
    return SameText(reference, rows) if len(rows) == len(sample.token_ids) and rows else None


def _scores(reader: Reader, responses: Responses, reference: str) -> Generation | None:
    generation = reader.store.current("cross_scores", (*responses.samples.partition, reference))
    if generation is None or generation.manifest().inputs.get("samples") != responses.samples.fingerprint:
        return None
    return generation
