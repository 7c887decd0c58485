"""Checks of the bytes in a manifest that its signature does not cover.

The signature covers the claim; the claim covers the assertions by their hashes; one assertion covers video
and audio. C2PA leaves the boxes around them and the padding of the signature open, so a C2PA reader does not
notice changes there. Such changes carry no meaning, but a changed file must not pass as unchanged. These
checks apply to newscaster's own manifests only, whose form is known::

    jumb c2pa
    └── jumb urn:c2pa:...                  the last of them: the manifest
        ├── jumb c2pa.assertions
        │   └── jumb NAME ─ jumd, c2sh (salt), cbor
        ├── jumb c2pa.claim.v2 ─ cbor
        └── jumb c2pa.signature ─ cbor: COSE_Sign1, padded
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from newscaster.safety.bmff import Box, boxes

BMFF_ID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The UUID of the box that holds manifests."""
_BMFF_BEGIN = bytes(4) + b"manifest\0" + bytes(8)
_FTYPS = frozenset(
    {
        b"isom\0\0\2\0isomiso2avc1mp41",  # index first
        b"isom\0\0\2\0isomiso6iso2avc1mp41",  # recordings
        b"iso5\0\0\2\0iso5iso6mp41",  # fragments
        b"qt  \0\0\2\0qt  ",
    }
)
"""FFmpeg's content of the `ftyp` box, by form: brands and version 512."""
_ENTRY = struct.Struct(">QQBBB")
"""Entry of a `tfra` box of version 1: time, offset of the fragment; then traf, trun and sample, all 1."""
_MAX_UNCOVERED_BYTES = 16 << 20
_UUID_END = bytes.fromhex("00110010800000aa00389b71")
_KINDS = {"c2pa": b"c2pa", "c2pa.assertions": b"c2as", "c2pa.claim.v2": b"c2cl", "c2pa.signature": b"c2cs"}
_PLAIN, _SALTED = 0x03, 0x13
_SALT = re.compile(rb"\0\0\0\x18c2sh.{16}", re.DOTALL)
_SIGNATURE = re.compile(
    rb"\xd2\x84(?:\x58.|\x59..).+?"  # tag 18: four parts; the protected header
    rb"(?:\xa1|\xa2\x67sigTst2\xa1\x69tstTokens\x81\xa1\x63val(?P<stamp>(?:\x58.|\x59..).+?))"  # a time stamp
    rb"\x63pad(?:[\x40-\x57]|\x58.|\x59..)\0*"  # {"pad": zeros}
    rb"\xf6(?:\x58.|\x59..)(?P<signature>.+)",  # no payload; the signature
    re.DOTALL,
)


class MalformedManifestError(Exception):
    """A part of a manifest differs from the form that newscaster writes; the message names it."""


@dataclass(frozen=True)
class _Box:
    label: str
    kind: bytes
    toggles: int
    after_label: bytes
    """Rest of the description after the label."""
    content: bytes
    """Nested boxes, after the description."""


def embedded_store(path: Path) -> bytes:
    """Read the manifest store of an MP4 or MOV file.

    Raises:
        MalformedManifestError: there is none, or its box is malformed.
    """
    with path.open("rb") as file:
        for box in boxes(file):
            if box.kind != b"uuid" or box.header_bytes != 8:
                continue
            file.seek(box.content_start)
            head = file.read(len(BMFF_ID) + len(_BMFF_BEGIN))
            if head[:16] != BMFF_ID:
                continue
            if head[16:] != _BMFF_BEGIN:
                raise MalformedManifestError("the box that holds the manifest was changed")
            return file.read(box.size - 8 - len(head))
    raise MalformedManifestError("the manifest is not in a box of its own")


def check_uncovered_boxes(path: Path) -> None:
    """Check the boxes of an MP4 or MOV file that C2PA excludes from its hash: `ftyp`, `free`, `skip`, `mfra`.

    newscaster writes no content of its own there: only known brands, empty boxes, and the index of fragments.

    Raises:
        MalformedManifestError: one of them was changed or added.
    """
    with path.open("rb") as file:
        all_boxes = list(boxes(file))
        kinds = [box.kind for box in all_boxes]
        fragments = {box.start for box in all_boxes if box.kind == b"moof"}
        if kinds.count(b"ftyp") != 1 or kinds.count(b"mfra") > 1 or kinds.count(b"free") > 1:
            raise MalformedManifestError("a box that holds neither video nor audio was added")
        for box in all_boxes:
            if box.kind not in (b"ftyp", b"free", b"skip", b"mfra"):
                continue
            file.seek(box.start)
            data = file.read(min(box.size, _MAX_UNCOVERED_BYTES + 1))
            if not _is_as_written(box, data, fragments, last=box is all_boxes[-1]):
                name = box.kind.decode("ascii")
                raise MalformedManifestError(
                    f"the box '{name}', which no signature covers, was changed or added"
                )


