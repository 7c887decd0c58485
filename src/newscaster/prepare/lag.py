"""How far the sound is from the picture, guessed from the mouth's opening and the sound's loudness.

A hint, no more: a mouth also opens without a sound and sounds with hardly an opening. What a container's time
stamps say has been honoured before; this is about what the time stamps do not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.speech.activity import speech_activity
from newscaster.speech.features import MOTION_HZ

Array = npt.NDArray[np.float64]

_STEP_SECONDS = 0.01
_REACH_SECONDS = 0.5
_TREND_SECONDS = 0.8
_PIECE_SECONDS = 5.0
_LEAST_SECONDS = 10.0
_LEAST_SPEECH_SECONDS = 1.0
"""Of a piece; others are no evidence."""
_NATURAL_SECONDS = 0.009
"""What this measure finds on 200 sentences of the GRID corpus, taken for footage without a lag. Voices sound
a moment after the lips part."""
_FLOOR_SECONDS = 0.02
"""Speakers differ by about this much; no amount of footage takes it away."""
_LEAST_CORRELATION = 0.2


@dataclass(frozen=True)
class Lag:
    """How much later the sound is than the picture."""

    seconds: float
    """Positive: the sound is late."""
    uncertainty_seconds: float
    """Two standard errors, 20 ms at least."""
    correlation: float
    """Of opening and loudness at that lag."""

    @property
    def is_clear(self) -> bool:
        """Whether sound and mouth go together well enough for the lag to be believed."""
        return self.correlation >= _LEAST_CORRELATION and self.uncertainty_seconds < 0.1


def loudness_db(speech: npt.NDArray[np.float32], *, rate: int, step_seconds: float, steps: int) -> Array:
    """Level in dBFS around the times k * step_seconds, (steps,), over 40 ms.

    Digital silence is -70 dBFS, in quiet audio 40 dB below its loudest.
    """
    energy = np.concatenate([[0.0], np.cumsum(speech.astype(np.float64) ** 2)])
    middle = np.arange(steps) * step_seconds * rate
    first = np.clip(np.round(middle - 0.02 * rate).astype(int), 0, len(speech))
    last = np.clip(np.round(middle + 0.02 * rate).astype(int), 0, len(speech))
    mean = (energy[last] - energy[first]) / np.maximum(last - first, 1)
    floor = 1e-4 * np.clip(mean.max(initial=0.0), 1e-8, 1e-3)
    return np.asarray(10 * np.log10(mean + floor))


def estimate_lag(
    openings: Sequence[Array], speeches: Sequence[npt.NDArray[np.float32]], *, fps: float, rate: int
) -> Lag | None:
    """The lag that all stretches have in common; None where there is too little to go by.

    Args:
        openings: of each stretch, (F,), NaN where the face is not there. A frame is taken to be seen at
            i/fps.
        speeches: of each stretch, (N,) at ``rate``, 16 kHz; one without sound, (0,), is passed over.
    """
    pieces: list[Array] = []
    for opening, speech in zip(openings, speeches, strict=True):
        if len(speech):
            pieces += _correlations(opening, speech, fps=fps, rate=rate)
    if len(pieces) * _PIECE_SECONDS < _LEAST_SECONDS:
        return None
    curves = np.stack(pieces)
    peak, height = _peak(curves.mean(axis=0))
    # Jackknife: the peak without each tenth of the pieces.
    groups = np.array_split(np.random.default_rng(0).permutation(len(curves)), min(10, len(curves)))
    without = np.array([_peak(np.delete(curves, group, axis=0).mean(axis=0))[0] for group in groups])
    error = float(np.sqrt((len(groups) - 1) * np.mean((without - without.mean()) ** 2)))
    return Lag(peak - _NATURAL_SECONDS, max(2 * error, _FLOOR_SECONDS), height)


def _correlations(opening: Array, speech: npt.NDArray[np.float32], *, fps: float, rate: int) -> list[Array]:
    """Correlation of opening and loudness for every lag from -0.5 to 0.5 s, for each piece of 5 s or so.

    The opening and its speed, in dB-like units, both follow the loudness's; their correlations are added up.
    """
    known = np.isfinite(opening)
    if known.sum() < 2:
        return []
    steps = int(len(opening) / fps / _STEP_SECONDS)
    times = np.arange(steps) * _STEP_SECONDS
    # A frame shows the mean of its exposure: its middle is unknown, and part of the natural lag.
    mouth = np.interp(times, np.arange(len(opening))[known] / fps, opening[known])
    sound = loudness_db(speech, rate=rate, step_seconds=_STEP_SECONDS, steps=steps)
    reach, length = round(_REACH_SECONDS / _STEP_SECONDS), round(_PIECE_SECONDS / _STEP_SECONDS)
    count = max(1, round((steps - 2 * reach) / length))
    curves = []
    speaking = np.repeat(speech_activity(speech), round(1 / MOTION_HZ / _STEP_SECONDS))
    for piece in np.array_split(np.arange(reach, steps - reach), count):
        if len(piece) < length / 3:
            continue
        # In silence loudness is noise, and any mouth goes with noise at some lag.
        if speaking[piece[0] : piece[-1] + 1].sum() * _STEP_SECONDS < _LEAST_SPEECH_SECONDS:
            continue
        both = [_slide(way(mouth), way(sound), piece, reach) for way in (_flat, _rate)]
        curves.append((both[0] + both[1]) / 2)
    return curves


def _slide(mouth: Array, sound: Array, piece: npt.NDArray[np.int64], reach: int) -> Array:
    """Correlation of mouth[t] with sound[t + lag] for lags -reach ... reach."""
    a = mouth[piece] - mouth[piece].mean()
    out = np.zeros(2 * reach + 1)
    for i, lag in enumerate(range(-reach, reach + 1)):
        b = sound[piece + lag] - sound[piece + lag].mean()
        out[i] = (a @ b) / max(float(np.sqrt((a @ a) * (b @ b))), 1e-12)
    return out


def _flat(values: Array) -> Array:
    """Without what changes more slowly than syllables."""
    width = round(_TREND_SECONDS / _STEP_SECONDS) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return values - np.convolve(padded, np.ones(width) / width, mode="valid")


def _rate(values: Array) -> Array:
    """Speed of change over 80 ms, centred."""
    half = round(0.04 / _STEP_SECONDS)
    padded = np.pad(values, half, mode="edge")
    return padded[2 * half :] - padded[: -2 * half]


def _peak(curve: Array) -> tuple[float, float]:
    """Where a curve over -0.5 ... 0.5 s is highest, in seconds, and how high."""
    top = int(np.argmax(curve))
    if 0 < top < len(curve) - 1:
        before, at, after = curve[top - 1 : top + 2]
        bend = before - 2 * at + after
        top_exact = top + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    else:
        top_exact = float(top)
    return float(top_exact * _STEP_SECONDS - _REACH_SECONDS), float(curve[top])
