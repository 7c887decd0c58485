"""Fragmented MP4 files, which are playable at any time while they are written.

Handles top-level boxes, and files that a full disk truncates. Leaves encoding to `stream`.

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
    """A file for a fragment muxer that preserves written data when the disk is full.

    It writes nothing after the first error. While the file is being finished (`kept_whole`), writes over
    earlier bytes wait for `commit`: the index at the end must fit first.

    Args:
        path: an existing file, which is written from its start.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._size = 0
        self._position = 0
        self._held: list[tuple[int, bytes]] | None = None
        self.error: OSError | None = None
        """The first error; nothing is written after it."""
        self.closed = False
        """Whether it is closed: PyAV does not finish the container of a closed file."""

    def write(self, data: bytes) -> int:
        """Write all of `data`.

        Raises:
            OSError: this write or an earlier one failed.
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
        """Move the position, as in `io.IOBase.seek`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._size

    @contextmanager
    def kept_whole(self) -> Iterator[None]:
        """Hold back writes over earlier bytes, from the end of the block until `commit`; only append.

        If the block fails, the file is closed and nothing more is written.
        """
        try:
            yield
        except BaseException:
            self.close()
            raise
        self._held = []

    def commit(self) -> None:
        """Write the data that was held back.

        Raises:
            OSError: the data cannot be written.
        """
        held, self._held = self._held or [], None
        for position, data in held:
            self._write(position, data)

    def close(self) -> None:
        """Close the file; repeated calls have no effect."""
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
    """Truncate a fragmented MP4 file after its last complete fragment; a finished file stays unchanged.

    Returns:
        Whether it has a complete fragment; otherwise the file stays unchanged, and is not playable.
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
