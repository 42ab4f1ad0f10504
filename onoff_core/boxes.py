r"""Find `\boxed{...}` in LaTeX text: the one place that knows what a box is.

Gold answers are read out of reference solutions by `last_boxed`, final answers out of responses by `boxed_answer`.
All of it takes time in proportion to the text, whatever the text is: a response may be hostile.
"""

import re
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE = re.compile(r"\\[\\{}]|[{}]")  # `\{`, `\}` and a line break before a brace do not count as braces
_SINGLE = re.compile(r"-?\d+(?:\.\d+)?|[A-Za-z]\b")


# Between neighbouring boxes: what joins them to one answer, `\boxed{2} and \boxed{3}`, each perhaps with its name.
_JOINT = re.compile(
    r"(?:[\s$*~]|\\[,;:! ()\[\]]|\\(?:text|textbf|mathrm|mbox)\s*\{[\s,;]*(?:and(?:\s+also)?)?[\s,;]*\}"
    r"|(?P<joint>,|;|&|\\q?quad(?![A-Za-z])|(?<![A-Za-z])(?:and(?:\s+also)?|as\s+well\s+as)(?![A-Za-z])))*"
    r"(?P<name>[A-Za-z](?:_\{?\w\}?)?\s*=\s*)?[\s$]*"
)
_AND_IN_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{[\s,;]*and(?:\s+also)?[\s,;]*\}")
_NAME_BEFORE = re.compile(r"(?<![A-Za-z\\])([A-Za-z](?:_\{?\w\}?)?\s*=\s*)[\s$]*$")
_PARAGRAPH = re.compile(r"\n\s*\n")
# `either 2 or 5` over two boxes leaves open which; `2, or rather 5` corrects itself, `2, or equivalently 4/2` repeats.
_OR = re.compile(
    r"(?<![A-Za-z])(?:or|alternatively)(?![A-Za-z])(?!\s+(?:rather|better|equivalently|simply|more|i\.e|that is|to be"
    r"|in (?:decimals?|fractions?|other words|simplest|lowest|short)|as|just|actually|precisely|simplified|written))",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)(?!\s*(?:or|alternatively)\b)", re.IGNORECASE)
_MOST_BETWEEN, _MOST_OF_A_NAME, _MOST_OF_A_PLACEHOLDER = 120, 20, 60  # characters
_BLANK = (
    r"(?:[\s.$_…~]|\\[,;:! _]|\\(?:[lcv]?dots[bcimo]?|q?quad|square|Box|cdot|ldotp|blank|hfill)(?![A-Za-z])"
    r"|\\(?:phantom|hspace|underline|text|mathrm)\s*\{(?:[^\w{}√∞∅±]|_)*\}|\\(?:phantom|hspace)\s*\{[^{}]*\})*"
)
_STAND_IN = (
    r"(?:\\(?:text|textbf|mathrm)\s*\{)?\s*(?:(?:your|the|my|final|numerical|insert)\s+)*(?:answer|result)"
    r"(?:\s+(?:goes\s+)?here)?\s*\}?"
)
_PLACEHOLDER = re.compile(rf"\?{{2,}}|{_BLANK}|{_STAND_IN}", re.IGNORECASE)


class Box(NamedTuple):
    """Where a box begins and ends in its text, and where its content does."""

    begin: int
    content_begin: int
    content_end: int
    end: int

    def content(self, text: str) -> str:
        return text[self.content_begin : self.content_end].strip()


class BoxedAnswer(NamedTuple):
    """The answer in the boxes of a response, or the reason why there is none.

    `alternatives` are the contents of boxes between which the response does not decide. They are an answer only where
    that makes no difference: if all are equal, or if several answers are asked for.
    """

    answer: str | None
    reason: str | None
    alternatives: tuple[str, ...] = ()


