"""Text of a model or a data set is shown and never obeyed."""

import sys

import pytest

from onoff_assets.browser.text import escaped, is_invisible, plain, visible

HOSTILE = "<script>alert(1)</script> ![x](http://e.x/i.png) [l](javascript:alert(1)) `c` **b** $x$ :red[r] # h"


def test_visible_marks_what_one_cannot_see() -> None:
    assert visible("a\u202eb\u200bc\nd\te\x00") == "a⟨U+202E⟩b⟨U+200B⟩c↵d→e⟨U+0000⟩"
    assert visible("abcdef", limit=4) == "abc…"
    assert plain("a\n\tb\u2066") == "a\n\tb⟨U+2066⟩"


def test_no_invisible_character_is_overlooked() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        assert (visible(f"a{character}") == f"a{character}") == (not is_invisible(character)), f"U+{code:04X}"


def test_escaped_leaves_no_markdown() -> None:
    text = escaped(HOSTILE)
    for opener in ("<", "![", "](", "`", "**", "$", ":", "#"):
        position = -1
        while (position := text.find(opener, position + 1)) >= 0:
            assert text[position - 1] == "\\", f"{opener!r} is not escaped in {text!r}"


@pytest.mark.parametrize("text", ["http://x.y", "HTTPS://x.y", "www.x.y", "me@x.org", ":streamlit:"])
def test_what_would_become_a_link_or_a_logo_is_kept_apart(text: str) -> None:
    shown = escaped(text).replace("\\", "")
    assert shown != text
    assert shown.replace("\u2060", "") == text


@pytest.mark.parametrize("symbol", ["<->", "->", "<-", "--", ">=", "<=", "~="])
def test_no_symbol_is_set_as_another(symbol: str) -> None:
    shown = escaped(f"a {symbol} b").replace("\\", "")
    assert symbol not in shown
    assert shown.replace("\u2060", "") == f"a {symbol} b"
    assert "\u2060" not in escaped("dagster --select a=>b, x-y")
