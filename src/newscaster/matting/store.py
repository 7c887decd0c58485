"""Mattes of a clip in a file or in memory, with random access: see docs/formats.md.

::

    magic, 8 bytes | mattes, one after the other | F + 1 offsets, u64 | width, height, F, u32 | magic

The index is at the end, so that the frames can be written as they come. In version 2, the matte of one image
follows the magic, and frames may be this image, moved (`moved`). Everything is untrusted when read.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from newscaster.matting.moved import decode_moved
from newscaster.matting.planes import FrameMatte
from newscaster.safety.readers import MAX_PIXELS, open_regular_file
from newscaster.types import ArrayF32

MATTE_VERSION = 2
"""Changes with the method, so that mattes in caches are computed again."""
CACHE_FAST_BYTES = 256 << 20
"""`MatteWriter.fast_bytes` of mattes on this machine: 30 s of 1080x1920."""
KEPT_BYTES = 64 << 20
"""Memory for mattes that are moved: 170 frames of the default anchor's 300."""
_MAGIC, _MOVED_MAGIC = b"NCMATTE1", b"NCMATTE2"
_MAX_FRAMES = 1 << 24
_MOVED = 3
"""The first byte of a frame that is the image, moved. The others are those of `FrameMatte.encode`."""
_LENGTH = struct.Struct("<I")
_TRAILER = struct.Struct("<III8s")


