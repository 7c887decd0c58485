"""What befalls the machine and is nobody's mistake: memory or room that runs out, a file that goes away.

Knows such errors by what Python and native libraries raise, and what is said of them. Errors that newscaster
raises on purpose are in `errors`.
"""

from __future__ import annotations

import errno
import re

NO_MEMORY = (
    "memory ran out. Close other programs or raise the limit (ulimit -v), or ask for less at once: fewer "
    "--workers, smaller pictures"
)
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors of a place that takes no more."""

_NEXT = {
    **dict.fromkeys(NO_ROOM, "Free some space, or write elsewhere"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Give a place that you may read and write"),
    **dict.fromkeys((errno.ENOENT, errno.ESTALE), "It has gone meanwhile: put it back, and run this again"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Too many files are open: raise the limit (ulimit -n)"),
    errno.EIO: "The disk or the connection to it fails: look after it, and run this again",
}
# Libraries that know no exception for it say it in words.
_MEMORY_WORDS = re.compile(
    r"bad_?alloc|bad allocation|failed to map segment|cannot allocate memory|can't allocate memory"
    r"|failed to allocate memory|out of memory|can't start new thread",
    re.IGNORECASE,
)
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written")  # NumPy's, which does not say why


def is_no_memory(error: BaseException) -> bool:
    """Whether an error comes of too little memory, whoever raised it."""
    if isinstance(error, MemoryError):
        return True
    if (number := getattr(error, "errno", None)) is not None:  # its words may name any file
        return bool(number == errno.ENOMEM)
    return _MEMORY_WORDS.search(str(error)) is not None


def why(error: OSError) -> str:
    """Why a file could not be written, in words."""
    if error.errno is None and _CUT_SHORT.search(str(error)):
        return "there is no space left for all of it"
    return error.strerror or str(error)


def fault(error: BaseException) -> str | None:
    """What befell the machine and what can be done, in a line; None where an error is of another kind."""
    if is_no_memory(error):
        return NO_MEMORY
    if isinstance(error, OSError) and error.errno in _NEXT:
        place = "a file or standard output" if error.filename is None else f"'{error.filename}'"
        return f"{place} cannot be read or written ({why(error)}). {_NEXT[error.errno]}"
    return None
