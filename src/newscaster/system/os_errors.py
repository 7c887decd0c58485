"""Errors of the machine, not of the user: no memory, no space, a file that disappears.

Recognises them among the errors of Python and native libraries, and describes them. Errors that newscaster
raises on purpose are in `errors`.
"""

from __future__ import annotations

import errno
import re

NO_MEMORY = (
    "out of memory. Close other programs, raise the limit (ulimit -v), or use less at once: fewer "
    "--workers, smaller frames"
)
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors of a full or read-only file system."""

_NEXT = {
    **dict.fromkeys(NO_ROOM, "Free some space, or write elsewhere"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Choose a place that you may read and write"),
    **dict.fromkeys((errno.ENOENT, errno.ESTALE), "It has disappeared: restore it, and run this again"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Too many files are open: raise the limit (ulimit -n)"),
    errno.EIO: "The disk or the connection to it fails: check it, and run this again",
}
# Some libraries report it only in the text of another exception.
_MEMORY_WORDS = re.compile(
    r"bad_?alloc|bad allocation|failed to map segment|cannot allocate memory|can't allocate memory"
    r"|failed to allocate memory|out of memory|can't start new thread",
    re.IGNORECASE,
)
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")  # NumPy's, which gives no reason


def is_no_memory(error: BaseException) -> bool:
    """Return whether an error of any library means too little memory."""
    if isinstance(error, MemoryError):
        return True
    if (number := getattr(error, "errno", None)) is not None:  # its text may contain any file name
        return bool(number == errno.ENOMEM)
    return _MEMORY_WORDS.search(str(error)) is not None


def why(error: OSError) -> str:
    """Describe why a file could not be written."""
    if error.errno is None and _CUT_SHORT.search(str(error)):
        return "there is no space left for all of it"
    return error.strerror or str(error)


def fault(error: BaseException) -> str | None:
    """Describe a machine's error and the next step, in a line; None for other errors."""
    if is_no_memory(error):
        return NO_MEMORY
    if isinstance(error, OSError) and error.errno in _NEXT:
        place = "a file or standard output" if error.filename is None else f"'{error.filename}'"
        return f"{place} cannot be read or written ({why(error)}). {_NEXT[error.errno]}"
    return None
