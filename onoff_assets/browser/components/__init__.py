"""What Streamlit lacks, drawn from text nodes only: the tokens of a response, a token's bars, a prefix tree.

A component is registered once, when its module is imported: registering in a page's script would do so at each rerun.
Styles and scripts are package data beside the modules. Nothing of a model ever goes into `html`, `css` or `js`.
"""

import json
from typing import Any


def as_bytes(data: dict[str, Any]) -> bytes:
    """A component's data as JSON bytes: Streamlit would search a dict for tables, and load pandas for that."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
