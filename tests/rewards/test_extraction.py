"""Where an answer is looked for, and that looking takes time in proportion to the text."""

import pytest

from onoff_core.boxes import closing_braces, last_boxed
from onoff_core.tasks import extract_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>a</think><answer>42</answer>", "42"),
        (r"<think>\boxed{3}</think><answer>\boxed{42}</answer>", "42"),
        (r"<think>\boxed{3}</think><answer>42</answer>", "42"),
        (r"<answer>so \boxed{1} or rather \boxed{2}</answer>", "2"),
        ("<answer>1</answer> no: <answer>2</answer>", "2"),
        ("<answer>1</answer> and <answer>", "1"),
        ("<answer>cut off", "cut off"),
        (r"no part, but \boxed{7}", "7"),
        ("<answer></answer>", None),
        ("nothing", None),
    ],
)
def test_structured(response: str, answer: str | None) -> None:
    assert extract_answer(response, "structured") == answer


def test_boxed_does_not_look_at_the_answer_part() -> None:
    assert extract_answer("<answer>42</answer>", "boxed") is None


def test_closing_braces() -> None:
    assert closing_braces(r"{a{b}\}}{") == {0: 7, 2: 4}


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{" * 200_000, None),  # each scanned to the end would be 10^10 steps
        (r"\boxed{1}" + r"\boxed{" * 200_000, "1"),
        (r"\boxed{" + "{" * 200_000 + "}" * 200_000 + "}", "{" * 200_000 + "}" * 200_000),
        ("}" * 500_000 + r"\fbox{2}", "2"),
        (r"\boxed" * 200_000, None),
    ],
)
def test_hostile_text_is_read_once(text: str, content: str | None) -> None:
    assert last_boxed(text) == content
