"""Blurred backgrounds: the person does not bleed, and planes are smooth."""

from __future__ import annotations

import numpy as np

from newscaster.matting import Matte
from newscaster.matting.blur import BackgroundBlur
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb

HEIGHT, WIDTH = 200, 160


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
    y, u, v = BackgroundBlur(image).planes(image, matte, 0)
    assert (y.shape, u.shape, v.shape) == (
        (HEIGHT, WIDTH),
        (HEIGHT // 2, WIDTH // 2),
        (HEIGHT // 2, WIDTH // 2),
    )
    outside = image.planes[0][:50].mean()
    assert np.abs(y.astype(float) - outside).max() < 6  # also behind the person
    assert np.abs(v.astype(int) - 128).max() <= 2
    assert y[:, 20:40].std() < image.planes[0][:, 20:40].std() / 8


def test_frames_are_blurred_once() -> None:
    image, matte = frame()
    blur = BackgroundBlur(image)
    first = [plane.copy() for plane in blur.planes(image, matte, 0)]
    for plane in image.planes:
        plane[:] = 16
    for plane, before in zip(blur.planes(image, matte, 0), first, strict=True):
        assert np.array_equal(plane, before)
    assert blur.planes(image, OPAQUE, 1)[0].max() < 20
