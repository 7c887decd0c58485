"""Detection of truncated files: the length in the header against the size of the file.

FFmpeg reads a truncated file to its end without an error. Handles RIFF (AVI), ISO (MP4, MOV, M4A) and EBML
(MKV, WebM), uncompressed audio (see `lengths`), and MP3 (see `mpeg_audio`). Other formats state no length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from newscaster.media.lengths import is_believed, is_unknown, stated_length
from newscaster.media.mpeg_audio import mp3_bytes
from newscaster.safety.bmff import read_box

_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_EBML_HEADER = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = b"\x18\x53\x80\x67"
_MAX_BOXES = 1_000_000  # of an ISO file: a day of fragments
_SLACK_BYTES = 64  # headers are often off by a few


@dataclass(frozen=True)
class Completeness:
    """Comparison of a file with the length that its header states."""

    missing_bytes: int = 0
    """Bytes that the file lacks; 0 if it is complete, or states no length."""
    is_cut_short: bool = False
    """Whether the stated length is credible. Otherwise it may have been unknown when it was written."""
    patches: dict[int, bytes] = field(default_factory=dict)
    """See `lengths.StatedLength`."""
    is_audio: bool = False
    """Whether it is uncompressed audio, which can be read without that length."""
    unread_bytes: int = 0
    """See `lengths.StatedLength`."""


def completeness(path: Path) -> Completeness:
    """Compare a file with its header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        stated = stated_length(file, size)
        if stated is not None:
            lacking = 0 if stated.file_bytes is None else stated.file_bytes - size
            if lacking <= _SLACK_BYTES:
                return Completeness(patches=stated.patches, unread_bytes=stated.unread_bytes)
            cut_short = is_believed(size + lacking, size)
            return Completeness(lacking, cut_short, stated.patches, is_audio=True)
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"RIFF":
            promised = _riff_bytes(head)
        elif head[4:8] in _ISO_BOXES:
            promised = _iso_bytes(file, size)
        elif head[:4] == _EBML_HEADER:
            promised = _ebml_bytes(file)
        else:
            # Programs that cut MP3 files do not update the count: the file may be complete all the same.
            lacking = mp3_bytes(file) - size
            return Completeness(lacking) if lacking > _SLACK_BYTES else Completeness()
    lacking = promised - size
    return Completeness(lacking, is_cut_short=True) if lacking > _SLACK_BYTES else Completeness()


def missing_bytes(path: Path) -> int:
    """Return how many bytes `path` lacks of its stated length; 0 if it is complete or states none.

    A length of uncompressed audio that may have been unknown when it was written does not count.
    """
    result = completeness(path)
    return result.missing_bytes if result.is_cut_short else 0


def _riff_bytes(head: bytes) -> int:
    length = int.from_bytes(head[4:8], "little")
    return 0 if is_unknown(length, bits=32) else length + 8


def _iso_bytes(file: BinaryIO, size: int) -> int:
    """Return the offset at which the last box ends."""
    end = 0
    for _ in range(_MAX_BOXES):
        box = read_box(file, end, size)
        if box is None:
            break
        if box.is_open or not box.holds_its_header:
            return size
        end = box.end
    return end  # with even more boxes, this is too small: nothing counts as missing


def _ebml_bytes(file: BinaryIO) -> int:
    """Parse the header element, then the segment: identifier (4 bytes), length (1 to 8), content."""
    file.seek(4)
    header = _ebml_length(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _EBML_SEGMENT:
        return 0
    length = _ebml_length(file)
    return 0 if length is None else file.tell() + length


def _ebml_length(file: BinaryIO) -> int | None:
    """Parse a length: one zero bit per further byte, a one, then the value. All ones: unknown, None."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    further = 8 - first[0].bit_length()
    bits = 7 * (further + 1)
    value = int.from_bytes(first + file.read(further), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
