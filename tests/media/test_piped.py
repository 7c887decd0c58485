"""Audio from a pipe: files are distinguished from raw samples, and decoded as they come."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from newscaster.errors import MediaError
from newscaster.media import PipedAudio, container_named
from tiny_anchor import speech_like

RATE = 44_100
FORMATS = {
    "wav": "pcm_s16le",
    "w64": "pcm_s16le",
    "aiff": "pcm_s16be",
    "au": "pcm_s16be",
    "caf": "pcm_s16le",
    "flac": "flac",
    "mp3": "libmp3lame",
    "ogg": "flac",
    "matroska": "aac",
    "mp4": "aac",
    "adts": "aac",
    "mpegts": "mp2",
}


class Pipe:
    """Bytes that come in pieces, and cannot be read twice."""

    def __init__(self, data: bytes, piece: int = 700) -> None:
        self._data, self._piece = io.BytesIO(data), piece

    def read1(self, count: int = -1) -> bytes:
        return self._data.read(self._piece if count < 0 else min(count, self._piece))

    read = read1

    def seekable(self) -> bool:
        return False


def encoded(kind: str, seconds: float = 2.0, **options: str) -> bytes:
    """A file with speech in both channels, at 44.1 kHz."""
    data = io.BytesIO()
    with av.open(data, "w", format=kind, options=options) as container:
        stream = container.add_stream(FORMATS[kind], rate=RATE, layout="stereo")
        packed = np.repeat(speech_like(seconds, RATE), 2)[None]
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return data.getvalue()


def likeness(decoded: np.ndarray) -> float:
    speech = speech_like(2.0, RATE)
    count = 20_000
    lags = range(0, 3000, 3)  # encoders delay
    return max(float(np.corrcoef(decoded[lag : lag + count], speech[:count])[0, 1]) for lag in lags)


@pytest.mark.parametrize("seekable", [False, True])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_decoded(kind: str, seekable: bool) -> None:
    data = encoded(kind)
    piped = PipedAudio(io.BytesIO(data) if seekable else Pipe(data))  # type: ignore[arg-type]
    assert not piped.is_empty
    assert not piped.is_text
    assert piped.container is not None
    with piped.opened("standard input") as audio:
        assert (audio.rate, audio.channels) == (RATE, 2)
        decoded = np.concatenate(list(audio.mono_blocks()))
    assert len(decoded) == pytest.approx(2 * RATE, abs=3500)
    assert likeness(decoded) > 0.95


def test_an_mp3_without_tags() -> None:
    data = encoded("mp3", id3v2_version="0", write_xing="0")
    assert data[:2] == b"\xff\xfb"
    assert PipedAudio(Pipe(data)).container == "an MP3 or AAC file"  # type: ignore[arg-type]


def test_a_file_comes_in_while_it_is_decoded() -> None:
    """The first samples are there before the last bytes are."""
    data = encoded("wav", seconds=20.0)
    pipe = Pipe(data)
    with PipedAudio(pipe).opened("standard input") as audio:  # type: ignore[arg-type]
        next(audio.mono_blocks())
        assert len(pipe._data.read()) > len(data) // 2


@pytest.mark.parametrize("seed", range(40))
def test_raw_samples_are_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = np.round(rng.normal(0, 2000, 20_000)).astype("<i2")
    # Each of these is the begin of an MPEG header, and of a packet of a transport stream.
    samples[0] = (-1025, 71, 0x1147, -1, 0)[seed % 5]
    data = samples.tobytes()
    piped = PipedAudio(Pipe(data, piece=1 + seed))  # type: ignore[arg-type]
    assert piped.container is None
    assert not piped.is_text
    assert b"".join(iter(lambda: piped.read(333), b"")) == data


@pytest.mark.parametrize("count", [0, 1, 5, 11, 30])
def test_few_samples(count: int) -> None:
    piped = PipedAudio(Pipe(b"\x01" * count))  # type: ignore[arg-type]
    assert piped.is_empty == (count == 0)
    assert piped.container is None
    assert len(b"".join(iter(lambda: piped.read(7), b""))) == count


def test_text_is_distinguished_from_samples() -> None:
    assert PipedAudio(Pipe(b"Good evening. Here is the news.\n")).is_text  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [20, 60, 500])
def test_a_file_that_breaks_off(kept: int) -> None:
    piped = PipedAudio(Pipe(encoded("mp4")[:kept]))  # type: ignore[arg-type]
    with (
        pytest.raises(MediaError, match=r"standard input|/input"),
        piped.opened("standard input") as audio,
    ):
        list(audio.blocks())


def test_marks(tmp_path: Path) -> None:
    assert container_named(b"RIFF\x00\x00\x00\x00WAVE") == "a WAV file"
    assert container_named(b"\x00\x00\x00\x20ftypM4A ") == "an MP4 file"
    assert container_named(b"") is None
    assert container_named(bytes(12)) is None
