"""One writer at a time for an output file, and for a file that is read, changed and replaced.

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
    """Be the only one that writes `path` while the block lasts.

    The lock is on a hidden file beside it, `.NAME.lock`, since the file itself may be replaced. It is removed
    at the end; a process that was killed leaves it behind, unlocked.

    Raises:
        OutputError: another command is writing it.
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
    """The open, locked file; None if the file system knows no locks, or takes no further file."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None  # the output itself fails, too, and says why
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
    """Whether an open file still has this name: whoever held its lock may have removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have others wait that read, change and replace the file `path` while the block lasts.

    The lock is on the file itself, so that it leaves no other file. On Windows, where a locked file can be
    neither read nor replaced, there is none.

    Raises:
        OSError: there is no such file, or it cannot be opened.
        OutputError: another holds it for longer than 30 s.
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
