"""Interlaced video is known by its pixels: marks may be lost, wrong or needless."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from making_odd_media import combing, write_frames
from newscaster.media import measured_scan, read_frames
from newscaster.media.scan import _ToLuma
from newscaster.prepare.clips import scan_notes

WIDTH, HEIGHT, COUNT = 96, 64, 24
Render = Callable[[float], np.ndarray]


def bar(at: float) -> np.ndarray:
    """A bright bar on its way, at a time in fields."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    left = round(3 * at) % (WIDTH - 20)
    image[:, left : left + 12] = 200
    return image


def textured(at: float) -> np.ndarray:
    """The same on fine horizontal lines, which look like comb teeth."""
    image = bar(at)
    image[::2] = np.clip(image[::2].astype(int) + 50, 0, 255)
    return image


def captioned(at: float) -> np.ndarray:
    image = bar(at)
    image[48:60, 8:88:3] = 255
    return image


def noisy(at: float) -> np.ndarray:
    noise = np.random.default_rng(int(2 * at)).normal(0, 12, (HEIGHT, WIDTH, 1))
    return np.clip(bar(at) + noise, 0, 255).astype(np.uint8)


def rising(at: float) -> np.ndarray:
    """Something coarse that moves up, as credits do."""
    image = np.full((HEIGHT // 2, WIDTH, 3), 60, np.uint8)
    image[np.arange(HEIGHT // 2) // 4 * 4 == (-round(at / 2)) % (HEIGHT // 2) // 4 * 4] = 200
    return image


def enlarged(at: float) -> np.ndarray:
    return np.roll(rising(0), -round(at / 2), axis=0).repeat(2, axis=0)


def still(at: float) -> np.ndarray:
    return textured(0)


def fields(render: Render, *, first: int = 0, count: int = COUNT) -> list[np.ndarray]:
    """Frames of two fields; rows of parity `first` are the earlier one."""
    frames = []
    for index in range(count):
        frame = render(2 * index)
        frame[1 - first :: 2] = render(2 * index + 1)[1 - first :: 2]
        frames.append(frame)
    return frames


def whole(render: Render) -> list[np.ndarray]:
    return [render(2 * index) for index in range(COUNT)]


def pulled_down(render: Render) -> list[np.ndarray]:
    """3:2 pulldown: of four film frames five, two of which are made of two film frames."""
    frames = []
    for group in range(0, COUNT, 4):
        film = [render(2 * (group + i)) for i in range(4)]
        for top, bottom in ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3)):
            frame = film[top].copy()
            frame[1::2] = film[bottom][1::2]
            frames.append(frame)
    return frames


MARKED = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
MARKED_BOTTOM = {"flags": "+ildct+ilme", "x264-params": "bff=1"}


def write(path: Path, frames: list[np.ndarray], options: dict[str, str] | None = None) -> Path:
    return write_frames(path, frames, options={"crf": "8", **(options or {})})


@pytest.mark.parametrize("render", [bar, textured, captioned, noisy])
@pytest.mark.parametrize(("first", "found"), [(0, "top first"), (1, "bottom first")])
def test_a_lost_flag_is_found(tmp_path: Path, render: Render, first: int, found: str) -> None:
    path = write(tmp_path / "a.mkv", fields(render, first=first))
    assert measured_scan(path).unmarked == found


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
@pytest.mark.parametrize("first", [0, 1])
def test_unmarked_frames_are_deinterlaced(tmp_path: Path, suffix: str, first: int) -> None:
    path = write(tmp_path / f"a{suffix}", fields(bar, first=first))
    frames = list(read_frames(path))
    assert len(frames) == COUNT
    assert max(combing(frame) for frame in frames) < 25
    np.testing.assert_array_equal(list(read_frames(path, start_frame=9, stop_frame=14)), frames[9:14])


@pytest.mark.parametrize("render", [bar, textured, captioned, noisy, enlarged, still])
def test_progressive_frames_are_left_alone(tmp_path: Path, render: Render) -> None:
    path = write(tmp_path / "a.mkv", whole(render), {"crf": "0"})
    assert measured_scan(path).unmarked in (None, "progressive")
    shown = next(read_frames(path))
    assert np.abs(shown.astype(int) - render(0)).mean() < 3


def test_a_wrong_order_is_put_right(tmp_path: Path) -> None:
    wrong = write(tmp_path / "wrong.mkv", fields(bar), MARKED_BOTTOM)
    right = write(tmp_path / "right.mkv", fields(bar), MARKED)
    assert measured_scan(wrong).marked == measured_scan(right).marked == "top first"
    for shown, expected in zip(read_frames(wrong), read_frames(right), strict=True):
        assert np.abs(shown.astype(int) - expected).mean() < 3


def test_whole_frames_that_are_marked_keep_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", whole(textured), MARKED)
    assert measured_scan(path).marked == "progressive"
    for index, shown in enumerate(read_frames(path)):
        assert np.abs(shown.astype(int) - textured(2 * index)).mean() < 4


def test_pulldown_is_deinterlaced(tmp_path: Path) -> None:
    path = write_frames(
        tmp_path / "a.mkv", pulled_down(bar), options={"crf": "8"}, fps=Fraction(30_000, 1001)
    )
    assert measured_scan(path).unmarked == "top first"
    assert max(combing(frame) for frame in read_frames(path)) < 25


def test_a_still_image_follows_its_flag(tmp_path: Path) -> None:
    scan = measured_scan(write(tmp_path / "a.mkv", whole(still), MARKED))
    assert (scan.marked, scan.unmarked) == (None, None)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("order", ["progressive first", "interlaced first", "in the middle", "marked"])
def test_parts_are_judged_apart(tmp_path: Path, suffix: str, first: int, order: str) -> None:
    sharp, combed = [textured(2 * i) for i in range(60)], fields(bar, first=first, count=60)
    parts = [sharp, combed] if order in ("progressive first", "marked") else [combed, sharp]
    if order == "in the middle":
        parts = [sharp, combed, sharp]
    options = MARKED if order == "marked" else {}
    frames = [frame for part in parts for frame in part]
    path = write(tmp_path / f"a{suffix}", frames, {"g": "25", **options})
    assert scan_notes({path: measured_scan(path)}) == [f"interlaced in part, deinterlaced there: 'a{suffix}'"]
    shown = list(read_frames(path))
    assert len(shown) == len(frames)
    for start, part in zip(range(0, len(frames), 60), parts, strict=True):
        for index, source in enumerate(part):
            if part is combed:
                assert combing(shown[start + index]) < 25, index
            elif 3 <= index < 57:  # where it changes, a frame may be deinterlaced in vain
                assert np.abs(shown[start + index].astype(int) - source).mean() < 5, index
    for start in (30, 55, 58, 60, 62, 90):
        np.testing.assert_array_equal(
            list(read_frames(path, start_frame=start, stop_frame=start + 4)), shown[start : start + 4]
        )


@pytest.mark.parametrize("full_range", [False, True])
def test_luma_is_that_of_ffmpegs_grey_images(full_range: bool) -> None:
    samples = np.random.default_rng(1).integers(0, 256, (96 * 3 // 2, 128), dtype=np.uint8)
    frame = VideoFrame.from_ndarray(samples, format="yuv420p")
    frame.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    grey = frame.reformat(format="gray", dst_color_range=ColorRange.JPEG).to_ndarray()
    np.testing.assert_array_equal(_ToLuma()(frame), grey)


def test_few_columns_of_wide_frames_are_enough() -> None:
    samples = np.random.default_rng(1).integers(0, 256, (32 * 3 // 2, 1440), dtype=np.uint8)
    frame = VideoFrame.from_ndarray(samples, format="yuvj420p")
    np.testing.assert_array_equal(_ToLuma()(frame), samples[:32, ::3])
