"""Places where a store may live: a folder on a disk (`local`), an S3 bucket (`remote`); `open_files` says which."""

from onoff_core.store.files.checksum import sha256_of
from onoff_core.store.files.opening import open_files
from onoff_core.store.files.protocol import Files, Replacement
from onoff_core.store.files.scratch import make_scratch_folder, scratch_folder

__all__ = ["Files", "Replacement", "make_scratch_folder", "open_files", "scratch_folder", "sha256_of"]
