"""How far the audio is from the frames, and whether it belongs to them at all.

The mouth's opening is compared with the opening that its audio predicts (see `heard_mouth`), for every lag up
to 3 seconds and for clocks that run apart by up to 5 %. What a container's time stamps say has been honoured
before; this is about what the time stamps do not say.

::

    lag(t) = seconds + drift * (t - middle)          t: seconds since the file's start

Knows arrays alone. Which files are looked at together, and what follows, is left to `sync`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.prepare.heard_mouth import PREDICTED_HZ

Array = npt.NDArray[np.float64]

REACH_SECONDS = 3.0
"""The longest lag that is looked for, either way."""
MAX_DRIFT = 0.05
"""Of the audio's clock against the frames'. Films at 25 in place of 24 frames per second run 4 % fast."""
MIN_SPEECH_SECONDS = 10.0
"""Speech under a mouth that is seen; with less, nothing is said of audio that does not fit."""
STEP_SECONDS = 0.02
_REACH = round(REACH_SECONDS / STEP_SECONDS)
_PIECE_SECONDS = 2.5
"""At 5 % clocks run apart by 125 ms in it: less than a syllable."""
_TREND_SECONDS = 0.8
_MIN_OVERLAP = 0.3
"""Share of the footage that must be under audio at a lag for the lag to count."""
_FLOOR_SECONDS = 0.02
"""Speakers differ by about this much; no amount of footage takes it away."""
_CLEAR_CORRELATION = 0.5
"""Footage of 45 people with its own audio has 0.66 and more, with clocks 3 % apart too. With other people's
audio 15 s reach 0.38, 30 s 0.3 and a minute 0.14, at 3 to 5 times the correlation of other lags."""
_FAINT_CORRELATION, _FAINT_HEIGHT = 0.35, 6.5
_PEAK_SECONDS = 0.4
"""Half the width of a peak; lags further off show what correlates by chance."""
_DRIFT_GAIN = 0.03
_MIN_DRIFT_SECONDS = 0.08


@dataclass(frozen=True)
class SpokenSegment:
    """A stretch of footage: the mouth that is seen, and the one that its audio predicts."""

    opening: Array
    """(F,), NaN where the face is not there; frame i is at i/fps."""
    fps: float
    predicted: Array
    """(T,) at 25 Hz, for as long as the frames; (0,) without audio."""
    speaking: npt.NDArray[np.bool_]
    """(T,): speech is heard."""
    start_seconds: float = 0.0
    """Of the stretch, in its file."""

    @property
    def speech_seconds(self) -> float:
        """Speech that is heard while the mouth is seen."""
        if not len(self.predicted):
            return 0.0
        frames = np.minimum(np.arange(len(self.speaking)) * self.fps / PREDICTED_HZ, len(self.opening) - 1)
        return float((self.speaking & np.isfinite(self.opening[frames.astype(int)])).sum() / PREDICTED_HZ)


@dataclass(frozen=True)
class Lag:
    """How much later the audio is than the frames, as well as it can be told."""

    seconds: float
    """Positive: the audio is late. Halfway through the footage, if there is a drift."""
    uncertainty_seconds: float
    """Two standard errors, 20 ms at least."""
    correlation: float
    """Of the opening that is seen and the one that is predicted, at that lag."""
    height: float
    """That correlation, over the root mean square of those at other lags."""
    speech_seconds: float
    """How much speech this rests on."""
    drift: float = 0.0
    """By how much the audio falls behind in a second, in seconds: 0.01 if it is 1 % slow."""

    @property
    def is_clear(self) -> bool:
        """Whether the audio belongs to the mouth: it goes with it far better than by chance."""
        strong = self.correlation >= _CLEAR_CORRELATION
        faint = self.correlation >= _FAINT_CORRELATION and self.height >= _FAINT_HEIGHT
        return (strong or faint) and self.uncertainty_seconds < 0.1

    @property
    def is_known(self) -> bool:
        """Whether there is speech enough to tell that audio does *not* belong to the mouth."""
        return self.speech_seconds >= MIN_SPEECH_SECONDS


def estimate_lag(segments: Sequence[SpokenSegment]) -> Lag | None:
    """The lag that all stretches have in common; None if there is nothing to compare."""
    pieces = [piece for segment in segments for piece in _pieces(segment)]
    if not pieces:
        return None
    times = np.array([time for time, _ in pieces])
    sums = np.stack([found for _, found in pieces])
    middle = float(times.mean())
    drift = _drift_of(times - middle, sums)
    moved = _moved(sums, drift * (times - middle))
    curve = _curve(moved.sum(axis=0))
    peak = int(np.argmax(curve))
    seconds, correlation = _peak(curve)
    # Jackknife: the peak without each tenth of the pieces.
    groups = np.array_split(np.random.default_rng(0).permutation(len(pieces)), min(10, len(pieces)))
    without = [_peak(_curve(np.delete(moved, group, axis=0).sum(axis=0)))[0] for group in groups]
    error = float(np.sqrt((len(groups) - 1) * np.var(without))) if len(groups) > 1 else REACH_SECONDS
    far = curve[np.abs(np.arange(len(curve)) - peak) > _PEAK_SECONDS / STEP_SECONDS]
    height = correlation / max(float(np.sqrt(np.mean(far**2))), 1e-6)
    speech_seconds = sum(segment.speech_seconds for segment in segments)
    uncertainty = max(2 * error, _FLOOR_SECONDS)
    return Lag(seconds, uncertainty, correlation, height, speech_seconds, drift)


def correlations(segments: Sequence[SpokenSegment], *, reach_seconds: float) -> Array:
    """Correlation of mouth and audio at lags from -reach to reach, every 20 ms; 0 without either."""
    reach = round(reach_seconds / STEP_SECONDS)
    sums = [found for segment in segments for _, found in _pieces(segment)]
    if not sums:
        return np.zeros(2 * reach + 1)
    return _curve(np.sum(sums, axis=0))[_REACH - reach : _REACH + reach + 1]


def _pieces(segment: SpokenSegment) -> list[tuple[float, Array]]:
    """Time in the file of every piece of a stretch, and its sums, see :func:`_sums`."""
    if np.isfinite(segment.opening).sum() < 2 or not len(segment.predicted):
        return []
    times, mouth, seen = mouth_course(segment)
    steps = len(times)
    if steps < 2:
        return []
    heard = np.interp(times, np.arange(len(segment.predicted)) / PREDICTED_HZ, segment.predicted)
    # Openings and their speed both tell: slow and fast motion count alike.
    pairs = [(way(mouth) * seen, way(heard)) for way in (without_trend, speed)]
    count = max(1, round(steps * STEP_SECONDS / _PIECE_SECONDS))
    found = []
    for piece in np.array_split(np.arange(steps), count):
        sums = np.stack([_sums(mouth_part, heard_part, piece) for mouth_part, heard_part in pairs])
        found.append((segment.start_seconds + float(piece.mean()) * STEP_SECONDS, sums))
    return found


def mouth_course(segment: SpokenSegment) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Times, openings and whether the mouth is seen, (T,) each, every 20 ms of a stretch."""
    known = np.isfinite(segment.opening)
    steps = int(len(segment.opening) / segment.fps / STEP_SECONDS)
    times: Array = np.arange(steps, dtype=np.float64) * STEP_SECONDS
    if not known.any():
        return times, np.zeros(len(times)), np.zeros(len(times), np.bool_)
    frames = np.arange(len(segment.opening)) / segment.fps
    mouth = np.interp(times, frames[known], segment.opening[known])
    return times, mouth, np.interp(times, frames, known.astype(np.float64)) > 0.99


