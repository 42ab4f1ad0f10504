"""What is scored by two models: the responses of a partition, and the reference solutions of its problems."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from onoff_core.errors import ModelError

Kind = Literal["response", "solution"]
SAMPLE_COLUMNS = (
    "problem_id", "sample_index", "prompt", "prompt_token_ids", "response", "token_ids", "token_logprobs",
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """One text after its prompt."""

    problem_id: str
    sample_index: int | None  # None: a solution
    kind: Kind
    prompt: str
    prompt_ids: tuple[int, ...]
    text: str
    token_ids: tuple[int, ...]
    sampled_logprobs: tuple[float, ...]  # nats, of the sampler at T = 1; empty: not known; NaN: another model drew it
    forced: tuple[int, ...] | None = None  # positions of tokens that were put in; None: there was no thinking budget

    @property
    def name(self) -> str:
        which = "its solution" if self.sample_index is None else f"sample {self.sample_index}"
        return f"problem {self.problem_id}, {which}"


def own_logprobs(logprobs: Sequence[float], drawn_by: Sequence[int] | None) -> tuple[float, ...]:
    """Of two models in turns the first is the one that is compared: what the second drew says nothing of it."""
    if drawn_by is None:
        return tuple(logprobs)
    return tuple(value if writer == 1 else math.nan for value, writer in zip(logprobs, drawn_by, strict=True))


def texts_of(
    samples: pa.Table, solutions: Mapping[str, str] | None, encode: Callable[[str], Sequence[int]] | None
) -> list[Text]:
    """The responses of one fragment in order, and then the solutions of its problems.

    `solutions`: by problem; None: none are asked for. `encode` turns a solution into the model's token ids; its prompt
    is that of the problem's responses. Raises `ModelError` for a response without token ids.
    """
    texts, prompts = [], dict[str, Text]()
    added_later = ("drawn_by", "forced_positions")  # older samples lack them
    there = [name for name in (*SAMPLE_COLUMNS, *added_later) if name in samples.column_names]
    for row in samples.select(there).to_pylist():
        text = Text(
            problem_id=row["problem_id"],
            sample_index=row["sample_index"],
            kind="response",
            prompt=row["prompt"],
            prompt_ids=tuple(row["prompt_token_ids"]),
            text=row["response"],
            token_ids=tuple(row["token_ids"]),
            sampled_logprobs=own_logprobs(row["token_logprobs"], row.get("drawn_by")),
            forced=None if (forced := row.get("forced_positions")) is None else tuple(forced),
        )
        if not text.token_ids or not text.prompt_ids:
            what = "response" if text.prompt_ids else "prompt"
            raise ModelError(
                f"{text.name}: its {what} has no token ids, so no model can score it; import it with its ids, or leave "
                "this response out"
            )
        prompts.setdefault(text.problem_id, text)
        texts.append(text)
    if solutions is None or encode is None:
        return texts
    for problem_id, first in prompts.items():
        solution = solutions.get(problem_id)
        ids = tuple(encode(solution)) if solution else ()
        if solution and ids:
            texts.append(Text(problem_id, None, "solution", first.prompt, first.prompt_ids, solution, ids, ()))
    return texts
