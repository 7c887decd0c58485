"""Files, pipes and devices that a container is written to as it is made, and none of whose errors is lost.

FFmpeg's muxers log some errors and go on: HLS when a segment or its playlist finds no room, others when they
close. So Python opens these files. The first error is kept, and raised by `check`.

Opening does not change a file: it is emptied by the first byte that is written to it. A muxer that refuses
its streams before that leaves an older file as it was.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from newscaster.errors import OutputError
from newscaster.system.durable import check_inputs_kept, sync_descriptor

_WRITE = 2  # of FFmpeg's AVIO flags


class OutputFile:
    """One open file, as PyAV wants it. Its methods do not raise: see `OutputFiles.check`."""

    def __init__(self, descriptor: int, name: str, failed: Callable[[OSError], None]) -> None:
        self.name = name
        self.closed = False
        self._descriptor = descriptor
        self._failed = failed
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._begun = False
        self._broken = False

    def writable(self) -> bool:
        """True, as a file object has it."""
        return True

    def seekable(self) -> bool:
        """Whether a muxer may go back, as to write a length."""
        return self._regular

    def write(self, data: bytes) -> int:
        """Write all of it; after an error, nothing any more."""
        if self._broken:
            return len(data)
        try:
            if not self._begun and self._regular:
                os.ftruncate(self._descriptor, 0)
            self._begun = True
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            self._fail(error)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it."""
        try:
            return os.lseek(self._descriptor, offset, whence)
        except OSError as error:
            self._fail(error)
            return 0

    def tell(self) -> int:
        """The place."""
        return self.seek(0, io.SEEK_CUR)

    def close(self) -> None:
        """Wait until all is on the disk, and close the file; harmless twice."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._regular and self._begun and not self._broken:
                sync_descriptor(self._descriptor)
        except OSError as error:
            self._fail(error)
        finally:
            try:
                os.close(self._descriptor)
            except OSError as error:  # NFS may find out here that the disk is full
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._broken = True
        error.filename = self.name
        self._failed(error)


class OutputFiles:
    """The files of one container.

    Args:
        like: a file that may exist: new ones get its rights.
        inputs: what is read meanwhile, and its name in a message; none of it is opened to be written.
    """

    def __init__(self, *, like: Path | None = None, inputs: Iterable[tuple[object, str]] = ()) -> None:
        self._inputs = tuple(inputs)
        self._error: BaseException | None = None
        try:
            self._mode = 0o666 if like is None else stat.S_IMODE(like.stat().st_mode) & 0o666
        except OSError:  # there is none yet
            self._mode = 0o666

    def check(self) -> None:
        """Raise the first error there was.

        Raises:
            OSError: a file could not be opened, written to or closed; its `filename` is that file.
            OutputError: a file is one of the inputs.
        """
        if self._error is not None:
            raise self._error

    def open(self, path: str | Path) -> OutputFile:
        """Open a file, a pipe or a device to write to.

        Raises:
            OSError: it cannot be opened.
            OutputError: it is one of the inputs.
        """
        check_inputs_kept([path], self._inputs)
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
        return OutputFile(os.open(path, flags, self._mode), os.fspath(path), self._failed)

    def open_descriptor(self, number: int) -> OutputFile:
        """Write to a file that this process has open already, such as 1, standard output.

        Raises:
            OSError: it is not open.
        """
        return OutputFile(os.dup(number), f"pipe:{number}", self._failed)

    def io_open(self, url: str, flags: int, options: Mapping[str, str]) -> OutputFile | io.FileIO:
        """Open what a muxer asks for, such as a segment: PyAV's `io_open`. Errors are left to `check`.

        Raises:
            OSError: a file that is to be read cannot be opened.
        """
        path = url.removeprefix("file:")
        if not flags & _WRITE:
            return io.FileIO(path)
        try:
            return self.open(path)
        except (OSError, OutputError) as error:
            self._failed(error)
            return OutputFile(os.open(os.devnull, os.O_WRONLY), path, self._failed)

    def _failed(self, error: BaseException) -> None:
        self._error = self._error or error
