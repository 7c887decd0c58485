"""How large a file and its manifest may be for C2PA's toolkit to read it, checked before that.

The toolkit takes the lengths that a file states for granted, and reserves memory for them. Of MP4 and its
like and of RIFF it reads only the boxes that it needs, whatever the file's size; other kinds it reads whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from newscaster.media.containers import container_of
from newscaster.provenance.store import BMFF_ID
from newscaster.safety.bmff import Box, read_box

MAX_MANIFEST_BYTES = 64 << 20
"""All manifests in a file together, or in the file beside it."""
MAX_WHOLE_BYTES = 256 << 20
"""Size of a picture, a PDF or an MP3, which the toolkit reads whole."""
MAX_BOXES = 500_000
"""Boxes of an MP4, chunks of a RIFF file or of a PNG: the toolkit takes some 20 microseconds for each."""
MAX_FRAGMENT_BOXES = 100_000
"""Boxes `moof` and `mdat` side by side, a day of a live stream: the toolkit's time grows with the square."""
MAX_SIBLINGS = 2_000
"""Other boxes side by side."""
MAX_DEPTH = 32
"""Boxes within each other."""

_BMFF_BEGINS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"styp"})
_CONTAINERS = frozenset(
    {
        *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"mvex", b"moof", b"traf"),
        *(b"mfra", b"meco", b"mere", b"schi", b"sinf", b"skip", b"strk", b"iprp", b"ipco", b"meta"),
    }
)
_PNG = b"\x89PNG\r\n\x1a\n"
_STREAMED = (b"\x1a\x45\xdf\xa3", b"fLaC", b"OggS", b"FLV", b"\x47", b"\x00\x00\x01")
"""How Matroska, FLAC, Ogg, Flash, transport and program streams begin, of which the toolkit reads nothing."""


class TooLargeError(Exception):
    """A file is beyond a limit; the message says which."""


def check_limits(path: Path) -> None:
    """Make sure that the toolkit needs neither much memory nor much time for a file.

    Raises:
        TooLargeError: it would.
        OSError: the file cannot be read.
    """
    if is_too_large(path):
        raise TooLargeError(
            f"the file has {path.stat().st_size:,} bytes; for pictures, PDF and MP3, {MAX_WHOLE_BYTES:,} "
            "are accepted"
        )
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        named = container_of(path)  # the toolkit takes a file for MP4 by its name, whatever is in it
        if head[4:8] in _BMFF_BEGINS or (named is not None and named.manifest == "embedded"):
            _check(_bmff_manifests(file, size))
        elif head[:4] in (b"RIFF", b"RF64"):
            _check(_chunks(file, 12, size, order="little", name=b"C2PA"))
        elif head.startswith(_PNG):
            _check(_chunks(file, len(_PNG), size, order="big", name=b"caBX"))


def is_too_large(path: Path) -> bool:
    """Whether a file is of a kind that is read whole, and larger than `MAX_WHOLE_BYTES`.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
    streamed = head[4:8] in _BMFF_BEGINS or head[:4] in (b"RIFF", b"RF64") or head.startswith(_STREAMED)
    return size > MAX_WHOLE_BYTES and not streamed


def read_sidecar(path: Path) -> bytes:
    """The manifest in a file of its own.

    Raises:
        TooLargeError: it is beyond the limit.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    _check(iter([len(data)]))
    return data


def _check(sizes: Iterator[int]) -> None:
    """Take the bytes of manifest in box after box, 0 for others."""
    total = 0
    for boxes, size in enumerate(sizes, 1):
        total += size
        if boxes > MAX_BOXES:
            raise TooLargeError(f"the file has more than {MAX_BOXES:,} boxes, which is the limit")
        if total > MAX_MANIFEST_BYTES:
            raise TooLargeError(
                f"the manifest has {total:,} bytes or more; accepted are {MAX_MANIFEST_BYTES:,}"
            )


def _bmff_manifests(file: BinaryIO, end: int) -> Iterator[int]:
    """For every box of a file, within others too: how many bytes of manifest it states to have.

    Raises:
        TooLargeError: more boxes are side by side than the limits allow.
    """
    # From where to where boxes are still to be read, the innermost last; fragments and others before them.
    open_boxes = [(0, end, 0, 0)]
    while open_boxes:
        at, end, fragments, others = open_boxes.pop()
        box = read_box(file, at, end)
        if box is None:
            continue
        yield box.size - box.header_bytes if box.holds_its_header and _is_manifest(file, box) else 0
        if not box.holds_its_header:  # the toolkit stops here, too
            continue
        if box.kind in (b"moof", b"mdat"):
            fragments += 1
        else:
            others += 1
        if fragments > MAX_FRAGMENT_BOXES or others > MAX_SIBLINGS:
            limit = MAX_SIBLINGS if others > MAX_SIBLINGS else MAX_FRAGMENT_BOXES
            raise TooLargeError(f"the file has more than {limit:,} boxes side by side, which is the limit")
        open_boxes.append((box.end, end, fragments, others))
        if box.kind in _CONTAINERS and len(open_boxes) <= MAX_DEPTH:
            flags = 4 if box.kind == b"meta" else 0  # version and flags
            open_boxes.append((box.content_start + flags, min(box.end, end), 0, 0))


def _is_manifest(file: BinaryIO, box: Box) -> bool:
    if box.kind != b"uuid":
        return False
    file.seek(box.content_start)
    return file.read(len(BMFF_ID)) == BMFF_ID


def _chunks(
    file: BinaryIO, at: int, end: int, *, order: Literal["little", "big"], name: bytes
) -> Iterator[int]:
    """For every chunk of a RIFF file or of a PNG: how many bytes of manifest it states to have."""
    while at + 8 <= end:
        file.seek(at)
        header = file.read(8)
        if order == "little":
            kind, size = header[:4], int.from_bytes(header[4:], "little")
            at += 8 + size + size % 2
        else:
            kind, size = header[4:], int.from_bytes(header[:4], "big")
            at += 12 + size
        yield size if kind == name else 0
