"""Places on disk: checking that one can be written, writing beside it and renaming, WAV files, stdin."""

from __future__ import annotations

import errno
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
import numpy.typing as npt

from newscaster.errors import MediaError, OutputError
from newscaster.system.durable import PRIVATE_FILE, keep_access, replace_durably, target_of
from newscaster.system.locks import acquire_lock, is_local
from newscaster.system.os_errors import NO_ROOM, why
from newscaster.texts import shortened

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
    """Make sure, before any work is done, that `path` can be written.

    Args:
        path: the file to come. The target of a link is written, and the link stays.
        suffixes: the endings that are accepted, with the dot; None accepts any.
        in_place: whether it is written as it is, and not replaced: then it may be a pipe or a device, too.

    Raises:
        OutputError: its folder is missing or cannot be written to, it is a folder, a pipe or a device, or it
            ends wrongly.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(
            f"'{path}' is a folder. Give the name of a file to write, such as '{path / 'news.mp4'}'"
        )
    if suffixes is not None and path.suffix.lower() not in suffixes:
        accepted = ", ".join(suffixes)
        found = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise OutputError(
            f"'{path}' {found}; accepted are {accepted}. "
            f"Name the file '{path.with_suffix(next(iter(suffixes)))}'"
        )
    if in_place and path.exists():
        if not os.access(path, os.W_OK):
            raise OutputError(f"cannot write '{path}' (Permission denied). Write elsewhere")
        return
    folder = target_of(path).absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"cannot write '{path}': there is no folder '{folder}'. Make it first, or write elsewhere"
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
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not.

    The file is there, empty and locked, when the block begins. So what a process that was killed has left
    half written is known from what another is still writing, and is removed first. It is on the disk before
    it is renamed, and has the mode, owner and group of the file that it replaces. If `path` is a link, its
    target is replaced.

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
    """List a temporary file or folder while the block lasts: see `remove_temporaries`."""
    _in_use.add(path)
    try:
        yield
    finally:
        _in_use.discard(path)


def remove_temporaries() -> None:
    """Remove all temporary files and folders of this process, for one that ends without clearing away."""
    for path in list(_in_use):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _final(path: Path) -> Path:
    """The name that a file is to have in the end: what is already under a temporary one may be replaced."""
    found = _TEMPORARY.fullmatch(path.name)
    return path if found is None else path.with_name(found["stem"].lstrip(".") + found["suffix"])


def short_stem(stem: str) -> str:
    """A name's stem, so that there is room for more in a file's name."""
    return shortened(stem, max_bytes=_MAX_STEM_BYTES)


@contextmanager
def _held(path: Path, *, mode: int = 0o666) -> Iterator[None]:
    """Make an empty file, and hold its lock; not on Windows, where nobody could write to it then."""
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
    """Whether a file of :func:`_held` is there that nobody holds any more, nor can in the block.

    In a folder that other machines share, their locks may not be visible from here: a file counts as left
    behind only if it has not been written to for a day.
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
    """Whether a file is older than `_ABANDONED_SECONDS`, by the clock that dates the files of its folder."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            now = os.fstat(file.fileno()).st_mtime
        return now - path.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False


def _remove_left_over(path: Path, *, suffix: str) -> None:
    """Remove what killed processes have left of earlier attempts to write `path`."""
    name = re.compile(rf"\.+{re.escape(short_stem(path.stem))}(\.[0-9a-f]{{8}}\.part)+{re.escape(suffix)}")
    _remove_left_behind(
        found for found in path.absolute().parent.iterdir() if name.fullmatch(found.name) is not None
    )


def remove_left_overs(folder: Path) -> None:
    """Remove all half-written files and output locks that killed processes have left, and none in use."""
    _remove_left_behind(
        found
        for found in folder.iterdir()
        if _TEMPORARY.fullmatch(found.name) is not None or _OUTPUT_LOCK.fullmatch(found.name) is not None
    )


def _remove_left_behind(files: Iterable[Path]) -> None:
    for found in files:
        with _left_behind(found) as left:
            if left:
                found.unlink(missing_ok=True)


def remove_left_over_folders(folder: Path, *, locked: str) -> None:
    """Remove the folders `.NAME.12345678` beside the folder NAME that killed processes have left half made.

    Args:
        folder: the folder NAME, which need not be there.
        locked: a file in each of them that its maker locks before writing to it, and until the folder is
            renamed. If it is missing or empty, the folder counts as left over only when it is a day old.
    """
    name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}")
    try:
        half_made = [found for found in folder.parent.iterdir() if name.fullmatch(found.name)]
    except OSError:  # there is none yet, or it cannot be read
        return
    for found in half_made:
        file = found / locked
        try:
            may_be_locked = file.stat().st_size > 0
        except OSError:
            may_be_locked = False
        if may_be_locked:
            with _left_behind(file) as left:
                if left:
                    shutil.rmtree(found, ignore_errors=True)
        elif _is_old(found):
            shutil.rmtree(found, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for temporary files, gone when the block ends. Those that killed processes have left go, too.

    Raises:
        OutputError: there is no place for it, or no room in it.
    """
    try:
        place = Path(tempfile.gettempdir())
    except OSError as error:
        raise OutputError(
            f"there is no place for temporary files ({error.strerror}). Name a folder for them: TMPDIR"
        ) from error
    try:
        for found in place.glob(f"{_SCRATCH}*/{_SCRATCH_LOCK}"):
            with _left_behind(found) as left:
                if left:
                    shutil.rmtree(found.parent, ignore_errors=True)
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
    """What is said where a temporary file cannot be written."""
    return OutputError(
        f"there is no room for temporary files ({why(error)}). Free some space in "
        f"'{tempfile.gettempdir()}', or name another folder for them: TMPDIR"
    )


def new_array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A uint8 array of zeros on disk (.npy), mapped to memory, whose room is taken at once.

    A full disk is an error here; where a mapped file had no room yet, it would end the process (SIGBUS).

    Raises:
        OSError: there is no room for it.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call,unused-ignore]
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        _reserve_space(file, math.prod(shape))
    array: npt.NDArray[np.uint8] = np.lib.format.open_memmap(path, "r+")  # type: ignore[no-untyped-call,unused-ignore]
    return array


def _reserve_space(file: BinaryIO, size: int) -> None:
    """Lengthen a file by so many zeros, and have the disk keep room for them."""
    if size and hasattr(os, "posix_fallocate"):
        file.flush()
        try:
            os.posix_fallocate(file.fileno(), file.tell(), size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # those of file systems that cannot
                raise
    for first in range(0, size, _BLOCK_BYTES):
        file.write(bytes(min(_BLOCK_BYTES, size - first)))


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, count: int = -1, /) -> bytes:
        """Up to so many bytes; none at the end."""


@contextmanager
def spooled(stream: Readable, *, name: str = "standard input") -> Iterator[Path]:
    """Copy a stream that cannot be read twice into a temporary file, gone when the block ends.

    Raises:
        MediaError: nothing came in, or it cannot be read.
        OutputError: there is no room for it.
    """
    with scratch_folder() as folder:
        path = folder / "input"
        with path.open("wb") as file:
            for block in _blocks(stream, name):
                file.write(block)
        if path.stat().st_size == 0:
            raise MediaError(
                f"nothing came in on {name}, where a sound file is needed. "
                f"Pipe one in, for example: cat news.wav | ..."
            )
        yield path


def _blocks(stream: Readable, name: str) -> Iterator[bytes]:
    try:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    except OSError as error:
        raise MediaError(f"{name} cannot be read ({why(error)}). Pipe a sound file in") from error
