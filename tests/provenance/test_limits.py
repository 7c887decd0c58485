"""Files that state huge manifests, or hold more boxes than files do, are refused before they are read."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from newscaster.provenance import limits, verify
from newscaster.provenance.limits import (
    MAX_BOXES,
    MAX_MANIFEST_BYTES,
    MAX_WHOLE_BYTES,
    TooLargeError,
    check_limits,
)
from newscaster.provenance.store import BMFF_ID
from signing import signed

FTYP = struct.pack(">I", 20) + b"ftypisom" + bytes(4) + b"isom"
STORE = BMFF_ID + bytes(4) + b"manifest\0" + bytes(8)
GIB = 1 << 30


def sparse(path: Path, begin: bytes, size: int) -> Path:
    """A file that begins so, and is zeros from there on, which take no room on the disk."""
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(size)
    return path


def large_box(kind: bytes, size: int) -> bytes:
    return struct.pack(">I4sQ", 1, kind, size)


def png(kind: bytes, size: int) -> bytes:
    header = struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 1, 1, 8, 2, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I4s", size, kind)


def wav(kind: bytes, size: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", size + 36)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + kind
        + struct.pack("<I", size)
    )


STATED = {
    "box.mp4": (FTYP + large_box(b"uuid", 3 * GIB) + STORE, 3 * GIB + 20),
    "box.mov": (FTYP + large_box(b"uuid", 3 * GIB) + STORE, 3 * GIB + 20),
    "box.avif": (FTYP.replace(b"isom", b"avif") + large_box(b"uuid", 3 * GIB) + STORE, 3 * GIB + 20),
    "to the end.mp4": (FTYP + struct.pack(">I4s", 0, b"uuid") + STORE, 3 * GIB),
    "within.mp4": (FTYP + large_box(b"moov", GIB) + large_box(b"uuid", GIB - 16) + STORE, GIB + 20),
    "promised.mp4": (FTYP + large_box(b"uuid", 3 * GIB) + STORE, 4000),
    "chunk.wav": (wav(b"C2PA", 3 * GIB), 3 * GIB),
    "chunk.png": (png(b"caBX", 200 << 20), 201 << 20),
    "large.png": (png(b"IDAT", 2 * GIB - 1), 2 * GIB),
    "large.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", MAX_WHOLE_BYTES + 1),
    "large.tiff": (b"II*\0", MAX_WHOLE_BYTES + 1),
    "large.mp3": (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", MAX_WHOLE_BYTES + 1),
    "large.pdf": (b"%PDF-1.7\n", MAX_WHOLE_BYTES + 1),
    "large.svg": (b'<svg xmlns="http://www.w3.org/2000/svg">', MAX_WHOLE_BYTES + 1),
}


@pytest.mark.parametrize("name", STATED)
def test_a_huge_manifest_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def reads(*_: object, **__: object) -> object:
        raise AssertionError("the toolkit has been asked to read it")

    monkeypatch.setattr("newscaster.provenance.verifying._reader", reads)
    found = verify(sparse(tmp_path / name, *STATED[name]), watermark=name.startswith("large"))
    assert found.verdict in ("malformed", "broken")
    assert any("accepted are" in reason or "are accepted" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    "begin",
    [FTYP + large_box(b"mdat", 3 * GIB), wav(b"data", 3 * GIB), b"\x1a\x45\xdf\xa3", b"\x47", b"fLaC"],
    ids=["mp4", "wav", "mkv", "ts", "flac"],
)
def test_long_recordings_are_no_trouble(tmp_path: Path, begin: bytes) -> None:
    check_limits(sparse(tmp_path / "x", begin, 3 * GIB))


def many(count: int, kind: str) -> bytes:
    box = struct.pack(">I", 8) + b"free"
    return {
        "boxes": FTYP + box * count,
        "boxes within": FTYP + struct.pack(">I4s", 8 + 8 * count, b"moov") + box * count,
        "chunks": b"RIFF" + struct.pack("<I", 4 + 8 * count) + b"WAVE" + (b"JUNK" + bytes(4)) * count,
        "png": b"\x89PNG\r\n\x1a\n" + (struct.pack(">I", 0) + b"teXt" + bytes(4)) * count,
    }[kind]


@pytest.mark.parametrize("kind", ["boxes", "boxes within", "chunks", "png"])
def test_many_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    assert MAX_BOXES >= 36_000 * 5 * 2  # ten hours in fragments of 0.2 s, of two boxes each
    monkeypatch.setattr(limits, "MAX_BOXES", 1000)
    (tmp_path / "x").write_bytes(many(990, kind))
    check_limits(tmp_path / "x")
    (tmp_path / "x").write_bytes(many(1001, kind))
    with pytest.raises(TooLargeError, match="more than 1,000 boxes"):
        check_limits(tmp_path / "x")


@pytest.mark.parametrize("kind", ["boxes", "boxes within", "fragments"])
def test_many_boxes_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The toolkit's time grows with the square of their number: 4 MB of them took more than ten minutes."""
    assert limits.MAX_FRAGMENT_BOXES >= 24 * 3600  # a day in fragments of 2 s, of two boxes each
    monkeypatch.setattr(limits, "MAX_FRAGMENT_BOXES", 3000)
    fragment = struct.pack(">I4sI4s", 8, b"moof", 8, b"mdat")
    for count, good in ((limits.MAX_SIBLINGS - 1, True), (limits.MAX_SIBLINGS + 1, False)):
        data = FTYP + fragment * (1499 if good else 1501) if kind == "fragments" else many(count, kind)
        (tmp_path / "x.mp4").write_bytes(data)
        if good:
            check_limits(tmp_path / "x.mp4")
        else:
            with pytest.raises(TooLargeError, match="boxes side by side"):
                check_limits(tmp_path / "x.mp4")


def test_deep_boxes(tmp_path: Path) -> None:
    deep = 100_000
    boxes = b"".join(struct.pack(">I4s", 8 * (deep - k), b"moov") for k in range(deep))
    (tmp_path / "x.mp4").write_bytes(FTYP + boxes)
    assert verify(tmp_path / "x.mp4", watermark=False).verdict == "malformed"


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_the_limit_itself(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    from newscaster.provenance import find_credentials

    path = signed(make_clip(name=f"clip.{ending}"), tmp_path / f"news.{ending}", find_credentials())
    size = _manifest_bytes(path, ending)
    assert size < MAX_MANIFEST_BYTES / 1000
    for most, verdict in ((size, "untrusted"), (size - 1, "malformed")):
        monkeypatch.setattr(limits, "MAX_MANIFEST_BYTES", most)
        found = verify(path, watermark=False)
        assert found.verdict == verdict


def _manifest_bytes(path: Path, ending: str) -> int:
    if ending == "mkv":
        return path.with_suffix(".c2pa").stat().st_size
    data = path.read_bytes()
    file = io.BytesIO(data)
    return sum(limits._bmff_manifests(file, len(data)))
