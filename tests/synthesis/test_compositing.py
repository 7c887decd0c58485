"""New mouths in decoded frames: only pixels in the mask change, and colours are as if pasted in RGB."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.face.crop import Placement, paste, place
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.media import TargetVideo, YuvFrame, encode_target, read_frames, write_video
from newscaster.synthesis.compositing import composite

SIDE = 128


def waves(width: int, height: int, *, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: soft colours all over the gamut's middle."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return np.stack([128 + 60 * np.sin(x / 17 + p) * np.cos(y / 13 - p) for p in phase], -1).astype(np.uint8)


def target_of(image: np.ndarray) -> TargetVideo:
    return TargetVideo(encode_target([image] * 2, Fraction(25), crf=1))


def turned(
    degrees: float, scale: float, centre: tuple[float, float], bend: tuple[float, float] = (0, 0)
) -> SurfaceWarp:
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    matrix = np.column_stack([linear, SIDE / 2 - linear @ np.array(centre)])
    return SurfaceWarp(matrix, np.array(bend) / SIDE, SIDE / 2)


def round_mask() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.clip(255 - 12 * (np.hypot(x - 64, y - 70) - 30), 0, 255).astype(np.uint8)


def placed(image: YuvFrame, transform: SurfaceWarp, mask: np.ndarray) -> Placement:
    found = place(mask, transform, size=(image.frame.width, image.frame.height))
    assert found is not None
    return found


CASES = [
    (0.0, 1.0, (160.0, 120.0)),
    (7.0, 0.8, (151.3, 117.7)),
    (-25.0, 1.7, (90.2, 60.9)),
    (10.0, 0.9, (155.3, 121.7), (0.5, -0.2)),
    (3.0, 0.5, (12.0, 20.0)),  # over the border
    (0.0, 1.0, (318.0, 237.0)),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(320, 240), (319, 241)])
def test_what_the_mask_leaves_out_stays_as_decoded(case: tuple, size: tuple[int, int]) -> None:
    """Bit for bit, on all three planes, against a footprint that is worked out pixel by pixel."""
    video, transform, mask = target_of(waves(*size)), turned(*case), round_mask()
    before, after = video.image(0), video.image(0)
    composite(after, np.full((SIDE, SIDE, 3), (255, 0, 90), np.uint8), placed(after, transform, mask))

    height, width = before.planes[0].shape
    y, x = np.mgrid[:height, :width] + 0.5
    inside = transform.apply(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(height, width, 2)
    column, row = np.floor(inside[..., 0]).astype(int), np.floor(inside[..., 1]).astype(int)
    reach = np.zeros((height, width), bool)
    for dx in (-1, 0, 1):  # linear interpolation of the mask
        for dy in (-1, 0, 1):
            seen = (column + dx >= 0) & (column + dx < SIDE) & (row + dy >= 0) & (row + dy < SIDE)
            reach[seen] |= mask[row[seen] + dy, column[seen] + dx] > 0
    four = reach.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
    for old, new, touched in zip(before.planes, after.planes, (reach, four, four), strict=True):
        np.testing.assert_array_equal(new[~touched], old[~touched])
        assert (new != old).any()


def test_the_encoder_is_given_those_very_planes(tmp_path: Path) -> None:
    """At crf 0 x264 is lossless: the file decodes to the planes that were composited."""
    video, transform = target_of(waves(320, 240)), turned(7, 0.8, (151.3, 117.7))
    image = video.image(0)
    composite(image, waves(SIDE, SIDE, seed=3), placed(image, transform, round_mask()))
    expected = [plane.copy() for plane in image.planes]
    write_video(tmp_path / "x.mp4", [image], fps=Fraction(25), audio=None, crf=0)
    (decoded,) = _decoded(tmp_path / "x.mp4")
    for found, wanted in zip(decoded.planes, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    (shown,) = read_frames(tmp_path / "x.mp4")
    np.testing.assert_array_equal(shown, image.rgb())


def _decoded(path: Path) -> list[YuvFrame]:
    import av

    with av.open(str(path)) as container:
        return [YuvFrame(frame) for frame in container.decode(video=0)]


@pytest.mark.parametrize("case", CASES[:4])
@pytest.mark.parametrize("height", [288, 720])
def test_colours_are_those_of_pasting_in_rgb(case: tuple, height: int) -> None:
    """BT.601 and BT.709; the result is that of pasting into the RGB frame."""
    video, transform, mask = target_of(waves(384, height)), turned(*case), round_mask()
    crop, image = waves(SIDE, SIDE, seed=1), video.image(0)
    composite(image, crop, placed(image, transform, mask))
    expected = video.frame(0)
    paste(expected, crop, mask, transform)
    error = np.abs(image.rgb().astype(int) - expected)
    assert error.max() <= 6
    assert error.mean() < 0.3


def test_colours_lie_where_h264_has_them() -> None:
    """An edge of colour, of one lightness: composited, it stays in its place in the chroma of the frame.

    Half a pixel to the side, which is where chroma lies in JPEG, the error would be three times as large.
    """
    video = target_of(waves(320, 240))
    image = video.image(0)
    x = np.arange(SIDE)[None, :, None] + 0.5
    crop = (128 + np.clip((x - 64) * 8, -60, 60) * np.array([0.0, -0.35, 1.8])).clip(0, 255)
    crop = np.broadcast_to(np.round(crop), (SIDE, SIDE, 3)).astype(np.uint8)
    transform = turned(0, 1.0, (160.0, 120.0))
    composite(image, crop, placed(image, transform, round_mask()))
    middle = image.rgb()[120:122, 140:180].astype(float)
    wanted = crop[64:66, 44:84].astype(float)
    assert np.abs(middle - wanted)[..., 2].mean() < 2.5


def test_blend_weight() -> None:
    video, transform = target_of(waves(320, 240)), turned(7, 0.8, (151.3, 117.7))
    crop = waves(SIDE, SIDE, seed=1)
    planes = []
    for blend_weight in (0.0, 0.25, 1.0):
        image = video.image(0)
        composite(image, crop, placed(image, transform, round_mask()), blend_weight=blend_weight)
        planes.append(image.planes[0].astype(float))
    np.testing.assert_array_equal(planes[0], video.image(0).planes[0])
    np.testing.assert_allclose(planes[1], planes[0] + 0.25 * (planes[2] - planes[0]), atol=1.5)


def test_a_mask_outside_the_frame_has_no_placement() -> None:
    assert place(round_mask(), turned(0, 1.0, (-500.0, 0.0)), size=(320, 240)) is None
    assert place(np.zeros((SIDE, SIDE), np.uint8), turned(0, 1.0, (160.0, 120.0)), size=(320, 240)) is None


def test_a_mask_at_the_border_of_the_crop_adds_no_other_colour() -> None:
    video, transform = target_of(np.full((240, 320, 3), 128, np.uint8)), turned(20, 1.3, (160.0, 120.0))
    image = video.image(0)
    full = np.full((SIDE, SIDE), 255, np.uint8)
    composite(image, np.full((SIDE, SIDE, 3), 128, np.uint8), placed(image, transform, full))
    assert all(np.ptp(plane.astype(int)) <= 2 for plane in image.planes)
