"""How long video is, whatever headers say and however long the audio beside it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from making_media import tone
from making_odd_media import levels, write_pictures
from newscaster.media import probe, read_frames

CONTAINERS = {
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "pcm_s16le"),
    ".3gp": ("libx264", "aac"),
    ".ts": ("libx264", "aac"),
    ".mpg": ("mpeg2video", "mp2"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".flv": ("libx264", "aac"),
    ".mxf": ("mpeg2video", "pcm_s16le"),
}


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("audio_seconds", [0.5, 5.0])
def test_length_is_that_of_the_frames(tmp_path: Path, suffix: str, audio_seconds: float) -> None:
    if suffix == ".mxf" and audio_seconds < 2:
        pytest.skip("FFmpeg ends MXF files with the shorter stream")
    video, audio = CONTAINERS[suffix]
    sound = tone(audio_seconds, rate=48_000)
    path = write_pictures(tmp_path / f"a{suffix}", levels(50), codec=video, sound=sound, sound_codec=audio)
    info = probe(path).video
    assert info is not None
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert sum(1 for _ in read_frames(path)) == pytest.approx(2.0 * info.fps, abs=1)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".ts", ".flv"])
def test_length_counts_from_the_first_frame(tmp_path: Path, suffix: str) -> None:
    video, audio = CONTAINERS[suffix]
    times = [2 + Fraction(i, 25) for i in range(50)]
    path = write_pictures(
        tmp_path / f"a{suffix}",
        levels(50),
        codec=video,
        times=times,
        sound=tone(4.0, rate=48_000),
        sound_codec=audio,
    )
    info = probe(path).video
    assert info is not None
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)


def test_header_only_measures_no_length(tmp_path: Path) -> None:
    info = probe(write_pictures(tmp_path / "a.mkv", levels(5)), header_only=True).video
    assert info is not None
    assert info.duration_seconds is None
