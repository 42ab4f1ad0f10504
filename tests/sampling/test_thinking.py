"""What a task says of thinking, found out for one model."""

import pytest

from onoff_core.backends.fake import FakeTokenizer
from onoff_core.sampling import NO_PLAN, thinking_plan
from onoff_core.study import SamplingSettings, TaskSettings, ThinkingTags

TASK = TaskSettings(thinking=ThinkingTags(open="<r>", close="</r>"))
TOKENIZER = FakeTokenizer()


@pytest.mark.parametrize(
    ("text", "prompt", "cut"),
    [
        (b"<r>abcdefgh</r>i", "", 8),
        (b"<r>a</r>bcdefghi", "", None),  # its last token of thinking is the eighth
        (b"<r>ab</r>cdefghi", "", 8),
        (b"abcdefgh</r>i", "<r>", 8),
        (b"no thought at all", "", None),
        (b"<r>abcde", "", 8),  # the next token would be put in
        (b"<r>abcd", "", None),
        (b"", "<r>", None),
    ],
)
def test_where_a_budget_would_have_cut(text: bytes, prompt: str, cut: int | None) -> None:
    plan = thinking_plan(TOKENIZER, TASK, SamplingSettings(max_length=40, thinking_budget=8))
    assert plan.cut_at(TOKENIZER.vocabulary, prompt, list(text)) == cut


def test_without_a_budget_nothing_is_cut() -> None:
    assert NO_PLAN.cut_at(TOKENIZER.vocabulary, "<r>", list(b"abc")) is None
    plan = thinking_plan(TOKENIZER, TASK, SamplingSettings())
    assert plan.cut_at(TOKENIZER.vocabulary, "<r>", list(b"abc")) is None
    assert plan.closing == ()
