"""Output files, pipes and devices for muxers, without lost errors.

FFmpeg's muxers log some errors and continue: HLS if the disk is full for a segment or its playlist, others
on close. So Python opens these files. `check` raises the first error.

Opening does not change a file; the first write truncates it. If a muxer rejects its streams before that, an
older file stays unchanged.
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
    """An open file with the methods that PyAV calls. They do not raise: see `OutputFiles.check`."""

    def __init__(self, descriptor: int, name: str, on_error: Callable[[OSError], None]) -> None:
        self.name = name
        self.closed = False
        self._descriptor = descriptor
        self._on_error = on_error
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._has_written = False
        self._has_failed = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether a muxer may seek back, for example to write a length."""
        return self._regular

    def write(self, data: bytes) -> int:
        """Write all of `data`; after an error, write nothing."""
        if self._has_failed:
            return len(data)
        try:
            if not self._has_written and self._regular:
                os.ftruncate(self._descriptor, 0)
            self._has_written = True
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            self._fail(error)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it."""
        try:
            return os.lseek(self._descriptor, offset, whence)
        except OSError as error:
            self._fail(error)
            return 0

    def tell(self) -> int:
        """Return the position."""
        return self.seek(0, io.SEEK_CUR)

    def close(self) -> None:
        """Wait until all is on the disk, and close the file; repeated calls have no effect."""
        if self.closed:
            return
        self.closed = True
        try:
            if self._regular and self._has_written and not self._has_failed:
                sync_descriptor(self._descriptor)
        except OSError as error:
            self._fail(error)
        finally:
            try:
                os.close(self._descriptor)
            except OSError as error:  # NFS may report a full disk only here
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._has_failed = True
        error.filename = self.name
        self._on_error(error)


class OutputFiles:
    """The files of one container.

    Args:
        like: a file that may exist: new files get its permissions.
        inputs: files that are being read, each with its name in messages; `open` refuses them.
    """

    def __init__(self, *, like: Path | None = None, inputs: Iterable[tuple[object, str]] = ()) -> None:
        self._inputs = tuple(inputs)
        self._error: BaseException | None = None
        try:
            self._mode = 0o666 if like is None else stat.S_IMODE(like.stat().st_mode) & 0o666
        except OSError:  # there is none yet
            self._mode = 0o666

    def check(self) -> None:
        """Raise the first error, if any.

        Raises:
            OSError: a file could not be opened, written to or closed; its `filename` is that file.
            OutputError: a file is one of the inputs.
        """
        if self._error is not None:
            raise self._error

    def open(self, path: str | Path) -> OutputFile:
        """Open a file, a pipe or a device for writing.

        Raises:
            OSError: it cannot be opened.
            OutputError: it is one of the inputs.
        """
        check_inputs_kept([path], self._inputs)
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
        return OutputFile(os.open(path, flags, self._mode), os.fspath(path), self._record_error)

    def open_descriptor(self, number: int) -> OutputFile:
        """Duplicate an open file descriptor, such as 1, standard output.

        Raises:
            OSError: it is not open.
        """
        return OutputFile(os.dup(number), f"pipe:{number}", self._record_error)

    def io_open(self, url: str, flags: int, options: Mapping[str, str]) -> OutputFile | io.FileIO:
        """Open a file that a muxer requests, such as a segment: PyAV's `io_open`. `check` raises its errors.

        Raises:
            OSError: a file cannot be opened for reading.
        """
        path = url.removeprefix("file:")
        if not flags & _WRITE:
            return io.FileIO(path)
        try:
            return self.open(path)
        except (OSError, OutputError) as error:
            self._record_error(error)
            return OutputFile(os.open(os.devnull, os.O_WRONLY), path, self._record_error)

    def _record_error(self, error: BaseException) -> None:
        self._error = self._error or error
