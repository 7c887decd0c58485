"""Mattes of a clip in a file or in memory, with random access: see docs/formats.md.

::

    magic, 8 bytes | mattes, one after the other | F + 1 offsets, u64 | width, height, F, u32 | magic

The index is at the end, so that the frames can be written as they come. Everything is untrusted when read.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from newscaster.matting.planes import FrameMatte
from newscaster.safety.readers import MAX_PIXELS, open_regular_file

MATTE_VERSION = 2
"""Changes with the method, so that mattes in caches are computed again."""
CACHE_FAST_BYTES = 256 << 20
"""`MatteWriter.fast_bytes` of mattes on this machine: 30 s of 1080x1920."""
_MAGIC = b"NCMATTE1"
_MAX_FRAMES = 1 << 24
_TRAILER = struct.Struct("<III8s")


class MatteWriter:
    """Writes the mattes of frames in their order; a context manager that writes the index at its end.

    Args:
        file: open for writing, at its start.
        size: width and height of the planes of luma, both even.
        fast_bytes: up to this size of the file, mattes are stored so that they are read fast.
    """

    def __init__(self, file: BinaryIO, *, size: tuple[int, int], fast_bytes: int = 0) -> None:
        self._file, self._size, self._fast_bytes = file, size, fast_bytes
        self._offsets = [len(_MAGIC)]
        file.write(_MAGIC)

    def add(self, matte: FrameMatte) -> None:
        """Write the matte of the next frame."""
        data = matte.encode(fast=self._offsets[-1] < self._fast_bytes)
        self._file.write(data)
        self._offsets.append(self._offsets[-1] + len(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.write(np.array(self._offsets, "<u8").tobytes())
            self._file.write(_TRAILER.pack(*self._size, len(self._offsets) - 1, _MAGIC))


class MatteStore:
    """The mattes of a clip. Thread-safe.

    Args:
        source: what `MatteWriter` has written: its bytes, or the path of the file, which is mapped.

    Raises:
        ValueError: it is damaged, or no such file.
        OSError: the file cannot be read.

    Attributes:
        size: width and height of the planes of luma.
    """

    def __init__(self, source: bytes | Path) -> None:
        self._data = memoryview(source) if isinstance(source, bytes) else _mapped(source)
        data, end = self._data, len(self._data) - _TRAILER.size
        if end < len(_MAGIC) or data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("it holds no mattes")
        width, height, count, magic = _TRAILER.unpack(data[end:])
        if magic != _MAGIC or not 1 <= count <= _MAX_FRAMES:
            raise ValueError("it is cut short or damaged")
        if width % 2 or height % 2 or not 4 <= width * height <= MAX_PIXELS:
            raise ValueError(f"it states frames of {width}x{height} pixels")
        start = end - 8 * (count + 1)
        if start < len(_MAGIC):
            raise ValueError("it is cut short or damaged")
        offsets = np.frombuffer(data[start:end], "<u8")
        if offsets[0] != len(_MAGIC) or offsets[-1] != start or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("its index is damaged")
        self._offsets: list[int] = offsets.tolist()
        self.size: tuple[int, int] = (width, height)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def frame(self, index: int) -> FrameMatte:
        """Return the matte of a frame.

        Raises:
            ValueError: it is damaged.
        """
        start, stop = self._offsets[index], self._offsets[index + 1]
        width, height = self.size
        return FrameMatte.decode(self._data[start:stop], (height, width))


def without_frames(source: bytes, start: int, stop: int) -> bytes:
    """Return the mattes of a clip without those of the frames from `start` to `stop`.

    Raises:
        ValueError: the mattes are damaged.
    """
    mattes, buffer = MatteStore(source), io.BytesIO()
    with MatteWriter(buffer, size=mattes.size) as writer:
        for index in (*range(start), *range(stop, len(mattes))):
            writer.add(mattes.frame(index))
    return buffer.getvalue()


def _mapped(path: Path) -> memoryview:
    with open_regular_file(path, follow_links=False) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ValueError("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
