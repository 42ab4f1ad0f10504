"""The paragraphs of a text that is given as the bytes of its tokens."""

import re
from collections.abc import Sequence

import numpy as np

_PARAGRAPH_END = re.compile(rb"\n(?:[ \t\r]*\n)+")  # one empty line, or several


def paragraph_ends(pieces: Sequence[bytes], special: Sequence[bool]) -> list[int]:
    """The position of the last token of each paragraph, rising; the last token is the last of them. None: no tokens.

    Paragraphs are parted by empty lines. A token that holds the end of one and the beginning of the next ends it.
    """
    if not pieces:
        return []
    ends_at = np.cumsum([len(piece) for piece in pieces])  # bytes after each token
    worded = [at for at, piece in enumerate(pieces) if piece.strip() and not special[at]]
    text, last = b"".join(pieces), len(pieces) - 1
    last_word = int(ends_at[worded[-1]]) if worded else 0
    ends = {last}
    for match in _PARAGRAPH_END.finditer(text):
        if text[: match.start()].strip() and match.end() < last_word:  # words before it, and after it
            ends.add(int(np.searchsorted(ends_at, match.end(), side="left")))
    return sorted(ends)


def paragraph_starts(pieces: Sequence[bytes], special: Sequence[bool]) -> list[int]:
    """The position of the first token of each paragraph, rising."""
    ends = paragraph_ends(pieces, special)
    return [0, *(end + 1 for end in ends[:-1])] if ends else []
