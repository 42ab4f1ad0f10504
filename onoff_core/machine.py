"""What a machine lacked when an error was raised: memory, open files, room, threads, rights. Such an error is no fault
of the program, and the user can mend it, so it is told as a sentence. And what a signal stopped.
"""

import errno

from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import causes

_FILES = "too many open files; close some programs, or raise the limit (ulimit -n), and run the same again"
_SENTENCES = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOSPC: "no room is left on the disk; free some space, and run the same again",
    errno.EDQUOT: "no room is left in this user's quota; free some space, and run the same again",
    errno.EFBIG: "a file would become larger than this system or a limit (ulimit -f) allows",
    errno.EROFS: "the disk can only be read; mount it for writing, or write elsewhere",
    errno.EACCES: "this user may not do that; mend the permissions, or run it as another user",
    errno.EPERM: "this user may not do that; mend the permissions, or run it as another user",
    errno.EAGAIN: "no further process or thread could be started; close some programs, or raise the limit (ulimit -u)",
}
_TEXTS = {
    "Too many open files": _FILES,
    "No space left on device": _SENTENCES[errno.ENOSPC],
    "can't start new thread": _SENTENCES[errno.EAGAIN],
    "can't allocate lock": "out of memory",
}
_MEMORY = "out of memory; close some programs, or raise the limit (ulimit -v), and run the same again"


_INTERRUPTED_QUERY = "Query interrupted"


def interruption_of(error: BaseException) -> BaseException | None:
    """What a signal raised in a query of DuckDB's, of which that makes a `RuntimeError`; None: no signal came."""
    for one in causes(error):
        if isinstance(one, RuntimeError) and str(one) == _INTERRUPTED_QUERY:
            return one.__cause__ or KeyboardInterrupt()
    return None


def cannot_write(target: object, error: OSError) -> str:
    """That a file or a folder cannot be written, why, and what to do."""
    sentence = _sentence_of(error)
    return f"{target}: cannot be written ({error.strerror or error})" + (f": {sentence}" if sentence else "")


def is_full(error: BaseException) -> bool:
    """Whether the error, or one it was raised from, is that a disk or a quota has no room left."""
    full = (_SENTENCES[errno.ENOSPC], _SENTENCES[errno.EDQUOT])
    return any(_sentence_of(one) in full for one in causes(error))


def what_it_lacked(error: BaseException) -> str | None:
    """What the machine lacked and what to do, where that is what the error, or one it was raised from, says."""
    if is_out_of_memory(error):
        return _MEMORY
    for one in causes(error):
        if sentence := _sentence_of(one):
            by_number = isinstance(one, OSError) and one.errno in _SENTENCES
            where = getattr(one, "filename", None) if by_number else None
            return sentence if where is None else f"{where}: {sentence}"
    return None


def _sentence_of(error: BaseException) -> str | None:
    """By the error's number, else by its text, as libraries hand it on."""
    if isinstance(error, OSError) and error.errno in _SENTENCES:
        return _SENTENCES[error.errno]
    return next((sentence for text, sentence in _TEXTS.items() if text in str(error)), None)
