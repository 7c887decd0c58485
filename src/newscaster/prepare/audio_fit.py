"""Parts of footage whose audio does not match the mouth, at a known lag.

`lag` estimates one lag for a whole file. Half of the audio is enough for a clear lag. The other half may
still be another voice, late after a cut, or missing. Therefore the detected opening is compared again with
the predicted one, in a window around each frame::

    mouth   audio   window
    moves   moves   fits if they correlate
    moves   rests   does not fit: a muted track, or audio that ends before the frames
    rests   moves   does not fit: someone else speaks
    rests   rests   fits

Works on arrays alone. `sync` uses the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from newscaster.prepare.lag import STEP_SECONDS, Lag, SpokenSegment, mouth_course, speed, without_trend
from newscaster.prepare.predicted_opening import PREDICTED_HZ
from newscaster.types import ArrayBool, ArrayF64

WINDOW_SECONDS = 8.0
_MIN_WINDOW_SECONDS = 2.5
"""Segments shorter than a window are still tested if they last this long; shorter ones always fit."""
_MIN_AGREEMENT = 0.35
"""Minimum correlation, which is reduced if mouth or audio moves less than usual. On 31 files of other people
it is at least 0.42 with their own audio, and at most 0.27 with other people's."""
_EDGE_SECONDS = 2.0
"""Margin around parts that do not fit: a window across their edge still correlates."""
_RESTS, _MOVES = 0.1, 0.3
"""Fractions of the usual power of a motion: below the first, mouth or audio rests; above the second, it
moves."""


def unfit_frames(segments: Sequence[SpokenSegment], lag: Lag) -> list[ArrayBool]:
    """Return for each segment (F,) the frames whose audio, at this lag, does not match the mouth.

    Args:
        segments: segments of one file, or of several short files.
        lag: their common lag.
    """
    courses = [_courses(segment, lag.seconds) for segment in segments]
    powers = [_window_sums(course**2) / _window_steps(course) for course in courses]
    if not any(power.shape[-1] for power in powers):
        return [np.zeros(len(segment.opening), np.bool_) for segment in segments]
    # The upper quartile: parts that are muted or at rest do not lower it.
    usual = np.percentile(np.concatenate(powers, axis=-1), 75, axis=-1, keepdims=True)
    return [
        _at_frames(segment, _unfit_steps(course, power / np.maximum(usual, 1e-12)))
        for segment, course, power in zip(segments, courses, powers, strict=True)
    ]


def _courses(segment: SpokenSegment, lag_seconds: float) -> ArrayF64:
    """Return mouth and audio every 20 ms, (2, 2, T): openings and their speed, 0 without the face."""
    times, mouth, seen = mouth_course(segment)
    if not len(segment.predicted) or not len(times):
        return np.zeros((2, 2, len(times)))
    predicted = np.interp(
        times + lag_seconds, np.arange(len(segment.predicted)) / PREDICTED_HZ, segment.predicted
    )
    return np.stack(
        [[series(mouth) * seen, series(predicted) * seen] for series in (without_trend, speed)], axis=1
    )


def _unfit_steps(courses: ArrayF64, power: ArrayF64) -> ArrayBool:
    """Return the steps (T,) that do not fit.

    Args:
        courses: (2, 2, T), see :func:`_courses`.
        power: (2, 2, T), their power around each step over the usual power.
    """
    if courses.shape[-1] < _MIN_WINDOW_SECONDS / STEP_SECONDS:
        return np.zeros(courses.shape[-1], np.bool_)
    mouth, predicted = courses
    squares = _window_sums(mouth**2) * _window_sums(predicted**2)
    correlation = (_window_sums(mouth * predicted) / np.sqrt(np.maximum(squares, 1e-18))).mean(axis=0)
    weaker, stronger = np.sort(power.max(axis=1), axis=0)
    alone = (weaker < _RESTS) & (stronger > _MOVES)
    # In a window that is partly muted, the rest may still correlate.
    agreement = correlation * np.sqrt(weaker / np.maximum(stronger, 1e-12))
    unfit = alone | ((stronger > _RESTS) & (agreement < _MIN_AGREEMENT))
    reach = np.ones(2 * round(_EDGE_SECONDS / STEP_SECONDS) + 1)
    around = np.convolve(unfit, reach)[len(reach) // 2 :][: len(unfit)]
    return np.asarray(around > 0.5)


def _window_steps(values: ArrayF64) -> int:
    return max(1, min(round(WINDOW_SECONDS / STEP_SECONDS), int(values.shape[-1])))


def _window_sums(values: ArrayF64) -> ArrayF64:
    """Return sums (..., T) over the window around each step; at both ends, over the outermost window."""
    steps, width = values.shape[-1], _window_steps(values)
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)
    first = np.clip(np.arange(steps) - width // 2, 0, steps - width)
    return np.asarray(sums[..., first + width] - sums[..., first])


def _at_frames(segment: SpokenSegment, steps: ArrayBool) -> ArrayBool:
    """Convert flags of steps to flags of frames (F,)."""
    frames = len(segment.opening)
    if not len(steps):
        return np.zeros(frames, np.bool_)
    nearest = np.round(np.arange(frames) / segment.fps / STEP_SECONDS).astype(int)
    return np.asarray(steps[np.minimum(nearest, len(steps) - 1)])
