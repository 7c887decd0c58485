"""Mattes as two videos: nearly as they were, a fraction of the size, refused if damaged."""

from __future__ import annotations

import io

import numpy as np
import pytest

from newscaster.matting.matte import Matte
from newscaster.matting.packed import is_packed, packed, unpack, unpacked
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.matting.store import MatteStore, MatteWriter
from newscaster.media import YuvFrame, empty_frame
from tiny_anchor import tiny_matte, tiny_moved_matte

WIDTH, HEIGHT, FRAMES = 160, 128, 30


def person(number: int) -> FrameMatte:
    """A disc that moves, its edge 8 pixels wide with noise, before another colour."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 80 - 20 * np.sin(number / 5), y - 64)
    noise = rng.normal(0, 6, (HEIGHT, WIDTH))
    alpha = np.clip((44 - distance) * 32 + np.where(abs(distance - 40) < 4, noise, 0), 0, 255)
    image = empty_frame(WIDTH, HEIGHT)
    for plane, value in zip(image.planes, (120, 110, 140), strict=True):
        plane[:] = value
    own = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    own[:] = 170, 130, 90
    return FrameMatte.of(Matte(alpha.astype(np.uint8), own, True), image)


def stored(mattes: list[FrameMatte]) -> bytes:
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=(WIDTH, HEIGHT)) as writer:
        for matte in mattes:
            writer.add(matte)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def clip() -> bytes:
    return stored([person(number) for number in range(FRAMES)])


def composited(matte: FrameMatte) -> YuvFrame:
    image = empty_frame(WIDTH, HEIGHT)
    for plane, value in zip(image.planes, (120, 110, 140), strict=True):
        plane[:] = value
    matte.composite(image, (40, 90, 90))
    return image


def test_frames_are_nearly_as_they_were_and_in_order(clip: bytes) -> None:
    small = packed(clip)
    assert is_packed(small)
    assert len(small) < len(clip) / 2
    before, after = MatteStore(clip), MatteStore(unpacked(small))
    assert (len(after), after.size) == (FRAMES, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        one, other = before.frame(number), after.frame(number)
        assert one.luma is not None
        assert other.luma is not None
        errors = np.abs(one.luma.full_alpha().astype(int) - other.luma.full_alpha())
        assert errors.mean() < 0.5
        assert errors.max() < 40
        planes = zip(composited(one).planes, composited(other).planes, strict=True)
        differences = [np.abs(a.astype(int) - b) for a, b in planes]
        assert max(float(difference.mean()) for difference in differences) < 0.3
        assert max(int(difference.max()) for difference in differences) < 24


def test_inside_and_outside_stay_what_they_are(clip: bytes) -> None:
    after = MatteStore(unpacked(packed(clip)))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number in (0, 23, 24, FRAMES - 1):
        matte = after.frame(number)
        assert matte.luma is not None
        alpha = matte.luma.full_alpha()
        distance = np.hypot(x - 80 - 20 * np.sin(number / 5), y - 64)
        assert (alpha[distance < 24] == 255).all()
        assert (alpha[distance > 60] == 0).all()
        assert not np.isin(matte.luma.alpha, (1, 2, 253, 254)).any()


def test_frames_without_a_person_and_frames_that_stay() -> None:
    nobody = FrameMatte.of(
        Matte(np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.uint8), False),
        empty_frame(WIDTH, HEIGHT),
    )
    mattes = [person(0), OPAQUE, *(person(number) for number in range(1, 12)), nobody]
    store = MatteStore(unpacked(packed(stored(mattes))))
    assert store.frame(1) is OPAQUE
    last = store.frame(len(mattes) - 1).luma
    assert last is not None
    assert last.outside.all()


def test_what_would_not_shrink_or_moves_stays() -> None:
    moved, few = tiny_moved_matte(), tiny_matte(1, (96, 80))
    assert packed(moved) == moved
    assert packed(few) == few
    assert unpacked(few) == few


def test_fast_mattes_are_the_same_and_larger(clip: bytes) -> None:
    small, files = packed(clip), []
    for fast_bytes in (0, 1 << 20):
        buffer = io.BytesIO()
        unpack(small, buffer, fast_bytes=fast_bytes)
        files.append(buffer.getvalue())
    assert len(files[0]) < len(files[1])
    for number in range(FRAMES):
        one, other = (MatteStore(file).frame(number).luma for file in files)
        assert one is not None
        assert other is not None
        assert np.array_equal(one.full_alpha(), other.full_alpha())


def test_damaged_mattes_are_refused(clip: bytes) -> None:
    small = packed(clip)
    alpha_bytes = int.from_bytes(small[8:12], "little")
    other = packed(stored([person(number) for number in range(FRAMES - 5)]))
    frames, size = bytearray(small), bytearray(small)
    frames[-12:-8] = np.array([FRAMES + 1], "<u4").tobytes()
    size[-20:-12] = np.array([WIDTH + 2, HEIGHT], "<u4").tobytes()
    torn = bytearray(small)
    torn[12 + alpha_bytes // 2 : 12 + alpha_bytes] = bytes(alpha_bytes - alpha_bytes // 2)
    second = 12 + int.from_bytes(other[8:12], "little")
    mixed = small[: 12 + alpha_bytes] + other[second:-20] + small[-20:]
    for bad in (
        b"NCMATTE3",
        small[:-1],
        small[: len(small) // 2] + small[-20:],
        small[:8] + b"\xff\xff\xff\xff" + small[12:],
        bytes(frames),
        bytes(size),
        bytes(torn),
        mixed,
        clip,
    ):
        with pytest.raises(ValueError, match="it"):
            unpack(bad, io.BytesIO())
