"""Generated motion: its size, its loop, and the blinks."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.still import HeadMotion

FPS = 50.0


def loops(style: str = "calm", count: int = 6, seconds: float = 24.0) -> list[HeadMotion]:
    return [HeadMotion.generate(fps=FPS, seconds=seconds, style=style, seed=seed) for seed in range(count)]  # type: ignore[arg-type]


def speeds(angles: np.ndarray) -> np.ndarray:
    return np.diff(angles, axis=0, append=angles[:1]) * FPS


@pytest.mark.parametrize(
    ("style", "least", "most"), [("still", 0.2, 0.8), ("calm", 1.0, 3.0), ("lively", 1.6, 5.0)]
)
def test_angles_have_the_size_of_their_style(style: str, least: float, most: float) -> None:
    for motion in loops(style):
        deviation = motion.angles.std(axis=0)
        assert (deviation > least).all()
        assert (deviation < most).all()
        assert np.abs(motion.angles).max() < 10


def test_speed_is_that_of_people() -> None:
    """Real heads turn by 1.2 to 5 times their deviation per second (root mean square)."""
    ratios = [np.sqrt((speeds(m.angles) ** 2).mean(axis=0)) / m.angles.std(axis=0) for m in loops()]
    assert 1.2 < np.mean(ratios) < 5


def test_the_end_meets_the_start() -> None:
    for motion in loops():
        for signal in (motion.angles, motion.shift, motion.scale[:, None], motion.breath[:, None]):
            steps = np.abs(np.diff(signal, axis=0, append=signal[:1]))
            turns = np.abs(np.diff(np.concatenate([steps, steps[:1]]), axis=0))
            assert (steps[-1] <= steps[:-1].max(axis=0)).all()
            assert (turns[-1] <= turns[:-1].max(axis=0)).all()
        assert motion.gaze[0] == pytest.approx(motion.gaze[-1], abs=1e-9)


def test_nothing_repeats_within_the_loop() -> None:
    for motion in loops():
        for signal in motion.angles.T:
            spectrum = np.abs(np.fft.rfft(signal)) ** 2
            correlation = np.fft.irfft(spectrum, len(signal))[round(3 * FPS) : len(signal) // 2]
            assert correlation.max() / (signal**2).sum() < 0.8


def test_there_are_pauses() -> None:
    """Someone pauses: the slowest tenth of a second in twenty is much slower than the mean."""
    for motion in loops():
        total = np.linalg.norm(speeds(motion.angles), axis=1)
        assert np.percentile(total, 10) < 0.45 * np.sqrt((total**2).mean())


@pytest.mark.parametrize(("style", "depth"), [("still", 0.3), ("calm", 1.0), ("lively", 1.4)])
def test_nods_go_down_at_the_frames_that_are_named(style: str, depth: float) -> None:
    for motion in loops(style):
        assert 4 <= len(motion.nods) <= 15
        assert np.diff(motion.nods).min() >= 1.5 * FPS
        pitch = motion.angles[:, 1]
        drops = [
            pitch[n - round(0.28 * FPS)] + pitch[n + round(0.5 * FPS)] - 2 * pitch[n] for n in motion.nods
        ]
        assert np.mean(drops) / 2 > depth  # a lower pitch is a lower chin


def blinks_of(motion: HeadMotion) -> np.ndarray:
    shut = np.concatenate([[0], (motion.closure > 0).astype(int), [0]])
    return np.stack([np.flatnonzero(np.diff(shut) == 1), np.flatnonzero(np.diff(shut) == -1)], axis=1) / FPS


@pytest.mark.slow
@pytest.mark.parametrize("style", ["calm", "lively", "still"])
def test_blinks_are_human(style: str) -> None:
    motions = loops(style, count=12, seconds=60.0)
    spans = [blinks_of(motion) for motion in motions]
    rate = sum(map(len, spans)) / (12 * 60.0)
    assert 0.25 <= rate <= 0.5
    lengths = np.concatenate([np.diff(span, axis=1) for span in spans])
    assert lengths.min() > 0.2 - 2 / FPS
    assert lengths.max() < 0.4 + 2 / FPS
    for motion, span in zip(motions, spans, strict=True):
        assert span.min() >= 0.5 - 1 / FPS
        assert span.max() <= 59.5 + 1 / FPS
        assert motion.closure.max() > 0.95
        gaps = span[1:, 0] - span[:-1, 1]
        assert gaps.std() > 0.3


def test_lids_close_faster_than_they_open() -> None:
    (motion,) = loops(count=1)
    for start, end in blinks_of(motion):
        course = motion.closure[round(start * FPS) : round(end * FPS)]
        assert course.argmax() < 0.5 * len(course)


def test_options() -> None:
    assert not HeadMotion.generate(fps=25, blinks=False).closure.any()
    first, again, other = (HeadMotion.generate(fps=25, seed=seed) for seed in (1, 1, 2))
    assert (first.angles == again.angles).all()
    assert not np.allclose(first.angles, other.angles)
    assert len(HeadMotion.generate(fps=25, seconds=10)) == 250
    for wrong in ({"style": "wild"}, {"fps": 0}, {"seconds": 1}, {"fps": float("nan")}):
        with pytest.raises(InputError, match="expected"):
            HeadMotion.generate(**{"fps": 25, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected"):
        HeadMotion(np.zeros((3, 3)), np.zeros((3, 2)), np.ones(3), np.zeros(3), np.zeros((2, 2)), np.zeros(3))
