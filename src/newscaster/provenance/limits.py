"""Size limits for a file and its manifest, checked before C2PA's toolkit reads them.

The toolkit trusts the lengths in a file, and allocates memory for them. It reads only the boxes that it needs
in ISO BMFF and RIFF files, whatever their size. It reads other formats into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from newscaster.media.containers import container_of
from newscaster.provenance.store import BMFF_ID
from newscaster.safety.bmff import Box, read_box

MAX_MANIFEST_BYTES = 64 << 20
"""Of all manifests in a file together, or of the sidecar."""
MAX_WHOLE_BYTES = 256 << 20
"""Of an image, a PDF or an MP3, which the toolkit reads into memory."""
MAX_BOXES = 500_000
"""Boxes of an MP4, chunks of a RIFF file or of a PNG: the toolkit needs some 20 microseconds for each."""
MAX_FRAGMENT_BOXES = 100_000
"""Sibling boxes `moof` and `mdat`, a day of a live stream: the toolkit's time is quadratic in them."""
MAX_SIBLINGS = 2_000
"""Other sibling boxes."""
MAX_DEPTH = 32
"""Nested boxes."""

_BMFF_BEGINS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"styp"})
_CONTAINERS = frozenset(
    {
        *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"mvex", b"moof", b"traf"),
        *(b"mfra", b"meco", b"mere", b"schi", b"sinf", b"skip", b"strk", b"iprp", b"ipco", b"meta"),
    }
)
_PNG = b"\x89PNG\r\n\x1a\n"
_STREAMED = (b"\x1a\x45\xdf\xa3", b"fLaC", b"OggS", b"FLV", b"\x47", b"\x00\x00\x01")
"""First bytes of Matroska, FLAC, Ogg, Flash, transport and program streams, which the toolkit skips."""


class TooLargeError(Exception):
    """A file exceeds a limit, which the message names."""


def check_limits(path: Path) -> None:
    """Check that the toolkit can read a file with little memory and time.

    Raises:
        TooLargeError: it exceeds a limit.
        OSError: the file cannot be read.
    """
    if is_too_large(path):
        raise TooLargeError(
            f"the file has {path.stat().st_size:,} bytes; for images, PDF and MP3, {MAX_WHOLE_BYTES:,} "
            "are accepted"
        )
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        container = container_of(path)  # the toolkit parses a file as MP4 by its name, whatever its content
        if head[4:8] in _BMFF_BEGINS or (container is not None and container.manifest == "embedded"):
            _check(_bmff_manifests(file, size))
        elif head[:4] in (b"RIFF", b"RF64"):
            _check(_chunks(file, 12, size, order="little", name=b"C2PA"))
        elif head.startswith(_PNG):
            _check(_chunks(file, len(_PNG), size, order="big", name=b"caBX"))


def is_too_large(path: Path) -> bool:
    """Return whether the toolkit reads a file into memory, and it is larger than `MAX_WHOLE_BYTES`.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
    streamed = head[4:8] in _BMFF_BEGINS or head[:4] in (b"RIFF", b"RF64") or head.startswith(_STREAMED)
    return size > MAX_WHOLE_BYTES and not streamed


def read_sidecar(path: Path) -> bytes:
    """Read the manifest in a sidecar.

    Raises:
        TooLargeError: it exceeds the limit.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    _check(iter([len(data)]))
    return data


def _check(sizes: Iterator[int]) -> None:
    """Raise TooLargeError if there are too many boxes, or too many bytes of manifest in them.

    Args:
        sizes: bytes of manifest in each box; 0 for other boxes.
    """
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
    """Yield the stated bytes of manifest of each box of a file, nested ones included.

    Raises:
        TooLargeError: there are more sibling boxes than the limits allow.
    """
    # Ranges with boxes to read, the innermost last; numbers of fragments and other boxes before them.
    open_boxes = [(0, end, 0, 0)]
    while open_boxes:
        at, end, fragments, others = open_boxes.pop()
        box = read_box(file, at, end)
        if box is None:
            continue
        yield box.size - box.header_bytes if box.holds_its_header and _is_manifest(file, box) else 0
        if not box.holds_its_header:  # the toolkit also stops here
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
    """Yield the stated bytes of manifest of each chunk of a RIFF file or of a PNG."""
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
