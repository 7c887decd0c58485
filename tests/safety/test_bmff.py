"""Headers of boxes: sizes of 32 and 64 bits, open ones, and bytes that are no box."""

from __future__ import annotations

import io

from newscaster.safety.bmff import Box, boxes, read_box


def box(kind: bytes, content: bytes, *, large: bool = False) -> bytes:
    if large:
        return b"\0\0\0\1" + kind + (16 + len(content)).to_bytes(8, "big") + content
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def test_boxes_side_by_side() -> None:
    data = box(b"ftyp", b"isom") + box(b"mdat", b"12345", large=True) + b"\0\0\0\0moovrest"
    found = list(boxes(io.BytesIO(data)))
    assert found == [
        Box(b"ftyp", 0, 12, 8, False),
        Box(b"mdat", 12, 21, 16, False),
        Box(b"moov", 33, 12, 8, True),
    ]
    assert [data[one.content_start : one.end] for one in found] == [b"isom", b"12345", b"rest"]


def test_a_box_that_is_cut_short_ends_beyond_the_file() -> None:
    (found,) = boxes(io.BytesIO(box(b"mdat", bytes(40))[:20]))
    assert (found.size, found.end) == (48, 48)


def test_what_is_no_box_ends_the_walk() -> None:
    for bad in (b"\0\0\0\7free", b"\0\0\0\1mdat" + (15).to_bytes(8, "big"), b"\0\0\0"):
        assert [one.kind for one in boxes(io.BytesIO(box(b"ftyp", b"") + bad))] == [b"ftyp"]
    assert read_box(io.BytesIO(bytes(7)), 0, 7) is None
    stated = read_box(io.BytesIO(b"\0\0\0\7free"), 0, 8)
    assert stated is not None
    assert not stated.holds_its_header
