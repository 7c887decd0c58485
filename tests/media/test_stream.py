from __future__ import annotations

import errno
import io
import itertools
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media
from newscaster.errors import MediaError, OutputError
from newscaster.media import stream as stream_module
from newscaster.media.fragments import FragmentFile
from newscaster.safety.bmff import boxes

FPS = Fraction(25)
RATE = 48_000


@pytest.fixture(scope="module")
def images() -> list[media.YuvFrame]:
    target = media.TargetVideo(
        media.encode_target(moving_pattern(12, width=96, height=64), FPS), name="target"
    )
    return [target.image(index) for index in range(12)]


def audios(frames: int) -> list[np.ndarray]:
    t = np.arange(frames * RATE // 25) / RATE
    return np.split((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), frames)


def stream(images: list[media.YuvFrame]) -> Iterator[tuple[media.YuvFrame | None, np.ndarray]]:
    """Two items before the first frame, one dropped later on."""
    shown = [None, None, *images[:5], None, *images[5:]]
    yield from zip(shown, audios(len(shown)), strict=True)


def test_a_recording_keeps_all_audio_and_the_frame_rate(images: list[media.YuvFrame], tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    recorded = media.record_video(path, stream(images), fps=FPS, rate=RATE, metadata={"title": "Ada"})
    assert recorded == media.RecordedVideo(seconds=13 / 25)
    info = media.probe(path)
    assert info.video is not None
    assert (info.video.fps, info.metadata["title"]) == (25, "Ada")
    frames = [np.asarray(frame, np.int16) for frame in media.read_frames(path)]
    assert len(frames) == 13
    assert np.abs(frames[5] - frames[4]).mean() < 1  # the dropped one shows the one before
    assert abs(media.measure_audio(path).seconds - 13 / 25) < 0.03
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nothing was recorded"):
        media.record_video(tmp_path / "x.mp4", iter(()), fps=FPS, rate=RATE, metadata={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("good", [0, 3, 60])
def test_a_recording_whose_frames_fail_leaves_nothing(
    images: list[media.YuvFrame], tmp_path: Path, good: int
) -> None:
    def failing() -> Iterator[media.LiveItem]:
        yield from long_stream(images, good) if good else ()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        media.record_video(tmp_path / "x.mp4", failing(), fps=FPS, rate=RATE, metadata={})
    assert not list(tmp_path.iterdir())


def long_stream(
    images: list[media.YuvFrame], frames: int
) -> Iterator[tuple[media.YuvFrame | None, np.ndarray]]:
    yield from zip(itertools.islice(itertools.cycle(images), frames), audios(frames), strict=True)


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Have the disk take so many bytes of a recording."""
    write = FragmentFile._write

    def limited(self: FragmentFile, position: int, data: bytes) -> None:
        write(self, position, data[: max(0, room - position)])
        if position + len(data) > room:
            self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self.error

    monkeypatch.setattr(FragmentFile, "_write", limited)


@pytest.mark.parametrize("room", [0, 100, 2000])
def test_a_recording_on_a_full_disk(
    images: list[media.YuvFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    fill_disk(monkeypatch, room)
    with pytest.raises(OutputError, match="No space left on device"):
        media.record_video(tmp_path / "x.mp4", long_stream(images, 100), fps=FPS, rate=RATE, metadata={})
    assert not list(tmp_path.iterdir())


def test_what_a_full_disk_leaves_of_a_recording_can_be_played(
    images: list[media.YuvFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.mp4"
    media.record_video(whole, long_stream(images, 150), fps=FPS, rate=RATE, metadata={})
    size = whole.stat().st_size
    for room in (size // 2, size * 3 // 4, size - 1000):
        path = tmp_path / f"{room}.mp4"
        with monkeypatch.context() as patch:
            fill_disk(patch, room)
            made = media.record_video(path, long_stream(images, 150), fps=FPS, rate=RATE, metadata={})
        assert made.is_broken
        assert made.cut_because is not None
        assert "No space left on device" in made.cut_because
        frames = len(list(media.read_frames(path)))
        assert 25 <= frames <= 150
        assert abs(media.measure_audio(path).seconds - frames / 25) < 1.1
        assert path.stat().st_size <= room


def test_a_finished_recording_is_not_cut(images: list[media.YuvFrame], tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    media.record_video(path, long_stream(images, 60), fps=FPS, rate=RATE, metadata={})
    content = path.read_bytes()
    assert media.cut_to_whole_fragments(path)
    assert path.read_bytes() == content
    for part in (b"", content[:100], b"\x00" * 100, b"\xff" * 100):
        path.write_bytes(part)
        assert not media.cut_to_whole_fragments(path)


def test_a_recording_ends_before_the_disk_is_full(
    images: list[media.YuvFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "has_room", lambda folder, size=0: size < 10_000)
    finished: list[int] = []
    path = tmp_path / "x.mp4"
    made = media.record_video(
        path,
        long_stream(images, 1000),
        fps=FPS,
        rate=RATE,
        metadata={},
        finish=lambda place: finished.append(place.stat().st_size),
    )
    assert made.cut_because == "the disk is nearly full"
    assert not made.is_broken
    assert finished == [path.stat().st_size]
    assert 0 < len(list(media.read_frames(path))) == round(made.seconds * 25) < 1000


def test_a_recording_that_cannot_be_signed_is_kept(images: list[media.YuvFrame], tmp_path: Path) -> None:
    def finish(place: Path) -> None:
        raise OutputError("no room")

    path = tmp_path / "x.mp4"
    made = media.record_video(path, stream(images), fps=FPS, rate=RATE, metadata={}, finish=finish)
    assert made == media.RecordedVideo(seconds=13 / 25, unfinished_because="no room")
    assert list(tmp_path.iterdir()) == [path]


def test_fragments_come_as_they_are_made(images: list[media.YuvFrame], tmp_path: Path) -> None:
    taken: list[int] = []

    def watched() -> Iterator[media.LiveItem]:
        for item in stream(images):
            taken.append(1)
            yield item

    parts = []
    for part in media.write_fragments(watched(), fps=FPS, rate=RATE, metadata={}):
        parts.append(part)
        assert len(taken) == len(parts) + 2 or len(parts) == 14  # none waits for a later one
    assert any(parts[2:-1])  # not all at the end
    data = b"".join(parts)
    assert data[4:8] == b"ftyp"
    assert data.count(b"moof") >= 2
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    assert len(list(media.read_frames(path))) == 13
    assert media.measure_audio(path).seconds > 0.45


@pytest.mark.parametrize("frames", [1, 24, 25, 26, 27, 49, 50, 51, 60])
def test_segments_hold_all_frames(images: list[media.YuvFrame], tmp_path: Path, frames: int) -> None:
    (header, none), *segments = media.write_segments(
        long_stream(images, frames), fps=FPS, rate=RATE, metadata={}
    )
    assert none == 0
    assert [box.kind for box in boxes(io.BytesIO(header))] == [b"ftyp", b"moov"]
    assert [seconds * 25 for _, seconds in segments] == [
        min(25, frames - start) for start in range(0, frames, 25)
    ]
    path = tmp_path / "x.mp4"
    for data, seconds in segments:  # each is decoded without the others
        assert [box.kind for box in boxes(io.BytesIO(data))] == [b"moof", b"mdat"]
        path.write_bytes(header + data)
        assert len(list(media.read_frames(path))) == seconds * 25
    path.write_bytes(header + b"".join(data for data, _ in segments))
    assert len(list(media.read_frames(path))) == frames
    assert abs(media.measure_audio(path).seconds - frames / 25) < 0.05


def test_no_frames_have_no_segments() -> None:
    assert not list(media.write_segments(iter(()), fps=FPS, rate=RATE, metadata={}))


def test_one_frame_in_several_encoders_at_once(images: list[media.YuvFrame]) -> None:
    made: list[int] = []

    def encode(first: int) -> None:
        maker = media.FrameMaker(fps=FPS, rate=RATE)
        for number, image in enumerate(images, first):
            frame = maker.image(image, number)
            made.append(int(frame.pts == number and frame.time_base == 1 / FPS))

    threads = [threading.Thread(target=encode, args=(first,)) for first in (0, 100, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == sum(made) == 3 * len(images)


def test_audio_for_an_external_encoder() -> None:
    frame = media.FrameMaker(fps=FPS, rate=RATE).audio(np.array([0.0, 0.5, 2.0], np.float32), 960)
    assert frame.pts == 960
    assert frame.to_ndarray().tolist() == [[0, 16384, 32767]]
