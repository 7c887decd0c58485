"""Which files libraries' messages may be appended to: none that a command reads or writes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from newscaster.errors import OutputError

_LOOKED_AT_BYTES = 4096
"""Of a file that is there, to see whether it may be an older log."""
_NAMING_FILES = ("NEWSCASTER_SIGN_CERT", "NEWSCASTER_SIGN_KEY")


def check_log(path: Path) -> None:
    """Make sure that a log is neither a file of this command nor one that holds something else than text.

    Raises:
        OutputError: it is.
    """
    if _is_used(path):
        why = "is a file of this command"
    elif _is_binary(path):
        why = "holds something else than text"
    else:
        return
    raise OutputError(
        f"the log '{path}' {why}, and is left as it is. Name another file in NEWSCASTER_LOG, or none"
    )


def _is_used(path: Path) -> bool:
    arguments = [part for one in sys.argv[1:] for part in (one, one.partition("=")[2])]
    arguments += [os.environ.get(name, "") for name in _NAMING_FILES]
    if any(_is_same(path, one) for one in arguments if one):
        return True
    return path.is_file() and any(_is_open_as(path, stream) for stream in (0, 1))


def _is_same(path: Path, other: str) -> bool:
    """Whether two paths lead to the same file, which need not be there yet."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        pass
    try:
        return os.path.realpath(path) == os.path.realpath(other)
    except (OSError, ValueError):  # a text that is no path
        return False


def _is_open_as(path: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _is_binary(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(_LOOKED_AT_BYTES)
    except OSError:  # a log that can be written, and not read
        return False
