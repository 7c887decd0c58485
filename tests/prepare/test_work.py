"""Reading speech and cutting crops: the tasks of a worker that need no face."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from footage import babble, write_footage
from making_media import KINDS, grey, write_media
from newscaster.errors import MediaError
from newscaster.prepare.clips import Segment, read_footage
from newscaster.prepare.work import read_speech, sampled_frames

RATE = 16_000


def speech_of(path: Path, *, start: int = 0, frames: int = 75) -> npt.NDArray[np.float32]:
    return read_speech(Segment("clip", read_footage(path), start, None, Fraction(25)), frames)


def delay_seconds(
    of: npt.NDArray[np.float32], against: npt.NDArray[np.float32], *, most_seconds: float = 0.6
) -> float:
    """Delay of the same audio in one array against the other, by cross-correlation."""
    size = 1 << (len(of) + len(against)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(of, size) * np.conj(np.fft.rfft(against, size)))
    reach = round(most_seconds * RATE)
    around = np.concatenate([correlation[-reach:], correlation[: reach + 1]])
    return float(np.argmax(around) - reach) / RATE


def remux(source: Path, target: Path, *, audio_later: float = 0.0, both_later: float = 0.0) -> Path:
    """The same packets with other time stamps."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        streams = {
            s: write.add_stream_from_template(s) for s in (read.streams.video[0], read.streams.audio[0])
        }
        for packet in read.demux(*streams):
            if packet.dts is None:
                continue
            later = both_later + (audio_later if packet.stream.type == "audio" else 0.0)
            ticks = round(later / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream]
            write.mux(packet)
    return target


@pytest.mark.parametrize("kind", ["mp4-aac", "mkv-pcm"])
def test_audio_lies_where_a_player_plays_it(tmp_path: Path, kind: str) -> None:
    rate = KINDS[kind].rate
    plain = np.interp(np.arange(round(3 * rate)) / rate, np.arange(3 * RATE) / RATE, babble(3)).astype(
        np.float32
    )
    frames, times = grey(75), [Fraction(i, 25) for i in range(75)]

    def written(name: str, audio: npt.NDArray[np.float32], start: Fraction) -> npt.NDArray[np.float32]:
        path = tmp_path / f"{name}{KINDS[kind].suffix}"
        return speech_of(write_media(path, KINDS[kind], frames, times, audio, audio_start=start))

    wanted = written("plain", plain, Fraction(0))
    # Time stamps 200 ms later: a real offset, which the dataset keeps.
    assert delay_seconds(written("late", plain, Fraction(1, 5)), wanted) == pytest.approx(0.2, abs=0.02)
    # The same without the first 200 ms of audio is in sync again, and must stay in sync.
    cut = written("cut", plain[rate // 5 :], Fraction(1, 5))
    assert delay_seconds(cut, wanted) == pytest.approx(0.0, abs=0.02)
    assert np.abs(cut[1600:]).max() > 0.05


@pytest.mark.data
def test_time_stamps_of_real_footage_are_honoured(data_folder: Path, tmp_path: Path) -> None:
    source = next((data_folder / "grid_s1" / "clips").glob("*.mpg"))
    wanted = speech_of(source)
    both = remux(source, tmp_path / "both.mkv", both_later=0.2)
    assert delay_seconds(speech_of(both), wanted) == pytest.approx(0.0, abs=0.02)
    late = remux(source, tmp_path / "late.mkv", audio_later=0.2)
    assert delay_seconds(speech_of(late), wanted) == pytest.approx(0.2, abs=0.02)
    early = remux(source, tmp_path / "early.mkv", audio_later=-0.2, both_later=0.5)
    assert delay_seconds(speech_of(early), wanted) == pytest.approx(-0.2, abs=0.02)


def test_speech_has_the_length_of_its_frames(make_clip: Callable[..., Path]) -> None:
    path = make_clip(frames=50)
    assert len(speech_of(path, frames=50)) == 32_000
    assert len(speech_of(path, start=10, frames=33)) == 33 * 640
    beyond = speech_of(path, start=40, frames=30)
    assert len(beyond) == 30 * 640
    assert not beyond[9000:].any()
    assert len(speech_of(make_clip(audio=False, name="mute.mp4"), frames=20)) == 0


def test_parts_join_to_the_whole(make_clip: Callable[..., Path]) -> None:
    path = make_clip(frames=75)
    joined = np.concatenate([speech_of(path, start=s, frames=25) for s in (0, 25, 50)])
    np.testing.assert_allclose(joined, speech_of(path), atol=1e-3)


def test_samples_that_are_not_numbers(tmp_path: Path) -> None:
    path = tmp_path / "nan.mkv"
    frames, times = grey(25), [Fraction(i, 25) for i in range(25)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(
            np.full((1, RATE), np.nan, np.float32), format="flt", layout="mono"
        )
        block.sample_rate, block.pts = RATE, 0
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    assert len(times) == 25
    with pytest.raises(MediaError, match=r"nan\.mkv.*not numbers"):
        speech_of(path, frames=25)


def test_frames_are_sampled_through_the_file(tmp_path: Path) -> None:
    short = read_footage(write_footage(tmp_path / "short.mp4", seconds=4, audio=False))
    assert 3 <= sum(1 for _ in sampled_frames(short)) <= 8
    long = read_footage(write_footage(tmp_path / "long.mp4", seconds=30, audio=False))
    assert 5 <= sum(1 for _ in sampled_frames(long)) <= 8
