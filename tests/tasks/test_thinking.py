"""Where a response thinks and where its answer begins, in tokens, as grading has it."""

import random

import pytest

from onoff_core.study import Example, TaskSettings, ThinkingTags
from onoff_core.tasks import (
    examples_without_thinking,
    known_tags,
    opened_by,
    paragraph_ends,
    parts_of,
    step_starts,
    tags_of_template,
    without_thinking,
)
from onoff_core.tasks.thinking import KNOWN_TAGS, USUAL_TAGS, Scan, as_bytes

R = ThinkingTags(open="<r>", close="</r>")


def parts(*pieces: str, prompt: str = "", tags: ThinkingTags = R) -> tuple[int | None, list[int], bool, int]:
    """(answer_start, positions of the answer, whether it ends thinking, tokens of thinking)."""
    found = parts_of([piece.encode() for piece in pieces], tags, prompt)
    assert found.num_thinking + found.num_answer == found.num_tokens == len(pieces)
    return found.answer_start, list(found.answer), found.is_open, found.num_thought


def test_the_answer_begins_behind_the_token_that_ends_the_closing_tag() -> None:
    assert parts("<r>", "a", "</r>", "b", "c") == (3, [3, 4], False, 3)
    assert parts("<r>", "a", "</", "r", ">", "b") == (5, [5], False, 5)  # a tag of several tokens
    assert parts("<r>a", "b</r>c", "d") == (2, [2], False, 2)  # glued to both sides: the token is the thinking's last
    assert parts("<r>a</r>b", "c") == (1, [1], False, 1)


def test_a_response_that_ends_with_its_closing_tag_has_an_empty_answer() -> None:
    assert parts("<r>", "a", "</r>") == (3, [], False, 3)


def test_the_prompt_may_have_begun_the_thinking() -> None:
    assert parts("a", "</r>", "b", prompt="asked<r>\n") == (2, [2], False, 2)
    assert parts("a", "b", prompt="asked<r>\n") == (None, [], True, 2)
    assert parts("a", "b", prompt="asked<r>\n\n</r>\n\n") == (None, [0, 1], False, 0)


def test_without_thinking_or_without_an_end_of_it_there_is_no_answer_start() -> None:
    assert parts("a", "b") == (None, [0, 1], False, 0)
    assert parts("<r>", "a") == (None, [], True, 2)
    assert parts("so ", "<r>", "a") == (None, [0], True, 2)  # said before
    assert parts() == (None, [], False, 0)


def test_the_last_thinking_counts_and_the_usual_tags_are_known_too() -> None:
    assert parts("<r>", "a", "</r>", "b", "<think>", "c", "</think>", "d") == (7, [7], False, 6)
    assert parts("<r>", "a", "</r>", "b", "<r>", "c") == (3, [3], True, 5)
    assert parts("a", "</r>", "b") == (2, [2], False, 2)  # nothing opened it: all before is thinking


@pytest.mark.parametrize("seed", range(40))
def test_the_answer_is_what_is_looked_at_for_an_answer_and_piecewise_is_as_whole(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = ["<r>", "</r>", "<think>", "</think>", "a", "b", "<", "/r>", " "]
    for _ in range(60):
        text = "".join(chance.choice(alphabet) for _ in range(chance.randint(0, 9)))
        prompt = chance.choice(["", "x<r>", "<think>\n", "<r></r>"])
        by_character = parts_of([character.encode() for character in text], R, prompt)
        said, _ = without_thinking(text, R, prompt)
        assert text[by_character.answer.start : by_character.answer.stop] == said, (text, prompt)
        known = known_tags(R)
        whole, piecewise = (Scan(as_bytes(known), opened_by(prompt, known) is not None) for _ in range(2))
        whole.feed(text.encode())
        for character in text:
            piecewise.feed(character.encode())
        assert (whole.closed[-1:], whole.opened_at) == (piecewise.closed[-1:], piecewise.opened_at), (text, prompt)


def test_each_kind_of_template_names_its_own_tags() -> None:
    for tags in KNOWN_TAGS:
        template = f"{{{{ '{tags.open}' }}}}x{{{{ '{tags.close}' }}}}"
        assert tags_of_template(template) == [tags]
    assert tags_of_template("{{ messages }}") == []
    assert tags_of_template("<|channel|>analysis<|message|> ... <|channel|>final<|message|>") == [KNOWN_TAGS[-1]]
    assert len(tags_of_template("</think></thinking>")) == 2


def test_an_example_whose_thinking_is_not_in_the_prompt_is_named() -> None:
    shown = [
        Example(question="1?", response="<think>\nlong\n\nthought\n</think>\n\n1"),
        Example(question="2?", response="2, with no thought"),
        Example(question="3?", response="kept</think>3"),
        Example(question="4?", response="<think></think>4"),  # nothing to drop
    ]
    task = TaskSettings(examples=tuple(shown))
    assert examples_without_thinking("1 2, with no thought kept 3 4", task, known_tags(None)) == [0]
    assert examples_without_thinking("<think>long\n\nthought</think>1 2 3", task, known_tags(None)) == [2]
    assert examples_without_thinking("long\n\nthought kept", task, known_tags(None)) == []


def test_steps_are_the_paragraphs_of_the_thinking() -> None:
    pieces = [
        piece.encode() for piece in ("<r>", "One", ".\n\n", "Two", " and", "\n", "\n", "Three", "</r>", "\n\n", "A")
    ]
    special = [False] * len(pieces)
    assert step_starts(pieces, special, R, "") == [0, 3, 7]
    assert step_starts(pieces[1:], special[1:], R, "<r>") == [0, 2, 6]
    assert step_starts([b"no", b"\n\n", b"thought"], [False] * 3, R, "") == []
    assert step_starts([b"so\n\n", b"<r>", b"a\n\n", b"b"], [False] * 4, R, "") == [1, 3]  # never closed
    assert paragraph_ends([], []) == []


def test_the_usual_tags_are_not_looked_for_twice() -> None:
    assert known_tags(None) == known_tags(USUAL_TAGS) == (USUAL_TAGS,)
    assert known_tags(R) == (USUAL_TAGS, R)
