"""Open the place that a `store.path` names."""

import os
import re
import unicodedata
from pathlib import Path

from onoff_core.errors import StoreError
from onoff_core.store.files.local import LocalFiles
from onoff_core.store.files.protocol import Files


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: a name that Python could not read in its encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_files(path: str) -> Files:
    """The place that `store.path` names."""
    if re.search(r"[*?\[]", path if "://" in path else os.path.abspath(path)):
        raise StoreError(
            f"store.path {path!r}: DuckDB takes * ? [ in a path for patterns and would read other folders' files too; "
            "choose a path without them, or a link to this one"
        )
    if not _is_unicode(os.path.abspath(path) if "://" not in path else path):
        raise StoreError(
            f"store.path {path!r}: has a name that is not UTF-8, or was read in another encoding; set LC_ALL=C.UTF-8 "
            "(or PYTHONUTF8=1), or rename the folder"
        )
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise StoreError(f"store.path {path!r}: has a character that cannot be seen, such as a line's end; rename it")
    if "://" not in path:
        if os.path.islink(path) and not os.path.exists(path):
            raise StoreError(
                f"store.path {path!r}: is a link to {os.readlink(path)}, which is not there; is the disk mounted?"
            )
        if os.path.exists(path) and not os.path.isdir(path):
            raise StoreError(f"store.path {path!r}: is no folder; a store is a folder, or an s3:// URL")
        return LocalFiles(Path(path))
    from onoff_core.store.files.remote import S3Files

    return S3Files(path)
