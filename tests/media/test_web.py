from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from making_media import KINDS, numbered, tone, write_media
from making_odd_media import levels, write_frames
from newscaster import media
from newscaster.errors import MediaError

COUNT = 12


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mp4-aac", True), ("webm-opus", True), ("mkv-pcm", False), ("mpg-mp2", False), ("ts-aac", False)],
)
def test_containers_and_codecs(tmp_path: Path, kind: str, expected: bool) -> None:
    path = tmp_path / f"video{KINDS[kind].suffix}"
    times = [Fraction(i, 25) for i in range(COUNT)]
    write_media(path, KINDS[kind], numbered(COUNT), times, tone(0.5, rate=KINDS[kind].rate))
    assert media.plays_in_browsers(path) is expected


def test_pixels_of_ten_bits_and_other_codecs(tmp_path: Path) -> None:
    ten = write_frames(tmp_path / "ten.mp4", levels(5), layout="yuv420p10le")
    full = write_frames(tmp_path / "chroma.mp4", levels(5), layout="yuv444p")
    old = write_frames(tmp_path / "old.mp4", levels(5), codec="mpeg4")
    plain = write_frames(tmp_path / "plain.mp4", levels(5))
    assert [media.plays_in_browsers(path) for path in (ten, full, old, plain)] == [False, False, False, True]


def test_a_video_that_starts_after_its_audio(tmp_path: Path) -> None:
    """Browsers count from the audio, and this package from the first frame."""
    path = tmp_path / "late.mp4"
    kind = KINDS["mp4-aac"]
    times = [Fraction(1, 2) + Fraction(i, 25) for i in range(COUNT)]
    write_media(path, kind, numbered(COUNT), times, tone(1.0, rate=kind.rate))
    assert not media.plays_in_browsers(path)


def test_what_is_no_video(tmp_path: Path) -> None:
    media.write_wav(tmp_path / "audio.wav", tone(0.5), 16_000)
    assert not media.plays_in_browsers(tmp_path / "audio.wav")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        media.plays_in_browsers(tmp_path / "text.mp4")
