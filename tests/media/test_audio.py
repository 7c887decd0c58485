"""Sample formats, resampling, measuring."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import tone
from newscaster.errors import MediaError
from newscaster.media import (
    copy_as_wav,
    decode_wav,
    measure_audio,
    probe,
    read_audio,
    read_audio_blocks,
    write_wav,
)

CODECS = {
    "pcm_u8": ".wav",
    "pcm_s16le": ".wav",
    "pcm_s24le": ".wav",
    "pcm_s32le": ".wav",
    "pcm_f32le": ".wav",
    "pcm_f64le": ".wav",
    "flac": ".flac",
    "libmp3lame": ".mp3",
    "aac": ".m4a",
    "libopus": ".webm",
    "mp2": ".mp2",
}


def write_audio(path: Path, samples: np.ndarray, rate: int, *, codec: str, layout: str = "mono") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        planar = np.ascontiguousarray(np.atleast_2d(samples).astype(np.float32))
        block = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
        block.sample_rate, block.pts = rate, 0
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_format(tmp_path: Path, codec: str) -> None:
    rate = 48_000
    audio = tone(1.0, rate=rate)
    path = write_audio(tmp_path / f"tone{CODECS[codec]}", audio, rate, codec=codec)
    decoded = read_audio(path, rate=rate)
    assert len(decoded) == pytest.approx(rate, abs=2500)  # codecs pad to whole blocks
    middle = slice(10_000, 40_000)
    lags = range(-1200, 1201)  # MP2 and MP3 delay the audio by a part of a block
    # LAME turns it down by 5 %, and AAC overshoots where it sets in.
    best = max(
        np.dot(np.roll(decoded[: len(audio)], lag)[middle], audio[: len(decoded)][middle]) for lag in lags
    )
    assert best / np.dot(audio[middle], audio[middle]) == pytest.approx(1.0, abs=0.06)
    measure = measure_audio(path)
    assert measure.rate == rate
    assert measure.channels == 1
    assert measure.peak == pytest.approx(0.75 if codec == "aac" else 0.5, abs=0.03)
    assert measure.rms == pytest.approx(0.5 / np.sqrt(2), abs=0.02)
    assert measure.finite


@pytest.mark.parametrize("source_rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_resampling_keeps_time_and_length(tmp_path: Path, source_rate: int) -> None:
    path = tmp_path / "tone.wav"
    write_wav(path, tone(2.0, rate=source_rate), source_rate)
    decoded = read_audio(path)
    assert len(decoded) == pytest.approx(32_000, abs=2)
    expected = tone(2.0)[: len(decoded)]
    np.testing.assert_allclose(decoded[400:-400], expected[400 : len(decoded) - 400], atol=5e-3)


def test_blocks_are_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    write_wav(path, tone(3.1, rate=44_100), 44_100)
    blocks = list(read_audio_blocks(path, block_samples=1_111))
    assert {len(block) for block in blocks[:-1]} == {1_111}
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path))


def test_stereo_is_mixed_to_its_mean(tmp_path: Path) -> None:
    left, right = tone(0.5, rate=48_000), 0.5 * tone(0.5, rate=48_000)
    stereo = np.stack([left, right])
    path = write_audio(tmp_path / "s.wav", stereo, 48_000, codec="pcm_f32le", layout="stereo")
    np.testing.assert_allclose(read_audio(path, rate=48_000), stereo.mean(axis=0), atol=1e-6)
    assert measure_audio(path).channels == 2


def test_exact_count_at_the_source_rate(tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    write_wav(path, np.zeros(12_347, np.float32), 22_050)
    measure = measure_audio(path)
    assert (measure.samples, measure.rate, measure.peak, measure.rms) == (12_347, 22_050, 0.0, 0.0)
    assert measure.seconds == pytest.approx(12_347 / 22_050)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_reported(tmp_path: Path, bad: float) -> None:
    audio = tone(1.0)
    audio[9_000] = bad
    path = write_audio(tmp_path / "bad.wav", audio, 16_000, codec="pcm_f32le")
    measure = measure_audio(path)
    assert not measure.finite
    assert measure.samples == 16_000
    assert measure.peak == pytest.approx(0.5, abs=0.01)
    assert np.isfinite(measure.rms)


def test_huge_samples_are_numbers(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "huge.wav", np.full(16, 1e30, np.float32), 16_000, codec="pcm_f32le")
    measure = measure_audio(path)
    assert measure.finite
    assert measure.rms == pytest.approx(1e30, rel=1e-3)


def test_wav_whose_length_was_not_known_when_it_was_written(tmp_path: Path) -> None:
    """What comes out of a pipe: sizes of 0xFFFFFFFF in the header."""
    path = tmp_path / "piped.wav"
    write_wav(path, tone(1.0), 16_000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert measure_audio(path).samples == 16_000


def test_write_wav_clips_and_rounds(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_wav(path, np.array([0.0, 1.0, -1.0, 3.0, -3.0], np.float32), 16_000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        pcm = np.frombuffer(file.readframes(5), "<i2")
    assert pcm.tolist() == [0, 32767, -32767, 32767, -32767]
    info = probe(path)
    assert info.video is None
    assert info.audio is not None
    assert (info.audio.rate, info.audio.channels) == (16_000, 1)


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_copy_as_wav_keeps_rate_channels_and_samples(tmp_path: Path, layout: str) -> None:
    channels = 1 if layout == "mono" else 2
    samples = np.stack([tone(0.5, rate=22_050, hz=220.0 + 110 * c) for c in range(channels)])
    source = write_audio(tmp_path / "x.flac", samples, 22_050, codec="flac", layout=layout)
    copy_as_wav(source, tmp_path / "copy.wav")
    with wave.open(str(tmp_path / "copy.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, channels, 2)
        pcm = np.frombuffer(file.readframes(-1), "<i2").reshape(-1, channels).T
    np.testing.assert_allclose(pcm / 32768, samples, atol=1e-4)
    before = (tmp_path / "copy.wav").read_bytes()
    copy_as_wav(tmp_path / "copy.wav", tmp_path / "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == before


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_decode_wav(tmp_path: Path, codec: str) -> None:
    path = write_audio(tmp_path / "x.wav", tone(0.2), 16_000, codec=codec)
    samples, rate = decode_wav(path.read_bytes())
    assert rate == 16_000
    np.testing.assert_allclose(samples, tone(0.2), atol=1e-2)


def test_decode_wav_from_a_pipe(tmp_path: Path) -> None:
    """A program that writes to a pipe cannot go back to correct the length in the header."""
    write_wav(tmp_path / "x.wav", tone(0.2), 16_000)
    data = bytearray((tmp_path / "x.wav").read_bytes())
    for promised in (0x7FFFF000, 0xFFFFFFFF, 0):
        data[4:8] = data[40:44] = promised.to_bytes(4, "little")
        if promised:
            assert len(decode_wav(bytes(data))[0]) == 3200


@pytest.mark.parametrize("data", [b"", b"RIFF", b"good evening", bytes(1000)])
def test_decode_wav_of_something_else(data: bytes) -> None:
    with pytest.raises(MediaError, match="WAV data"):
        decode_wav(data)
