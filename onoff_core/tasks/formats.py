r"""The instruction that asks for a format, and the search for a response's answer by that format."""

from dataclasses import dataclass

from onoff_core.boxes import boxed_answer
from onoff_core.study import ThinkingTags
from onoff_core.tasks.thinking import known_tags, opened_by

INSTRUCTIONS = {
    "boxed": r"Please reason step by step, and put your final answer within \boxed{}.",
    "structured": (
        "Please reason step by step within <think> and </think>, then give your final answer "
        r"within <answer> and </answer>, as in <think> ... </think> <answer> \boxed{...} </answer>."
    ),
}
_OPEN, _CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True)
class Extraction:
    """The final answer of a response as LaTeX; without one, a reason that says what was looked for and where.

    `alternatives` are answers between which the response does not decide (`boxes.BoxedAnswer`).
    """

    answer: str | None
    reason: str | None
    alternatives: tuple[str, ...] = ()


def instruction(format_type: str) -> str:
    """The sentence that asks for this format."""
    return INSTRUCTIONS[format_type]


def extract_answer(response: str, format_type: str, thinking: ThinkingTags | None = None) -> str | None:
    """The final answer of a response as LaTeX, or None where it gives none; see `find_answer`."""
    return find_answer(response, format_type, thinking).answer


def find_answer(response: str, format_type: str, thinking: ThinkingTags | None = None, prompt: str = "") -> Extraction:
    r"""The final answer of a response, or why it gives none.

    Thinking is not looked at: neither what stands before the last `</think>`, with or without a `<think>` (which the
    prompt may have ended with), nor a part that is never closed. `thinking` names other tags than these.

    `boxed`: what the boxes say (`boxes.boxed_answer`). `structured`: the boxes of the last `<answer>` part, else all of
    that part, even where an earlier box stands in the reasoning: that is the answer the response was asked to give.
    Without such a part, the boxes of the response.
    """
    said, where = without_thinking(response, thinking, prompt)
    if format_type == "structured":
        part = _answer_part(said)
        if part:
            found = boxed_answer(part)
            if found.answer is None and "\\boxed" not in part and "\\fbox" not in part:
                return Extraction(part, None)
            return Extraction(found.answer, found.reason and f"{found.reason} in the <answer> part", found.alternatives)
    found = boxed_answer(said)
    missing = "no <answer> part and " if format_type == "structured" else ""
    return Extraction(found.answer, found.reason and f"{missing}{found.reason} {where}", found.alternatives)


def without_thinking(response: str, thinking: ThinkingTags | None, prompt: str) -> tuple[str, str]:
    """What a response to this prompt says when it has thought, and where in it that stands; see `find_answer`."""
    tags = known_tags(thinking)
    begin, where = 0, "in the response"
    for tag in tags:
        place = response.rfind(tag.close)
        if place >= 0 and place + len(tag.close) > begin:
            begin, where = place + len(tag.close), f"behind the last {tag.close}"
    said = response[begin:]
    if begin == 0:
        begun = opened_by(prompt, tags)
        if begun is not None:
            return "", f"outside the thinking that {begun.open} begins in the prompt and nothing ends"
    opened = [(place, tag.open) for tag in tags if (place := said.find(tag.open)) >= 0]
    if opened:
        place, open_tag = min(opened)
        said, where = said[:place], f"{where}, before the {open_tag} that is never closed"
    return said, where


def _answer_part(response: str) -> str:
    """The last `<answer>` part that closes; where none closes (the response was cut off), the last that opens."""
    end = response.rfind(_CLOSE)
    before = response[:end] if end >= 0 else response
    return before.rpartition(_OPEN)[2].strip() if _OPEN in before else ""
