"""Blurred backgrounds: the person does not bleed, and planes are smooth."""

from __future__ import annotations

import numpy as np

from newscaster.matting import Matte
from newscaster.matting.blur import BackgroundBlur, _gaussian
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb

HEIGHT, WIDTH = 200, 160
EMPTY = FrameMatte.decode(b"\2", (HEIGHT, WIDTH))
"""No person."""


def frame() -> tuple[YuvFrame, FrameMatte]:
    """A red person before grey grain."""
    grain = np.random.default_rng(0).integers(90, 130, (HEIGHT, WIDTH, 1), np.uint8)
    rgb = np.repeat(grain, 3, axis=2)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[60:, 50:110] = 255
    rgb[alpha == 255] = (230, 10, 10)
    image = YuvFrame(FromRgb(ColourTags.for_height(HEIGHT))(rgb))
    return image, FrameMatte.of(Matte(alpha, rgb, True), image)


def test_the_person_does_not_bleed_into_the_background() -> None:
    image, matte = frame()
    y, u, v = BackgroundBlur(image).planes(image, matte)
    assert (y.shape, u.shape, v.shape) == (
        (HEIGHT, WIDTH),
        (HEIGHT // 2, WIDTH // 2),
        (HEIGHT // 2, WIDTH // 2),
    )
    outside = image.planes[0][:50].mean()
    assert np.abs(y.astype(float) - outside).max() < 6  # also behind the person
    assert np.abs(v.astype(int) - 128).max() <= 2
    assert y[:, 20:40].std() < image.planes[0][:, 20:40].std() / 8


def paint(image: YuvFrame, value: int, rows: slice = slice(None)) -> None:
    image.planes[0][rows] = value


def test_a_still_background_stays_exactly_as_it_is() -> None:
    image, matte = frame()
    blur = BackgroundBlur(image)
    first = [plane.copy() for plane in blur.planes(image, matte)]
    image.planes[0][:] += 1  # as a key frame may
    for plane, before in zip(blur.planes(image, matte), first, strict=True):
        assert np.array_equal(plane, before)


def test_a_part_that_changes_is_blurred_again() -> None:
    image, matte = frame()
    paint(image, 100)
    blur = BackgroundBlur(image)
    before = blur.planes(image, matte)[0].copy()
    paint(image, 140, slice(8))  # one row of cells
    after = blur.planes(image, matte)[0].astype(int) - before
    assert after[:4].mean() > 10
    assert np.abs(after[100:, :40]).max() <= 1


def test_another_shot_leaves_nothing_of_the_last_one() -> None:
    image, matte = frame()
    paint(image, 200)
    blur = BackgroundBlur(image)
    blur.planes(image, EMPTY)
    paint(image, 40)
    assert blur.planes(image, matte)[0].max() <= 41  # also behind the person


def test_what_the_person_uncovers_is_remembered() -> None:
    image, matte = frame()
    paint(image, 60)
    blur = BackgroundBlur(image)
    assert np.abs(blur.planes(image, matte)[0].astype(int) - 60).max() <= 1
    paint(image, 160, slice(100, 180))
    image.planes[0][:, :60] = image.planes[0][:, 100:] = 60
    blur.planes(image, EMPTY)  # the person has left, and a bright wall was behind
    behind = blur.planes(image, matte)[0]
    assert behind[140, 80] > 100


def test_people_in_a_frame_that_keeps_its_background_are_forgotten() -> None:
    image, matte = frame()
    blur = BackgroundBlur(image)
    blur.planes(image, OPAQUE)
    v = blur.planes(image, matte)[2]
    assert np.abs(v.astype(int) - 128).max() <= 2  # the person is red


def test_weights_of_far_cells_are_not_subnormal() -> None:
    """A product with subnormal numbers takes many times as long. What is dropped cannot be seen."""
    weights = _gaussian(240, 2.7)
    assert weights[weights > 0].min() > np.finfo(np.float32).tiny
    place = np.arange(240)
    exact = np.exp(-0.5 * ((place[:, None] - place) / 2.7) ** 2)
    exact /= exact.sum(axis=0).max()
    assert 255 * np.abs(weights - exact).sum(axis=1).max() < 0.01
