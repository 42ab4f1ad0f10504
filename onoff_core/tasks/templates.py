"""How a question is written for a model: `chatml`, `llama`, `simple`, or the model's own chat template (`model`, and
`openai` with the messages that a chat API would be sent).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onoff_core.study import TaskSettings, TemplateType, ThinkingTags
from onoff_core.tasks.formats import instruction

Message = dict[str, str]  # role, content


class ChatTemplate(Protocol):
    """A conversation -> text that ends where the model's turn begins; `arguments` are the template's own."""

    def __call__(self, messages: Sequence[Message], arguments: Mapping[str, Any] | None = None, /) -> str: ...


DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."


@dataclass(frozen=True)
class Prompt:
    """The text a model is given."""

    text: str
    # Whether the tokenizer adds its own special tokens (a first token); templates have theirs in the text.
    add_special_tokens: bool


def render_prompt(question: str, task: TaskSettings, chat_template: ChatTemplate) -> Prompt:
    """The prompt of a question, up to where the model's turn begins, and the `prefill` that opens it.

    `chat_template` is called for `template_type: model` and `openai` only, with the task's arguments where it has any.
    """
    prefill = task.prefill or ""
    if task.template_type == "simple":
        return Prompt(_simple(question, task) + prefill, add_special_tokens=True)
    text = _templated(_messages(question, task), task.template_type, chat_template, task.chat_template)
    return Prompt(text + prefill, add_special_tokens=False)


def render_message(
    message: str,
    template_type: TemplateType,
    chat_template: ChatTemplate,
    arguments: Mapping[str, Any] | None = None,
) -> Prompt:
    """The prompt of a message as it stands, with no instruction and no system prompt: to ask for something else than a
    problem's answer.
    """
    if template_type == "simple":
        return Prompt(f"{message}\n\n", add_special_tokens=True)
    turn = [{"role": "user", "content": message}]
    return Prompt(_templated(turn, template_type, chat_template, arguments), add_special_tokens=False)


def _templated(
    messages: Sequence[Message],
    template_type: TemplateType,
    chat_template: ChatTemplate,
    arguments: Mapping[str, Any] | None,
) -> str:
    match template_type:
        case "chatml":
            return _chatml(messages)
        case "llama":
            return _llama(messages)
        case _:
            return chat_template(messages, arguments) if arguments else chat_template(messages)


def examples_without_thinking(prompt: str, task: TaskSettings, tags: Sequence[ThinkingTags]) -> list[int]:
    """The numbers of the task's examples, from 0, whose thinking is not in this prompt: the template left it out.

    Templates of reasoning models do so with former turns, which then show the model answers without thinking.
    """
    found = []
    for number, example in enumerate(task.examples):
        thought = [part.strip() for one in tags for part in _thinking_in(example.response, one)]
        if any(part and part not in prompt for part in thought):
            found.append(number)
    return found


def _thinking_in(text: str, tags: ThinkingTags) -> list[str]:
    """What stands between the tags, or before a closing one that nothing opens."""
    parts = text.split(tags.close)[:-1]
    return [part.partition(tags.open)[2] if tags.open in part else part for part in parts]


def _asked(question: str, task: TaskSettings) -> str:
    return f"{question}\n{instruction(task.format_type)}"


def _messages(question: str, task: TaskSettings) -> list[Message]:
    """The conversation: system prompt, worked examples as earlier turns, the question.

    The model's own template brings its own system prompt; ours goes in only where the settings give one.
    """
    usual = None if task.template_type == "model" else DEFAULT_SYSTEM_PROMPT
    system = task.system_prompt if task.system_prompt is not None else usual
    messages = [{"role": "system", "content": system}] if system else []
    for example in task.examples:
        messages.append({"role": "user", "content": _asked(example.question, task)})
        messages.append({"role": "assistant", "content": example.response})
    messages.append({"role": "user", "content": _asked(question, task)})
    return messages


def messages_of(question: str, task: TaskSettings) -> list[Message]:
    """What a question's prompt says, as the messages of a conversation: for programs that apply a chat template of
    their own. Without the `prefill`, which is no message.
    """
    return _messages(question, task)


def _chatml(messages: Sequence[Message]) -> str:
    turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return f"{turns}<|im_start|>assistant\n"


def _llama(messages: Sequence[Message]) -> str:
    """Llama 3's headers."""
    turns = "".join(f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content']}<|eot_id|>" for m in messages)
    return f"<|begin_of_text|>{turns}<|start_header_id|>assistant<|end_header_id|>\n\n"


def _simple(question: str, task: TaskSettings) -> str:
    """Plain text, for base models."""
    blocks = [f"{task.system_prompt}\n\n"] if task.system_prompt else []
    blocks += [f"Question: {_asked(e.question, task)}\nAnswer: {e.response}\n\n" for e in task.examples]
    blocks.append(f"Question: {_asked(question, task)}\nAnswer:")
    return "".join(blocks)
