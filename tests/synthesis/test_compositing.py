"""New mouths in decoded frames: only pixels in the mask change, and colours are as if pasted in RGB."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from newscaster.face.crop import Placement, paste, place
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.media import TargetVideo, YuvFrame, encode_target, read_frames, write_video
from newscaster.media.color import UNBIASED, Orientation
from newscaster.media.hdr import from_sdr
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
def test_a_part_of_a_crop_is_enough(case: tuple) -> None:
    video, transform, mask = target_of(waves(320, 240)), turned(*case), round_mask()
    whole, part, crop = video.image(0), video.image(0), waves(SIDE, SIDE, seed=3)
    left, top, right, bottom = 12, 18, 116, 122  # a pixel beside the mask
    composite(whole, crop, placed(whole, transform, mask))
    composite(part, crop[top:bottom, left:right], placed(part, transform, mask), corner=(left, top))
    for a, b in zip(whole.planes, part.planes, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


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


def stored_as(image: np.ndarray, pixels: str, *, full: bool = False, rotation: int = 0) -> YuvFrame:
    """A frame whose upright picture is `image`, in a pixel format, stored turned."""
    orientation = {
        0: Orientation(),
        90: Orientation(transpose=True, mirror_x=True),
        180: Orientation(mirror_x=True, mirror_y=True),
    }[rotation]
    stored = np.ascontiguousarray(orientation.undo(image))
    frame = VideoReformatter().reformat(
        VideoFrame.from_ndarray(stored, format="rgb24"),
        format=pixels,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=UNBIASED,
    )
    frame.colorspace, frame.color_primaries, frame.color_trc = 1, 1, 1
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    return YuvFrame(frame, orientation=orientation)


@pytest.mark.parametrize("case", CASES[:4])
@pytest.mark.parametrize(
    ("pixels", "full", "rotation"),
    [
        ("yuv420p", True, 0),
        ("yuv420p", False, 90),
        ("yuv422p", False, 90),
        ("yuv444p", False, 0),
        ("yuv420p10le", False, 0),
        ("yuv420p10le", True, 180),
        ("yuv422p10le", False, 0),
    ],
)
def test_frames_of_any_layout_look_like_pasting_in_rgb(
    case: tuple, pixels: str, full: bool, rotation: int
) -> None:
    size, mask, crop = (384, 288), round_mask(), waves(SIDE, SIDE, seed=1)
    image = stored_as(waves(*size), pixels, full=full, rotation=rotation)
    before = [plane.copy() for plane in image.planes]
    expected = image.rgb()
    transform = turned(*case)
    placement = place(mask, transform, size=image.padded_size)
    assert placement is not None
    composite(image, crop, placement)
    paste(expected, crop, mask, transform)
    error = np.abs(image.rgb().astype(int) - expected)
    assert error.mean() < 0.35
    assert error.max() <= 9
    outside = np.ones(before[0].shape, bool)
    outside[placement.box.rows, placement.box.columns] = placement.soft == 0
    np.testing.assert_array_equal(image.planes[0][outside], before[0][outside])
    assert (image.planes[0] != before[0]).any()


def test_a_mouth_in_ten_bits_has_no_bands() -> None:
    """A gradient of 8 bits, enlarged: composited in 10 bits it has the steps between."""
    ramp = np.broadcast_to((100 + np.arange(SIDE) // 8)[None, :, None], (SIDE, SIDE, 3)).astype(np.uint8)
    levels = {}
    for pixels in ("yuv420p", "yuv420p10le"):
        image = stored_as(np.full((480, 640, 3), 108, np.uint8), pixels, full=True)
        placement = place(np.full((SIDE, SIDE), 255, np.uint8), turned(0, 0.3, (320, 240)), size=(640, 480))
        assert placement is not None
        composite(image, ramp, placement)
        line = image.planes[0][240, 130:500].astype(int)
        levels[pixels] = len(np.unique(line))
    assert levels["yuv420p10le"] > 2.5 * levels["yuv420p"]


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_gets_the_light_that_sdr_would_show(transfer: int) -> None:
    """A crop that is the frame's own picture, tone mapped, changes the frame by less than its rounding."""
    sdr = np.clip(waves(384, 288).astype(int) + 20, 0, 215).astype(np.uint8)
    coded = np.rint(from_sdr(sdr, transfer) * 65535).astype(np.uint16)
    frame = VideoReformatter().reformat(
        VideoFrame.from_ndarray(coded, format="rgb48le"),
        format="yuv444p10le",
        dst_colorspace=Colorspace.BT2020,
        dst_color_range=ColorRange.MPEG,
        interpolation=UNBIASED,
    )
    frame.colorspace, frame.color_primaries, frame.color_trc = 9, 9, transfer
    frame.color_range = ColorRange.MPEG
    image = YuvFrame(frame)
    before = image.rgb().astype(int)
    assert np.abs(before - sdr).mean() < 2.5  # tone mapping comes back to the SDR picture
    crop = np.ascontiguousarray(sdr[80:208, 100:228])
    matrix = np.array([[1.0, 0, -100], [0, 1.0, -80]])
    placement = place(round_mask(), SurfaceWarp(matrix, np.zeros(2)), size=(384, 288))
    assert placement is not None
    old = image.planes[0].astype(int)
    composite(image, crop, placement)
    assert np.abs(image.planes[0].astype(int) - old).max() <= 6  # of 1023
