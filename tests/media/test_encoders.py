"""Frames of any layout reach the encoder as they are, and come out of the file with the same description."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.media import YuvFrame, layout_note, read_yuv_frames, write_video
from newscaster.media.encoders import mastering_text
from newscaster.media.pixel_layout import PLAIN, layout_of

HLG, PQ, BT709 = (9, 9, 18), (9, 9, 16), (1, 1, 1)


def source(path: Path, pixels: str, tags: tuple[int, int, int], *, full: bool, rotation: int) -> Path:
    """Three lossless frames."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags
        context.color_range = 2 if full else 1
        if rotation:
            stream.set_display_rotation(rotation)
        for image in moving_pattern(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.color_range = 2 if full else 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def samples(frames: list[YuvFrame]) -> list[np.ndarray]:
    return [plane for frame in frames for plane in frame.planes]


@pytest.mark.parametrize(
    ("pixels", "tags", "full", "rotation", "suffix"),
    [
        ("yuv420p", BT709, False, 90, ".mp4"),
        ("yuv420p", (6, 6, 6), True, 0, ".mp4"),
        ("yuv422p", BT709, False, 270, ".mkv"),
        ("yuv444p", BT709, True, 0, ".mov"),
        ("yuv420p10le", HLG, False, 0, ".mp4"),
        ("yuv420p10le", PQ, False, 180, ".mkv"),
        ("yuv422p10le", BT709, False, 0, ".mov"),
    ],
)
def test_frames_come_out_as_they_went_in(
    tmp_path: Path, pixels: str, tags: tuple, full: bool, rotation: int, suffix: str
) -> None:
    """At crf 0, x264 is lossless for 8 bits; at 10 bits crf 0 is only nearly so."""
    path = source(tmp_path / "a.mkv", pixels, tags, full=full, rotation=rotation)
    before, out = list(read_yuv_frames(path)), tmp_path / f"b{suffix}"
    write_video(out, list(read_yuv_frames(path)), fps=Fraction(25), audio=None, crf=0)
    after = list(read_yuv_frames(out))
    for old, new in zip(before, after, strict=True):
        assert (new.tags, new.is_full_range) == (old.tags, full)
        assert (new.layout.name, new.size, new.orientation) == (pixels, old.size, old.orientation)
    worst = max(np.abs(a.astype(int) - b).max() for a, b in zip(samples(before), samples(after), strict=True))
    assert worst <= (0 if layout_of(pixels).depth == 8 else 12)
    with av.open(str(out)) as container:
        assert next(container.decode(video=0)).color_trc == tags[2]


def test_hevc_keeps_ten_bits(tmp_path: Path) -> None:
    path = source(tmp_path / "a.mkv", "yuv420p10le", HLG, full=False, rotation=0)
    write_video(tmp_path / "b.mp4", read_yuv_frames(path), fps=Fraction(25), audio=None, crf=4, codec="hevc")
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.codec_tag) == ("hevc", "hvc1")
        frame = next(container.decode(video=0))
    assert (frame.format.name, frame.color_trc) == ("yuv420p10le", 18)
    assert layout_note("hevc", layout_of("yuv420p10le")) is None
    assert "browsers" in str(layout_note("h264", layout_of("yuv420p10le")))
    assert layout_note("h264", PLAIN) is None


def test_the_mastering_display_is_described_as_encoders_take_it() -> None:
    """DCI-P3 with a D65 white, 0.005 to 1000 cd/m², as x265's documentation writes it."""
    unit, light = 50_000, 10_000
    points = [34_000, 16_000, 13_250, 34_500, 7_500, 3_000, 15_635, 16_450]
    numbers = [n for point in points for n in (point, unit)] + [50, light, 10_000_000, light]
    text = mastering_text(struct.pack("=22i", *numbers, 1, 1))
    assert text == "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert mastering_text(struct.pack("=22i", *numbers, 1, 0)) is None
