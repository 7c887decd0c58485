"""Check the log file of library messages: it must not be a file that the command reads or writes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from newscaster.errors import OutputError

_SNIFFED_BYTES = 4096
"""Bytes of an existing file that are checked for binary content."""
_FILE_VARIABLES = ("NEWSCASTER_SIGN_CERT", "NEWSCASTER_SIGN_KEY")


def check_log(path: Path) -> None:
    """Check that a log is no other file of this command, and that it contains only text.

    Raises:
        OutputError: it fails a check.
    """
    if _is_used(path):
        why = "is a file of this command"
    elif _is_binary(path):
        why = "contains binary data"
    else:
        return
    raise OutputError(
        f"the log '{path}' {why}, so it is not written to. Set NEWSCASTER_LOG to another file, or unset it"
    )


def _is_used(path: Path) -> bool:
    arguments = [part for argument in sys.argv[1:] for part in (argument, argument.partition("=")[2])]
    arguments += [os.environ.get(name, "") for name in _FILE_VARIABLES]
    if any(_is_same(path, argument) for argument in arguments if argument):
        return True
    return path.is_file() and any(_is_open_as(path, stream) for stream in (0, 1))


def _is_same(path: Path, other: str) -> bool:
    """Whether two paths name the same file, which need not exist."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        pass
    try:
        return os.path.realpath(path) == os.path.realpath(other)
    except (OSError, ValueError):  # not a path
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
            return b"\0" in file.read(_SNIFFED_BYTES)
    except OSError:  # writable, but not readable
        return False