class MatteWriter:
    """Writes the mattes of frames in their order; a context manager that writes the index at its end.

    Args:
        file: open for writing, at its start.
        size: width and height of the planes of luma, both even.
        fast_bytes: up to this size of the file, mattes are stored so that they are read fast.
        image: the image that is moved, see `encode_moved`; None: every frame has a matte of its own.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: tuple[int, int],
        fast_bytes: int = 0,
        image: bytes | memoryview | None = None,
    ) -> None:
        self._file, self._size, self._fast_bytes = file, size, fast_bytes
        self._magic = _MAGIC if image is None else _MOVED_MAGIC
        start = self._magic if image is None else b"".join([self._magic, _LENGTH.pack(len(image)), image])
        self._offsets = [len(start)]
        file.write(start)

    def add(self, matte: FrameMatte) -> None:
        """Write the matte of the next frame."""
        self.add_stored(matte.encode(fast=self._offsets[-1] < self._fast_bytes))

    def add_moved(self, coefficients: ArrayF32) -> None:
        """Write the matte of the next frame: the image, moved by the coefficients (K,) of its mesh."""
        self.add_stored(bytes([_MOVED]) + coefficients.astype("<f4").tobytes())

    def add_stored(self, data: bytes | memoryview) -> None:
        """Write the matte of the next frame, as `MatteStore.stored` returns it."""
        self._file.write(data)
        self._offsets.append(self._offsets[-1] + len(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.write(np.array(self._offsets, "<u8").tobytes())
            self._file.write(_TRAILER.pack(*self._size, len(self._offsets) - 1, self._magic))


class MatteStore:
    """The mattes of a clip. Thread-safe.

    Args:
        source: what `MatteWriter` has written: its bytes, or the path of the file, which is mapped.
        kept_bytes: memory for mattes that are moved, which take longer to make than others to read.

    Raises:
        ValueError: it is damaged, or no such file.
        OSError: the file cannot be read.

    Attributes:
        size: width and height of the planes of luma.
        image: the image that is moved, as it is stored; None: there is none.
    """

    def __init__(self, source: bytes | Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._data = memoryview(source) if isinstance(source, bytes) else _mapped(source)
        data, end = self._data, len(self._data) - _TRAILER.size
        if end < len(_MAGIC) or data[: len(_MAGIC)] not in (_MAGIC, _MOVED_MAGIC):
            raise ValueError("it holds no mattes")
        width, height, count, magic = _TRAILER.unpack(data[end:])
        if magic != data[: len(_MAGIC)] or not 1 <= count <= _MAX_FRAMES:
            raise ValueError("it is cut short or damaged")
        if width % 2 or height % 2 or not 4 <= width * height <= MAX_PIXELS:
            raise ValueError(f"it states frames of {width}x{height} pixels")
        start = end - 8 * (count + 1)
        self.size: tuple[int, int] = (width, height)
        self.image, first = _image_part(data[: max(start, 0)])
        self._moved = None if self.image is None else decode_moved(self.image, (height, width))
        if start < first:
            raise ValueError("it is cut short or damaged")
        offsets = np.frombuffer(data[start:end], "<u8")
        if offsets[0] != first or offsets[-1] != start or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("its index is damaged")
        self._offsets: list[int] = offsets.tolist()
        self._kept: dict[int, FrameMatte] = {}
        self._bytes_left, self._lock = kept_bytes, threading.Lock()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def frame(self, index: int) -> FrameMatte:
        """Return the matte of a frame.

        Raises:
            ValueError: it is damaged.
        """
        if (kept := self._kept.get(index)) is not None:
            return kept
        data = self.stored(index)
        if self._moved is not None and len(data) and data[0] == _MOVED:
            count = len(self._moved.mesh.scales)
            if len(data) != 1 + 4 * count:
                raise ValueError(f"a matte has {len(data)} bytes; expected {1 + 4 * count}")
            coefficients = np.frombuffer(data, "<f4", offset=1).astype(np.float32)
            if not (np.abs(coefficients) <= 1).all():
                raise ValueError("a matte is moved by coefficients beyond 1")
            return self._keep(index, self._moved.frame(coefficients))
        width, height = self.size
        return FrameMatte.decode(data, (height, width))

    def _keep(self, index: int, matte: FrameMatte) -> FrameMatte:
        """Keep a matte if there is room. None is given up: the frames of a loop come round in their order."""
        with self._lock:
            if index not in self._kept and matte.nbytes <= self._bytes_left:
                self._kept[index] = matte
                self._bytes_left -= matte.nbytes
        return matte

    def stored(self, index: int) -> memoryview:
        """Return the matte of a frame as it is stored."""
        return self._data[self._offsets[index] : self._offsets[index + 1]]


def without_frames(source: bytes, start: int, stop: int) -> bytes:
    """Return the mattes of a clip without those of the frames from `start` to `stop`.

    Raises:
        ValueError: the mattes are damaged.
    """
    mattes, buffer = MatteStore(source), io.BytesIO()
    with MatteWriter(buffer, size=mattes.size, image=mattes.image) as writer:
        for index in (*range(start), *range(stop, len(mattes))):
            writer.add_stored(mattes.stored(index))
    return buffer.getvalue()


def joined(first: bytes, second: bytes) -> bytes:
    """Return the mattes of one clip, and then those of another, of which every frame has its own.

    Raises:
        ValueError: the mattes are damaged, or their frames differ in size.
    """
    before, after, buffer = MatteStore(first), MatteStore(second), io.BytesIO()
    if before.size != after.size or after.image is not None:
        raise ValueError(f"they have frames of {before.size} and {after.size} pixels")
    with MatteWriter(buffer, size=before.size, image=before.image) as writer:
        for mattes in (before, after):
            for index in range(len(mattes)):
                writer.add_stored(mattes.stored(index))
    return buffer.getvalue()


def _image_part(data: memoryview) -> tuple[memoryview | None, int]:
    """Return the part of an image that is moved, if there is one, and where the first matte starts."""
    if data[: len(_MAGIC)] == _MAGIC:
        return None, len(_MAGIC)
    start = len(_MAGIC) + _LENGTH.size
    if len(data) < start:
        raise ValueError("it is cut short or damaged")
    (length,) = _LENGTH.unpack(data[len(_MAGIC) : start])
    if len(data) < start + length:
        raise ValueError("it is cut short or damaged")
    return data[start : start + length], start + length


def _mapped(path: Path) -> memoryview:
    with open_regular_file(path, follow_links=False) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ValueError("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
