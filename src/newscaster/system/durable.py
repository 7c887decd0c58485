"""Durable replacement of files: after a power cut, the old or the new one is there (fsync around the rename).

Also preserves mode, owner, group and extended attributes of a file.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
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
"""Mode of newscaster's own folders, which may contain a person's face, voice or key."""


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    if os.name == "nt":  # Windows syncs only files that are open for writing
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    else:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except PermissionError:  # a file that is writable but not readable
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
    if sys.platform == "darwin":  # fsync leaves the content in the drive's cache there
        import fcntl

        with suppress(OSError):  # a file system without it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; no effect on Windows, which does not support it.

    Raises:
        OSError: the disk is full or fails.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:  # a folder that is writable but not readable
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


def move_files_durably(folder: Path, target: Path) -> None:
    """Move finished files to the folder `target`, in order of their names, as :func:`replace_durably`.

    Raises:
        OSError: one cannot be moved, or the disk is full or fails.
    """
    for file in sorted(folder.iterdir()):
        sync_file(file)
        os.replace(file, target / file.name)
    sync_folder(target.absolute())


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


def rename_unless_there(temporary: Path, path: Path) -> None:
    """Rename a finished file or folder to `path`, if no other process has done so before.

    For what need not outlive a power cut, such as a cache.

    Raises:
        OSError: it cannot be renamed.
    """
    try:
        temporary.rename(path)
    except OSError:  # a folder that is not empty; Windows replaces nothing at all
        if not path.exists():
            raise


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Create a folder and its parents if they are missing; an existing folder keeps its mode.

    Args:
        folder: the folder.
        mode: mode of a new `folder`, less the umask; its parents get the default.

    Raises:
        OSError: it cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=mode if path == folder else 0o777, exist_ok=True)
        sync_folder(path.absolute().parent)
    if not folder.is_dir():
        folder.mkdir()  # a file has that name: raises


def target_of(path: Path) -> Path:
    """Return the file to write for `path`: the target of a link, otherwise `path` itself.

    Raises:
        OutputError: it is a pipe, a device or a socket, which a file cannot replace; or a link to itself.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OutputError(f"'{path}' is a link to itself. Remove it, or write elsewhere")
    try:
        mode = target.stat().st_mode
    except OSError:
        return target
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutputError(
            f"'{path}' is a pipe, a device or a socket, but the file is written under a temporary name and "
            "renamed. Give the name of a file"
        )
    return target


def keep_access(source: Path, target: Path) -> None:
    """Copy mode, owner, group and extended attributes of `source` to `target`, as far as this user may.

    If the group cannot be kept, the group's rights become those of others: no other group must gain rights.

    Raises:
        OSError: the mode cannot be set.
    """
    if sys.platform == "win32":
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
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without them
            for name in os.listxattr(source):
                if name.startswith(_KEPT_ATTRIBUTES):
                    os.setxattr(target, name, os.getxattr(source, name))
    os.chmod(target, mode)


def check_inputs_kept(outputs: Iterable[str | Path], inputs: Iterable[tuple[object, str]]) -> None:
    """Check that no output would replace an input under any name: link, other case, other path.

    Args:
        outputs: files to write.
        inputs: inputs, each with its name in the message ("the speech"); inputs other than paths are ignored.

    Raises:
        OutputError: an output is one of the inputs.
    """
    input_paths = [(Path(source), name) for source, name in inputs if isinstance(source, str | os.PathLike)]
    for output in map(Path, outputs):
        for path, name in input_paths:
            if is_same_file(output, path):
                raise OutputError(
                    f"'{output}' is {name} itself, and would be replaced. Write to another file"
                )


def is_same_file(a: Path, b: Path) -> bool:
    """Return whether two paths refer to one existing file."""
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):
        return False
