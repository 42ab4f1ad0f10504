"""What each token of a response is written as, so that the strings concatenate to the text exactly.

A token is bytes and may hold a part of a character. The rule: a character stands whole on the token that completes
it, and the tokens before it that hold its other bytes have the empty string. A stop token at the end ends the text and
is not in it: its string is empty too.
"""

import codecs
from collections.abc import Sequence


def token_strings(pieces: Sequence[bytes], text: str, ends_with_stop_token: bool) -> list[str]:
    """One string a token; `"".join` of them is `text`. `pieces` are the tokens' bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    inside = len(pieces) - int(ends_with_stop_token)
    strings = [decoder.decode(piece, final=number == inside - 1) for number, piece in enumerate(pieces[:inside])]
    strings += [""] * (len(pieces) - inside)
    return strings if "".join(strings) == text else _aligned(strings, text)


def _aligned(strings: list[str], text: str) -> list[str]:
    """Where a tokenizer writes a text otherwise than its tokens' bytes (SentencePiece drops a first space, an imported
    text may have been normalised): keep what agrees from both ends, and put the rest of the text on the last token
    between them.
    """
    if not strings:
        return []
    begin, position = 0, 0
    while begin < len(strings) - 1 and text.startswith(strings[begin], position):
        position += len(strings[begin])
        begin += 1
    end, tail = len(strings), len(text)
    while end - 1 > begin and text.endswith(strings[end - 1], position, tail):
        tail -= len(strings[end - 1])
        end -= 1
    between = [""] * (end - begin - 1) + [text[position:tail]]
    return [*strings[:begin], *between, *strings[end:]]


def legacy_token_strings(pieces: Sequence[bytes]) -> list[str]:
    """Each token decoded on its own and stripped of white space, as the research scripts had them; they do not
    concatenate to the text.
    """
    return [piece.decode("utf-8", "replace").strip() for piece in pieces]
