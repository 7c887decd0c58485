"""Both streams of a file are on one clock: a flash and a click that belong together stay together."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import KINDS, click, click_seconds, grey, write_media
from newscaster.errors import MediaError
from newscaster.media import measure_audio, probe, read_audio, read_audio_blocks, read_frames, write_wav

FPS = 25
FIFTH = Fraction(1, 5)
TOLERANCE_SECONDS = 0.02


@pytest.mark.parametrize("kind_name", KINDS)
@pytest.mark.parametrize(
    ("audio_start", "video_start"),
    [(Fraction(0), Fraction(0)), (FIFTH, Fraction(0)), (-FIFTH, Fraction(0)), (Fraction(0), FIFTH)],
    ids=["together", "audio late", "audio early", "video late"],
)
def test_click_and_flash_stay_together(
    media_file: Callable[..., Path], kind_name: str, audio_start: Fraction, video_start: Fraction
) -> None:
    times = [video_start + Fraction(i, FPS) for i in range(50)]
    audio = click(2.5, 1.0, KINDS[kind_name].rate)
    path = media_file(kind_name, grey(50, flash_at=25), times, audio, audio_start=audio_start)

    brightness = [float(frame.mean()) for frame in read_frames(path)]
    clicked = click_seconds(read_audio(path), 16_000)

    assert len(brightness) == 50
    assert int(np.argmax(brightness)) == 25
    assert abs(clicked - (1.0 + float(audio_start - video_start))) < TOLERANCE_SECONDS


def test_late_audio_begins_with_zeros_and_early_audio_is_cut(media_file: Callable[..., Path]) -> None:
    times = [Fraction(i, FPS) for i in range(25)]
    loud = np.full(48_000, 0.5, np.float32)
    late = read_audio(media_file("mkv-pcm", grey(25), times, loud, audio_start=FIFTH))
    assert not late[:3150].any()
    assert late[3250:].min() > 0.4
    assert len(late) == pytest.approx(19_200, abs=16)
    early = read_audio(media_file("mkv-pcm", grey(25), times, loud, audio_start=-FIFTH))
    assert len(early) == pytest.approx(12_800, abs=16)


def test_audio_alone_begins_with_its_first_sample(media_file: Callable[..., Path]) -> None:
    times = [Fraction(i, FPS) for i in range(25)]
    path = media_file("mkv-pcm", grey(25), times, click(1.0, 0.5, 48_000), audio_start=FIFTH)
    audio = np.concatenate(list(read_audio_blocks(path)))
    assert len(audio) == pytest.approx(16_000, abs=2)
    assert abs(click_seconds(audio, 16_000) - 0.5) < 0.002


@pytest.mark.parametrize("kind_name", ["mp4-aac", "mkv-pcm", "webm-opus"])
def test_encoder_priming_is_removed(media_file: Callable[..., Path], kind_name: str) -> None:
    times = [Fraction(i, FPS) for i in range(50)]
    path = media_file(kind_name, grey(50), times, click(2.0, 0.3, KINDS[kind_name].rate))
    assert abs(click_seconds(read_audio(path), 16_000) - 0.3) < 0.003


def test_a_gap_in_the_audio_is_filled(tmp_path: Path) -> None:
    import av

    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 8_000, 24_000, 32_000):  # nothing from 16 000 to 24 000
            samples = np.full((1, 8_000), 8_000, np.int16)
            block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    audio = read_audio(path)
    assert len(audio) == 40_000
    assert not audio[16_010:23_990].any()
    assert audio[24_010:].min() > 0.2
    assert measure_audio(path).samples == 40_000
    assert sum(map(len, read_audio_blocks(path))) == 40_000


def write_gaps(path: Path, *, packets: int, gap_seconds: int, rate: int = 48_000) -> None:
    """Packets of 16 samples, so far from one another."""
    import av

    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for number in range(packets):
            packet = av.Packet(bytes(32))
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = number * gap_seconds * 1000
            container.mux(packet)


@pytest.mark.slow
def test_gaps_of_more_than_an_hour_in_all_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gaps.mkv"
    write_gaps(path, packets=300, gap_seconds=3500)
    for read in (measure_audio, read_audio, lambda path: sum(map(len, read_audio_blocks(path)))):
        with pytest.raises(MediaError, match="its time stamps leave gaps of 7,000 s in all"):
            read(path)
    write_gaps(path, packets=30, gap_seconds=100)
    assert measure_audio(path).seconds == pytest.approx(2900, abs=1)


def test_audio_of_absurd_rates_and_channels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fast.wav"
    for rate, channels in ((768_001, 1), (2**31 - 1, 1), (48_000, 65)):
        with wave.open(str(path), "wb") as file:
            file.setparams((channels, 2, 48_000, 0, "NONE", ""))
            file.writeframes(bytes(2 * channels * 1000))
        content = bytearray(path.read_bytes())
        content[24:28] = rate.to_bytes(4, "little")
        path.write_bytes(content)
        for read in (measure_audio, read_audio, lambda path: sum(map(len, read_audio_blocks(path)))):
            with pytest.raises(MediaError, match="accepted are 64 channels and 768,000 Hz at most"):
                read(path)


def test_a_measurement_can_be_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_wav(path, np.zeros(480_000, np.float32), 48_000)

    class EnoughError(Exception):
        pass

    seen: list[float] = []

    def watch(seconds: float) -> None:
        seen.append(seconds)
        if seconds > 1:
            raise EnoughError

    with pytest.raises(EnoughError):
        measure_audio(path, watch=watch)
    assert seen == sorted(seen)
    assert seen[-1] < 2


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_a_part_read_alone_is_that_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    time = np.arange(44_100 * 12) / 44_100
    sweep = (0.5 * np.sin(2 * np.pi * (100 + 40 * time) * time)).astype(np.float32)
    path = tmp_path / f"sweep{suffix}"
    if suffix == ".wav":
        write_wav(path, sweep, 44_100)
    else:
        import av

        codec = {".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac"}[suffix]
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=44_100, layout="mono")
            block = av.AudioFrame.from_ndarray(sweep[None], format="flt", layout="mono")
            block.sample_rate, block.pts = 44_100, 0
            container.mux(stream.encode(block))
            container.mux(stream.encode(None))
    whole = read_audio(path)
    for start, stop in ((0.0, 1.0), (0.37, 2.5), (8.123, 9.5), (11.0, None)):
        part = read_audio(path, start_seconds=start, stop_seconds=stop)
        expected = whole[round(start * 16_000) : None if stop is None else round(stop * 16_000)]
        assert len(part) == len(expected)
        np.testing.assert_allclose(part, expected, atol=4e-3)


@pytest.mark.data
def test_example_clips(data_folder: Path) -> None:
    path = data_folder / "grid_s1" / "clips" / "bbal6n.mpg"
    info = probe(path)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.fps) == (360, 288, 25)
    assert sum(1 for _ in read_frames(path)) == 75
    assert len(read_audio(path)) == pytest.approx(3 * 16_000, abs=640)


def test_a_file_without_audio(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "x.mkv", KINDS["mkv-pcm"], grey(3), [Fraction(i, FPS) for i in range(3)], None
    )
    assert probe(path).audio is None
