"""Many channels to one: no channel is lost, whatever its polarity, and every number of them is read."""

from __future__ import annotations

import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fresh_python import environment
from making_media import moving_pattern
from newscaster.media import copy_as_wav, measure_audio, read_audio, write_video
from newscaster.media.audio import open_audio
from newscaster.media.downmix import SILENT_DBFS, Downmix
from newscaster.speech.level import QUIETEST_DBFS
from tiny_anchor import speech_like

RATE = 16_000


def write_channels(path: Path, channels: np.ndarray, *, codec: str = "pcm_s16le", layout: str = "") -> Path:
    """A file of (C, N) channels; without a layout a WAV file that names none."""
    if not layout:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(len(channels))
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(np.round(channels.T * 32767).astype("<i2").tobytes())
        return path
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else RATE, layout=layout)
        packed = np.ascontiguousarray(channels.T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest correlation over delays of up to 30 ms: lossy codecs delay."""
    count = min(len(a), len(b)) - 1000
    return max(
        abs(float(np.corrcoef(a[500 + d : count + d], b[500:count])[0, 1])) for d in range(-480, 481, 8)
    )


def noise(seed: int, samples: int = 2 * RATE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


VOICE = speech_like(2.0)
ROOM = 0.02 * noise(1)
SILENT = np.zeros_like(VOICE)
CHANNELS = {
    "right inverted": [VOICE, -VOICE],
    "right inverted and louder": [0.5 * VOICE, -VOICE],
    "right inverted, in noise": [VOICE + ROOM, -VOICE + 0.02 * noise(2)],
    "left silent": [SILENT, VOICE],
    "right softer": [VOICE, 0.1 * VOICE],
    "5.1, speech in the centre": [SILENT, SILENT, VOICE, SILENT, SILENT, SILENT],
    "5.1, pairs out of phase": [VOICE, -VOICE, SILENT, SILENT, 0.5 * VOICE, -0.5 * VOICE],
    "every second inverted": [VOICE, -VOICE] * 8,
    "a pair inverted beside room noise": [ROOM, ROOM, VOICE, -VOICE],
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_no_channel_cancels_another(tmp_path: Path, kind: str) -> None:
    channels = np.stack(CHANNELS[kind]).astype(np.float32)
    path = write_channels(tmp_path / "x.wav", channels)
    mixed = read_audio(path)
    assert likeness(mixed, VOICE) > 0.95
    assert measure_audio(path).rms >= 0.9 * float(np.sqrt((VOICE**2).mean())) * min(
        1.0, np.abs(channels).max(axis=1).sum() / len(channels) / np.abs(VOICE).max()
    )


def test_two_inverted_pairs_keep_both_voices() -> None:
    other = speech_like(2.0, seed=5)
    mixed = Downmix(4, RATE).mix(np.stack([VOICE, -VOICE, other, -other]).astype(np.float32))
    expected = (VOICE + other) / 2
    different = (VOICE - other) / 2
    assert max(likeness(mixed, expected), likeness(mixed, different)) > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_channels_are_mixed_to_their_mean(seed: int) -> None:
    """Stereo music and 5.1 audio: nothing is inverted, at any time."""
    shared = noise(seed)
    for parts in (0.0, 0.5, 1.0):
        channels = np.stack([parts * shared + noise(100 * seed + k) for k in range(2 + 4 * (seed % 2))])
        downmix = Downmix(len(channels), RATE)
        for block in np.array_split(channels.astype(np.float32), 40, axis=1):
            np.testing.assert_array_equal(downmix.mix(block), block.mean(axis=0, dtype=np.float32))


@pytest.mark.parametrize("blocks", [3, 50, 400])
def test_it_does_not_waver(blocks: int) -> None:
    """An inverted channel stays turned, in pauses with noise of its own too."""
    speaking = np.repeat(np.random.default_rng(0).uniform(size=40) > 0.4, RATE // 20)
    voice = (speech_like(2.0) * speaking).astype(np.float32)
    hiss = [1e-3 * noise(7), 1e-3 * noise(8)]
    channels = np.stack([voice + hiss[0], -voice + hiss[1]]).astype(np.float32)
    downmix = Downmix(2, RATE)
    mixed = np.concatenate([downmix.mix(block) for block in np.array_split(channels, blocks, axis=1)])
    first = int(np.flatnonzero(speaking)[0]) + RATE // 5
    np.testing.assert_allclose(mixed[first:], ((channels[0] - channels[1]) / 2)[first:], atol=1e-6)


def test_a_channel_that_is_turned_back() -> None:
    channels = np.stack([VOICE, np.concatenate([-VOICE[:RATE], VOICE[RATE:]])]).astype(np.float32)
    downmix = Downmix(2, RATE)
    mixed = np.concatenate([downmix.mix(block) for block in np.array_split(channels, 60, axis=1)])
    assert np.abs(mixed).max() <= np.abs(VOICE).max() + 1e-6
    np.testing.assert_allclose(mixed[100 : RATE - 600], VOICE[100 : RATE - 600], atol=1e-6)
    np.testing.assert_allclose(mixed[RATE + RATE // 2 :], VOICE[RATE + RATE // 2 :], atol=1e-6)


def test_samples_that_are_no_numbers_pass_through() -> None:
    channels = np.stack([VOICE, -VOICE]).astype(np.float32)
    channels[1, 100] = np.nan
    downmix = Downmix(2, RATE)
    assert np.isnan(downmix.mix(channels)).sum() == 1
    assert likeness(downmix.mix(np.stack([VOICE, -VOICE]).astype(np.float32)), VOICE) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("count", [*range(1, 25)])
def test_every_number_of_channels(tmp_path: Path, count: int) -> None:
    """Packed WAV, whose layout has a name or none."""
    path = write_channels(tmp_path / "x.wav", np.repeat(VOICE[None], count, axis=0))
    measure = measure_audio(path)
    assert (measure.channels, measure.samples) == (count, 2 * RATE)
    np.testing.assert_allclose(read_audio(path), VOICE, atol=1e-4)
    copy_as_wav(path, tmp_path / "y.wav")
    assert measure_audio(tmp_path / "y.wav").channels == count


PLANAR = {
    "7.1 AAC": ("aac", ".m4a", "7.1"),
    "6.1 AAC": ("aac", ".m4a", "6.1(back)"),
    "7.1 Opus": ("libopus", ".mka", "7.1"),
    "8 of no layout": ("alac", ".m4a", "7.1(wide)"),
    "7.1 FLAC": ("flac", ".flac", "7.1"),
    "64-bit integers": ("pcm_s64le", ".wav", "stereo"),
}
_READ = """
import sys, pathlib
from newscaster import media
measure = media.measure_audio(pathlib.Path(sys.argv[1]))
samples = media.read_audio(pathlib.Path(sys.argv[1]))
print(measure.channels, round(measure.seconds, 1), len(samples), float(abs(samples).max()) > 0.05)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLANAR)
def test_planar_channels(tmp_path: Path, kind: str) -> None:
    """In a process of its own: eight planes once ended it."""
    codec, ending, layout = PLANAR[kind]
    channels = len(av.AudioLayout(layout).channels)
    path = tmp_path / f"x{ending}"
    try:
        write_channels(path, np.repeat(VOICE[None], channels, axis=0), codec=codec, layout=layout)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg cannot write it: {error}")
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, seconds, samples, loud = done.stdout.split()
    assert (int(found), float(seconds), loud) == (channels, pytest.approx(2.0, abs=0.11), "True")
    assert int(samples) == pytest.approx(2 * RATE, abs=1800)


