"""A file's SHA-256."""

import hashlib
from typing import BinaryIO

_BLOCK = 1 << 20


def sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
