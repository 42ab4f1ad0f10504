"""Pairs of a right and a wrong response of one problem by one model, for training by preferences (DPO and its like).

The columns `prompt`, `chosen` and `rejected` are those of TRL's preference type with an explicit prompt ("Dataset
formats and types" of its documentation): texts in the standard format, messages in the conversational one (`trl`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.problems import MESSAGES
from onoff_core.exchange.rl.responses import responses_by_problem
from onoff_core.exchange.rl.selection import draw_key
from onoff_core.exchange.rl.sources import Source

Row = dict[str, Any]

_COLUMNS = ("problem_id", "sample_index", "prompt", "response", "finish_reason", "num_tokens")


@dataclass(frozen=True)
class Pairing:
    """How responses become pairs."""

    most: int = 1  # pairs of a problem and a model; each response is in one of them at most
    # The difference in tokens that a pair may have, as a share of the longer one; None: lengths do not matter.
    match_length: float | None = None
    seed: int = 0  # of the draw, where lengths do not matter


@dataclass
class Counts:
    """What became of the problems of one model, filled while rows are made."""

    pairs: int = 0
    one_sided: int = 0  # problems all of whose verdicts are the same: no pair
    no_match: int = 0  # problems with both, but no pair near enough in length
    chosen_tokens: int = 0
    rejected_tokens: int = 0

    def sentence(self, split: str, model: str) -> str:
        parts = [f"Split {split}, {model}: {self.pairs:,} pairs"]
        if self.pairs:
            chosen, rejected = self.chosen_tokens / self.pairs, self.rejected_tokens / self.pairs
            parts.append(f"{chosen:,.1f} tokens chosen and {rejected:,.1f} rejected on average")
        parts.append(f"{self.one_sided:,} problems with right or wrong responses alone")
        if self.no_match:
            parts.append(f"{self.no_match:,} problems without a pair near enough in length")
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class PreferenceRows:
    """Rows of pairs; what became of the problems is counted as they are made."""

    dataset: str
    sources: Sequence[Source]
    pairing: Pairing
    conversational: bool
    prompt_of: Callable[[Source, str], list[dict[str, str]]]  # of a problem id, as messages
    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)  # of a split and a model

    @property
    def schema(self) -> pa.Schema:
        text = MESSAGES if self.conversational else pa.string()
        return pa.schema(
            [
                *((name, text) for name in ("prompt", "chosen", "rejected")),
                *((name, pa.string()) for name in ("problem_id", "dataset", "model")),
                *((f"{side}_{name}", kind) for side in ("chosen", "rejected") for name, kind in _OF_A_SIDE),
                *((name, pa.float64()) for name in ("pass_rate", "pass_rate_low", "pass_rate_high")),
                ("samples", pa.string()),
                ("rewards", pa.string()),
            ]
        )

    def rows(self, problem_ids: Sequence[str], split: str) -> Iterator[Row]:
        """Raises `ExchangeError` where there is no pair at all."""
        for source in self.sources:
            counts = self.counts[split, source.model] = Counts()
            for problem_id, responses in responses_by_problem(source, problem_ids, _COLUMNS):
                for chosen, rejected in self._pairs(problem_id, responses, counts):
                    counts.pairs += 1
                    counts.chosen_tokens += chosen["num_tokens"]
                    counts.rejected_tokens += rejected["num_tokens"]
                    yield self._row(source, problem_id, chosen, rejected)
        if not any(counts.pairs for (of, _), counts in self.counts.items() if of == split):
            raise ExchangeError(
                f"there is no pair of a right and a wrong response. {' '.join(self.sentences())} Take a wider "
                "--pass-rate or a wider --match-length, or sample more responses"
            )

    def sentences(self) -> list[str]:
        """How pairs were made, and what came of it."""
        limit, most = self.pairing.match_length, self.pairing.most
        how = (
            f"drawn (seed {self.pairing.seed})"
            if limit is None
            else f"the nearest in length, where it differs by at most {limit:g} of the longer one's tokens"
        )
        told = (
            f"Pairs are of a right and a wrong response of one problem by one model: {how}; at most {most} a problem."
        )
        return [told, *(counts.sentence(split, model) for (split, model), counts in self.counts.items())]

    def _pairs(self, problem_id: str, responses: Sequence[Row], counts: Counts) -> list[tuple[Row, Row]]:
        """What is right, and what is known to be wrong: a response whose grading ran out of time is neither."""
        right = [row for row in responses if row["reward"] == 1]
        wrong = [row for row in responses if row["reward"] == 0 and row["status"] != "timeout"]
        if not right or not wrong:
            counts.one_sided += 1
            return []
        pairs = paired(right, wrong, self.pairing, problem_id)
        counts.no_match += not pairs
        return pairs

    def _row(self, source: Source, problem_id: str, chosen: Row, rejected: Row) -> Row:
        rate = source.pass_rates[problem_id]
        texts = {"prompt": chosen["prompt"], "chosen": chosen["response"], "rejected": rejected["response"]}
        if self.conversational:
            opened = source.known_task.prefill or ""  # the model's turn begins with it
            texts = {
                "prompt": self.prompt_of(source, problem_id),
                "chosen": [{"role": "assistant", "content": opened + chosen["response"]}],
                "rejected": [{"role": "assistant", "content": opened + rejected["response"]}],
            }
        return {
            **texts,
            "problem_id": problem_id,
            "dataset": self.dataset,
            "model": source.model,
            **{f"chosen_{name}": chosen[name] for name, _ in _OF_A_SIDE},
            **{f"rejected_{name}": rejected[name] for name, _ in _OF_A_SIDE},
            "pass_rate": rate.share,
            "pass_rate_low": rate.low,
            "pass_rate_high": rate.high,
            "samples": source.samples.fingerprint,
            "rewards": source.rewards.fingerprint,
        }


_OF_A_SIDE = (
    ("sample_index", pa.int32()),
    ("num_tokens", pa.int32()),
    ("finish_reason", pa.string()),
    ("status", pa.string()),
)
MEANINGS = {
    "prompt": "what the model was given",
    "chosen": "a response that is right",
    "rejected": "a response to the same prompt that is wrong",
    "problem_id": "unique within the data set",
    "dataset": "its name in the study",
    "model": "whose responses they are",
    **{
        f"{side}_{name}": meaning
        for side in ("chosen", "rejected")
        for name, meaning in (
            ("sample_index", "which response of the problem it is"),
            ("num_tokens", "its length in tokens"),
            (
                "finish_reason",
                "stop, stop_string; length, length_in_thinking: cut off at max_length; unknown: imported",
            ),
            ("status", "its verdict: correct, wrong, or no_answer"),
        )
    },
    "pass_rate": "share of right responses among those with a verdict, of this model",
    "pass_rate_low": "95 % interval (Clopper-Pearson), this problem drawn again",
    "pass_rate_high": "95 % interval (Clopper-Pearson), this problem drawn again",
    "samples": "the results that the responses are of",
    "rewards": "the results that the verdicts are of",
}


def paired(right: Sequence[Row], wrong: Sequence[Row], pairing: Pairing, problem_id: str) -> list[tuple[Row, Row]]:
    """At most `pairing.most` pairs, each response in one of them at most.

    Where lengths are matched, the two nearest in length are a pair, then the two nearest of the rest, and so on;
    elsewhere the pairs are drawn.
    """
    limit = pairing.match_length

    def order(pair: tuple[Row, Row]) -> tuple[int, str]:
        drawn = draw_key(pairing.seed, f"{problem_id}\n{pair[0]['sample_index']}\n{pair[1]['sample_index']}")
        return (0 if limit is None else _difference(pair), drawn)

    candidates = sorted(
        (
            (one, other)
            for one in right
            for other in wrong
            if limit is None or _difference((one, other)) <= limit * max(one["num_tokens"], other["num_tokens"])
        ),
        key=order,
    )
    pairs: list[tuple[Row, Row]] = []
    used: set[int] = set()
    for one, other in candidates:
        if len(pairs) < pairing.most and not {one["sample_index"], other["sample_index"]} & used:
            pairs.append((one, other))
            used |= {one["sample_index"], other["sample_index"]}
    return pairs


def _difference(pair: tuple[Row, Row]) -> int:
    """In tokens."""
    return abs(pair[0]["num_tokens"] - pair[1]["num_tokens"])