def _is_as_written(box: Box, data: bytes, fragments: Collection[int], *, last: bool) -> bool:
    if box.kind == b"ftyp":
        return len(data) == box.size and data[8:] in _FTYPS
    if box.kind == b"mfra":
        return last and len(data) == box.size and _is_index(data, fragments)
    return data == b"\0\0\0\x08free"


def _is_index(data: bytes, fragments: Collection[int]) -> bool:
    """Return whether an `mfra` box holds only tables of existing fragments (`tfra`) and its size."""
    at, end, track = 8, len(data) - 16, 0
    if data[end:] != b"\0\0\0\x10mfro\0\0\0\0" + len(data).to_bytes(4, "big"):
        return False
    while at < end:
        size, count = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 20 : at + 24], "big")
        track += 1
        head = b"tfra\1\0\0\0" + track.to_bytes(4, "big") + bytes(4)  # version 1; lengths of one byte each
        if data[at + 4 : at + 20] != head or size != 24 + count * _ENTRY.size:
            return False
        entries = list(_ENTRY.iter_unpack(data[at + 24 : at + size])) if at + size <= end else []
        times = [entry[0] for entry in entries]
        if len(entries) != count or times != sorted(times):
            return False
        if any(entry[1] not in fragments or entry[2:] != (1, 1, 1) for entry in entries):
            return False
        at += size
    return at == end


def check_store(store: bytes) -> None:
    """Check the bytes of newscaster's manifest store that its signature does not cover.

    Raises:
        MalformedManifestError: one of them was changed.
    """
    outer = _single_box(store, "c2pa")
    manifests = list(_boxes(outer.content))
    if not manifests or outer.after_label:
        raise MalformedManifestError("the manifest's boxes were changed")
    for box in manifests:
        if box.kind != b"c2ma" or box.toggles != _PLAIN or not box.label.startswith("urn:c2pa:"):
            raise MalformedManifestError(f"the box of the manifest {box.label!r} was changed")
    last = manifests[-1]
    if last.after_label:
        raise MalformedManifestError(f"the box of the manifest {last.label!r} was changed")
    for part in _boxes(last.content):
        if _KINDS.get(part.label) != part.kind or part.toggles != _PLAIN or part.after_label:
            raise MalformedManifestError(f"the box {part.label!r} was changed")
        if part.label == "c2pa.assertions":
            for assertion in _boxes(part.content):
                _check_assertion(assertion)
        elif part.label == "c2pa.signature":
            _check_signature(_cbor(part))
        else:
            _cbor(part)


def _check_assertion(box: _Box) -> None:
    salted = _SALT.fullmatch(box.after_label) is not None
    if (
        box.kind != b"cbor"
        or box.toggles != (_SALTED if salted else _PLAIN)
        or (box.after_label and not salted)
    ):
        raise MalformedManifestError(f"the box of the statement {box.label!r} was changed")
    _cbor(box)


def _check_signature(cose: bytes) -> None:
    match = _SIGNATURE.fullmatch(cose)
    if match is None or len(match["signature"]) < 32:
        raise MalformedManifestError("the padding of the signature was changed")
    if (stamp := match["stamp"]) is not None:
        _check_stamp(stamp)


def _check_stamp(data: bytes) -> None:
    """Check the length of a time stamp (CBOR byte string); its own signature covers its content."""
    start = 2 if data[0] == 0x58 else 3
    token = data[start:]
    if int.from_bytes(data[1:start], "big") != len(token):
        raise MalformedManifestError("the time stamp was changed")


def _single_box(data: bytes, label: str) -> _Box:
    boxes = list(_boxes(data))
    if len(boxes) != 1 or (boxes[0].label, boxes[0].kind, boxes[0].toggles) != (label, _KINDS[label], _PLAIN):
        raise MalformedManifestError(f"the box {label!r} was changed")
    return boxes[0]


def _cbor(box: _Box) -> bytes:
    """Return the content of a box that holds only CBOR."""
    ((kind, content),) = list(_parts(box.content)) or [(b"", b"")]
    if kind != b"cbor":
        raise MalformedManifestError(f"the content of {box.label!r} was changed")
    return content


def _boxes(data: bytes) -> Iterator[_Box]:
    """Yield the JUMBF boxes in `data`, each with its description."""
    for kind, content in _parts(data):
        within = _parts(content)
        name, description = next(within, (b"", b""))
        label, end, rest = description[17:].partition(b"\0")
        if kind != b"jumb" or name != b"jumd" or not end or description[4:16] != _UUID_END:
            raise MalformedManifestError("the manifest's boxes were changed")
        yield _Box(
            label.decode("utf-8", "replace"),
            description[:4],
            description[16],
            rest,
            content[8 + len(description) :],
        )


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of consecutive boxes, which must fill the data."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            raise MalformedManifestError("the manifest's boxes were changed")
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size
