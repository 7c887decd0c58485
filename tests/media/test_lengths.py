"""Uncompressed audio whose header states another length than the file has, in every format that has one."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import tone
from newscaster.errors import MediaError
from newscaster.media import length_notes, measure_audio, missing_bytes, read_audio, read_audio_blocks
from newscaster.media.lengths import stated_length

SAMPLES = np.round(tone(3.0) * 30_000).astype("<i2")
LITTLE, BIG = SAMPLES.tobytes(), SAMPLES.astype(">i2").tobytes()
FORMAT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
RATE_80_BITS = bytes.fromhex("400cfa00000000000000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def limited(value: int, bits: int) -> int:
    return min(value, (1 << bits) - 1)


def wav(length: int) -> bytes:
    riff = limited(length + 36, 32) if length else 0
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + FORMAT + b"data" + struct.pack("<I", length) + LITTLE


def wav_of_two_equal_lengths(length: int) -> bytes:
    data = wav(length)
    return data[:4] + data[40:44] + data[8:]


def rf64(length: int) -> bytes:
    sizes = struct.pack("<IQQQI", 28, limited(length + 72, 64) if length else 0, length, length // 2, 0)
    data = b"data" + struct.pack("<I", 0xFFFF_FFFF) + LITTLE
    return b"RF64" + struct.pack("<I", 0xFFFF_FFFF) + b"WAVEds64" + sizes + FORMAT + data


def w64(length: int) -> bytes:
    whole = limited(length + 128, 64) if length else 0
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", whole)
    wave = b"wave" + W64_TAIL + b"fmt " + W64_TAIL + struct.pack("<Q", 40) + FORMAT[8:]
    return riff + wave + b"data" + W64_TAIL + struct.pack("<Q", limited(length + 24, 64)) + LITTLE


def aiff(length: int) -> bytes:
    common = b"COMM" + struct.pack(">IHIH", 18, 1, limited(length // 2, 32), 16) + RATE_80_BITS
    audio = b"SSND" + struct.pack(">III", limited(length + 8, 32) if length else 0, 0, 0) + BIG
    return b"FORM" + struct.pack(">I", limited(length + 46, 32) if length else 0) + b"AIFF" + common + audio


def au(length: int) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, length, 3, 16_000, 1) + BIG


def caf(length: int) -> bytes:
    description = struct.pack(">d4sIIIII", 16_000, b"lpcm", 2, 2, 1, 1, 16)  # 2: little endian
    stated = -1 if length >= 1 << 32 else length + 4
    data = b"data" + struct.pack(">qI", stated, 0) + LITTLE
    return b"caff" + struct.pack(">HH", 1, 0) + b"desc" + struct.pack(">q", 32) + description + data


FORMATS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "wav": (wav, 32),
    "wav, twice the same": (wav_of_two_equal_lengths, 32),
    "rf64": (rf64, 64),
    "w64": (w64, 64),
    "aiff": (aiff, 32),
    "au": (au, 32),
    "caf": (caf, 64),
}
UNKNOWN = [0, -1, -37, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000]
ANY = [2_000_000_000, 1_000_000_000, 123_456_789, 1 << 30, 10_000_000]


def write(tmp_path: Path, kind: str, length: int) -> Path:
    make, bits = FORMATS[kind]
    path = tmp_path / "x.audio"
    path.write_bytes(make(length % (1 << bits)))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_the_true_length(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, kind, len(LITTLE))
    assert measure_audio(path).samples == 48_000
    assert missing_bytes(path) == 0
    assert not caplog.records


@pytest.mark.parametrize("length", UNKNOWN)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_length_that_was_not_known(
    tmp_path: Path, kind: str, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, kind, length)
    assert measure_audio(path).samples == 48_000
    np.testing.assert_allclose(read_audio(path), SAMPLES / 32768, atol=1e-6)
    assert sum(map(len, read_audio_blocks(path))) == 48_000
    # The maximum of 32 bits is an ordinary number among 64-bit lengths.
    assert not caplog.records or FORMATS[kind][1] == 64


@pytest.mark.parametrize("length", ANY)
@pytest.mark.parametrize("kind", FORMATS)
def test_any_length_that_is_far_too_great(
    tmp_path: Path, kind: str, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, kind, length)
    assert measure_audio(path).samples == 48_000
    assert missing_bytes(path) == 0
    (record, *_) = caplog.records
    assert record.levelno == logging.WARNING
    assert "bytes fewer than its header states, and is read to its end" in record.getMessage()


def test_a_long_recording_with_a_round_length(tmp_path: Path) -> None:
    """It holds a third of two billion bytes, most of them in a sparse hole."""
    path = tmp_path / "long.wav"
    path.write_bytes(wav(2_000_000_000))
    with path.open("r+b") as file:
        file.truncate(700_000_000)
    assert missing_bytes(path) == 0


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_was_cut_short(tmp_path: Path, kind: str, kept: float) -> None:
    path = write(tmp_path, kind, len(LITTLE))
    data = path.read_bytes()
    path.write_bytes(data[: round(kept * len(data))])
    with pytest.raises(MediaError, match=r"is cut short: it lacks [0-9,]+ bytes .*correct the header"):
        measure_audio(path)
    assert missing_bytes(path) == pytest.approx((1 - kept) * len(data), abs=40)


class Pipe:
    """Takes bytes, and cannot go back."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("kind", ["wav", "wav -rf64 always", "w64", "aiff", "au", "caf"])
