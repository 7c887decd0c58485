"""Separation of the messages of native libraries from newscaster's own on standard error.

C and C++ libraries (ONNX Runtime, FFmpeg, OpenBLAS ...) write to file descriptor 2, each in its own form, and
no setting silences all of them. A process that newscaster owns, a command or a worker, redirects this
descriptor, while Python's `sys.stderr` keeps its destination. A program that imports newscaster owns its
descriptors: they stay unchanged.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STDERR = 2


def divert_native_errors(log: Path | None = None) -> None:
    """Redirect the standard error of native code to a log, until the process ends.

    Call it before starting threads that write there.

    Args:
        log: the file to append to; by default the messages are dropped.

    Raises:
        OSError: the log cannot be opened.
    """
    is_open = _is_open(_STDERR)
    if sys.stderr is None and is_open:  # it was closed when Python started, and now belongs to another file
        return
    target = os.open(os.devnull, os.O_WRONLY) if log is None else _open_log(log)
    if target == _STDERR:  # it was closed, and the log has just got its number
        return
    if sys.stderr is not None and is_open:
        sys.stderr.flush()
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding=encoding, errors=errors)
    os.dup2(target, _STDERR)
    os.close(target)


def _open_log(path: Path) -> int:
    """Open a log for appending; a pipe without a reader is an error, and does not block."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o600)
    if sys.platform != "win32":
        os.set_blocking(descriptor, True)
    return descriptor


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
