from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.media import read_frames, read_yuv_frames, yuv_notes

RATE = Fraction(30_000, 1001)


def encode(
    path: Path, *, pix_fmt: str = "yuv420p", size: tuple[int, int] = (96, 64), rotation: int = 0
) -> None:
    """Ten frames without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        for image in moving_pattern(10, width=size[0], height=size[1]):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stored(path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            [
                np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
                for plane in frame.planes
            ]
            for frame in container.decode(video=0)
        ]


def test_decoded_samples_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "plain.mkv"
    encode(path)
    frames = list(read_yuv_frames(path))
    assert yuv_notes(path) == []
    for frame, planes in zip(frames, stored(path), strict=True):
        for a, b in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(a, b)


def test_frames_are_the_callers_to_write_to(tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    with av.open(str(path), "w") as container:  # P frames refer to the frames before
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in moving_pattern(20, width=96, height=64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    untouched = [frame.rgb() for frame in read_yuv_frames(path)]
    for frame, expected in zip(read_yuv_frames(path), untouched, strict=True):
        np.testing.assert_array_equal(frame.rgb(), expected)
        frame.planes[0][:] = 16


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]
)
def test_decoded_samples_are_kept_in_each_layout_and_rotation(
    tmp_path: Path, pix_fmt: str, rotation: int
) -> None:
    path = tmp_path / "plain.mkv"
    encode(path, pix_fmt=pix_fmt, rotation=rotation)
    frames = list(read_yuv_frames(path))
    assert yuv_notes(path) == []
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    for frame, own, image in zip(frames, decoded, read_frames(path), strict=True):
        assert frame.frame.format.name == pix_fmt
        assert frame.planes[0].dtype == (np.uint16 if "10" in pix_fmt else np.uint8)
        for a, b in zip(frame.frame.planes, own.planes, strict=True):
            used = a.width * frame.planes[0].itemsize
            mine, theirs = (np.frombuffer(x, np.uint8).reshape(x.height, -1)[:, :used] for x in (a, b))
            np.testing.assert_array_equal(mine, theirs)
        assert frame.planes[0].shape == image.shape[:2]  # upright
        np.testing.assert_array_equal(frame.rgb(), image)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"pix_fmt": "yuv444p"}, "4:2:0"),
        ({"pix_fmt": "yuv420p10le"}, "8 bits"),
        ({"rotation": 90}, "upright"),
        ({"rotation": 180}, "upright"),
        ({"size": (95, 63)}, None),
        ({"size": (95, 63), "rotation": 270}, "upright"),
    ],
)
def test_other_video_looks_the_same(tmp_path: Path, options: dict, note: str | None) -> None:
    path = tmp_path / "other.mkv"
    encode(path, **options)
    notes = yuv_notes(path, plain=True)
    assert (len(notes) == 0) if note is None else (note in "; ".join(notes))
    for frame, image in zip(read_yuv_frames(path, plain=True), read_frames(path), strict=True):
        assert frame.rgb().shape == image.shape
        assert np.abs(frame.rgb().astype(int) - image).mean() < 4
    assert frame.frame.width % 2 == frame.frame.height % 2 == 0


def test_a_part_starts_at_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "plain.mkv"
    encode(path)
    every = [frame.rgb() for frame in read_yuv_frames(path)]
    part = [frame.rgb() for frame in read_yuv_frames(path, start_frame=4, stop_frame=7)]
    assert len(part) == 3
    for a, b in zip(part, every[4:7], strict=True):
        np.testing.assert_array_equal(a, b)


def test_frames_that_are_only_read_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.mkv"
    encode(path)
    expected = [frame.planes[0].copy() for frame in read_yuv_frames(path)]

    def refuse(*_: object) -> None:
        raise AssertionError("a frame was copied")

    monkeypatch.setattr("newscaster.media.frame.FrameCopier.copy", refuse)
    found = [frame.planes[0].copy() for frame in read_yuv_frames(path, writable=False)]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(AssertionError, match="was copied"):
        next(read_yuv_frames(path))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"pix_fmt": "yuv420p"}, (96, 64)),
        ({"pix_fmt": "yuv420p10le"}, (96, 64)),
        ({"pix_fmt": "yuv444p"}, (95, 63)),
        ({"pix_fmt": "yuv420p", "rotation": 90}, (64, 96)),
    ],
)
def test_one_block_of_planes_looks_the_same(tmp_path: Path, options: dict, size: tuple[int, int]) -> None:
    """I420 of any layout: as plain frames have it, or converted."""
    path = tmp_path / "video.mkv"
    encode(path, size=size if "rotation" not in options else size[::-1], **options)
    frame = next(iter(read_yuv_frames(path)))
    block = frame.i420()
    width, height = (side + side % 2 for side in size)
    assert (block.shape, block.dtype) == ((height * 3 // 2, width), np.uint8)
    assert block.flags.c_contiguous
    shown = av.VideoFrame.from_ndarray(block, format="yuv420p").to_ndarray(format="rgb24")
    difference = np.abs(shown[: size[1], : size[0]].astype(int) - frame.rgb())
    assert difference.mean() < 6
    if frame.is_plain:
        np.testing.assert_array_equal(block[:height], frame.planes[0])
