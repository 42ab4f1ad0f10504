"""HTML from text. A string is text and is escaped; only what these functions return is markup."""

import base64
import hashlib
import html

from onoff_assets.browser.text import plain

_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


Child = str | Markup | None


def escape(text: Child) -> str:
    """Text as HTML; characters that one cannot see, or that turn the direction of writing, have marks."""
    if text is None:
        return ""
    return text if isinstance(text, Markup) else html.escape(plain(text))


def element(tag: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element. `class_` and `for_` are written without the underscore, other underscores as hyphens; an attribute
    that is None or False is left out, one that is True has no value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    opened = f"<{tag}{written}>"
    return Markup(opened if tag in _VOID else f"{opened}{''.join(map(escape, children))}</{tag}>")


def joined(*parts: Child) -> Markup:
    return Markup("".join(map(escape, parts)))


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(plain(str(value)))}"'


def page(title: str, body: Markup, style: str, script: str) -> str:
    """A whole page that runs this script and no other, has this style and no other, and reaches no host."""
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    code = element("script", Markup(script))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}{code}</body></html>\n'


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def data_block(identifier: str, json_text: str) -> Markup:
    """JSON that a script of the page reads; no text in it can end the block."""
    safe = json_text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return element("script", Markup(safe), type="application/json", id=identifier)
