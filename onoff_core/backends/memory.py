"""Recognise errors that mean: out of memory."""

import errno

from onoff_core.errors import causes

# torch has an exception of its own for GPUs. The CPU's allocator, the libraries below torch and the thread of
# continuous batching raise a RuntimeError, which only its text tells from others.
_TEXTS = (
    "DefaultCPUAllocator",
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "could not create a memory object",
    "out of memory",
    "is more than available memory",
    "STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one that it was raised from, says that a machine's or a GPU's memory was too small."""
    return any(_says_so(one) for one in causes(error))


def _says_so(error: BaseException) -> bool:
    # torch's, and DuckDB's
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "OutOfMemoryException"):
        return True
    if isinstance(error, ImportError):  # of a library that finds no room to be loaded
        return "failed to map segment" in str(error) or "cannot allocate memory" in str(error).lower()
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
