"""Files: checks of output paths, atomic writes, temporary files and folders, arrays on disk, stdin."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from newscaster.errors import MediaError, OutputError
from newscaster.system.durable import PRIVATE_FILE, keep_access, replace_durably, target_of
from newscaster.system.locks import acquire_lock, is_local
from newscaster.system.os_errors import NO_ROOM, why
from newscaster.texts import shortened
from newscaster.types import ImageU8

_MAX_STEM_BYTES = 200  # of 255 that file systems have for a name
_BLOCK_BYTES = 1 << 20
_SCRATCH = "newscaster-"
_SCRATCH_LOCK = ".newscaster-scratch"
_ABANDONED_SECONDS = 86_400
_OUTPUT_LOCK = re.compile(r"\..+\.lock")  # see `output_locks`
_TEMPORARY = re.compile(r"\.(?P<stem>.+?)(\.[0-9a-f]{8}\.part)+(?P<suffix>\.[^.]*|)")
_in_use: set[Path] = set()
"""Temporary files and folders of this process: what `remove_temporaries` removes."""


def check_output(path: Path, *, suffixes: Collection[str] | None, in_place: bool = False) -> None:
    """Check, before any work is done, that `path` can be written.

    Args:
        path: the output file. The target of a link is written, and the link stays.
        suffixes: the endings that are accepted, with the dot; None accepts any.
        in_place: whether the file is written directly instead of replaced; then a pipe or a device is
            accepted, too.

    Raises:
        OutputError: its folder is missing or not writable, it is a folder, a pipe or a device, or it has
            another ending.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(
            f"'{path}' is a folder. Give the name of a file to write, such as '{path / 'news.mp4'}'"
        )
    if suffixes is not None and path.suffix.lower() not in suffixes:
        accepted = ", ".join(suffixes)
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise OutputError(
            f"'{path}' {ending}; accepted are {accepted}. "
            f"Name the file '{path.with_suffix(next(iter(suffixes)))}'"
        )
    if in_place and path.exists():
        if not os.access(path, os.W_OK):
            raise OutputError(f"cannot write '{path}' (Permission denied). Write elsewhere")
        return
    folder = target_of(path).absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"cannot write '{path}': there is no folder '{folder}'. Create it first, or write elsewhere"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': the folder '{folder}' cannot be written to ({error.strerror}). "
            f"Write elsewhere"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds, else remove it.

    The file exists, empty and locked, when the block starts. The lock distinguishes the leftovers of killed
    processes, which are removed first, from files in use. The file is on the disk before it is renamed, and
    gets the mode, owner and group of the file that it replaces. If `path` is a link, its target is replaced.

    Raises:
        OutputError: the disk is full, the file cannot be renamed, or `path` is a pipe or a device.
    """
    path = Path(path)
    final = target_of(path)
    name = f".{short_stem(final.stem)}.{uuid.uuid4().hex[:8]}.part{path.suffix}"
    temporary = final.with_name(name)
    try:
        _remove_left_over(final, suffix=path.suffix)
        replaces = final.exists()
        with listed_temporary(temporary), _held(temporary, mode=PRIVATE_FILE if replaces else 0o666):
            yield temporary
            if replaces and final.exists():
                keep_access(final, temporary)
            replace_durably(temporary, final)
    except OSError as error:
        raise OutputError(
            f"cannot write '{_final(path)}' ({why(error)}). Free some space, or write elsewhere"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def listed_temporary(path: Path) -> Iterator[None]:
    """Register a temporary file or folder during the block: see `remove_temporaries`."""
    _in_use.add(path)
    try:
        yield
    finally:
        _in_use.discard(path)


def remove_temporaries() -> None:
    """Remove all temporary files and folders of this process, before an exit without cleanup."""
    for path in list(_in_use):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _final(path: Path) -> Path:
    """Return the final name of a file; `path` may itself be a temporary one."""
    match = _TEMPORARY.fullmatch(path.name)
    return path if match is None else path.with_name(match["stem"].lstrip(".") + match["suffix"])


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_stem(stem: str) -> str:
    """Shorten a name's stem, so that a file's name has room for additions."""
    return shortened(stem, max_bytes=_MAX_STEM_BYTES)


@contextmanager
def _held(path: Path, *, mode: int = 0o666) -> Iterator[None]:
    """Create an empty file and hold its lock; not on Windows, where the lock would prevent writing."""
    if os.name == "nt":
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        acquire_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _left_behind(path: Path) -> Iterator[bool]:
    """Yield whether a file of :func:`_held` exists without an owner, and stays so during the block.

    In a folder that other machines share, their locks may not be visible: a file counts as left behind only
    if it has not been written to for a day.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        yield os.name != "nt" and acquire_lock(descriptor) and (is_local(path.parent) or _is_old(path))
    finally:
        os.close(descriptor)


