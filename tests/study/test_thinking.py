"""What may be said of thinking, budgets and template arguments, and how a mistake is told."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core.errors import SettingsError
from onoff_core.study import Partition, ThinkingTags, load_study, parse_study

TAGS = {"open": "<r>", "close": "</r>"}
SERVER = {"backend_type": "openai", "backend_specific": {"endpoints": ["http://127.0.0.1:8000/v1"]}}


def read(model: dict[str, Any] | None = None, **sections: Any) -> Partition:
    models = {"m": {"model_name": "x", **(model or {})}}
    content = {"datasets": {"arithmetic": {}}, "models": models, **sections}
    return parse_study(content, Path("/s/onoff.yaml")).partition("arithmetic|m")


def test_what_may_be_said() -> None:
    assert read().task.thinking is None
    assert read(task={"thinking": None}).task.thinking is None
    assert read(task={"thinking": "auto"}).task.thinking == "auto"
    assert read(task={"thinking": TAGS}).task.thinking == ThinkingTags(**TAGS)
    arguments = {"enable_thinking": True, "reasoning_effort": "high", "budget": 3, "tools": [{"a": None}], "x": 0.5}
    assert read(task={"template_type": "model", "chat_template": arguments}).task.chat_template == arguments
    assert read(task={"chat_template": {}}).task.chat_template is None
    partition = read(task={"thinking": "auto"}, sampling={"max_length": 10, "thinking_budget": 9})
    assert partition.sampling.thinking_budget == 9


def test_a_model_may_say_otherwise_than_the_study() -> None:
    """Each layer is checked alone as well, where it cannot know what the others say."""
    model = {"task": {"template_type": "openai"}, "sampling": {"max_length": 4000}}
    partition = read(model, task={"chat_template": {"a": 1}, "thinking": "auto"}, sampling={"thinking_budget": 2000})
    assert partition.task.chat_template == {"a": 1}
    off = {**SERVER, "sampling": {"thinking_budget": None}}
    assert read(off, task={"thinking": "auto"}, sampling={"thinking_budget": 20}).sampling.thinking_budget is None


def test_an_argument_of_yaml_is_kept_as_it_is_and_decides_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "onoff.yaml"
    text = {"datasets": {"arithmetic": {}}, "models": {"m": {"model_name": "x"}}}
    text["task"] = {"template_type": "model", "chat_template": {"enable_thinking": False}}
    path.write_text(yaml.safe_dump(text))
    task = load_study(path).partition("arithmetic|m").task
    assert task.deciding()["chat_template"] == {"enable_thinking": False}
    assert "chat_template" not in read().task.deciding()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"thinking": "aut"}, "task.thinking: auto or settings by name are wanted (open: ..., close: ...), not 'aut'"),
        ({"thinking": 3}, "task.thinking: settings by name are wanted (name: value), not 3"),
        ({"thinking": {"opn": "<r>"}}, "task.thinking.opn: unknown key; did you mean 'open'? There are: open, close"),
        ({"thinking": {"open": "<r>", "close": "<r>"}}, "task.thinking: open and close have to differ"),
        ({"thinking": {"open": ""}}, "task.thinking.open: is empty"),
        (
            {"chat_template": {"x": True}},
            "task.chat_template: arithmetic|m is prompted with template_type: chatml",
        ),
        ({"chat_template": {"tokenize": True}}, "task.chat_template: tokenize is what the tokenizer is told"),
        ({"chat_template": {"messages": []}}, "task.chat_template: messages is what the tokenizer is told"),
        ({"chat_template": {"a b": 1}}, "task.chat_template: 'a b' is no name of a template's argument"),
        ({"chat_template": {1: 1}}, "task.chat_template: 1 is no name of a template's argument"),
        ({"chat_template": {"d": datetime.date(2026, 1, 1)}}, "d: datetime.date(2026, 1, 1) is no text"),
        ({"chat_template": {"d": [{"e": float("nan")}]}}, "task.chat_template: d.e: nan is no text, number, true"),
        ({"chat_template": [1]}, "task.chat_template: settings by name are wanted"),
    ],
)
def test_mistakes_in_a_task(task: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(task=task)
    assert said in str(error.value)
    assert str(error.value).startswith("/s/onoff.yaml: ")
    assert str(error.value).count("/s/onoff.yaml") == 1  # one mistake, one sentence


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (0, "sampling.thinking_budget: should be greater than or equal to 1, not 0"),
        (True, "sampling.thinking_budget: should be a valid integer, not True"),
        (1024, "1024 tokens of thinking leave none of max_length (1024) for an answer"),
        (5000, "5000 tokens of thinking leave none of max_length (1024) for an answer"),
    ],
)
def test_mistakes_in_a_budget(budget: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=r"sampling\.thinking_budget") as error:
        read(task={"thinking": "auto"}, sampling={"thinking_budget": budget})
    assert said in str(error.value)


def test_a_budget_needs_tags_and_an_engine_that_can() -> None:
    with pytest.raises(SettingsError, match=r"tags stand around its thinking is not said; set task\.thinking: auto"):
        read(sampling={"thinking_budget": 5})
    with pytest.raises(SettingsError, match=r"models\.m samples through servers .* none can be put in"):
        read(SERVER, task={"thinking": "auto"}, sampling={"thinking_budget": 5})


def test_steps_of_thinking_need_tags() -> None:
    branches = {"positions": {"how": "thinking_steps"}}
    with pytest.raises(SettingsError, match=r"branches\.positions: how: thinking_steps .* is not said"):
        read(branches=branches)
    assert read(branches=branches, task={"thinking": "auto"}).branches is not None
