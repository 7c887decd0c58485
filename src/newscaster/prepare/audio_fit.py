"""Which parts of footage have audio that goes with the mouth, at a lag that is known.

A lag is found from all of a file (see `lag`). If half of the audio supports it, it is clear; the other half
may still be another voice's, late after a cut, or missing. So the mouth that is seen is compared with the one
that is heard once more, in a window around each frame::

    mouth   audio   window
    moves   moves   fits if they correlate
    moves   rests   does not fit: a muted track, or audio that ends before the frames
    rests   moves   does not fit: somebody else speaks
    rests   rests   fits

Knows arrays alone. What follows is left to `sync`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from newscaster.prepare.heard_mouth import PREDICTED_HZ
from newscaster.prepare.lag import STEP_SECONDS, Lag, SpokenSegment, mouth_course, speed, without_trend

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WINDOW_SECONDS = 8.0
_MIN_WINDOW_SECONDS = 2.5
"""Of a stretch that is shorter than a window; in a shorter one nothing is told."""
_MIN_AGREEMENT = 0.3
"""Correlation, less if one of both moves less than usual. On ten files of other people with their own audio,
it is 0.42 and more; with other people's, less than 0.22 in 99 % of the windows, and 0.35 at most."""
_EDGE_SECONDS = 2.0
"""Beside what does not fit: a window across its edge still correlates."""
_RESTS, _MOVES = 0.1, 0.3
"""Of the usual power of a motion: mouth or audio is at rest with less than the one, and moves with more than
the other."""


def unfit_frames(segments: Sequence[SpokenSegment], lag: Lag) -> list[Flags]:
    """Of each stretch (F,): frames whose audio, at this lag, does not go with the mouth.

    Args:
        segments: of one file, or of short ones together.
        lag: of all of them.
    """
    courses = [_courses(segment, lag.seconds) for segment in segments]
    powers = [_window_sums(one**2) / _window_steps(one) for one in courses]
    if not any(power.shape[-1] for power in powers):
        return [np.zeros(len(segment.opening), np.bool_) for segment in segments]
    # The upper quartile: a part that is muted, or at rest, does not lower it.
    usual = np.percentile(np.concatenate(powers, axis=-1), 75, axis=-1, keepdims=True)
    return [
        _at_frames(segment, _unfit_steps(one, power / np.maximum(usual, 1e-12)))
        for segment, one, power in zip(segments, courses, powers, strict=True)
    ]


def _courses(segment: SpokenSegment, lag_seconds: float) -> Array:
    """Mouth and audio every 20 ms, 0 in frames without the face: (2, 2, T), openings and their speed."""
    times, mouth, seen = mouth_course(segment)
    if not len(segment.predicted) or not len(times):
        return np.zeros((2, 2, len(times)))
    heard = np.interp(
        times + lag_seconds, np.arange(len(segment.predicted)) / PREDICTED_HZ, segment.predicted
    )
    return np.stack([[way(mouth) * seen, way(heard) * seen] for way in (without_trend, speed)], axis=1)


def _unfit_steps(courses: Array, power: Array) -> Flags:
    """(T,) of courses (2, 2, T), and their power around each step over the usual one (2, 2, T)."""
    if courses.shape[-1] < _MIN_WINDOW_SECONDS / STEP_SECONDS:
        return np.zeros(courses.shape[-1], np.bool_)
    mouth, heard = courses
    squares = _window_sums(mouth**2) * _window_sums(heard**2)
    correlation = (_window_sums(mouth * heard) / np.sqrt(np.maximum(squares, 1e-18))).mean(axis=0)
    weaker, stronger = np.sort(power.max(axis=1), axis=0)
    alone = (weaker < _RESTS) & (stronger > _MOVES)
    # Of a window that is muted in part, all that is left may correlate.
    agreement = correlation * np.sqrt(weaker / np.maximum(stronger, 1e-12))
    unfit = alone | ((stronger > _RESTS) & (agreement < _MIN_AGREEMENT))
    reach = np.ones(2 * round(_EDGE_SECONDS / STEP_SECONDS) + 1)
    around = np.convolve(unfit, reach)[len(reach) // 2 :][: len(unfit)]
    return np.asarray(around > 0.5)


def _window_steps(values: Array) -> int:
    return max(1, min(round(WINDOW_SECONDS / STEP_SECONDS), int(values.shape[-1])))


def _window_sums(values: Array) -> Array:
    """Sums (..., T) over the window around each step; at the ends, over the window that ends there."""
    steps, width = values.shape[-1], _window_steps(values)
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)
    first = np.clip(np.arange(steps) - width // 2, 0, steps - width)
    return np.asarray(sums[..., first + width] - sums[..., first])


def _at_frames(segment: SpokenSegment, steps: Flags) -> Flags:
    """Flags of steps as flags of frames (F,)."""
    frames = len(segment.opening)
    if not len(steps):
        return np.zeros(frames, np.bool_)
    nearest = np.round(np.arange(frames) / segment.fps / STEP_SECONDS).astype(int)
    return np.asarray(steps[np.minimum(nearest, len(steps) - 1)])
