"""Lag and drift of the audio against the frames, and whether the audio belongs to the mouth at all.

Compares the detected opening with the one predicted from the audio (see `predicted_opening`), for lags of up
to 3 seconds and for clocks that drift by up to 5 %. Offsets in the time stamps of the container are applied
before.

::

    lag(t) = seconds + drift * (t - middle)          t: seconds since the file's start

Works on arrays alone. `sync` groups files and uses the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.prepare.predicted_opening import PREDICTED_HZ
from newscaster.types import ArrayBool, ArrayF64, ArrayI64

REACH_SECONDS = 3.0
"""Maximum lag in either direction."""
MAX_DRIFT = 0.05
"""Maximum drift of the audio's clock. Films at 25 instead of 24 frames per second run 4 % fast."""
MIN_SPEECH_SECONDS = 10.0
"""Minimum speech under a visible mouth; with less, audio that does not fit is not reported."""
STEP_SECONDS = 0.02
_REACH = round(REACH_SECONDS / STEP_SECONDS)
_PIECE_SECONDS = 2.5
"""At a drift of 5 %, clocks diverge by 125 ms in this time: less than a syllable."""
_TREND_SECONDS = 0.8
_MIN_OVERLAP = 0.3
"""Minimum fraction of the footage that has audio at a lag."""
_FLOOR_SECONDS = 0.02
"""Minimum uncertainty: speakers differ by about this much, however long the footage is."""
_CLEAR_CORRELATION = 0.5
"""Footage of 45 people with its own audio has at least 0.66, also with a drift of 3 %. With other people's
audio, 15 s reach 0.38, 30 s 0.3 and a minute 0.14, at 3 to 5 times the correlation of other lags."""
_FAINT_CORRELATION, _FAINT_HEIGHT = 0.35, 6.5
_PEAK_SECONDS = 0.4
"""Half the width of a peak; lags outside correlate by chance."""
_DRIFT_GAIN = 0.03
_MIN_DRIFT_SECONDS = 0.08


@dataclass(frozen=True)
class SpokenSegment:
    """A segment of footage: the detected mouth opening, and the one predicted from the audio."""

    opening: ArrayF64
    """(F,), NaN in frames without the face; frame i is at i/fps."""
    fps: float
    predicted: ArrayF64
    """(T,) at 25 Hz, as long as the frames; (0,) without audio."""
    speaking: ArrayBool
    """(T,): the audio has speech."""
    start_seconds: float = 0.0
    """Start of the segment in its file."""

    @property
    def speech_seconds(self) -> float:
        """Duration of speech while the mouth is visible."""
        if not len(self.predicted):
            return 0.0
        frames = np.minimum(np.arange(len(self.speaking)) * self.fps / PREDICTED_HZ, len(self.opening) - 1)
        return float((self.speaking & np.isfinite(self.opening[frames.astype(int)])).sum() / PREDICTED_HZ)


@dataclass(frozen=True)
class Lag:
    """Estimated delay of the audio against the frames."""

    seconds: float
    """Positive: the audio is late. With a drift: the lag halfway through the footage."""
    uncertainty_seconds: float
    """Two standard errors, at least 20 ms."""
    correlation: float
    """Correlation of detected and predicted opening at that lag."""
    height: float
    """That correlation over the root mean square of those at other lags."""
    speech_seconds: float
    """Duration of the speech that the estimate is based on."""
    drift: float = 0.0
    """Seconds by which the audio falls behind per second: 0.01 if it is 1 % slow."""

    @property
    def is_clear(self) -> bool:
        """Whether the audio belongs to the mouth: the correlation is far above chance."""
        strong = self.correlation >= _CLEAR_CORRELATION
        faint = self.correlation >= _FAINT_CORRELATION and self.height >= _FAINT_HEIGHT
        return (strong or faint) and self.uncertainty_seconds < 0.1

    @property
    def is_known(self) -> bool:
        """Whether there is enough speech to conclude that the audio does *not* belong to the mouth."""
        return self.speech_seconds >= MIN_SPEECH_SECONDS


def estimate_lag(segments: Sequence[SpokenSegment]) -> Lag | None:
    """Estimate the common lag of all segments; None if there is nothing to compare."""
    pieces = [piece for segment in segments for piece in _pieces(segment)]
    if not pieces:
        return None
    times = np.array([time for time, _ in pieces])
    sums = np.stack([piece_sums for _, piece_sums in pieces])
    middle = float(times.mean())
    drift = _estimate_drift(times - middle, sums)
    shifted = _shift_lags(sums, drift * (times - middle))
    curve = _curve(shifted.sum(axis=0))
    peak = int(np.argmax(curve))
    seconds, correlation = _peak(curve)
    # Jackknife: the peak without each tenth of the pieces.
    groups = np.array_split(np.random.default_rng(0).permutation(len(pieces)), min(10, len(pieces)))
    without = [_peak(_curve(np.delete(shifted, group, axis=0).sum(axis=0)))[0] for group in groups]
    error = float(np.sqrt((len(groups) - 1) * np.var(without))) if len(groups) > 1 else REACH_SECONDS
    far = curve[np.abs(np.arange(len(curve)) - peak) > _PEAK_SECONDS / STEP_SECONDS]
    height = correlation / max(float(np.sqrt(np.mean(far**2))), 1e-6)
    speech_seconds = sum(segment.speech_seconds for segment in segments)
    uncertainty = max(2 * error, _FLOOR_SECONDS)
    return Lag(seconds, uncertainty, correlation, height, speech_seconds, drift)


