"""Where an answer is looked for, and that looking takes time in proportion to the text."""

import pytest

from onoff_core.boxes import boxed_answer, closing_braces, last_boxed, whole_gold
from onoff_core.study import ThinkingTags
from onoff_core.tasks import extract_answer, find_answer


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


@pytest.mark.parametrize(
    ("response", "format_type", "reason"),
    [
        ("nothing", "boxed", "no box in the response"),
        (r"\boxed{} or \boxed{...}", "boxed", "no box with anything in it in the response"),
        (r"<think>\boxed{5}</think> five", "boxed", "no box behind the last </think>"),
        (r"<think>\boxed{5}", "boxed", "no box in the response, before the <think> that is never closed"),
        (
            r"a</think> b <think>\boxed{5}",
            "structured",
            "no <answer> part and no box behind the last </think>, before the <think> that is never closed",
        ),
        (r"<answer>\boxed{}</answer>", "structured", "no box with anything in it in the <answer> part"),
        (r"<answer>\boxed{1} or \boxed{2}</answer>", "structured", "boxes that are alternatives in the <answer> part"),
    ],
)
def test_what_gives_no_answer_says_where_it_was_looked_for(response: str, format_type: str, reason: str) -> None:
    found = find_answer(response, format_type)
    assert (found.answer, found.reason) == (None, reason)


def test_thinking_that_the_prompt_begins_ends_in_the_response_or_is_all_of_it() -> None:
    prompt = "Question: 2 + 3?\n<think>\n"
    assert find_answer(r"so \boxed{5}", "boxed", None, prompt).answer is None
    assert find_answer(r"so \boxed{5}", "boxed", None, "Question: <think> of 2 + 3").answer == "5"
    assert find_answer(r"so \boxed{4}</think>\boxed{5}", "boxed", None, prompt).answer == "5"
    reason = find_answer(r"so \boxed{5}", "boxed", None, prompt).reason
    assert reason == "no box outside the thinking that <think> begins in the prompt and nothing ends"


def test_other_tags_are_known_beside_the_usual_ones() -> None:
    tags = ThinkingTags(open="[T]", close="[/T]")
    response = r"<think>\boxed{1}</think> [T]\boxed{2}[/T] \boxed{3}"
    assert extract_answer(response, "boxed", tags) == "3"
    assert extract_answer(response.removesuffix(r"\boxed{3}"), "boxed", tags) is None
    assert extract_answer(response.removesuffix(r"\boxed{3}"), "boxed") == "2"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1}, \boxed{2}", "1, 2"),
        (r"$x = \boxed{1}$ and $y = \boxed{2}$", "x = 1, y = 2"),
        (r"\boxed{1}\text{ and }\boxed{2}", "1, 2"),
        (r"\boxed{1} and \boxed{}", "1"),
        (r"\boxed{1}, \boxed{1}", "1"),
        (r"\boxed{1} \boxed{2}", "2"),
        ("\\boxed{1},\n\n\\boxed{2}", "2"),
        (r"(a) \boxed{1}, (b) \boxed{2}", "2"),
        (r"\boxed{x = \boxed{3}}", "3"),
        (r"\boxed{2}, no wait, \boxed{3}", "3"),
    ],
)
def test_neighbouring_boxes(text: str, answer: str) -> None:
    assert boxed_answer(text).answer == answer


def test_many_boxes_are_read_once() -> None:
    assert boxed_answer(r"\boxed{1}, " * 100_000).answer == "1"
    assert boxed_answer("\\boxed{" * 100_000 + "}" * 100_000).answer is not None


def test_a_gold_answer_is_all_that_its_solution_says() -> None:
    assert whole_gold("1", r"They are $\boxed{-2}$ and $\boxed{1}$.") == "-2, 1"
    assert whole_gold("5", r"Hence, it is $\boxed{3}$ or $\boxed{5}$.") == "3, 5"
    assert whole_gold("1", r"$\boxed{-2}$ and $\boxed{1}$. (Either is acceptable.)") == "1"
    assert whole_gold("7", r"They are $\boxed{-2}$ and $\boxed{1}$.") == "7"
    assert whole_gold("7", None) == "7"
