"""MP4 files that are playable at any time while they are written: fragments, and what is whole of them.

Knows boxes at the top level of a file, and what a full disk leaves of one. Encoding is left to `stream`.

::

    while written    | ftyp | free | moov | moof mdat | moof mdat | moof md~      cut: | ... | moof mdat |
    when finished    | ftyp | free | mdat ----------------------------- | moov |
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newscaster.safety.bmff import boxes


class FragmentFile:
    """A file for a muxer of fragments that keeps what has been written if the disk takes no more.

    After the first error nothing more is written. While the file is finished (`kept_whole`), what would be
    written over earlier bytes waits for `commit`: the index at the end must fit first.

    Args:
        path: an existing file, which is written from its start.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._size = 0
        self._position = 0
        self._held: list[tuple[int, bytes]] | None = None
        self.error: OSError | None = None
        """Why nothing more is written."""
        self.closed = False
        """Whether it is closed: PyAV finishes no container whose file is."""

    def write(self, data: bytes) -> int:
        """Write all of `data`.

        Raises:
            OSError: the disk takes no more, now or before.
        """
        if self.error is not None:
            raise self.error
        data = bytes(data)
        if self._held is not None and self._position < self._size:
            self._held.append((self._position, data))
        else:
            self._write(self._position, data)
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files have it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._size

    @contextmanager
    def kept_whole(self) -> Iterator[None]:
        """Leave what is written in the block as it is until `commit`: only what follows it is written.

        If the block fails, nothing more is.
        """
        try:
            yield
        except BaseException:
            self.close()
            raise
        self._held = []

    def commit(self) -> None:
        """Write what was held back.

        Raises:
            OSError: it cannot be written.
        """
        held, self._held = self._held or [], None
        for position, data in held:
            self._write(position, data)

    def close(self) -> None:
        """Write nothing more. More than once is harmless."""
        self.closed = True
        self._file.close()

    def _write(self, position: int, data: bytes) -> None:
        try:
            self._file.seek(position)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            self.error = error
            raise


def cut_to_whole_fragments(path: Path) -> bool:
    """Cut an MP4 file of fragments behind its last whole one; a finished file stays as it is.

    Returns:
        Whether there is one: otherwise the file is left alone, and cannot be played.
    """
    end = 0
    kinds: list[bytes] = []
    with path.open("r+b") as file:
        size = file.seek(0, io.SEEK_END)
        for box in boxes(file):
            if box.is_open or box.end > size:
                break
            kinds.append(box.kind)
            if box.kind in (b"mdat", b"moov"):  # of a finished file, the index is the last box
                end = box.end
        is_playable = {b"mdat", b"moov"} <= set(kinds)
        if is_playable:
            file.truncate(end)
    return is_playable
