"""Frames that stay YUV: their planes, their parts, their colours, and their way to the encoder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from making_media import moving_pattern
from newscaster.errors import MediaError
from newscaster.media import TargetVideo, YuvFrame, encode_target, to_planes, write_video
from newscaster.media.color import ColourTags, FromRgb


def test_a_frame_is_the_decoded_one_in_its_own_memory(target: TargetVideo) -> None:
    image = target.image(17)
    assert [plane.shape for plane in image.planes] == [(64, 96), (32, 48), (32, 48)]
    np.testing.assert_array_equal(image.rgb(), target.frame(17))
    for plane in image.planes:
        plane[:] = 16
    assert (image.rgb() != target.frame(17)).any()
    np.testing.assert_array_equal(target.image(17).rgb(), target.frame(17))


@pytest.mark.parametrize(
    "box", [(0, 0, 96, 64), (10, 6, 50, 40), (12, 6, 52, 38), (0, 0, 2, 2), (94, 62, 96, 64)]
)
def test_parts_are_those_of_the_whole(target: TargetVideo, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    part, whole = target.part(3, box), target.frame(3)[top:bottom, left:right]
    assert part.shape == whole.shape
    np.testing.assert_array_equal(part[2:-2, 2:-2], whole[2:-2, 2:-2])


@pytest.mark.parametrize("factor", [2, 4])
def test_small_parts_are_the_means_of_large_ones(target: TargetVideo, factor: int) -> None:
    box = (10, 6, 74, 46)
    small, whole = target.part(3, box, factor=factor), target.part(3, box)
    mean = np.asarray(Image.fromarray(whole).reduce(factor))
    assert small.shape == mean.shape
    inner = np.abs(small.astype(int) - mean)[1:-1, 1:-1]
    assert inner.mean() < 3  # chroma of the whole is interpolated
    assert inner[..., 1].max() <= 8


@pytest.mark.parametrize("height", [288, 720])
def test_planes_of_an_image_are_those_that_are_encoded(height: int) -> None:
    tags = ColourTags.for_height(height)
    image = np.random.default_rng(0).integers(0, 256, (height, 64, 3), dtype=np.uint8)
    image = np.repeat(np.repeat(image[: height // 8, :8], 8, 0), 8, 1)
    y, u, v = YuvFrame(FromRgb(tags)(image)).planes
    found = [np.asarray(plane) for plane in to_planes(image, tags)]
    assert np.abs(found[0].astype(int) - y).max() <= 1
    for mine, theirs in zip(found[1:], (u, v), strict=True):
        # swscale mixes four rows where these take two; in the middle of a patch there is no difference.
        inner = (slice(1, None, 4), slice(1, None, 4))
        assert np.abs(mine.astype(int) - theirs)[inner].max() <= 1


def test_odd_sides_are_shown_without_what_was_added() -> None:
    target = TargetVideo(encode_target(moving_pattern(2, width=41, height=33), Fraction(25)))
    image = target.image(0)
    image.size = (41, 33)
    assert image.rgb().shape == (33, 41, 3)
    np.testing.assert_array_equal(image.rgb(), target.frame(0)[:33, :41])


def test_frames_reach_the_encoder_unchanged(target: TargetVideo, tmp_path: Path) -> None:
    """Losslessly encoded, with the tags of the target, and key frames only where the encoder sets them."""
    path = tmp_path / "x.mp4"
    assert write_video(path, target.images(range(30)), fps=Fraction(25), audio=None, crf=0) == 30
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    for index, frame in enumerate(frames):
        for found, wanted in zip(YuvFrame(frame).planes, target.image(index).planes, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert YuvFrame(frames[0]).tags == target.image(0).tags == ColourTags.for_height(64)
    assert [i for i, frame in enumerate(frames) if frame.key_frame] == [0]


def test_frames_of_one_size(target: TargetVideo, tmp_path: Path) -> None:
    other = TargetVideo(encode_target(moving_pattern(2, width=64, height=48), Fraction(25)))
    with pytest.raises(ValueError, match="frame 1 has 64x48 pixels; expected 96x64"):
        write_video(tmp_path / "x.mp4", [target.image(0), other.image(0)], fps=Fraction(25), audio=None)


def test_a_target_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for image in moving_pattern(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"yuv444p.*yuv420p"):
        TargetVideo(path).frame(0)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le"])
def test_black_and_white_video_has_constant_chroma(pixels: str) -> None:
    luma = np.random.default_rng(0).integers(0, 255, (96, 64, 1), np.uint8).repeat(3, axis=2)
    image = YuvFrame(av.VideoFrame.from_ndarray(luma, format="rgb24").reformat(format=pixels))
    assert image.is_monochrome
    unit = 1 << (image.layout.depth - 8)
    for plane in image.planes[1:]:
        plane[:] = 120 * unit
        plane[16, 16] += unit
        assert image.is_monochrome
        plane[16, 16] += unit
        assert not image.is_monochrome
        plane[16, 16] = 120 * unit
