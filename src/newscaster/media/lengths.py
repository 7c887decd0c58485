"""Lengths in the headers of uncompressed audio: WAV, RF64, W64, AIFF, AU, CAF.

A program writes such a header before the samples. It cannot correct it if it writes to a pipe, or if it is
killed. The length is then 0, the maximum, or another number larger than the file. The length is too small if
the program was killed after a first correction, or if another file was appended.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

_BELIEVED_FRACTION = 16
_BELIEVED_BYTES = 1 << 29
_MAX_BYTES = 1 << 44
_NEARLY_ALL_ONES = 1 << 16
"""Some programs write the maximum less a header, rounded down."""
_MAX_CHUNKS = 100
_MIN_UNREAD_BYTES = 1000
_LOOKED_AT_BYTES = 1 << 16
_FILES = (b"RIFF", b"RIFX", b"RF64", b"FORM")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_DATA = b"data" + _W64_TAIL


def is_unknown(length: int, *, bits: int) -> bool:
    """Return whether a length stands for an unknown one: 0, or about the maximum (signed or unsigned)."""
    maximum = min(1 << bits, _MAX_BYTES)
    return not 0 < length < maximum - _NEARLY_ALL_ONES or abs(length - (1 << bits - 1)) <= _NEARLY_ALL_ONES


def is_believed(promised: int, size: int) -> bool:
    """Return whether a file of `size` bytes that states more is truncated.

    It counts as truncated if it has a sixteenth of the stated length or more, and states less than 512 MiB.
    Otherwise its length may have been unknown: a header may then state any number.
    """
    return promised < _BELIEVED_BYTES and size * _BELIEVED_FRACTION >= promised


@dataclass(frozen=True)
class StatedLength:
    """The length in the header of an uncompressed audio file."""

    file_bytes: int | None
    """Length of the file; None if the header has none."""
    patches: dict[int, bytes] = field(default_factory=dict)
    """Replacement bytes by offset, for lengths without which FFmpeg cannot read the file."""
    unread_bytes: int = 0
    """Bytes after the audio that belong to no chunk: the length is too small, or a file was appended."""


def stated_length(file: BinaryIO, size: int) -> StatedLength | None:
    """Read the length from the header; None if the file is of another format.

    Args:
        file: open, of `size` bytes.
        size: of the file.
    """
    file.seek(0)
    head = file.read(40)
    kind = head[:4]
    if kind == b"RIFF" and head[8:12] == b"WAVE":
        length = int.from_bytes(head[4:8], "little")
        unread = _count_unread(file, size, b"data", "little")
        return StatedLength(None if is_unknown(length, bits=32) else length + 8, unread_bytes=unread)
    if kind in (b"RF64", b"BW64") and head[8:16] == b"WAVEds64":
        return _rf64(file, head, size)
    if head.startswith(_W64_RIFF):
        return _w64(file, head, size)
    if kind == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(file, head, size)
    if kind == b".snd":
        return _au(file, head, size)
    if kind == b"caff":
        return _caf(file, size)
    return None


def _rf64(file: BinaryIO, head: bytes, size: int) -> StatedLength:
    """Parse RF64 (EBU Tech 3306): ds64 holds the lengths of the file and of the samples, 64 bits each."""
    length, samples = (int.from_bytes(head[k : k + 8], "little") for k in (20, 28))
    known = not is_unknown(length, bits=64)
    if known and not is_unknown(samples, bits=64):
        return StatedLength(length + 8)
    data = next((at for at, name, _ in _riff_chunks(file, size) if name == b"data"), None)
    patches = {} if data is None else {20: _little(size - 8), 28: _little(size - data - 8)}
    return StatedLength(length + 8 if known else None, patches)


def _riff_chunks(
    file: BinaryIO, size: int, order: Literal["little", "big"] = "little"
) -> Iterator[tuple[int, bytes, int]]:
    """Yield offset, name and length of the chunks: name (4 bytes), length (4), content, even."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or at >= size:
            return
        length = int.from_bytes(head[4:], order)
        yield at, head[:4], length
        at += 8 + length + length % 2


def _count_unread(file: BinaryIO, size: int, audio: bytes, order: Literal["little", "big"]) -> int:
    """Count the bytes after the audio chunk that are no chunks: bad names, too long, or a new file.

    Zeros are padding, and a few bytes are a tag: both count as 0.
    """
    is_after = False
    for at, name, length in _riff_chunks(file, size, order):
        is_chunk = all(32 <= byte < 127 for byte in name) and at + length <= size and name not in _FILES
        if is_after and not is_chunk:
            file.seek(at)
            rest = size - at
            return rest if rest >= _MIN_UNREAD_BYTES and file.read(_LOOKED_AT_BYTES).strip(b"\0") else 0
        if name == audio:
            if is_unknown(length, bits=32):
                return 0
            is_after = True
    return 0


