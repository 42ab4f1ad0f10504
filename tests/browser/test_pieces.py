"""Pieces of tokens: exact text, bytes where characters are split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onoff_assets.browser.hits import token_hits
from onoff_assets.browser.pieces import label_of, pieces_of, response_pieces
from onoff_assets.browser.searching import Search

SMILE = "😀".encode()


def shown(tokens: list[bytes]) -> list[tuple[str, str, str]]:
    return [(piece.text, piece.mark, piece.kind) for piece in pieces_of(tokens)]


def test_whole_characters_are_text() -> None:
    assert shown([b" so", "∑".encode(), b"\n"]) == [(" so", "", "text"), ("∑", "", "text"), ("\n", "", "text")]


def test_a_character_over_two_tokens_shows_its_bytes_and_belongs_to_the_last() -> None:
    assert shown([SMILE[:2], SMILE[2:] + b"!"]) == [("", "⟨F0 9F⟩", "bytes"), ("😀!", "⟨98 80⟩", "bytes")]


def test_a_character_over_four_tokens() -> None:
    assert shown([SMILE[i : i + 1] for i in range(4)]) == [
        ("", "⟨F0⟩", "bytes"),
        ("", "⟨9F⟩", "bytes"),
        ("", "⟨98⟩", "bytes"),
        ("😀", "⟨80⟩", "bytes"),
    ]


def test_bytes_that_are_no_character_are_shown_as_bytes() -> None:
    assert shown([b"a", b"\xff", b"b"]) == [("a", "", "text"), ("\ufffd", "⟨FF⟩", "bytes"), ("b", "", "text")]


@given(st.lists(st.binary(max_size=5) | st.sampled_from([SMILE[:1], SMILE[1:3], SMILE[3:], "é".encode()])))
def test_joined_text_is_the_bytes_decoded(tokens: list[bytes]) -> None:
    assert "".join(piece.text for piece in pieces_of(tokens)) == b"".join(tokens).decode(errors="replace")
    assert len(pieces_of(tokens)) == len(tokens)


def test_special_tokens_stand_apart_with_their_ids() -> None:
    pieces = response_pieces([5, 9, 6, 2], [b"a", b"<|x|>", b"b", b"<|end|>"], [False, True, False, True])
    assert [piece.kind for piece in pieces] == ["text", "special", "text", "special"]
    assert (pieces[1].text, pieces[1].mark) == ("<|x|>", "#9")
    assert (pieces[3].text, pieces[3].mark) == ("", "<|end|> #2")  # the stop token is no part of the text


def test_an_id_without_bytes_shows_its_id() -> None:
    assert response_pieces([77], [b""], [True])[0].mark == "#77"


@pytest.mark.parametrize(
    ("token", "special", "label"),
    [
        (b" the", False, "·the"),
        (b"\n\n", False, "↵↵"),
        (b"\t", False, "→"),
        (SMILE[:2], False, "⟨F0 9F⟩"),
        ("\u202e".encode(), False, "⟨U+202E⟩"),
        (b"<|end|>", True, "<|end|>"),
        (b"", True, "id 4"),
    ],
)
def test_labels(token: bytes, special: bool, label: str) -> None:
    assert label_of(token, special, 4) == label


@pytest.mark.parametrize(
    ("text", "regex", "found"),
    [
        ("WAIT", False, [(1, 1, 1, 5)]),  # within a token
        ("t, l", False, [(1, 4, 2, 3)]),  # over two of them
        ("😀 x", False, [(6, 0, 7, 2)]),  # a smile is two units of UTF-16, and belongs to its last token
        ("x", False, [(7, 1, 7, 2)]),
        ("let😀", False, [(2, 2, 6, 2)]),
        ("[a-z]{3}", True, [(1, 2, 1, 5), (2, 2, 2, 5)]),
        ("z*", True, []),  # of no length
        ("end", False, []),  # the stop token is no part of the response
    ],
)
def test_hits_are_places_in_tokens(text: str, regex: bool, found: list[tuple[int, ...]]) -> None:
    tokens = [b"OK", b" Wait", b", let", *[bytes([byte]) for byte in SMILE], b" x", b"end"]
    pieces = response_pieces(range(len(tokens)), tokens, [False] * 8 + [True])
    assert token_hits(pieces, "OK Wait, let😀 x", Search(text, regex)) == found