@pytest.mark.parametrize("count", [2, 6, 7, 8, 9, 16])
def test_video_with_audio_of_many_channels(tmp_path: Path, count: int) -> None:
    audio = write_channels(tmp_path / "x.wav", np.stack([VOICE, -VOICE] * count)[:count])
    write_video(tmp_path / "x.mp4", moving_pattern(50), fps=Fraction(25), audio=audio)
    measure = measure_audio(tmp_path / "x.mp4")
    assert measure.channels == (count if count in (2, 6, 8) else 1)
    assert likeness(read_audio(tmp_path / "x.mp4"), VOICE) > 0.95


@pytest.mark.parametrize("dbfs", [-59, -40, -6])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_silent_channels_do_not_count(tmp_path: Path, count: int, dbfs: float) -> None:
    """One of many tracks has audio, however quiet; the others hold the noise of converters at most."""
    peak = 10 ** (dbfs / 20)
    channels = 1e-5 * np.stack([noise(k) for k in range(count)])
    channels[count - 1] = VOICE * peak / np.abs(VOICE).max()
    channels[0] *= 0
    downmix = Downmix(count, RATE)
    blocks = np.array_split(channels.astype(np.float32), 40, axis=1)
    mixed = np.concatenate([downmix.mix(block) for block in blocks])
    loud = int(np.flatnonzero(np.abs(channels[count - 1]) >= 1e-3)[0]) + RATE // 10
    np.testing.assert_allclose(mixed[loud:], channels[count - 1, loud:], atol=1e-7)
    measure = measure_audio(write_channels(tmp_path / "x.wav", channels))
    assert measure.peak == pytest.approx(peak, abs=1e-4)


def test_a_channel_counts_from_the_level_of_speech() -> None:
    assert SILENT_DBFS == QUIETEST_DBFS


def test_a_channel_with_late_audio_counts_from_then() -> None:
    second = np.concatenate([SILENT[:RATE], noise(3)[RATE:]])
    channels = np.stack([VOICE, second]).astype(np.float32)
    downmix = Downmix(2, RATE)
    mixed = np.concatenate([downmix.mix(block) for block in np.array_split(channels, 50, axis=1)])
    np.testing.assert_allclose(mixed[:RATE], VOICE[:RATE], atol=1e-6)
    after = RATE + RATE // 20
    np.testing.assert_allclose(mixed[after:], channels.mean(axis=0)[after:], atol=1e-6)


@pytest.mark.parametrize("kind", ["right inverted", "right inverted and louder", "left silent"])
def test_players_that_mix_the_channels_hear_the_speech(tmp_path: Path, kind: str) -> None:
    """In the video and in the copy that is kept, no channel is inverted against another."""
    audio = write_channels(tmp_path / "x.wav", np.stack(CHANNELS[kind]))
    write_video(tmp_path / "x.mp4", moving_pattern(50), fps=Fraction(25), audio=audio)
    copy_as_wav(audio, tmp_path / "y.wav")
    for name in ("x.mp4", "y.wav"):
        with open_audio(tmp_path / name) as source:
            channels = np.concatenate(list(source.blocks()), axis=1)
        assert len(channels) == 2
        mean = channels.mean(axis=0)
        assert likeness(mean, VOICE) > 0.95
        assert np.abs(mean).max() > 0.3 * np.abs(channels).max()


def test_channels_that_agree_are_kept_as_they_are() -> None:
    channels = np.stack([VOICE, 0.5 * VOICE + ROOM]).astype(np.float32)
    downmix = Downmix(2, RATE)
    for block in np.array_split(channels, 40, axis=1):
        assert downmix.align(block) is block
