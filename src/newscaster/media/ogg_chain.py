"""Chained Ogg (RFC 3533): several recordings in one file, one after another, each with its own headers.

FFmpeg continues if the next link is coded like the first, and otherwise stops with an error.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

_CAPTURE = b"OggS"
_HEADER_BYTES = 27
_FIRST_PAGE = 0x02  # flag of a logical stream's first page


class FilePart(io.RawIOBase):
    """A read-only view of a part of a binary file.

    Args:
        file: the whole; closed with the view.
        start: offset of the first byte.
        stop: offset one past the last byte.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stop - self._start}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._stop - self._start - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def chain_links(path: Path) -> list[tuple[int, int]]:
    """Return start and stop offset of each link of an Ogg file.

    The list has one link if the file is not chained, and none if it is not Ogg.

    ::

        pages    |first|first|    |    |    |first|    |    |
        links    |------ link 0 ------------|--- link 1 ----|
    """
    starts: list[int] = []
    inside = True  # past the first pages of a link
    with path.open("rb") as file:
        offset = 0
        while True:
            file.seek(offset)
            header = file.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES or header[:4] != _CAPTURE:
                break
            is_first = bool(header[5] & _FIRST_PAGE)
            if is_first and inside:
                starts.append(offset)
            inside = not is_first
            offset += _HEADER_BYTES + header[26] + sum(file.read(header[26]))
    size = path.stat().st_size
    return list(zip(starts, [*starts[1:], size], strict=True)) if starts else []
