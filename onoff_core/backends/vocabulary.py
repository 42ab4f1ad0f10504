"""The bytes of every token id of a model.

A token is bytes, not text: a byte-level token may hold a part of a character. So text is only for reading, and the
bytes concatenate to the response.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from onoff_core.errors import ModelError

_ONE_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")
_NO_LATIN_1 = 0xFFFF


@dataclass(frozen=True)
class Vocabulary:
    """All ids of a model, 0 to `len - 1`."""

    pieces: tuple[bytes, ...]  # the bytes of each id; empty for an id the tokenizer does not have
    special: tuple[bool, ...]  # whether the id is a special or an added token

    def __len__(self) -> int:
        return len(self.pieces)

    def bytes_of(self, token_ids: Sequence[int]) -> bytes:
        return b"".join(self.pieces[i] for i in token_ids)


class KnowsItsTokens(Protocol):
    """The part of a tokenizer of transformers that is used here."""

    def get_vocab(self) -> dict[str, int]: ...

    @property
    def added_tokens_decoder(self) -> dict[int, Any]: ...


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """Byte-level BPE writes each byte as one printable character; this is the way back (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {chr(b): b for b in printable}
    shifted = 0
    for b in range(256):
        if b not in printable:
            table[chr(256 + shifted)] = b
            shifted += 1
    return table


@lru_cache(maxsize=1)
def _translation() -> dict[int, int]:
    """The same for `str.translate`: a byte is a character of Latin-1, and what stands for no byte becomes none."""
    table = {ord(character): byte for character, byte in _byte_of_character().items()}
    return {**dict.fromkeys(range(256), _NO_LATIN_1), **table}


def read_vocabulary(tokenizer: KnowsItsTokens, size: int) -> Vocabulary:
    """The bytes of every id below `size`, from the tokenizer's own tokens.

    Byte-level tokenizers (GPT-2, Llama 3, Qwen, SmolLM) and SentencePiece-like ones (Llama 2, Gemma, Mistral) are
    told apart by how they write a space. Added tokens are read like all others, as the decoders of these
    tokenizers read them: Gemma's runs of spaces are added tokens.
    """
    tokens: list[str | None] = [None] * size
    for name, index in tokenizer.get_vocab().items():
        if index < size:
            tokens[index] = name
    added = tokenizer.added_tokens_decoder.keys()
    byte_level = _is_byte_level(
        [token for index, token in enumerate(tokens) if token is not None and index not in added]
    )
    pieces, special = [], []
    for index, token in enumerate(tokens):
        special.append(index in added or token is None)
        if token is None:
            pieces.append(b"")
        else:
            pieces.append(_byte_level(token) if byte_level else _sentence_piece(token))
    if not any(pieces):
        raise ModelError("the tokenizer has no tokens")
    return Vocabulary(tuple(pieces), tuple(special))


def _is_byte_level(tokens: list[str]) -> bool:
    """Decided by which sign for a space is in more tokens, since large vocabularies have `Ġ` as a letter too."""
    byte_level, sentence_piece = (sum(mark in token for token in tokens) for mark in "Ġ▁")
    if byte_level == sentence_piece:
        table = _byte_of_character()
        return all(character in table for token in tokens for character in token)
    return byte_level > sentence_piece


def _byte_level(token: str) -> bytes:
    try:
        return token.translate(_translation()).encode("latin-1")
    except UnicodeEncodeError:  # an added token, written as it is
        return token.encode()


def _sentence_piece(token: str) -> bytes:
    if _ONE_BYTE.fullmatch(token):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
