"""Replacing a file so that a power cut leaves the old one or the new one: fsync before and after the rename.

Also keeps what the file system stores beside a file's content: mode, owner, group and extended attributes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from newscaster.errors import OutputError

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems without fsync; some have none for folders (EBADF, EACCES)."""
_UNSUPPORTED_FOLDER = _UNSUPPORTED | {errno.EBADF, errno.EACCES, errno.EPERM}
_KEPT_ATTRIBUTES = ("user.", "system.posix_acl_access")
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
"""Of a folder that newscaster makes for its own use: it may hold a person's face, voice or key."""


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    if os.name == "nt":  # which syncs only what is open to be written
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    else:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except PermissionError:  # a file that can be written to, and not read
            descriptor = os.open(path, os.O_WRONLY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """Wait until an open file's content is on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    try:
        import fcntl

        full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync leaves the content in the drive's cache
    except ImportError:  # Windows
        full = None
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError:
            pass  # a file system without it
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; does nothing on Windows, which cannot.

    Raises:
        OSError: the disk is full or fails.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:  # a folder that can be written to, and not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED_FOLDER:
            raise
    finally:
        os.close(descriptor)


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename a finished file to `path`: its content is on the disk before, its name after.

    Raises:
        OSError: it cannot be renamed, or the disk is full or fails.
    """
    sync_file(temporary)
    os.replace(temporary, path)
    sync_folder(path.absolute().parent)


def rename_folder_durably(temporary: Path, folder: Path) -> None:
    """Rename a finished folder of plain files to `folder`, as :func:`replace_durably`.

    Raises:
        OSError: it cannot be renamed, or the disk is full or fails.
    """
    for file in temporary.iterdir():
        sync_file(file)
    sync_folder(temporary)
    temporary.rename(folder)
    sync_folder(folder.absolute().parent)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder, and those above it, if they are missing; one that exists keeps its mode.

    Args:
        folder: to make.
        mode: of `folder` itself, less the umask.

    Raises:
        OSError: it cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=mode if one == folder else 0o777, exist_ok=True)
        sync_folder(one.absolute().parent)
    if not folder.is_dir():
        folder.mkdir()  # a file has that name: raises


def target_of(path: Path) -> Path:
    """The file that is written for `path`: the target of a link, otherwise `path` itself.

    Raises:
        OutputError: it is a pipe, a device or a socket, which a file cannot replace; or a link to itself.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OutputError(f"'{path}' is a link that leads to itself. Remove it, or write elsewhere")
    try:
        mode = target.stat().st_mode
    except OSError:
        return target
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutputError(
            f"'{path}' is a pipe, a device or a socket, and a file is to be written there under a temporary "
            "name first. Give the name of a file"
        )
    return target


def keep_access(source: Path, target: Path) -> None:
    """Give `target` the mode, owner, group and extended attributes of `source`, as far as this user may.

    If the group cannot be kept, the group's rights become those of others: another group must not gain any.

    Raises:
        OSError: the mode cannot be set.
    """
    if os.name == "nt":
        return
    old, new = source.stat(), target.stat()
    mode = stat.S_IMODE(old.st_mode) & 0o777
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(OSError):
            os.chown(target, old.st_uid, -1)
        try:
            os.chown(target, -1, old.st_gid)
        except OSError:
            mode = mode & ~0o070 | (mode & 0o007) << 3
    if hasattr(os, "listxattr"):
        with suppress(OSError):  # a file system without them
            for name in os.listxattr(source):
                if name.startswith(_KEPT_ATTRIBUTES):
                    os.setxattr(target, name, os.getxattr(source, name))
    os.chmod(target, mode)


def check_inputs_kept(outputs: Iterable[str | Path], inputs: Iterable[tuple[object, str]]) -> None:
    """Make sure that no output would replace an input, under whatever name: link, other case, other path.

    Args:
        outputs: files to be written.
        inputs: what is read, and its name in the message ("the speech"). Anything but a path is passed over.

    Raises:
        OutputError: an output is one of the inputs.
    """
    read = [(Path(one), name) for one, name in inputs if isinstance(one, str | os.PathLike)]
    for output in map(Path, outputs):
        for path, name in read:
            if is_same_file(output, path):
                raise OutputError(
                    f"'{output}' is {name} itself, and would be replaced. Write to another file"
                )


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file that exists."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
