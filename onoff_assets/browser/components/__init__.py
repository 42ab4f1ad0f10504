"""What Streamlit lacks, drawn from text nodes only: the tokens of a response, a token's bars, a prefix tree.

A component is registered once, when its module is imported: registering in a page's script would do so at each rerun.
Styles and scripts are package data beside the modules. Nothing of a model ever goes into `html`, `css` or `js`.
"""

import json
from typing import Any


def as_bytes(data: dict[str, Any]) -> bytes:
    """JSON, as every component takes its data: bytes pass as they are; a dict Streamlit would search for tables, with
    pandas loaded for it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
