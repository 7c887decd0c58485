"""File locks that end with the process, even if it is killed: they show active owners and leftovers."""

from __future__ import annotations

import errno
import os
import re
import sys
from enum import Enum
from pathlib import Path

_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
# File systems of one machine: all processes that can write there see a lock. On any other (NFS, SMB, FUSE,
# folders shared with a virtual machine), a lock may be visible on its own machine alone.
_LOCAL_FILE_SYSTEMS = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "bcachefs", "f2fs", "jfs", "reiserfs"),
        *("tmpfs", "ramfs", "overlay", "aufs", "vfat", "exfat", "ntfs3", "hfsplus"),
    }
)
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class LockState(Enum):
    """Result of an attempt to take a lock."""

    TAKEN = "taken"
    HELD = "held by another"
    UNSUPPORTED = "not supported by the file system"


def try_lock(descriptor: int) -> LockState:
    """Try to take an exclusive lock on an open file, kept until it is closed."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return LockState.HELD if error.errno in _HELD else LockState.UNSUPPORTED
        return LockState.TAKEN
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return LockState.HELD if error.errno in _HELD else LockState.UNSUPPORTED
    return LockState.TAKEN


def acquire_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file, kept until it is closed; False if another holds it."""
    return try_lock(descriptor) is LockState.TAKEN


def is_local(folder: Path) -> bool:
    """Return whether a folder is on a disk of this machine alone; False on Linux for unknown file systems."""
    if sys.platform != "linux":
        return True
    try:
        mounts = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    place = os.fsencode(os.path.realpath(folder))
    depth, kind = -1, b""
    for line in mounts:  # the last of several on one mount point hides the others
        fields = line.split()
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[4]).rstrip(b"/")
        if len(point) >= depth and (place + b"/").startswith(point + b"/"):
            depth, kind = len(point), fields[fields.index(b"-") + 1]
    return kind.decode() in _LOCAL_FILE_SYSTEMS
