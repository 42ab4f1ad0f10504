"""Token bytes -> the text and the mark that are shown for each token.

A token is bytes: a character may be spread over several tokens, and some bytes are no character at all. The text of
all pieces joined is exactly the bytes decoded (bytes that are not UTF-8 become U+FFFD, as in Python and the store), so
that copying gives the response; `mark` is shown beside the text and is no part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "bytes", "special"]


@dataclass
class Piece:
    """One token as it is shown: its text (a character that several tokens share belongs to the last), mark and kind."""

    text: str = ""
    mark: str = ""
    kind: Kind = "text"


def pieces_of(tokens: Sequence[bytes]) -> list[Piece]:
    """The pieces of ordinary tokens that follow one another."""
    raw = b"".join(tokens)
    owner = [index for index, token in enumerate(tokens) for _ in token]
    pieces = [Piece() for _ in tokens]
    start = 0
    for character, width, valid in _characters(raw):
        owners = owner[start : start + width]
        if not valid or owners[0] != owners[-1]:
            for offset, index in enumerate(owners):
                pieces[index].mark += f"⟨{raw[start + offset]:02X}⟩"
                pieces[index].kind = "bytes"
        pieces[owners[-1]].text += character
        start += width
    for piece in pieces:
        piece.mark = piece.mark.replace("⟩⟨", " ")
    return pieces


def _characters(raw: bytes) -> list[tuple[str, int, bool]]:
    """Each character in order: (text, width in bytes, whether these bytes are a character)."""
    found: list[tuple[str, int, bool]] = []
    while raw:
        try:
            found += [(c, len(c.encode()), True) for c in raw.decode()]
            break
        except UnicodeDecodeError as error:
            found += [(c, len(c.encode()), True) for c in raw[: error.start].decode()]
            found.append(("\ufffd", error.end - error.start, False))
            raw = raw[error.end :]
    return found


def response_pieces(token_ids: Sequence[int], vocabulary: "Sequence[bytes]", special: Sequence[bool]) -> list[Piece]:
    """The pieces of a response: special tokens apart, with their ids; an id the vocabulary lacks is only its id.

    A special token at the very end is the stop token, which is no part of the response's text.
    """
    pieces: list[Piece] = []
    run: list[bytes] = []
    for token_id, piece, is_special in zip(token_ids, vocabulary, special, strict=True):
        if not is_special:
            run.append(piece)
            continue
        pieces += [*pieces_of(run), Piece(piece.decode(errors="replace"), f"#{token_id}", "special")]
        run = []
    pieces += pieces_of(run)
    if pieces and pieces[-1].kind == "special":
        last = pieces[-1]
        last.mark, last.text = f"{last.text} {last.mark}".strip(), ""
    return pieces


def label_of(token: bytes, special: bool, token_id: int) -> str:
    """A label for one token alone: its text, or its bytes where they are no text."""
    from onoff_assets.browser.text import visible

    if special:
        return visible(token.decode(errors="replace")) or f"id {token_id}"
    piece = pieces_of([token])[0]
    if piece.kind == "bytes":
        return (
            piece.mark
            if not piece.text.strip("\ufffd")
            else f"{visible(piece.text.replace(chr(0xFFFD), ''))}{piece.mark}"
        )
    return visible(piece.text).replace(" ", "·") or "(empty)"