def test_what_ffmpeg_writes_to_a_pipe(tmp_path: Path, kind: str) -> None:
    name, *options = kind.split()
    pipe = Pipe()
    codec = "pcm_s16be" if name in ("aiff", "au", "caf") else "pcm_s16le"
    container = av.open(pipe, "w", format=name, options={"rf64": "always"} if options else {})  # type: ignore[arg-type]
    stream = container.add_stream(codec, rate=16_000, layout="mono")
    frame = av.AudioFrame.from_ndarray(tone(3.0)[None], format="flt", layout="mono")
    frame.sample_rate = 16_000
    container.mux([*stream.encode(frame), *stream.encode(None)])
    container.close()
    path = tmp_path / "piped"
    path.write_bytes(pipe.data)
    np.testing.assert_allclose(read_audio(path), tone(3.0), atol=1e-4)


@pytest.mark.parametrize("seed", range(60))
def test_headers_of_nonsense(seed: int) -> None:
    """No length makes the parser fail, or read on and on."""
    rng = np.random.default_rng(seed)
    make, bits = list(FORMATS.values())[seed % len(FORMATS)]
    data = bytearray(make(int(rng.integers(1 << 31)) % (1 << bits))[:400])
    for _ in range(6):
        at = int(rng.integers(4, 120))
        data[at : at + 8] = rng.choice([0, 255, 127, 128, 1], 8).astype(np.uint8).tobytes()
    stated = stated_length(io.BytesIO(data[: int(rng.integers(12, 400))]), int(rng.integers(400)))
    assert stated is None or all(len(patch) <= 8 for patch in stated.patches.values())


def bytes_of(codec: str, path: Path) -> bytes:
    """SAMPLES as a file of another format."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(SAMPLES[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        resampler = av.AudioResampler(stream.format, "mono", 16_000, frame_size=stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return path.read_bytes()


HALF = len(LITTLE) // 2
WHOLE = len(LITTLE)
UNREAD = {
    "WAV, samples of half": (wav(HALF), HALF),
    "WAV, the file's length is right": (wav(HALF)[:4] + wav(WHOLE)[4:8] + wav(HALF)[8:], HALF),
    "WAV, two files": (wav(WHOLE) * 2, WHOLE + 44),
    "WAV, a text behind it": (wav(WHOLE) + b"Some notes about this. " * 100, 2300),
    "AIFF, two files": (aiff(WHOLE) * 2, WHOLE + 54),
    "AU, half": (au(HALF), HALF),
}
READ = {
    "WAV": wav(WHOLE),
    "WAV, length unknown": wav(0),
    "WAV, chunks behind it": wav(WHOLE) + b"LIST" + struct.pack("<I", 2000) + b"INFO" + bytes(1996),
    "WAV, padding": wav(WHOLE) + bytes(4096),
    "WAV, a tag": wav(WHOLE) + b"TAG" + b"x" * 125,
    "AIFF": aiff(WHOLE),
    "AU": au(WHOLE),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_bytes_after_the_audio_are_skipped_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    data, unread = UNREAD[kind]
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    caplog.set_level(logging.WARNING)
    measure_audio(path)
    (message,) = {record.getMessage() for record in caplog.records}
    assert message.startswith(f"'{path}' holds {unread:,} bytes after the audio that its header states")
    assert "not read" in message
    assert length_notes(path) == (message,)


@pytest.mark.parametrize("kind", READ)
def test_a_file_that_is_read_whole_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(READ[kind])
    caplog.set_level(logging.WARNING)
    assert measure_audio(path).samples == len(SAMPLES)
    assert not caplog.records
    assert length_notes(path) == ()


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000)])
def test_an_mp3_file_that_is_cut_short_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tag: bytes
) -> None:
    data = bytes_of("libmp3lame", tmp_path / "whole.mp3")
    plain = data[10 + int.from_bytes(data[8:10], "big") :] if data[:3] == b"ID3" else data
    assert b"Info" in plain[:64] or b"Xing" in plain[:64]
    path = tmp_path / "x.mp3"
    caplog.set_level(logging.WARNING)
    path.write_bytes(tag + plain)
    assert measure_audio(path).seconds == pytest.approx(3.0, abs=0.1)
    assert not caplog.records
    path.write_bytes(tag + plain[: len(plain) // 2])
    measure_audio(path)
    (message,) = {record.getMessage() for record in caplog.records}
    assert "is read to its end" in message
    missing = int(message.split(" holds ")[1].split()[0].replace(",", ""))
    assert missing == pytest.approx(len(plain) - len(plain) // 2, abs=200)
