"""Where a response thinks, and where its answer begins: over its bytes and its tokens, whatever made them.

Thinking is what no answer is looked for in (`formats.find_answer`): all that stands up to the last closing tag, and a
part that is never closed. It may have begun in the prompt, whose last text then is an opening tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from onoff_core.study import ThinkingTags
from onoff_core.tasks.paragraphs import paragraph_starts

Tags = tuple[tuple[bytes, bytes], ...]  # (opening, closing)

USUAL_TAGS = ThinkingTags()  # known whatever the settings name
# What chat templates have around thinking: most (Qwen, DeepSeek, GLM, OLMo), then Magistral, Kimi, Seed-OSS, Command A,
# OpenThinker, others of one's own; gpt-oss.
KNOWN_TAGS = (
    USUAL_TAGS,
    ThinkingTags(open="[THINK]", close="[/THINK]"),
    ThinkingTags(open="◁think▷", close="◁/think▷"),
    ThinkingTags(open="<seed:think>", close="</seed:think>"),
    ThinkingTags(open="<|START_THINKING|>", close="<|END_THINKING|>"),
    ThinkingTags(open="<|begin_of_thought|>", close="<|end_of_thought|>"),
    ThinkingTags(open="<thinking>", close="</thinking>"),
    ThinkingTags(open="<reasoning>", close="</reasoning>"),
    ThinkingTags(open="<|channel|>analysis<|message|>", close="<|end|><|start|>assistant<|channel|>final<|message|>"),
)


def tags_of_template(template: str) -> list[ThinkingTags]:
    """The tags that a chat template's text names. Of gpt-oss's, templates write the turn's mark apart."""
    return [tags for tags in KNOWN_TAGS if tags.close.rpartition("<|start|>assistant")[2] in template]


def known_tags(tags: ThinkingTags | None) -> tuple[ThinkingTags, ...]:
    """The tags that are looked for where the settings name these: the usual ones too."""
    return (USUAL_TAGS,) if tags is None or tags == USUAL_TAGS else (USUAL_TAGS, tags)


def opened_by(prompt: str, tags: Sequence[ThinkingTags]) -> ThinkingTags | None:
    """Those of the tags whose opening one is the last text of a prompt."""
    return next((one for one in tags if prompt.rstrip().endswith(one.open)), None)


class Scan:
    """Finds thinking in text that comes piece by piece. `closed` and `opened_at` count bytes from its beginning."""

    def __init__(self, tags: Tags, inside: bool) -> None:
        """`inside`: the text begins within a thinking."""
        self._tags = tags
        self._overlap = max(len(tag) for pair in tags for tag in pair) - 1
        self._text = bytearray()
        self._from = 0  # nothing that begins before is a tag
        self.closed: list[tuple[int, int]] = []  # (begin, end) of each thinking, its tags included
        self.opened_at: int | None = 0 if inside else None  # where the thinking begins that the text is in now

    def feed(self, piece: bytes) -> None:
        self._text += piece
        while self._advance():
            pass
        self._from = max(self._from, len(self._text) - self._overlap)

    def _advance(self) -> bool:
        """Take the next tag, if there is one."""
        end = self._end_of_closing()
        if self.opened_at is None:
            begin = self._begin_of_opening()
            if begin is not None and (end is None or begin < end):
                self.opened_at, self._from = begin, begin + 1
                return True
            if end is not None:  # nothing opened it: all before is thinking
                self.closed, self._from = [(0, end)], end
            return end is not None
        if end is not None:
            self.closed.append((self.opened_at, end))
            self.opened_at, self._from = None, end
        return end is not None

    def _end_of_closing(self) -> int | None:
        found = [(place, place + len(tag)) for _, tag in self._tags if (place := self._text.find(tag, self._from)) >= 0]
        return min(found)[1] if found else None

    def _begin_of_opening(self) -> int | None:
        return min((place for tag, _ in self._tags if (place := self._text.find(tag, self._from)) >= 0), default=None)


@dataclass(frozen=True)
class Parts:
    """The thinking and the answer of one response, in tokens.

    A token that holds the end of a closing tag and the beginning of the answer is the thinking's last; one that holds
    the end of an answer and the beginning of an opening tag is the thinking's first.
    """

    num_tokens: int
    # Position of the first token after the last thinking that is closed, num_tokens where none follows. None: none is.
    answer_start: int | None
    answer_end: int  # position behind the answer's last token: num_tokens, or where a thinking begins that stays open
    is_open: bool  # at its end the response is within a thinking
    num_thought: int  # tokens from an opening tag to its closing one, both included; of what stays open to the end

    @property
    def thinks(self) -> bool:
        return self.is_open or self.answer_start is not None

    @property
    def answer(self) -> range:
        """The positions of the answer; all others are thinking."""
        return range(self.answer_start or 0, self.answer_end)

    @property
    def num_answer(self) -> int:
        return len(self.answer)

    @property
    def num_thinking(self) -> int:
        return self.num_tokens - self.num_answer

    @property
    def thinking(self) -> range:
        """The positions of the thinking up to its last closing tag; of a thinking that is never closed, to the end."""
        if self.answer_start is None:
            return range(self.answer_end, self.num_tokens)
        return range(self.answer_start)


def parts_of(pieces: Sequence[bytes], tags: ThinkingTags, prompt: str) -> Parts:
    """Where a response to this prompt thinks, of its tokens' bytes."""
    known = known_tags(tags)
    scan = Scan(as_bytes(known), opened_by(prompt, known) is not None)
    scan.feed(b"".join(pieces))
    ends = np.fromiter(accumulate(len(piece) for piece in pieces), np.int64, len(pieces))  # bytes after each token
    count, is_open = len(pieces), scan.opened_at is not None
    opened = count if scan.opened_at is None else _holding(ends, scan.opened_at)
    answer_start = _holding(ends, scan.closed[-1][1] - 1) + 1 if scan.closed else None
    thought = [_holding(ends, end - 1) + 1 - _holding(ends, begin) for begin, end in scan.closed]
    return Parts(
        num_tokens=count,
        answer_start=answer_start,
        answer_end=max(opened, answer_start or 0),
        is_open=is_open,
        num_thought=sum(thought) + count - opened,
    )


def step_starts(pieces: Sequence[bytes], special: Sequence[bool], tags: ThinkingTags, prompt: str) -> list[int]:
    """The positions at which the paragraphs of a response's thinking begin, rising."""
    thinking = parts_of(pieces, tags, prompt).thinking
    starts = paragraph_starts(pieces[thinking.start : thinking.stop], special[thinking.start : thinking.stop])
    return [thinking.start + start for start in starts]


def as_bytes(tags: Sequence[ThinkingTags]) -> Tags:
    return tuple((one.open.encode(), one.close.encode()) for one in tags)


def _holding(ends: "np.ndarray[tuple[int], np.dtype[np.int64]]", byte: int) -> int:
    """The position of the token that holds a byte; one behind the last where none does."""
    return int(np.searchsorted(ends, byte, side="right"))
