"""Mattes in YUV planes: compositing against arithmetic in RGB, and the stored form."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from newscaster.matting import Matte
from newscaster.matting.planes import OPAQUE, FrameMatte, PlaneMatte
from newscaster.media import YuvFrame
from newscaster.media.backdrop import constant_planes
from newscaster.media.color import ColourTags, FromRgb
from newscaster.media.frame import FrameCopier

SIZES = [(96, 64), (67, 45), (720, 130)]
RED, GREEN, GREY = (200, 40, 60), (0, 255, 0), (90, 90, 100)


def yuv(image: np.ndarray) -> YuvFrame:
    height, width = image.shape[:2]
    return YuvFrame(FromRgb(ColourTags.for_height(height))(image), (width, height))


def disc(width: int, height: int) -> np.ndarray:
    """Alpha of a disc with an edge of some pixels, (H, W) uint8."""
    y, x = np.mgrid[:height, :width] + 0.5
    distance = np.hypot(x - width / 2, y - height / 2) - min(width, height) / 4
    return np.clip(255 * (0.5 - distance / 6), 0, 255).astype(np.uint8)


def scene(width: int, height: int) -> tuple[YuvFrame, FrameMatte, np.ndarray]:
    """A red disc before grey, its matte, and its alpha."""
    alpha = disc(width, height)
    person = np.broadcast_to(np.array(RED, np.uint8), (height, width, 3))
    weight = alpha[..., None] / 255
    frame = np.rint(weight * person + (1 - weight) * np.array(GREY)).astype(np.uint8)
    image = yuv(frame)
    return image, FrameMatte.of(Matte(alpha, np.ascontiguousarray(person), True), image), alpha


def copied(image: YuvFrame) -> YuvFrame:
    return YuvFrame(FrameCopier(image.frame.width, image.frame.height).copy(image.frame), image.size)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_person_before_another_background_has_no_old_one_left(width: int, height: int) -> None:
    image, matte, alpha = scene(width, height)
    before = [plane.copy() for plane in image.planes]
    matte.composite(image, constant_planes(GREEN, image))
    wanted = alpha[..., None] / 255 * np.array(RED) + (1 - alpha[..., None] / 255) * np.array(GREEN)
    wanted_planes = yuv(np.rint(wanted).astype(np.uint8)).planes
    y, u, v = image.planes
    assert np.abs(y.astype(int) - wanted_planes[0])[:height, :width].max() <= 4  # colours have steps of 4
    assert np.abs(u.astype(int) - wanted_planes[1]).mean() < 1.5
    assert np.abs(v.astype(int) - wanted_planes[2]).mean() < 1.5
    inside = np.pad(alpha, ((0, height % 2), (0, width % 2)), mode="edge") == 255
    assert np.array_equal(y[inside], before[0][inside])
    outside = alpha == 0
    assert (y[:height, :width][outside] == constant_planes(GREEN, image)[0]).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("fast", [False, True])
def test_the_stored_form_is_exact(width: int, height: int, fast: bool) -> None:
    image, matte, _ = scene(width, height)
    data = matte.encode(fast=fast)
    assert zlib.decompress(data[1:]) == zlib.decompress(matte.encode()[1:])
    other = FrameMatte.decode(data, image.planes[0].shape)
    background = (30, 200, 90)
    one, two = copied(image), copied(image)
    matte.composite(one, background)
    other.composite(two, background)
    for a, b in zip(one.planes, two.planes, strict=True):
        assert np.array_equal(a, b)
    assert matte.luma is not None
    assert other.luma is not None
    assert np.array_equal(matte.luma.full_alpha(), other.luma.full_alpha())


def test_backgrounds_may_be_planes() -> None:
    image, matte, _ = scene(96, 64)
    one, two = copied(image), copied(image)
    matte.composite(one, (30, 200, 90))
    matte.composite(two, yuv_constant(96, 64, (30, 200, 90)))
    for a, b in zip(one.planes, two.planes, strict=True):
        assert np.array_equal(a, b)


def yuv_constant(width: int, height: int, values: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    shapes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    return tuple(np.full(shape, value, np.uint8) for shape, value in zip(shapes, values, strict=True))


def test_a_cut_out_person_carries_alpha_and_no_room() -> None:
    image, matte, alpha = scene(96, 64)
    matte.cut_out(image, (16, 128, 128))
    assert image.alpha is not None
    assert np.array_equal(image.alpha, alpha)
    y, u, v = image.planes
    assert (y[alpha == 0] == 16).all()
    far = alpha[::2, ::2] == 0
    far &= np.roll(far, 1, 0) & np.roll(far, -1, 0) & np.roll(far, 1, 1) & np.roll(far, -1, 1)
    assert (u[far] == 128).all()
    assert (v[far] == 128).all()
    red = yuv(np.full((64, 96, 3), RED, np.uint8)).planes[0][0, 0]
    assert np.abs(y[alpha > 0].astype(int) - red).max() <= 3


def test_the_edge_has_the_colour_of_the_person() -> None:
    image, matte, _ = scene(96, 64)
    wanted = [int(plane[0, 0]) for plane in yuv(np.full((64, 96, 3), RED, np.uint8)).planes]
    colour = matte.edge_colour(image)
    assert colour is not None
    assert np.abs(np.subtract(colour, wanted)).max() <= 4
    assert OPAQUE.edge_colour(image) is None


def test_frames_without_a_person_and_frames_that_stay() -> None:
    image, _, alpha = scene(96, 64)
    blank = Matte(np.zeros_like(alpha), np.zeros((64, 96, 3), np.uint8), False)
    empty = FrameMatte.decode(FrameMatte.of(blank, image).encode(), (64, 96))
    stays = FrameMatte.decode(OPAQUE.encode(), (64, 96))
    kept = copied(image)
    stays.composite(kept, (1, 2, 3))
    assert np.array_equal(kept.planes[0], image.planes[0])
    stays.cut_out(kept, (1, 2, 3))
    assert kept.alpha is not None
    assert (kept.alpha == 255).all()
    empty.composite(image, (1, 2, 3))
    assert [int(plane.max()) for plane in image.planes] == [1, 2, 3]
    assert len(FrameMatte.of(blank, image).encode()) == 1


def test_long_runs_are_split() -> None:
    size = (600, 300)
    index = np.concatenate([np.arange(3, 70_003), np.arange(140_004, 140_009)])
    outside = np.ones(size, np.bool_)
    outside.reshape(-1)[index] = False
    alpha, difference = np.full(len(index), 9, np.uint8), np.zeros((1, len(index)), np.int16)
    luma = PlaneMatte(size, np.packbits(outside), index, alpha, difference)
    inside = np.packbits(np.zeros((300, 150), np.bool_))
    none = np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros((2, 0), np.int16)
    chroma = PlaneMatte((300, 150), inside, *none)
    found = FrameMatte.decode(FrameMatte(luma, chroma).encode(), size)
    assert found.luma is not None
    assert np.array_equal(found.luma.index, index)


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (300, 44), (41, 131), (50, 24)])
def test_cells_without_the_person(size: tuple[int, int], side: int) -> None:
    outside = np.random.default_rng(1).random(size) < 0.997
    none = np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros((1, 0), np.int16)
    found = PlaneMatte(size, np.packbits(outside), *none).cells_outside(side)
    rows, columns = np.arange(0, size[0], side), np.arange(0, size[1], side)
    wanted = [[outside[r : r + side, c : c + side].all() for c in columns] for r in rows]
    assert np.array_equal(found, np.array(wanted))


def test_damaged_mattes_are_refused() -> None:
    _, matte, _ = scene(96, 64)
    data = matte.encode()
    content = zlib.decompress(data[1:])
    runs = content[: 96 * 64 // 8] + b"\xff\xff\xff\x7f" + content[96 * 64 // 8 + 4 :]
    far = content[: 96 * 64 // 8 + 4] + b"\xff\xff" + content[96 * 64 // 8 + 6 :]
    bad = [b"", b"\x07", data[:-3], data + b"xx", b"\0" + zlib.compress(content + b"x")]
    bad += [b"\0" + zlib.compress(part) for part in (runs, far, content[:-1], b"\0" * 10_000_000)]
    for part in bad:
        with pytest.raises(ValueError, match="a matte"):
            FrameMatte.decode(part, (64, 96))


def test_random_bytes_are_refused_or_read() -> None:
    rng = np.random.default_rng(0)
    _, matte, _ = scene(96, 64)
    content = bytearray(zlib.decompress(matte.encode()[1:]))
    for _ in range(200):
        torn = content.copy()
        for place in rng.integers(0, len(torn), 4):
            torn[place] = rng.integers(0, 256)
        try:
            found = FrameMatte.decode(b"\0" + zlib.compress(torn), (64, 96))
        except ValueError:
            continue
        found.composite(scene(96, 64)[0], (16, 128, 128))
