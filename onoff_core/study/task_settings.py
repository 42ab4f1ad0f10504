"""The section `task`: how a question becomes a prompt, what of a response is thinking, and how it is graded."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from onoff_core.study.values import Count, Name, Section, list_as_tuple


class Example(Section):
    """A worked example shown to the model before the question."""

    question: Name
    response: Name


class ThinkingTags(Section):
    """What a model writes before and after its thinking. What stands there is not looked at for an answer."""

    open: Name = "<think>"
    close: Name = "</think>"

    @model_validator(mode="after")
    def _two_tags(self) -> "ThinkingTags":
        if self.open == self.close:
            raise ValueError(f"open and close have to differ, not both be {self.open!r}")
        return self


AUTO = "auto"  # of task.thinking: the tags that the model's own chat template names


def _kind_of_thinking(value: Any) -> str:
    """Which of the two a value is meant as. The brackets tell `checking` that this is no key of the file's."""
    return "[auto]" if isinstance(value, str) else "[tags]"


Thinking = Annotated[
    Annotated[ThinkingTags, Tag("[tags]")] | Annotated[Literal["auto"], Tag("[auto]")],
    Discriminator(_kind_of_thinking),
]

# What a tokenizer is told besides the arguments of its template, and what the conversation itself is.
_NOT_THE_TEMPLATES = frozenset(
    {"messages", "conversation", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize"}
    | {"sanitize_control_tokens", "padding", "truncation", "max_length", "return_tensors", "return_dict"}
    | {"return_assistant_tokens_mask", "tokenizer_kwargs"}
)


def _template_arguments(value: Any) -> Any:
    """Arguments of a chat template, which are plain values by name; none at all is as if nothing were said."""
    if not isinstance(value, dict):
        return value
    for name, argument in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"{name!r} is no name of a template's argument, such as enable_thinking")
        if name in _NOT_THE_TEMPLATES:
            raise ValueError(f"{name} is what the tokenizer is told, no argument of its template; leave it out")
        _check_plain(name, argument)
    return value or None


_PLAIN = (bool, int, float, str, type(None))


def _check_plain(name: str, value: Any) -> None:
    """Raise for what JSON cannot say: it could not be kept with the results."""
    if isinstance(value, dict):
        for key, one in value.items():
            _check_plain(f"{name}.{key}", one)
    elif isinstance(value, list):
        for one in value:
            _check_plain(name, one)
    elif (isinstance(value, float) and not math.isfinite(value)) or not isinstance(value, _PLAIN):
        raise ValueError(f"{name}: {value!r} is no text, number, true, false, null or list; write it in quotes")


# model: the tokenizer's own chat template; openai: the same over the messages that a chat API would be sent
TemplateType = Literal["chatml", "llama", "simple", "model", "openai"]


class SecondOpinion(Section):
    """What looks at the verdicts once more. It changes none of them."""

    kind: Literal["rules", "model"]  # rules: text and numbers without algebra; model: where these say wrong, a judge
    model: Name | None = None  # of kind model: the judge, one of `models`
    max_tokens: Count = 512  # of kind model: that the judge may write about an answer
    template_type: TemplateType | None = None  # of kind model; null: as the judge is prompted for its own responses

    @model_validator(mode="after")
    def _judge_of_kind_model(self) -> "SecondOpinion":
        if self.kind == "model" and self.model is None:
            raise ValueError("kind: model needs a judge; name one of models: {kind: model, model: NAME}")
        usual = {name: type(self).model_fields[name].get_default() for name in ("model", "max_tokens", "template_type")}
        given = [name for name, value in usual.items() if getattr(self, name) != value]
        if self.kind == "rules" and given:
            raise ValueError(f"{given[0]} goes with kind: model; the rules ask no model")
        return self


class TaskSettings(Section):
    """How a question becomes a prompt, and how a response is read and graded."""

    template_type: TemplateType = "chatml"
    format_type: Literal["boxed", "structured"] = "boxed"
    reward_type: Literal["math_verify"] = "math_verify"
    system_prompt: str | None = None  # null: the template's usual one
    examples: Annotated[tuple[Example, ...], BeforeValidator(list_as_tuple)] = ()
    # null: <think> and </think>, which are known beside others too; auto: those of the model's chat template
    thinking: Thinking | None = None
    prefill: Name | None = None  # the text that opens the model's turn, such as <think>; null: none
    # arguments of the model's own chat template, such as {enable_thinking: true}; null: none
    chat_template: Annotated[dict[str, Any] | None, BeforeValidator(_template_arguments)] = None
    second_opinion: SecondOpinion | None = None  # null: none is asked for

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"chat_template", "prefill", "second_opinion", "thinking"})