def correlations(segments: Sequence[SpokenSegment], *, reach_seconds: float) -> ArrayF64:
    """Correlate mouth and audio at lags from -reach to reach, every 20 ms; 0 without either."""
    reach = round(reach_seconds / STEP_SECONDS)
    sums = [piece_sums for segment in segments for _, piece_sums in _pieces(segment)]
    if not sums:
        return np.zeros(2 * reach + 1)
    return _curve(np.sum(sums, axis=0))[_REACH - reach : _REACH + reach + 1]


def _pieces(segment: SpokenSegment) -> list[tuple[float, ArrayF64]]:
    """Return for every piece of a segment its time in the file and its sums, see :func:`_sums`."""
    if np.isfinite(segment.opening).sum() < 2 or not len(segment.predicted):
        return []
    times, mouth, seen = mouth_course(segment)
    steps = len(times)
    if steps < 2:
        return []
    predicted = np.interp(times, np.arange(len(segment.predicted)) / PREDICTED_HZ, segment.predicted)
    # Use openings and their speed, so that slow and fast motion have the same weight.
    pairs = [(series(mouth) * seen, series(predicted)) for series in (without_trend, speed)]
    count = max(1, round(steps * STEP_SECONDS / _PIECE_SECONDS))
    pieces = []
    for indices in np.array_split(np.arange(steps), count):
        sums = np.stack([_sums(mouth_part, audio_part, indices) for mouth_part, audio_part in pairs])
        pieces.append((segment.start_seconds + float(indices.mean()) * STEP_SECONDS, sums))
    return pieces


def mouth_course(segment: SpokenSegment) -> tuple[ArrayF64, ArrayF64, ArrayBool]:
    """Return times, openings and whether the mouth is visible, (T,) each, every 20 ms of a segment."""
    known = np.isfinite(segment.opening)
    steps = int(len(segment.opening) / segment.fps / STEP_SECONDS)
    times: ArrayF64 = np.arange(steps, dtype=np.float64) * STEP_SECONDS
    if not known.any():
        return times, np.zeros(len(times)), np.zeros(len(times), np.bool_)
    frames = np.arange(len(segment.opening)) / segment.fps
    mouth = np.interp(times, frames[known], segment.opening[known])
    return times, mouth, np.interp(times, frames, known.astype(np.float64)) > 0.99


def _sums(mouth: ArrayF64, predicted: ArrayF64, piece: ArrayI64) -> ArrayF64:
    """Sum products and squares of mouth[t] and predicted[t + lag] over a piece, for every lag: (3, L).

    Steps t without audio at t + lag are ignored.
    """
    reached = slice(piece[0], piece[-1] + 1 + 2 * _REACH)
    around = np.pad(predicted, _REACH)[reached]
    has_audio = np.pad(np.ones(len(predicted)), _REACH)[reached]
    part = mouth[piece]
    products = np.correlate(around, part, "valid")
    return np.stack(
        [
            products,
            np.correlate(has_audio, part**2, "valid"),
            np.convolve(around**2, np.ones(len(part)), "valid"),
        ]
    )


def _curve(sums: ArrayF64) -> ArrayF64:
    """Return the correlation for every lag, (L,), from sums (2, 3, L); 0 if too little overlaps."""
    products, mouth, predicted = sums[:, 0], sums[:, 1], sums[:, 2]
    enough = mouth >= _MIN_OVERLAP * mouth.max(axis=1, keepdims=True)
    correlation = products / np.sqrt(np.maximum(mouth * predicted, 1e-18))
    return np.asarray(np.where(enough, correlation, 0.0).mean(axis=0))


def _shift_lags(sums: ArrayF64, seconds: ArrayF64) -> ArrayF64:
    """Shift the lags of each piece's sums (P, 2, 3, L) by so many seconds (P,)."""
    lags = np.arange(sums.shape[-1]) + np.round(seconds / STEP_SECONDS).astype(int)[:, None]
    inside = (lags >= 0) & (lags < sums.shape[-1])
    shifted = np.take_along_axis(sums, np.clip(lags, 0, sums.shape[-1] - 1)[:, None, None], axis=-1)
    return np.asarray(shifted * inside[:, None, None])


def _estimate_drift(times: ArrayF64, sums: ArrayF64) -> float:
    """Return the drift at which pieces at these times around 0 agree best; 0 unless it is clearly better."""
    span = float(np.ptp(times))
    if span == 0:
        return 0.0
    max_drift = min(MAX_DRIFT, 2 * REACH_SECONDS / span)
    count = int(max_drift * span / (2 * STEP_SECONDS))
    drifts = 2 * STEP_SECONDS / span * np.arange(-count, count + 1)
    heights = np.array([_curve(_shift_lags(sums, drift * times).sum(axis=0)).max() for drift in drifts])
    best = float(drifts[np.argmax(heights)])
    gain = float(heights.max() - heights[count])
    return best if gain > _DRIFT_GAIN and abs(best) * span >= _MIN_DRIFT_SECONDS else 0.0


def without_trend(values: ArrayF64) -> ArrayF64:
    """Remove changes slower than syllables."""
    width = round(_TREND_SECONDS / STEP_SECONDS) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(values - np.convolve(padded, np.ones(width) / width, mode="valid"))


def speed(values: ArrayF64) -> ArrayF64:
    """Return the centred change over 80 ms."""
    half = round(0.04 / STEP_SECONDS)
    padded = np.pad(values, half, mode="edge")
    return np.asarray(padded[2 * half :] - padded[: -2 * half])


def _peak(curve: ArrayF64) -> tuple[float, float]:
    """Return the position of a curve's maximum over all lags, in seconds, and its height."""
    top = int(np.argmax(curve))
    exact = float(top)
    if 0 < top < len(curve) - 1:
        before, at, after = curve[top - 1 : top + 2]
        curvature = before - 2 * at + after
        exact += 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return exact * STEP_SECONDS - REACH_SECONDS, float(curve[top])
