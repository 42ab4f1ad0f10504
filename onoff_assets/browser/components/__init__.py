"""What Streamlit lacks, drawn from text nodes only: the tokens of a response, a token's bars, a prefix tree.

A component is registered once, when its module is imported: registering in a page's script would do so at each rerun.
Styles and scripts are package data beside the modules. Nothing of a model ever goes into `html`, `css` or `js`.
"""

import json
from pathlib import Path
from typing import Any

# What a component's script is made of, where it is more than its own file; the last has the default export.
_PARTS = {
    "bar_view": ("probability", "bar_view"),
    "branch_view": ("probability", "branch_view"),
    "data_table": ("data_controls", "data_row", "data_table"),
    "pair_view": ("token_text", "pair_view"),
    "token_view": (
        "token_text",
        "probability",
        "token_tip",
        "strip_picture",
        "token_tools",
        "token_hits",
        "token_view",
    ),  # fmt: skip
}


def script(name: str) -> str:
    """A component's script."""
    return "\n".join(Path(__file__).with_name(f"{part}.js").read_text("utf-8") for part in _PARTS.get(name, (name,)))


def shortened(source: str) -> str:
    """A script or a style sheet without indents and lines of comments, for what every click sends."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def as_bytes(data: dict[str, Any]) -> bytes:
    """A component's data as JSON bytes: Streamlit would search a dict for tables, and load pandas for that."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
