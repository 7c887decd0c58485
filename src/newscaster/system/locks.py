"""Locks on files that end with the process, however it ends: who is at work, and what was left behind."""

from __future__ import annotations

import errno
import os
import re
import sys
from enum import Enum
from pathlib import Path

_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
# File systems of one machine: a lock taken on one of them is seen by everybody who can write there. Any other
# (NFS, SMB, FUSE, what a virtual machine shares) may keep a lock to the machine that took it.
_LOCAL_FILE_SYSTEMS = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "bcachefs", "f2fs", "jfs", "reiserfs"),
        *("tmpfs", "ramfs", "overlay", "aufs", "vfat", "exfat", "ntfs3", "hfsplus"),
    }
)
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class LockState(Enum):
    """What became of an attempt to take a lock."""

    TAKEN = "taken"
    HELD = "held by another"
    UNSUPPORTED = "not known to the file system"


def try_lock(descriptor: int) -> LockState:
    """Try to take an exclusive lock on an open file, kept until it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            return LockState.HELD if error.errno in _HELD else LockState.UNSUPPORTED
        return LockState.TAKEN
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return LockState.HELD if error.errno in _HELD else LockState.UNSUPPORTED
    return LockState.TAKEN


def acquire_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file, kept until it is closed; False if another holds it."""
    return try_lock(descriptor) is LockState.TAKEN


def is_local(folder: Path) -> bool:
    """Whether a folder is on a disk of this machine alone; False on Linux if its file system is unknown."""
    if sys.platform != "linux":
        return True
    try:
        mounts = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    place = os.fsencode(os.path.realpath(folder))
    depth, kind = -1, b""
    for line in mounts:  # the last of several on one place hides the others
        fields = line.split()
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[4]).rstrip(b"/")
        if len(point) >= depth and (place + b"/").startswith(point + b"/"):
            depth, kind = len(point), fields[fields.index(b"-") + 1]
    return kind.decode() in _LOCAL_FILE_SYSTEMS
