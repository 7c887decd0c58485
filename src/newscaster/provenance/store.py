"""The bytes of a manifest that its signature does not cover: whether they are as newscaster's are.

The signature covers the claim, the claim the assertions by their hashes, and one of those the pictures and
the sound. Boxes around them, and what the signature is padded with, C2PA leaves open, so that a reader finds
nothing where they were changed. Nothing can be said there that would count; but a changed file is to be told
from one that is not. Only for newscaster's own manifests, whose form is known::

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
"""What FFmpeg writes into the `ftyp` box of each form: brands and its version, 512."""
_ENTRY = struct.Struct(">QQBBB")
"""Of a `tfra` box of version 1: time, place of the fragment; its track run and sample, all 1."""
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
    """A part of a manifest's frame is not as newscaster writes it; the message says which."""


@dataclass(frozen=True)
class _Box:
    label: str
    kind: bytes
    toggles: int
    after_label: bytes
    """What its description holds beyond the label."""
    content: bytes
    """The boxes within, after the description."""


def embedded_store(path: Path) -> bytes:
    """The manifest store of an MP4 or MOV file.

    Raises:
        NotAsWrittenError: there is none, or the box that holds it is not as it should be.
    """
    with path.open("rb") as file:
        for box in boxes(file):
            if box.kind != b"uuid" or box.header_bytes != 8:
                continue
            file.seek(box.content_start)
            begin = file.read(len(BMFF_ID) + len(_BMFF_BEGIN))
            if begin[:16] != BMFF_ID:
                continue
            if begin[16:] != _BMFF_BEGIN:
                raise MalformedManifestError("the box that holds the manifest was changed")
            return file.read(box.size - 8 - len(begin))
    raise MalformedManifestError("the manifest is not in a box of its own")


def check_uncovered_boxes(path: Path) -> None:
    """Check the boxes of an MP4 or MOV file that C2PA leaves out of its hash: `ftyp`, `free`, `skip`, `mfra`.

    As newscaster writes them, they hold nothing of their own: brands that are known, no content, and where
    the fragments are.

    Raises:
        NotAsWrittenError: one of them was changed or added.
    """
    with path.open("rb") as file:
        found = list(boxes(file))
        kinds = [box.kind for box in found]
        fragments = {box.start for box in found if box.kind == b"moof"}
        if kinds.count(b"ftyp") != 1 or kinds.count(b"mfra") > 1 or kinds.count(b"free") > 1:
            raise MalformedManifestError("a box that holds no picture and no sound was added")
        for box in found:
            if box.kind not in (b"ftyp", b"free", b"skip", b"mfra"):
                continue
            file.seek(box.start)
            data = file.read(min(box.size, _MAX_UNCOVERED_BYTES + 1))
            if not _is_as_written(box, data, fragments, last=box is found[-1]):
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
    """Whether an `mfra` box holds tables of fragments that are there (`tfra`), its size, and nothing else."""
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
    """Check all that a signature leaves open in a store of newscaster's.

    Raises:
        NotAsWrittenError: something was changed.
    """
    outer = _only(store, "c2pa")
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
    found = _SIGNATURE.fullmatch(cose)
    if found is None or len(found["signature"]) < 32:
        raise MalformedManifestError("what fills the signature up was changed")
    if (stamp := found["stamp"]) is not None:
        _check_stamp(stamp)


def _check_stamp(data: bytes) -> None:
    """Check that a time stamp (CBOR byte string) fills its place; what it holds, its own signature covers."""
    start = 2 if data[0] == 0x58 else 3
    token = data[start:]
    if int.from_bytes(data[1:start], "big") != len(token):
        raise MalformedManifestError("the time stamp was changed")


def _only(data: bytes, label: str) -> _Box:
    boxes = list(_boxes(data))
    if len(boxes) != 1 or (boxes[0].label, boxes[0].kind, boxes[0].toggles) != (label, _KINDS[label], _PLAIN):
        raise MalformedManifestError(f"the box {label!r} was changed")
    return boxes[0]


def _cbor(box: _Box) -> bytes:
    """The content of a box that holds nothing but CBOR."""
    ((kind, content),) = list(_parts(box.content)) or [(b"", b"")]
    if kind != b"cbor":
        raise MalformedManifestError(f"the content of {box.label!r} was changed")
    return content


def _boxes(data: bytes) -> Iterator[_Box]:
    """Boxes of boxes, each with its description."""
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
    """Kind and content of boxes that follow each other, and fill the data."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            raise MalformedManifestError("the manifest's boxes were changed")
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size