def _w64(file: BinaryIO, head: bytes, size: int) -> StatedLength:
    """Parse Sony Wave64: GUID (16 bytes), length with this header (8), content, a multiple of 8."""
    length = int.from_bytes(head[16:24], "little")
    at, patches = 40, {}
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        chunk = file.read(24)
        chunk_bytes = int.from_bytes(chunk[16:], "little")
        if len(chunk) < 24:
            break
        if chunk[:16] == _W64_DATA:
            if chunk_bytes <= 24 or is_unknown(chunk_bytes, bits=64):
                patches = {16: _little(size), at + 16: _little(size - at)}
            break
        if chunk_bytes < 24:
            break
        at += chunk_bytes + -chunk_bytes % 8
        if at >= size:
            break
    return StatedLength(None if is_unknown(length, bits=64) or length <= 24 else length, patches)


def _aiff(file: BinaryIO, head: bytes, size: int) -> StatedLength:
    """Parse AIFF 1.3: COMM holds the number of sample frames; SSND offset, block size and samples."""
    length = int.from_bytes(head[4:8], "big")
    stated = StatedLength(None if is_unknown(length, bits=32) else length + 8)
    common = None
    for at, name, chunk_bytes in _riff_chunks(file, size, "big"):
        if name == b"COMM":
            common = at
        if name == b"SSND":
            if common is None or not (chunk_bytes <= 8 or is_unknown(chunk_bytes, bits=32)):
                break
            return StatedLength(stated.file_bytes, _aiff_patches(file, common, at, size))
    return replace(stated, unread_bytes=_count_unread(file, size, b"SSND", "big"))


def _aiff_patches(file: BinaryIO, common: int, audio: int, size: int) -> dict[int, bytes]:
    file.seek(common + 8)
    head = file.read(8)
    frame_bytes = int.from_bytes(head[:2], "big") * -(-int.from_bytes(head[6:], "big") // 8)
    samples = size - audio - 16
    if not frame_bytes or samples <= 0 or size >= 1 << 32:
        return {}
    return {
        4: (size - 8).to_bytes(4, "big"),
        common + 10: (samples // frame_bytes).to_bytes(4, "big"),
        audio + 4: (samples + 8).to_bytes(4, "big"),
    }


def _au(file: BinaryIO, head: bytes, size: int) -> StatedLength:
    """Parse AU: offset of the samples (4 bytes), their length (4). All ones: unknown; 0 is not defined."""
    start, length = (int.from_bytes(head[k : k + 4], "big") for k in (4, 8))
    if is_unknown(length, bits=32):
        return StatedLength(None, {8: b"\xff\xff\xff\xff"})
    file.seek(start + length)
    has_more = size - start - length >= _MIN_UNREAD_BYTES and file.read(_LOOKED_AT_BYTES).strip(b"\0")
    return StatedLength(start + length, unread_bytes=size - start - length if has_more else 0)


def _caf(file: BinaryIO, size: int) -> StatedLength:
    """Parse Core Audio Format: name (4 bytes), length (8), content. The length of the samples may be -1."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        chunk = file.read(12)
        length = int.from_bytes(chunk[4:], "big", signed=True)
        if len(chunk) < 12 or length < 0:
            break
        if chunk[:4] == b"data":
            return StatedLength(None if is_unknown(length, bits=64) else at + 12 + length)
        at += 12 + length
        if at >= size:
            break
    return StatedLength(None)


def _little(value: int) -> bytes:
    return max(0, value).to_bytes(8, "little")


class PatchedFile(io.RawIOBase):
    """A read-only file with some bytes replaced.

    Args:
        path: of the file.
        patches: replacement bytes by offset.
    """

    def __init__(self, path: Path, patches: dict[int, bytes]) -> None:
        self._file = path.open("rb")
        self._patches = patches

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        first = self._file.tell()
        data = bytearray(self._file.read(size))
        for offset, patch in self._patches.items():
            for index, byte in enumerate(patch, offset - first):
                if 0 <= index < len(data):
                    data[index] = byte
        return bytes(data)

    def close(self) -> None:
        self._file.close()
        super().close()