def boxed_answer(text: str) -> BoxedAnswer:
    r"""The answer that a response gives in its boxes: the last one's content, or that of several that are one answer.

    Boxes that say nothing (`\boxed{}`, `\boxed{...}`) are passed over. Neighbours joined by `and`, commas or `\quad`
    are one answer with commas, as `\boxed{2} and \boxed{3}` is `2, 3`. If a response leaves open which of two boxes
    it means (`\boxed{2} or \boxed{5}`), neither is the answer.
    """
    joined: list[Box] = []  # the last first
    boxes = _boxes(text)
    for box in reversed(boxes):
        if joined and box.end > joined[-1].begin:  # the other box is inside this one
            continue
        if joined and joined[-1].begin - box.end > _MOST_BETWEEN:
            break
        content = box.content(text)
        if len(content) <= _MOST_OF_A_PLACEHOLDER and _PLACEHOLDER.fullmatch(content):
            continue
        if content == "?" and box is not boxes[0]:  # alone it is an answer, if a wrong one
            continue
        if joined:
            between = text[box.end : joined[-1].begin]
            if _is_alternative(between) and content != joined[-1].content(text):
                others = (other.content(text) for other in reversed(joined))
                return BoxedAnswer(None, "boxes that are alternatives", (content, *others))
            if not _joins(between):
                break
        joined.append(box)
    if not joined:
        return BoxedAnswer(None, "no box with anything in it" if boxes else "no box")
    return BoxedAnswer(_one_answer(text, joined[::-1]), None)


_EITHER = re.compile(r"(?i)\b(?:either|any one)\b")


def whole_gold(answer: str, solution: str | None) -> str:
    r"""The gold answer to grade by, of a problem whose answer was read out of the last box of its solution.

    A solution may end with `$\boxed{-2}$ and $\boxed{1}$`, of which `1` is a part; so here all of what the boxes say
    counts, as it does in a response. Not where the solution says that either will do.
    """
    if solution is None or last_boxed(solution) != answer:
        return answer
    said = boxed_answer(solution)
    if _EITHER.search(solution[solution.rfind("boxed") :]):
        return answer
    return said.answer or ", ".join(said.alternatives) or answer


def _boxes(text: str) -> list[Box]:
    """All boxes that close, in the order in which they open."""
    matches = list(_BOX.finditer(text))
    if not matches:
        return []
    closing = closing_braces(text)
    boxes = []
    for match in matches:
        start = match.end()
        if start in closing:
            boxes.append(Box(match.start(), start + 1, closing[start], closing[start] + 1))
        elif not text.startswith("{", start):
            # `\boxed 3` and `\boxed3`: TeX takes the one next character; MATH's authors wrote whole numbers so.
            single = _SINGLE.match(text, start)
            if single:
                boxes.append(Box(match.start(), start, single.end(), single.end()))
    return boxes


def _joins(between: str) -> bool:
    if _PARAGRAPH.search(between):
        return False
    match = _JOINT.fullmatch(between)
    return match is not None and (match["joint"] is not None or _AND_IN_WORDS.search(between) is not None)


def _is_alternative(between: str) -> bool:
    if _PARAGRAPH.search(between) or _SENTENCE_END.search(between):
        return False
    return _OR.search(between) is not None


def _one_answer(text: str, boxes: list[Box]) -> str:
    """Names count where each box has one: `x = \\boxed{2}, y = \\boxed{3}`. What is said twice is said once."""
    contents = [box.content(text) for box in boxes]
    if len(set(contents)) == 1:
        return contents[0]
    names = [_NAME_BEFORE.search(text, max(0, box.begin - _MOST_OF_A_NAME), box.begin) for box in boxes]
    if all(names):
        contents = [f"{name.group(1)}{content}" for name, content in zip(names, contents, strict=True) if name]
    return ", ".join(contents)


def last_boxed(text: str) -> str | None:
    r"""The content of the last balanced `\boxed{...}` or `\fbox{...}`, without the braces; None where there is none.

    Braces may nest; `\{` and `\}` are literal and do not count. `\boxed {3}` and the TeX shorthand `\boxed 3` are
    read too. A box that is never closed is passed over, so that a response cut off in its last box falls back on an
    earlier one.
    """
    boxes = _boxes(text)
    return boxes[-1].content(text) if boxes else None


def closing_braces(text: str) -> dict[int, int]:
    """Where each opening brace closes: its position -> that of its closing brace; unbalanced ones are left out."""
    closing: dict[int, int] = {}
    open_at: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            open_at.append(match.start())
        elif match.group() == "}" and open_at:
            closing[open_at.pop()] = match.start()
    return closing