def _sums(mouth: Array, heard: Array, piece: npt.NDArray[np.int64]) -> Array:
    """Of mouth[t] and heard[t + lag], t in a piece, for every lag: (3, L) sums of their product and squares.

    Where there is no audio at t + lag, t does not count.
    """
    reached = slice(piece[0], piece[-1] + 1 + 2 * _REACH)
    around = np.pad(heard, _REACH)[reached]
    there = np.pad(np.ones(len(heard)), _REACH)[reached]
    part = mouth[piece]
    products = np.correlate(around, part, "valid")
    return np.stack(
        [
            products,
            np.correlate(there, part**2, "valid"),
            np.convolve(around**2, np.ones(len(part)), "valid"),
        ]
    )


def _curve(sums: Array) -> Array:
    """Correlation for every lag, (L,), of sums (2, 3, L); 0 where too little overlaps."""
    products, mouth, heard = sums[:, 0], sums[:, 1], sums[:, 2]
    enough = mouth >= _MIN_OVERLAP * mouth.max(axis=1, keepdims=True)
    correlation = products / np.sqrt(np.maximum(mouth * heard, 1e-18))
    return np.asarray(np.where(enough, correlation, 0.0).mean(axis=0))


def _moved(sums: Array, seconds: Array) -> Array:
    """The sums (P, 2, 3, L) of pieces, each with its lags counted from so many seconds (P,)."""
    lags = np.arange(sums.shape[-1]) + np.round(seconds / STEP_SECONDS).astype(int)[:, None]
    inside = (lags >= 0) & (lags < sums.shape[-1])
    taken = np.take_along_axis(sums, np.clip(lags, 0, sums.shape[-1] - 1)[:, None, None], axis=-1)
    return np.asarray(taken * inside[:, None, None])


def _drift_of(times: Array, sums: Array) -> float:
    """The drift at which all pieces, at these times around 0, agree best; 0 unless it is clearly better."""
    span = float(np.ptp(times))
    if span == 0:
        return 0.0
    most = min(MAX_DRIFT, 2 * REACH_SECONDS / span)
    count = int(most * span / (2 * STEP_SECONDS))
    drifts = 2 * STEP_SECONDS / span * np.arange(-count, count + 1)
    heights = np.array([_curve(_moved(sums, drift * times).sum(axis=0)).max() for drift in drifts])
    best = float(drifts[np.argmax(heights)])
    gain = float(heights.max() - heights[count])
    return best if gain > _DRIFT_GAIN and abs(best) * span >= _MIN_DRIFT_SECONDS else 0.0


def without_trend(values: Array) -> Array:
    """Without what changes more slowly than syllables."""
    width = round(_TREND_SECONDS / STEP_SECONDS) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(values - np.convolve(padded, np.ones(width) / width, mode="valid"))


def speed(values: Array) -> Array:
    """Change over 80 ms, centred."""
    half = round(0.04 / STEP_SECONDS)
    padded = np.pad(values, half, mode="edge")
    return np.asarray(padded[2 * half :] - padded[: -2 * half])


def _peak(curve: Array) -> tuple[float, float]:
    """Where a curve over all lags is highest, in seconds, and how high."""
    top = int(np.argmax(curve))
    exact = float(top)
    if 0 < top < len(curve) - 1:
        before, at, after = curve[top - 1 : top + 2]
        bend = before - 2 * at + after
        exact += 0.5 * (before - after) / bend if bend < 0 else 0.0
    return exact * STEP_SECONDS - REACH_SECONDS, float(curve[top])
