"""Locks on files that end with the process, however it ends: who is at work, and what was left behind."""

from __future__ import annotations


def take_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file, kept until it is closed; False if another holds it."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
    except OSError:
        return False
    return True
