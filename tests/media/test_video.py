"""Frames in: rates, time stamps, seeking, rotation, colours."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import KINDS, moving_pattern, number_of, numbered
from making_odd_media import mp3_with_cover
from newscaster.media import probe, read_frames
from newscaster.media.reader import decode_stored_video, need_video, open_media

FPS = 25


def numbers(path: Path, **options: object) -> list[int]:
    return [number_of(frame) for frame in read_frames(path, **options)]  # type: ignore[arg-type]


def regular(count: int, fps: int = FPS) -> list[Fraction]:
    return [Fraction(i, fps) for i in range(count)]


@pytest.mark.parametrize("kind_name", KINDS)
@pytest.mark.parametrize("count", [1, 2, 31])
def test_exact_frame_count(media_file: Callable[..., Path], kind_name: str, count: int) -> None:
    if kind_name == "ts-aac" and count < 3:
        pytest.skip("FFmpeg takes no transport stream as short as this")
    path = media_file(kind_name, numbered(count), regular(count), None)
    assert numbers(path) == list(range(count))


@pytest.mark.parametrize("kind_name", KINDS)
def test_seeking_equals_reading_on(media_file: Callable[..., Path], kind_name: str) -> None:
    frames = list(moving_pattern(70))
    path = media_file(kind_name, frames, regular(70), None)
    whole = list(read_frames(path))
    assert len(whole) == 70
    for start, stop in ((0, 5), (1, 3), (11, 13), (12, 12), (13, 40), (57, None), (69, None), (69, 200)):
        part = list(read_frames(path, start_frame=start, stop_frame=stop))
        expected = whole[start:stop]
        assert len(part) == len(expected)
        for got, wanted in zip(part, expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert not list(read_frames(path, start_frame=70))
    assert not list(read_frames(path, start_frame=500))


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (5, 2), (8, 4), (64, 16)])
def test_decoders_take_half_of_the_cores(
    media_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr("newscaster.media.reader.usable_cores", lambda: cores)
    path = media_file("mp4-aac", numbered(3), regular(3), None)
    with open_media(path) as container:
        stream = need_video(container, path)
        next(decode_stored_video(container, stream, path))
        assert stream.codec_context.thread_count == threads


@pytest.mark.parametrize("kind_name", KINDS)
def test_frames_do_not_depend_on_the_number_of_threads(
    media_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, kind_name: str
) -> None:
    path = media_file(kind_name, list(moving_pattern(31)), regular(31), None)
    read = []
    for cores in (2, 16):
        monkeypatch.setattr("newscaster.media.reader.usable_cores", lambda cores=cores: cores)
        read.append(np.stack(list(read_frames(path))))
    np.testing.assert_array_equal(*read)


@pytest.mark.parametrize("start", [0, 7, 23])
def test_other_rates(media_file: Callable[..., Path], start: int) -> None:
    path = media_file("mp4-aac", numbered(50, width=32, height=32), regular(50), None)
    half = [min(range(50), key=lambda n: (abs(Fraction(n, 25) - Fraction(2 * i, 25)), n)) for i in range(25)]
    assert numbers(path, fps=Fraction(25, 2), start_frame=start) == half[start:]
    double = [min(range(50), key=lambda n: (abs(Fraction(n, 25) - Fraction(i, 50)), n)) for i in range(100)]
    assert numbers(path, fps=Fraction(50), start_frame=start) == double[start:]
    assert len(numbers(path, fps=Fraction(30_000, 1_001))) == 60


def test_variable_rate_is_read_by_nearest_time(media_file: Callable[..., Path]) -> None:
    milliseconds = [0, 40, 80, 200, 240, 400, 410, 420, 600, 640]
    path = media_file("mkv-pcm", numbered(10), [Fraction(t, 1000) for t in milliseconds], None)
    expected = [
        min(range(10), key=lambda n: (abs(milliseconds[n] - 40 * i), milliseconds[n])) for i in range(17)
    ]
    assert numbers(path, fps=Fraction(25)) == expected
    assert numbers(path, fps=Fraction(25), start_frame=6) == expected[6:]


def test_a_clip_that_starts_late_starts_with_its_first_frame(media_file: Callable[..., Path]) -> None:
    path = media_file("mkv-pcm", numbered(20), [5 + t for t in regular(20)], None)
    info = probe(path).video
    assert info is not None
    assert info.start_seconds == pytest.approx(5.0, abs=0.002)
    assert numbers(path) == list(range(20))
    assert numbers(path, start_frame=15) == list(range(15, 20))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied(media_file: Callable[..., Path], turn: int) -> None:
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:16, :16] = (230, 40, 40)  # red, top left as stored
    image[:16, 48:] = (40, 230, 40)  # green, top right as stored
    # FFmpeg counts counterclockwise; shown is the frame turned clockwise by `turn`.
    path = media_file("mp4-aac", [image] * 3, regular(3), None, rotation=-turn if turn < 180 else 360 - turn)
    info = probe(path).video
    assert info is not None
    assert info.rotation == turn
    expected = np.rot90(image, k=-turn // 90)
    frame = next(read_frames(path))
    assert frame.shape == expected.shape == (info.height, info.width, 3)
    assert frame.flags.c_contiguous
    corner = (slice(2, 12), slice(2, 12))
    for view in (lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[::-1, ::-1]):
        np.testing.assert_allclose(view(frame)[corner], view(expected)[corner], atol=25)


@pytest.mark.parametrize(("height", "matrix"), [(288, None), (288, 6), (720, None), (720, 1), (288, 1)])
def test_colour_matrix(tmp_path: Path, height: int, matrix: int | None) -> None:
    """A patch of known YUV comes out as its tags say; untagged means BT.709 from 720 lines, BT.601 below."""
    y, u, v = 110, 100, 160
    path = tmp_path / "patch.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        planes = np.concatenate(
            [np.full(64 * height, y), np.full(32 * height // 2, u), np.full(32 * height // 2, v)]
        )
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8).reshape(-1, 64), format="yuv420p")
        if matrix is not None:
            frame.colorspace = matrix
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    is_709 = matrix == 1 or (matrix is None and height >= 720)
    red, blue = (0.2126, 0.0722) if is_709 else (0.299, 0.114)
    luma, cb, cr = (y - 16) / 219 * 255, (u - 128) / 224 * 255, (v - 128) / 224 * 255
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    np.testing.assert_allclose(next(read_frames(path)).mean(axis=(0, 1)), [r, g, b], atol=0.6)


def test_frames_are_the_callers_own(make_clip: Callable[..., Path]) -> None:
    path = make_clip(frames=5)
    kept = []
    for frame in read_frames(path, fps=Fraction(50)):
        kept.append(frame.copy())
        frame[:] = 0
    for got, wanted in zip(kept, read_frames(path, fps=Fraction(50)), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_dropping_the_generator_closes_the_file(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    before = _open_files(path)
    frames = read_frames(path)
    next(frames)
    assert _open_files(path) == before + 1
    frames.close()
    assert _open_files(path) == before


def _open_files(path: Path) -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to count open files")
    return sum(1 for link in folder.iterdir() if link.exists() and link.resolve() == path.resolve())


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    """An MP3 with an image in its ID3 tag is audio."""
    path = mp3_with_cover(tmp_path / "song.mp3")
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    info = probe(path)
    assert info.video is None
    assert info.audio is not None
