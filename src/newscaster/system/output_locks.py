"""Exclusive writers of output files, and of files that are read, changed and replaced.

A lock ends with its process. Locks of other machines may not be visible: see `leases` for folders.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from newscaster.errors import OutputError
from newscaster.system.files import listed_temporary, short_stem
from newscaster.system.locks import LockState, try_lock

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.05


@contextmanager
def exclusive_output(path: Path) -> Iterator[None]:
    """Hold the exclusive right to write `path` during the block.

    The lock is on a hidden file beside it, `.NAME.lock`, because the file itself may be replaced. The lock
    file is removed at the end; a killed process leaves it behind, unlocked.

    Raises:
        OutputError: another command is writing the file.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():  # a device or a pipe
        yield
        return
    lock = place.with_name(f".{short_stem(place.stem)}{place.suffix}.lock")
    descriptor = _open_locked(lock, path)
    if descriptor is None:
        yield
        return
    try:
        with listed_temporary(lock):
            yield
    finally:
        if os.name == "nt":  # a file that is open cannot be removed there
            os.close(descriptor)
            _remove(lock)
        else:
            _remove(lock)
            os.close(descriptor)


def _open_locked(lock: Path, path: Path) -> int | None:
    """Return the open, locked file; None if the file system supports no locks or accepts no more files."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None  # the output itself fails, too, with a message
        state = try_lock(descriptor)
        if state is LockState.TAKEN and _is_same(descriptor, lock):
            return descriptor
        os.close(descriptor)
        if state is LockState.HELD:
            raise OutputError(
                f"another command is writing '{path}'. Wait until it has ended, or give another name"
            )
        if state is LockState.UNSUPPORTED:
            _remove(lock)
            return None


def _is_same(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has this name: another process may have removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive right to read, change and replace the file `path` during the block.

    Others wait. The lock is on the file itself, so that it needs no other file. On Windows, where a locked
    file can be neither read nor replaced, there is no lock.

    Raises:
        OSError: the file does not exist or cannot be opened.
        OutputError: another process holds the lock for longer than 30 s.
    """
    if os.name == "nt":
        yield
        return
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            state = try_lock(descriptor)
            if state is LockState.UNSUPPORTED or (state is LockState.TAKEN and _is_same(descriptor, path)):
                yield
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > end:
            raise OutputError(f"another command is changing '{path}'. Wait until it has ended, and try again")
        time.sleep(_POLL_SECONDS)
