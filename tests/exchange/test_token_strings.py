"""Token strings concatenate to the text, whatever the tokens' bytes are."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from onoff_core.exchange.token_strings import legacy_token_strings, token_strings


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.text(), st.lists(st.integers(0, 10_000)), st.booleans())
def test_any_cut_of_any_text(text: str, places: list[int], stopped: bool) -> None:
    pieces = cut(text.encode("utf-8", "replace"), places) + [b"<|im_end|>"] * stopped
    strings = token_strings(pieces, text.encode("utf-8", "replace").decode(), stopped)
    assert len(strings) == len(pieces)
    assert "".join(strings) == text.encode("utf-8", "replace").decode()


@given(st.lists(st.binary(max_size=6)), st.text())
def test_bytes_that_are_no_text_and_texts_of_other_bytes(pieces: list[bytes], text: str) -> None:
    decoded = b"".join(pieces).decode("utf-8", "replace")
    assert "".join(token_strings(pieces, decoded, False)) == decoded
    if pieces:
        assert "".join(token_strings(pieces, text, False)) == text


def test_a_character_stands_on_the_token_that_completes_it() -> None:
    euro = "€".encode()
    assert token_strings([b"5", euro[:1], euro[1:2], euro[2:] + b" is", b"<end>"], "5€ is", True) == [
        "5",
        "",
        "",
        "€ is",
        "",
    ]


def test_a_first_space_that_the_tokenizer_drops() -> None:
    assert token_strings([b" The", b" answer", b"</s>"], "The answer", True) == ["The", " answer", ""]


def test_legacy_strings_are_stripped() -> None:
    assert legacy_token_strings([b" The", b"\n\n", "é".encode()[:1]]) == ["The", "", "�"]
