"""Each way in which a file can be wrong is one error that names the file and what to do."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from making_media import KINDS, grey, tone, write_media
from newscaster.errors import MediaError
from newscaster.media import measure_audio, probe, read_audio, read_audio_blocks, read_frames, write_wav

READERS: dict[str, Callable[[Path], object]] = {
    "probe": probe,
    "read_frames": lambda path: list(read_frames(path)),
    "read_audio": read_audio,
    "read_audio_blocks": lambda path: list(read_audio_blocks(path)),
    "measure_audio": measure_audio,
}


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return READERS[request.param]


def refused(reader: Callable[[Path], object], path: Path, message: str) -> None:
    with pytest.raises(MediaError, match=message) as caught:
        reader(path)
    text = str(caught.value)
    assert path.name in text
    assert any(step in text for step in ("Give", "Copy", "convert", "Convert"))
    assert "\n" not in text


def test_no_such_file(reader: Callable[[Path], object], tmp_path: Path) -> None:
    refused(reader, tmp_path / "none.mp4", "no such file")


def test_a_folder(reader: Callable[[Path], object], tmp_path: Path) -> None:
    refused(reader, tmp_path, "is a folder")


def test_an_empty_file(reader: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    refused(reader, path, "is empty")


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes.wav"])
def test_a_text_file(reader: Callable[[Path], object], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Good evening. Here is the news.\n" * 200)
    refused(reader, path, "cannot be read as video or audio|neither video nor audio")


def test_noise(reader: Callable[[Path], object], tmp_path: Path) -> None:
    import random

    path = tmp_path / "noise.mp4"
    path.write_bytes(random.Random(5).randbytes(50_000))
    refused(reader, path, "cannot be read|can be decoded|neither")


def test_subtitles(reader: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "lines.srt"
    path.write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nGood evening.\n\n2\n00:00:01,000 --> 00:00:02,000\nNews.\n"
    )
    refused(reader, path, "neither video nor audio|cannot be read")


def test_no_audio(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip(audio=False)
    assert probe(path).audio is None
    for name in ("read_audio", "read_audio_blocks", "measure_audio"):
        refused(READERS[name], path, "has no audio in it, only video")


def test_no_video(tmp_path: Path) -> None:
    path = tmp_path / "audio.wav"
    write_wav(path, tone(0.5), 16_000)
    assert probe(path).video is None
    refused(READERS["read_frames"], path, "has no video in it, only audio")


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_an_mp4_without_its_end(reader: Callable[[Path], object], tmp_path: Path, kept: float) -> None:
    """The index is at the end, so nothing can be read."""
    times = [Fraction(i, 25) for i in range(50)]
    path = write_media(tmp_path / "cut.mp4", KINDS["mp4-aac"], grey(50), times, tone(2.0, rate=44_100))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(reader, path, "is cut short: it lacks [0-9,]+ bytes of the length in its header")


def test_an_mp4_whose_index_comes_first_without_its_end(
    reader: Callable[[Path], object], make_clip: Callable[..., Path]
) -> None:
    path = make_clip(frames=60, width=320, height=240)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refused(reader, path, "is cut short")


def test_a_wav_without_its_end(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    write_wav(path, tone(1.0), 16_000)
    path.write_bytes(path.read_bytes()[:20_000])
    for name in ("probe", "read_audio", "measure_audio"):
        refused(READERS[name], path, "is cut short: it lacks 12,044 bytes")


def test_an_mkv_without_its_end(tmp_path: Path) -> None:
    times = [Fraction(i, 25) for i in range(50)]
    path = write_media(tmp_path / "cut.mkv", KINDS["mkv-pcm"], grey(50), times, tone(2.0, rate=48_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for name in ("probe", "read_frames", "read_audio", "measure_audio"):
        refused(READERS[name], path, "is cut short")


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refused(probe, path, r"cannot be read \(Permission denied\)")


def test_wrong_ranges(make_clip: Callable[..., Path]) -> None:
    path = make_clip(frames=3)
    with pytest.raises(ValueError, match="start_frame"):
        list(read_frames(path, start_frame=3, stop_frame=1))
    with pytest.raises(ValueError, match="start_seconds"):
        read_audio(path, start_seconds=-1.0)
