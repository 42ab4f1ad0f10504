"""What a task says of thinking, found out for one model: tags, the tokens that close it, what the template drops."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onoff_core.backends.contract import Tokenizer
from onoff_core.backends.drafts import ThinkingBudget
from onoff_core.backends.requests import Forcing
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import AUTO, SamplingSettings, TaskSettings, Thinking, ThinkingTags
from onoff_core.tables import LENGTH, LENGTH_IN_THINKING
from onoff_core.tasks import (
    Parts,
    Prompt,
    examples_without_thinking,
    known_tags,
    opened_by,
    parts_of,
    render_prompt,
    step_starts,
    tags_of_template,
)
from onoff_core.tasks.thinking import USUAL_TAGS, as_bytes

_ANY_QUESTION = "1 + 1?"  # how a template treats examples does not hang on what is asked after them


def resolve_tags(thinking: Thinking | None, tokenizer: Tokenizer, format_type: str = "boxed") -> ThinkingTags | None:
    """The tags that the settings mean; of `auto` those of the model's own chat template, or of the format that asks for
    thinking. Raises `ModelError` where a template names none, or several.
    """
    if thinking is None or isinstance(thinking, ThinkingTags):
        return thinking
    found = tags_of_template(tokenizer.template_text or "")
    if not found and format_type == "structured":
        return USUAL_TAGS
    if len(found) != 1:
        named = ", ".join(f"{one.open} {one.close}" for one in found)
        said = (
            f"names several tags around thinking: {named}" if found else "names no tags around thinking that are known"
        )
        raise ModelError(
            f"task.thinking: {AUTO}: the model's chat template {said}; write them: task.thinking: {{open: ..., "
            "close: ...}"
        )
    return found[0]


@dataclass(frozen=True)
class ThinkingPlan:
    """How the responses of one model to one task are looked at, and cut, for their thinking."""

    tags: ThinkingTags | None  # None: the task says nothing of thinking
    budget: int | None = None
    closing: tuple[int, ...] = ()  # the tokens that are put in where the budget is used up
    dropped: tuple[int, ...] = ()  # numbers of the examples whose thinking the template leaves out
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # for the manifest

    def forcing(self, prompt: str) -> Forcing | None:
        """What a request with this prompt is told."""
        if self.tags is None or self.budget is None:
            return None
        known = known_tags(self.tags)
        return Forcing(self.budget, self.closing, as_bytes(known), opened_by(prompt, known) is not None)

    def cut_at(self, vocabulary: Vocabulary, prompt: str, token_ids: Sequence[int]) -> int | None:
        """How many of a response's tokens would have been drawn before the budget was used up; None: it never is.

        The tokens are those of the same request, whatever budget it was drawn under, up to its first forced one.
        """
        forcing = self.forcing(prompt)
        if forcing is None:
            return None
        budget = ThinkingBudget(forcing, vocabulary, ())
        for count, token in enumerate(token_ids):
            if budget.forced_token is not None:
                return count
            budget.take(token)
        return None if budget.forced_token is None else len(token_ids)

    def columns(
        self, vocabulary: Vocabulary, token_ids: Sequence[int], prompt: str, finish_reason: str
    ) -> dict[str, Any]:
        """The columns of `samples` that say where a response thinks; none where nothing is said of thinking."""
        if self.tags is None:
            return {}
        pieces = [vocabulary.pieces[token] for token in token_ids]
        parts = parts_of(pieces, self.tags, prompt)
        return {
            "answer_start": parts.answer_start,
            "step_starts": step_starts(pieces, [vocabulary.special[token] for token in token_ids], self.tags, prompt),
            "finish_reason": ended_in(parts, finish_reason),
        }

    def reason(self, finish_reason: str, pieces: Sequence[bytes], prompt: str) -> str:
        """The `finish_reason` of a response of these tokens, with what is known of its thinking."""
        return finish_reason if self.tags is None else ended_in(parts_of(pieces, self.tags, prompt), finish_reason)


NO_PLAN = ThinkingPlan(None)


def ended_in(parts: Parts, finish_reason: str) -> str:
    """The `finish_reason` with what is known of thinking: whether max_length ended the response within it."""
    return LENGTH_IN_THINKING if parts.is_open and finish_reason == LENGTH else finish_reason


def thinking_plan(tokenizer: Tokenizer, task: TaskSettings, sampling: SamplingSettings) -> ThinkingPlan:
    """Find all of it out before anything is drawn. Raises `ModelError` for what this model cannot do."""
    tags = resolve_tags(task.thinking, tokenizer, task.format_type)
    closing = () if tags is None or sampling.thinking_budget is None else _closing(tokenizer, tags, sampling)
    dropped = tuple(_dropped(tokenizer, task, tags)) if task.examples or task.chat_template else ()
    warnings = (_warning(dropped, len(task.examples)),) if dropped else ()
    facts = facts_of_tags(task, tags)
    if closing:
        facts["thinking_closing_ids"] = list(closing)
    if dropped:
        facts["examples_without_thinking"] = list(dropped)
    return ThinkingPlan(tags, sampling.thinking_budget, closing, dropped, warnings, facts)


def facts_of_tags(task: TaskSettings, tags: ThinkingTags | None) -> dict[str, Any]:
    """What the manifest of samples says of the tags by which thinking was looked for in them."""
    return {} if tags is None else {"thinking": {**tags.model_dump(mode="json"), "auto": task.thinking == AUTO}}


def _closing(tokenizer: Tokenizer, tags: ThinkingTags, sampling: SamplingSettings) -> tuple[int, ...]:
    """The tokens of the closing tag, which must close, and leave room for an answer."""
    ids = tuple(tokenizer.encode(Prompt(tags.close, add_special_tokens=False)))
    if not ids or tags.close.encode() not in tokenizer.vocabulary.bytes_of(ids):
        raise ModelError(
            f"sampling.thinking_budget: the model's tokenizer cannot write {tags.close!r}, which closes its thinking; "
            "set task.thinking to tags that it knows"
        )
    assert sampling.thinking_budget is not None
    if sampling.thinking_budget + len(ids) >= sampling.max_length:
        raise ModelError(
            f"sampling.thinking_budget: {sampling.thinking_budget} tokens of thinking and the {len(ids)} of "
            f"{tags.close} leave none of max_length ({sampling.max_length}) for an answer; lower thinking_budget, or "
            "raise max_length"
        )
    return ids


def _dropped(tokenizer: Tokenizer, task: TaskSettings, tags: ThinkingTags | None) -> list[int]:
    """The numbers of the examples whose thinking is left out. Raises for an argument that the template has not."""
    prompt = render_prompt(_ANY_QUESTION, task, tokenizer.chat_template)
    return examples_without_thinking(prompt.text, task, known_tags(tags))


def _warning(dropped: Sequence[int], count: int) -> str:
    which = "all of them" if len(dropped) == count else f"number {', '.join(str(one + 1) for one in dropped)}"
    return (
        f"task.examples: the model's chat template leaves out the thinking of {which}, as of any former turn, so the "
        "model sees answers without thinking there. Take the examples out, or show them in one message, such as in "
        "task.system_prompt"
    )
