"""Read a JSON file that another program, or an editor, has written; what cannot be read is said with what to do."""

import json
from pathlib import Path
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.problems.files import utf_16_or_32

_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")  # gzip, zstandard, zip


def read_json(file: Path) -> Any:
    """What a JSON file holds; a byte order mark at its beginning is passed over. Raises `ExchangeError`."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ExchangeError(f"{file}: cannot be read ({error.strerror})") from error
    if not content.strip():
        raise ExchangeError(f"{file}: is empty")
    if content.startswith(_PACKED):
        raise ExchangeError(f"{file}: is compressed; unpack it and name the file that comes out")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        seems = utf_16_or_32(content) or "latin-1"
        raise ExchangeError(
            f"{file}: is not UTF-8 from byte {error.start} on; save it as UTF-8, as by: iconv -f {seems} -t utf-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{file}: not valid JSON, or cut off: {error}") from error