def _is_old(path: Path) -> bool:
    """Return whether a file is older than `_ABANDONED_SECONDS`, by the clock of its folder's file system."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            now = os.fstat(file.fileno()).st_mtime
        return now - path.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False


def _remove_left_over(path: Path, *, suffix: str) -> None:
    """Remove the leftovers of killed processes from earlier attempts to write `path`."""
    name = re.compile(rf"\.+{re.escape(short_stem(path.stem))}(\.[0-9a-f]{{8}}\.part)+{re.escape(suffix)}")
    _remove_left_behind(
        file for file in path.absolute().parent.iterdir() if name.fullmatch(file.name) is not None
    )


def remove_left_overs(folder: Path) -> None:
    """Remove all partial files and output locks of killed processes, and none in use."""
    _remove_left_behind(
        file
        for file in folder.iterdir()
        if _TEMPORARY.fullmatch(file.name) is not None or _OUTPUT_LOCK.fullmatch(file.name) is not None
    )


def _remove_left_behind(files: Iterable[Path]) -> None:
    for file in files:
        with _left_behind(file) as is_left_behind:
            if is_left_behind:
                file.unlink(missing_ok=True)


def remove_left_over_folders(folder: Path, *, locked: str) -> None:
    """Remove the partial folders `.NAME.12345678` of killed processes beside the folder NAME.

    Args:
        folder: the folder NAME, which need not exist.
        locked: a file in each of them, which its process locks before writing to it and until the folder is
            renamed. If it is missing or empty, the folder counts as a leftover only if it is a day old.
    """
    name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}")
    try:
        partial_folders = [path for path in folder.parent.iterdir() if name.fullmatch(path.name)]
    except OSError:  # missing or unreadable
        return
    for partial in partial_folders:
        file = partial / locked
        try:
            may_be_locked = file.stat().st_size > 0
        except OSError:
            may_be_locked = False
        if may_be_locked:
            with _left_behind(file) as is_left_behind:
                if is_left_behind:
                    shutil.rmtree(partial, ignore_errors=True)
        elif _is_old(partial):
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder for temporary files; remove it afterwards, and first those of killed processes.

    Raises:
        OutputError: there is no folder for temporary files, or no space in it.
    """
    try:
        place = Path(tempfile.gettempdir())
    except OSError as error:
        raise OutputError(
            f"there is no folder for temporary files ({error.strerror}). Set TMPDIR to a folder for them"
        ) from error
    try:
        for lock_file in place.glob(f"{_SCRATCH}*/{_SCRATCH_LOCK}"):
            with _left_behind(lock_file) as is_left_behind:
                if is_left_behind:
                    shutil.rmtree(lock_file.parent, ignore_errors=True)
        with (
            tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=place) as name,
            listed_temporary(Path(name)),
            _held(Path(name) / _SCRATCH_LOCK),
        ):
            yield Path(name)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise no_temporary_room(error) from error


def no_temporary_room(error: OSError) -> OutputError:
    """Return the error for a temporary file that cannot be written."""
    return OutputError(
        f"there is no room for temporary files ({why(error)}). Free some space in "
        f"'{tempfile.gettempdir()}', or set TMPDIR to another folder"
    )


def new_array(path: Path, shape: tuple[int, ...]) -> ImageU8:
    """Create a memory-mapped uint8 array of zeros on disk (.npy), and reserve its space at once.

    So a full disk is an error here. Without the reservation, a later write would kill the process (SIGBUS).

    Raises:
        OSError: there is no space for it.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call,unused-ignore]
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        _reserve_space(file, math.prod(shape))
    array: ImageU8 = np.lib.format.open_memmap(path, "r+")  # type: ignore[no-untyped-call,unused-ignore]
    return array


def _reserve_space(file: BinaryIO, size: int) -> None:
    """Extend a file by `size` zeros, and reserve disk space for them."""
    if size and hasattr(os, "posix_fallocate"):
        file.flush()
        try:
            os.posix_fallocate(file.fileno(), file.tell(), size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # file systems without support
                raise
    for first in range(0, size, _BLOCK_BYTES):
        file.write(bytes(min(_BLOCK_BYTES, size - first)))


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, count: int = -1, /) -> bytes:
        """Return up to `count` bytes; none at the end."""


@contextmanager
def spooled(stream: Readable, *, name: str = "standard input") -> Iterator[Path]:
    """Copy a stream that cannot be read twice into a temporary file, removed after the block.

    Raises:
        MediaError: the stream is empty or cannot be read.
        OutputError: there is no space for the file.
    """
    with scratch_folder() as folder:
        path = folder / "input"
        with path.open("wb") as file:
            for block in _blocks(stream, name):
                file.write(block)
        if path.stat().st_size == 0:
            raise MediaError(
                f"nothing came in on {name}; an audio file is needed. "
                f"Pipe one in, for example: cat news.wav | ..."
            )
        yield path


def _blocks(stream: Readable, name: str) -> Iterator[bytes]:
    try:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    except OSError as error:
        raise MediaError(f"{name} cannot be read ({why(error)}). Pipe an audio file in") from error
