"""Boxes of ISO base media files (ISO/IEC 14496-12), such as MP4 and MOV.

::

    size (4 bytes) | kind (4) | content               size 0: up to the end of the file
    1        (4)   | kind (4) | size (8) | content

Reads lengths alone, and trusts none of them. The callers interpret the boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_HEADER_BYTES, _LARGE_HEADER_BYTES = 8, 16


@dataclass(frozen=True, slots=True)
class Box:
    """The header of a box, unverified."""

    kind: bytes
    start: int
    """Offset of its header in the file."""
    size: int
    """Bytes with the header; for an open box, up to the end."""
    header_bytes: int
    """8, or 16 if the size has 64 bits."""
    is_open: bool
    """Whether its size field means the rest of the file."""

    @property
    def content_start(self) -> int:
        """Offset of its content in the file."""
        return self.start + self.header_bytes

    @property
    def end(self) -> int:
        """Offset of its end; beyond the file's end if the file is truncated."""
        return self.start + self.size

    @property
    def holds_its_header(self) -> bool:
        """Whether its size is possible; otherwise these bytes are no box."""
        return self.size >= self.header_bytes


def read_box(file: BinaryIO, at: int, end: int) -> Box | None:
    """Read the header at ``at`` of a box that may extend to ``end``; None if no header fits before it."""
    if at + _HEADER_BYTES > end:
        return None
    file.seek(at)
    return parse_box(file.read(_LARGE_HEADER_BYTES), at, end)


def parse_box(header: bytes, at: int, end: int) -> Box:
    """Parse the 16 bytes from ``at`` on, or the 8 or more that are there, as ``read_box``."""
    size, kind = int.from_bytes(header[:4], "big"), header[4:8]
    if size == 1:
        return Box(kind, at, int.from_bytes(header[8:], "big"), _LARGE_HEADER_BYTES, False)
    return Box(kind, at, size or end - at, _HEADER_BYTES, size == 0)


def boxes(file: BinaryIO) -> Iterator[Box]:
    """The boxes of a file side by side, up to its end or to what is no box."""
    at, end = 0, file.seek(0, 2)
    while (box := read_box(file, at, end)) is not None and box.holds_its_header:
        yield box
        at = box.end
