"""Validation of a target video file, before FFmpeg reads it.

FFmpeg parses hundreds of features of MP4: fragments, compressed tables, cover images, tables that state
billions of frames in a few bytes. A target video has one H.264 track and its tables. All else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from newscaster.errors import MediaError
from newscaster.safety.bmff import parse_box
from newscaster.safety.readers import MAX_TARGET_FRAMES

_HOLDERS = frozenset({b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"})
"""Boxes that contain boxes."""
_OTHERS = frozenset(
    b"ftyp free mdat mvhd tkhd elst mdhd hdlr vmhd dinf stsd stts stss stsc stsz stco co64 udta".split()
)
_ONCE = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stsz", b"stts"})
_MAX_EDITS = 4
_MAX_TAGS_BYTES = 4096
_COVER = b"covr"


def check_target_file(data: memoryview, name: str) -> None:
    """Raise MediaError if a file is not a valid target video.

    Args:
        data: the file.
        name: for messages.

    Raises:
        MediaError: it is no MP4 file, damaged, or holds more than one H.264 track.
    """
    try:
        seen: set[bytes] = set()
        for kind, content in _boxes(data):
            if kind in seen and kind in _ONCE:
                raise ValueError(f"it has two boxes {_quoted(kind)}")
            seen.add(kind)
            _check_box(kind, content)
        if missing := sorted(_ONCE - seen):
            raise ValueError(f"it has no box {_quoted(missing[0])}")
    except ValueError as error:
        raise MediaError(f"{name} is damaged ({error}). Copy or make the file again") from error


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and content of all boxes, nested ones included."""
    at = 0
    while at < len(data):
        box = parse_box(bytes(data[at : at + 16]), at, len(data))
        if box.is_open or box.header_bytes > 8 or not box.holds_its_header or box.end > len(data):
            raise ValueError(f"the box at byte {at} states a size of {box.size} bytes")
        content = data[box.content_start : box.end]
        yield box.kind, content
        if box.kind in _HOLDERS:
            yield from _boxes(content)
        elif box.kind not in _OTHERS:
            raise ValueError(f"it holds a box {_quoted(box.kind)}, which no target video has")
        at = box.end


def _check_box(kind: bytes, content: memoryview) -> None:
    if kind == b"stsd" and (_number(content, 4) != 1 or bytes(content[12:16]) != b"avc1"):
        raise ValueError("it holds video other than H.264")
    if kind == b"stsz" and _number(content, 8) > MAX_TARGET_FRAMES:
        raise ValueError(f"it states {_number(content, 8)} frames; accepted are {MAX_TARGET_FRAMES}")
    if kind == b"stts":
        counts = [_number(content, at) for at in range(8, len(content) - 7, 8)]
        if _number(content, 4) != len(counts) or sum(counts) > MAX_TARGET_FRAMES:
            raise ValueError(f"it has durations for {sum(counts)} frames; accepted are {MAX_TARGET_FRAMES}")
    if kind == b"elst" and _number(content, 4) > _MAX_EDITS:
        raise ValueError(f"it has {_number(content, 4)} edits; accepted are {_MAX_EDITS}")
    if kind == b"udta" and (len(content) > _MAX_TAGS_BYTES or _COVER in bytes(content)):
        raise ValueError("it has too many tags, or an image among them")


def _number(content: memoryview, at: int) -> int:
    if len(content) < at + 4:
        raise ValueError("one of its boxes is cut short")
    return int.from_bytes(content[at : at + 4], "big")


def _quoted(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))
