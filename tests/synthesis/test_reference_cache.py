"""References that are kept for the next dub of the same video."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.face.crop import FaceCrop
from newscaster.face.geometry import Similarity
from newscaster.face.references import References
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis import reference_cache
from newscaster.synthesis.reference_cache import read_references, references_path, write_references

SIDE, COUNT = 128, 5
RNG = np.random.default_rng(2)
CROPS = list(RNG.integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8))
POINTS = RNG.random((COUNT, 57, 2), dtype=np.float32)
ANGLES = RNG.random((COUNT, 3), dtype=np.float32)
TRACK = VideoTrack(
    path=Path("a.mp4"),
    sha256="0" * 64,
    fps=Fraction(25),
    size=(320, 240),
    landmarks=np.zeros((9, 478, 3), np.float32),
    present=np.ones(9, np.bool_),
    covered=np.zeros(9, np.bool_),
    face=0,
)
WARPS = SurfaceWarp.of(Similarity(np.tile(np.eye(2, 3), (COUNT, 1, 1))))


def path_of(cache: Path, **changed: object) -> Path:
    values = {
        "numbers": np.arange(COUNT),
        "points": POINTS,
        "crop": FaceCrop(SIDE, 2.0),
        "warps": WARPS,
        "made": np.zeros((0, 57, 2)),
    }
    track = changed.pop("track", TRACK)
    return references_path(cache, track, **{**values, "plain": False, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("angles", [None, ANGLES])
def test_references_come_back_bit_by_bit(tmp_path: Path, angles: np.ndarray | None) -> None:
    path = path_of(tmp_path / "new")
    assert read_references(path, side=SIDE) is None
    write_references(path, References(CROPS, POINTS, angles), workers=2)
    found = read_references(path, side=SIDE)
    assert found is not None
    np.testing.assert_array_equal(np.stack(list(found.crops)), CROPS)
    np.testing.assert_array_equal(found.points, POINTS)
    if angles is None:
        assert found.angles is None
    else:
        np.testing.assert_array_equal(found.angles, angles)


def test_all_that_decides_about_references_is_in_the_name(tmp_path: Path) -> None:
    others = [
        path_of(tmp_path),
        path_of(tmp_path, track=replace(TRACK, sha256="1" * 64)),
        path_of(tmp_path, track=replace(TRACK, fps=Fraction(30))),
        path_of(tmp_path, numbers=np.arange(COUNT) + 1),
        path_of(tmp_path, points=POINTS + 1),
        path_of(tmp_path, crop=FaceCrop(SIDE, 2.1)),
        path_of(tmp_path, warps=WARPS.moved(1, 0)),
        path_of(tmp_path, plain=True),
    ]
    assert len(set(others)) == len(others)
    assert path_of(tmp_path) == others[0]


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    write_references(path, References(CROPS, POINTS), workers=1)
    assert read_references(path, side=2 * SIDE) is None, "crops of another side"
    data = path.read_bytes()
    middle = data.index(b"IDAT")
    for damaged in (b"", data[: len(data) // 2], data[:middle] + b"\0" * 40 + data[middle + 40 :]):
        path.write_bytes(damaged)
        assert read_references(path, side=SIDE) is None
    arrays = {"images": np.zeros(4, np.uint8), "ends": np.array([4]), "points": np.zeros((1, 56, 2))}
    with path.open("wb") as file:
        np.savez(file, **arrays, angles=np.zeros((0, 3)))  # type: ignore[arg-type]
    assert read_references(path, side=SIDE) is None


def test_crops_are_decoded_once_when_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(tmp_path)
    write_references(path, References(CROPS, POINTS), workers=1)
    decoded: list[bytes] = []
    decode = reference_cache._from_png
    monkeypatch.setattr(reference_cache, "_from_png", lambda data: decoded.append(data) or decode(data))
    found = read_references(path, side=SIDE)
    assert found is not None
    assert not decoded
    np.testing.assert_array_equal(found.crops[3], CROPS[3])
    assert found.crops[3] is found.crops[3]
    assert len(decoded) == 1
