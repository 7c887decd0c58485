from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media
from newscaster.errors import MediaError

FPS = Fraction(25)
RATE = 48_000


@pytest.fixture(scope="module")
def pictures() -> list[media.Picture]:
    stage = media.StageVideo(media.encode_stage(moving_pattern(12, width=96, height=64), FPS), name="stage")
    return [stage.picture(index) for index in range(12)]


def sounds(frames: int) -> list[np.ndarray]:
    t = np.arange(frames * RATE // 25) / RATE
    return np.split((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), frames)


def stream(pictures: list[media.Picture]) -> Iterator[tuple[media.Picture | None, np.ndarray]]:
    """Two frames before the first picture, one dropped later on."""
    shown = [None, None, *pictures[:5], None, *pictures[5:]]
    yield from zip(shown, sounds(len(shown)), strict=True)


def test_a_recording_keeps_all_sound_and_the_frame_rate(
    pictures: list[media.Picture], tmp_path: Path
) -> None:
    path = tmp_path / "x.mp4"
    seconds = media.record_video(path, stream(pictures), fps=FPS, rate=RATE, metadata={"title": "Ada"})
    assert seconds == 13 / 25
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


def test_fragments_come_as_they_are_made(pictures: list[media.Picture], tmp_path: Path) -> None:
    writer = media.FragmentWriter(fps=FPS, rate=RATE, metadata={})
    parts = []
    for picture, sound in stream(pictures):
        writer.write(picture, sound)
        parts.append(writer.take())
    assert any(parts[4:-1])  # not all at the end
    writer.close()
    parts.append(writer.take())
    writer.close()
    data = b"".join(parts)
    assert data[4:8] == b"ftyp"
    assert data.count(b"moof") >= 2
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    assert len(list(media.read_frames(path))) == 13
    assert media.measure_audio(path).seconds > 0.45


def test_one_picture_in_several_encoders_at_once(pictures: list[media.Picture]) -> None:
    made: list[int] = []

    def encode(first: int) -> None:
        maker = media.FrameMaker(fps=FPS, rate=RATE)
        for number, picture in enumerate(pictures, first):
            frame = maker.picture(picture, number)
            made.append(int(frame.pts == number and frame.time_base == 1 / FPS))

    threads = [threading.Thread(target=encode, args=(first,)) for first in (0, 100, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == sum(made) == 3 * len(pictures)


def test_sound_for_an_encoder_outside() -> None:
    frame = media.FrameMaker(fps=FPS, rate=RATE).sound(np.array([0.0, 0.5, 2.0], np.float32), 960)
    assert frame.pts == 960
    assert frame.to_ndarray().tolist() == [[0, 16384, 32767]]
