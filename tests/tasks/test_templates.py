r"""Golden prompts: what a model is given, to the character."""

from collections.abc import Sequence
from typing import Any

import pytest

from onoff_core.errors import ModelError
from onoff_core.study import Example, TaskSettings
from onoff_core.tasks import Prompt, render_prompt

BOXED = r"Please reason step by step, and put your final answer within \boxed{}."
STRUCTURED = (
    r"Please reason step by step within <think> and </think>, then give your final answer within <answer> and "
    r"</answer>, as in <think> ... </think> <answer> \boxed{...} </answer>."
)
EXAMPLE = Example(question="1+1?", response=r"It is \boxed{2}.")
QUESTION = "What is {2+2} <|x|>?"  # nothing in a question is a placeholder


def unused(messages: Sequence[dict[str, str]]) -> str:
    raise AssertionError("only template_type: model has the tokenizer's own template")


def render(**task: Any) -> Prompt:
    return render_prompt(QUESTION, TaskSettings(**task), unused)


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_chatml(format_type: str, asked: str) -> None:
    assert render(template_type="chatml", format_type=format_type) == Prompt(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}\n{asked}<|im_end|>\n"
        "<|im_start|>assistant\n",
        add_special_tokens=False,
    )


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_chatml_with_an_example_and_a_system_prompt(format_type: str, asked: str) -> None:
    prompt = render(template_type="chatml", format_type=format_type, examples=(EXAMPLE,), system_prompt="Be brief.")
    assert prompt.text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\n1+1?\n{asked}<|im_end|>\n"
        "<|im_start|>assistant\nIt is \\boxed{2}.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}\n{asked}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_llama(format_type: str, asked: str) -> None:
    assert render(template_type="llama", format_type=format_type) == Prompt(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n{QUESTION}\n{asked}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        add_special_tokens=False,
    )


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_llama_with_an_example(format_type: str, asked: str) -> None:
    assert render(template_type="llama", format_type=format_type, examples=(EXAMPLE,)).text == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n1+1?\n{asked}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nIt is \\boxed{2}.<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n{QUESTION}\n{asked}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_simple(format_type: str, asked: str) -> None:
    assert render(template_type="simple", format_type=format_type) == Prompt(
        f"Question: {QUESTION}\n{asked}\nAnswer:", add_special_tokens=True
    )


def test_simple_with_examples_and_a_system_prompt() -> None:
    prompt = render(template_type="simple", examples=(EXAMPLE, EXAMPLE), system_prompt="Sums follow.")
    shown = f"Question: 1+1?\n{BOXED}\nAnswer: It is \\boxed{{2}}.\n\n"
    assert prompt.text == f"Sums follow.\n\n{shown}{shown}Question: {QUESTION}\n{BOXED}\nAnswer:"


@pytest.mark.parametrize("template_type", ["chatml", "llama"])
def test_an_empty_system_prompt_leaves_the_turn_out(template_type: str) -> None:
    assert "system" not in render(template_type=template_type, system_prompt="").text


@pytest.mark.parametrize(("format_type", "asked"), [("boxed", BOXED), ("structured", STRUCTURED)])
def test_the_models_own_template(tiny_loaded: Any, format_type: str, asked: str) -> None:
    task = TaskSettings(template_type="model", format_type=format_type)
    assert render_prompt(QUESTION, task, tiny_loaded.chat_template) == Prompt(
        f"<|im_start|>user\n{QUESTION}\n{asked}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False
    )


def test_the_models_own_template_with_examples_and_a_system_prompt(tiny_loaded: Any) -> None:
    task = TaskSettings(template_type="model", examples=(EXAMPLE,), system_prompt="Be brief.")
    assert render_prompt(QUESTION, task, tiny_loaded.chat_template).text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\n1+1?\n{BOXED}<|im_end|>\n"
        "<|im_start|>assistant\nIt is \\boxed{2}.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}\n{BOXED}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_openai_is_a_chat_apis_messages_in_the_models_own_template(tiny_loaded: Any) -> None:
    """With the system message that chat APIs are usually sent, which `model` leaves to the template."""
    text = render_prompt(QUESTION, TaskSettings(template_type="openai"), tiny_loaded.chat_template).text
    assert text == render(template_type="chatml").text


@pytest.mark.parametrize("template_type", ["chatml", "llama", "simple", "model", "openai"])
@pytest.mark.parametrize("format_type", ["boxed", "structured"])
def test_a_prefill_opens_the_models_turn(tiny_loaded: Any, template_type: str, format_type: str) -> None:
    task = TaskSettings(template_type=template_type, format_type=format_type)
    without = render_prompt(QUESTION, task, tiny_loaded.chat_template)
    filled = render_prompt(QUESTION, task.model_copy(update={"prefill": "<think>"}), tiny_loaded.chat_template)
    assert filled == Prompt(without.text + "<think>", without.add_special_tokens)


@pytest.mark.real_model
def test_the_embedded_models_own_template(real_loaded: Any) -> None:
    text = render_prompt(QUESTION, TaskSettings(template_type="model"), real_loaded.chat_template).text
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}\n{BOXED}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_tokenizer_without_a_chat_template_says_what_to_set(tiny_loaded: Any) -> None:
    kept = tiny_loaded.tokenizer.chat_template
    tiny_loaded.tokenizer.chat_template = None
    try:
        with pytest.raises(
            ModelError, match=r"models\.tiny: its tokenizer has no chat template; set task\.template_type"
        ):
            render_prompt("?", TaskSettings(template_type="model"), tiny_loaded.chat_template)
    finally:
        tiny_loaded.tokenizer.chat_template = kept


@pytest.mark.parametrize(
    ("template", "said"),
    [
        # as Gemma's begins
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}",
            "System role not supported",
        ),
        ("{% for", "unexpected 'end of template'"),
    ],
)
def test_a_template_that_refuses_the_conversation(tiny_loaded: Any, template: str, said: str) -> None:
    kept = tiny_loaded.tokenizer.chat_template
    tiny_loaded.tokenizer.chat_template = template
    try:
        task = TaskSettings(template_type="model", system_prompt="Be brief.")
        with pytest.raises(ModelError, match=rf"models\.tiny: .*{said}.*; change task\.system_prompt"):
            render_prompt("?", task, tiny_loaded.chat_template)
    finally:
        tiny_loaded.tokenizer.chat_template = kept


def test_templates_write_special_tokens_and_the_tokenizer_adds_none(tiny_loaded: Any) -> None:
    """A second first token would shift every distribution."""
    prompt = render(template_type="chatml")
    ids = tiny_loaded.encode(prompt)
    assert ids[0] == tiny_loaded.tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert ids[1] != ids[0]
    assert tiny_loaded.tokenizer.decode(ids) == prompt.text
