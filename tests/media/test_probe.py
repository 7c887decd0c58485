"""How long video is, whatever headers say and however long the audio beside it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import tone
from making_odd_media import levels, write_frames
from newscaster.media import probe, read_frames
from newscaster.prepare.clips import choose_fps, cut, gap_notes, read_footage

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
    video, codec = CONTAINERS[suffix]
    audio = tone(audio_seconds, rate=48_000)
    path = write_frames(tmp_path / f"a{suffix}", levels(50), codec=video, audio=audio, audio_codec=codec)
    info = probe(path).video
    assert info is not None
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert sum(1 for _ in read_frames(path)) == pytest.approx(2.0 * info.fps, abs=1)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".ts", ".flv"])
def test_length_counts_from_the_first_frame(tmp_path: Path, suffix: str) -> None:
    video, audio = CONTAINERS[suffix]
    times = [2 + Fraction(i, 25) for i in range(50)]
    path = write_frames(
        tmp_path / f"a{suffix}",
        levels(50),
        codec=video,
        times=times,
        audio=tone(4.0, rate=48_000),
        audio_codec=audio,
    )
    info = probe(path).video
    assert info is not None
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)


def test_header_only_measures_no_length(tmp_path: Path) -> None:
    info = probe(write_frames(tmp_path / "a.mkv", levels(5)), header_only=True).video
    assert info is not None
    assert info.duration_seconds is None


def runs_of(rate: Fraction | int, starts: tuple[float, ...], seconds: float) -> list[Fraction]:
    """Times of frames at a rate, in runs of so many seconds from these starts."""
    return [Fraction(start) + i / Fraction(rate) for start in starts for i in range(round(seconds * rate))]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov", ".ts", ".flv"])
@pytest.mark.parametrize("rate", [25, 30, 50])
def test_a_gap_is_no_footage(tmp_path: Path, suffix: str, rate: int) -> None:
    video, audio = CONTAINERS[suffix]
    times = runs_of(rate, (0, 6, 20), 2)
    path = write_frames(
        tmp_path / f"a{suffix}",
        levels(len(times)),
        codec=video,
        fps=rate,
        times=times,
        audio=tone(22.0, rate=48_000),
        audio_codec="pcm_s16le" if suffix == ".mov" else audio,
    )
    file = read_footage(path)
    assert file.seconds == pytest.approx(6.0, abs=0.05)
    assert file.end_seconds == pytest.approx(22.0, abs=0.05)
    np.testing.assert_allclose(file.video.gaps, [(2.0, 6.0), (8.0, 20.0)], atol=0.05)
    assert gap_notes([file]) == [
        f"'a{suffix}' has no frames for 16.0 s, skipped: 2.0 to 6.0 s, 8.0 to 20.0 s"
    ]
    fps = choose_fps([file.fps])
    assert fps == (30 if rate == 30 else 25)
    segments = cut([file], fps)
    assert [(s.start_frame / fps, s.stop_frame and s.stop_frame / fps) for s in segments] == [
        (0, 2),
        (6, 8),
        (20, None),
    ]
    for segment in segments:
        frames = [float(frame.mean()) for frame in segment.frames()]
        assert len(frames) == pytest.approx(2 * fps, abs=1)
        assert np.abs(np.diff(frames)).min() > 1  # each frame differs from the one before it


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("a rate of 5", runs_of(5, (0,), 6)),
        ("a rate of 1", runs_of(1, (0,), 8)),
        ("a rate that falls to 5", runs_of(25, (0,), 3) + runs_of(5, (3,), 3)),
        ("half a second that was dropped", runs_of(25, (0, 2.4), 2)),
        ("five frames that were dropped", runs_of(8, (0, 2.4), 2)),
        ("a single frame", [Fraction(0)]),
    ],
)
def test_a_low_or_varying_rate_has_no_gaps(tmp_path: Path, name: str, times: list[Fraction]) -> None:
    path = write_frames(tmp_path / "a.mkv", levels(len(times)), times=times)
    video = read_footage(path).video
    assert video.gaps == ()
    assert video.duration_seconds == video.end_seconds == pytest.approx(float(times[-1]), abs=2.1)


RATES = [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(50), Fraction(60)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("rate", RATES)
def test_dropped_frames_do_not_lower_the_rate(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    count = round(6 * rate)
    rng = np.random.default_rng(3)
    kept = {
        "every fifth": np.arange(count) % 5 != 3,
        "every third": np.arange(count) % 3 != 1,
        "a twentieth": rng.random(count) > 0.05,
        "a fifth": rng.random(count) > 0.2,
        "half": rng.random(count) > 0.5,
        "some at once": np.arange(count) % 60 < 52,
    }
    for name, some in kept.items():
        times = [i / rate for i in np.flatnonzero(some).tolist()]
        path = write_frames(tmp_path / f"a{suffix}", levels(len(times)), fps=25, times=times)
        file = read_footage(path)
        assert float(file.fps) == pytest.approx(float(rate), abs=0.012), name
        assert file.video.gaps == ()
        half = rate / 2 if rate > 35 else rate
        assert choose_fps([file.fps]) == (25 if half <= 26 else half)
        assert sum(1 for _ in read_frames(path, fps=file.fps)) == pytest.approx(6 * rate, abs=12)


@pytest.mark.parametrize("jitter_ms", [0, 2, 5])
def test_time_stamps_that_jitter_have_their_mean_rate(tmp_path: Path, jitter_ms: int) -> None:
    rng = np.random.default_rng(4)
    times = [Fraction(i, 30) + Fraction(rng.uniform(-1, 1) * jitter_ms / 1000) for i in range(1, 361)]
    file = read_footage(write_frames(tmp_path / "a.mp4", levels(360), fps=30, times=times))
    assert float(file.fps) == pytest.approx(30, abs=0.02)
    dropped = [time for time in times if rng.random() > 0.2]
    file = read_footage(write_frames(tmp_path / "b.mp4", levels(len(dropped)), fps=30, times=dropped))
    assert float(file.fps) == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(
    ("name", "steps", "rate"),
    [
        ("repeated fields", [Fraction(2, 60), Fraction(3, 60)] * 100, 24),
        ("a rate that varies freely", [Fraction(20 + 17 * i % 61, 1000) for i in range(240)], None),
    ],
)
def test_steps_that_are_no_multiples_have_their_mean_rate(
    tmp_path: Path, name: str, steps: list[Fraction], rate: float | None
) -> None:
    times = [sum(steps[:i], Fraction(0)) for i in range(len(steps))]
    video = read_footage(write_frames(tmp_path / "a.mp4", levels(len(times)), times=times)).video
    assert video.nominal_fps is None
    assert float(video.fps) == pytest.approx(rate or 1 / float(np.mean(steps)), rel=0.02)


def test_a_gap_after_a_clock_that_starts_again(tmp_path: Path) -> None:
    parts = [
        write_frames(tmp_path / f"{i}.ts", levels(len(times)), times=times, audio=tone(8.0, rate=48_000))
        for i, times in enumerate([runs_of(25, (0,), 2), runs_of(25, (0, 5), 2)])
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    file = read_footage(path)
    assert file.seconds == pytest.approx(6.0, abs=0.1)
    np.testing.assert_allclose(file.video.gaps, [(4.0, 7.0)], atol=0.1)
    segments = cut([file], Fraction(25))
    assert [len(list(segment.frames())) for segment in segments] == pytest.approx([100, 50], abs=2)
