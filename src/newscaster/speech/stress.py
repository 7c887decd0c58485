"""Stressed syllables, by energy and pitch: moments at which people nod. No network, no training.

A syllable has its nucleus where the level of voiced speech peaks. It is stressed if it is louder or higher
than those around it, and more so than its neighbours. Fricatives and noise have no pitch, and no nucleus.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.speech.spectral import HOP_SAMPLES, SAMPLE_RATE
from newscaster.types import ArrayF32, ArrayF64, ArrayI64

_STEP_SECONDS = HOP_SAMPLES / SAMPLE_RATE
_WINDOW_SAMPLES = 640
"""40 ms: three periods of 75 Hz."""
_LAGS = (SAMPLE_RATE // 400, SAMPLE_RATE // 75)
_VOICED = 0.5
"""Minimum autocorrelation at the period of the voice, relative to the energy."""
_OCTAVE_COST = 0.05
"""How much better than a period its double must fit to be preferred, relative to the energy."""
_SMOOTH_STEPS = 7
_APART_STEPS = 6
"""Nuclei are the largest level within so many steps on either side."""
_BELOW_LOUD_DB = 25.0
_AROUND_SECONDS = 1.5
"""Nuclei are compared with those within this time on either side."""
_LOUDER_DB, _HIGHER_SEMITONES = 4.0, 2.5
"""How much louder or higher counts as one unit of stress."""
_MIN_STRESS = 0.5
_NEIGHBOUR_SECONDS = 0.25
"""Of two stressed nuclei within this time, only the stronger one counts."""
_SMALLEST_POWER = 1e-12


def stressed_times(blocks: Iterable[ArrayF32]) -> ArrayF64:
    """Return the times of stressed syllables in seconds, (n,), rising.

    Args:
        blocks: successive blocks of speech, (n,) at 16 kHz, of any lengths. About 1.6 kB per second of them
            are kept.
    """
    levels, semitones, held = [], [], np.zeros(_WINDOW_SAMPLES // 2, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        count = max(0, (len(held) - _WINDOW_SAMPLES) // HOP_SAMPLES + 1)
        if not count:
            continue
        windows = sliding_window_view(held, _WINDOW_SAMPLES)[: count * HOP_SAMPLES : HOP_SAMPLES]
        level, pitch = _level_and_pitch(windows)
        levels.append(level)
        semitones.append(pitch)
        held = held[count * HOP_SAMPLES :]
    if not levels:
        return np.zeros(0)
    steps = _stressed(np.concatenate(levels), np.concatenate(semitones))
    return np.asarray(steps * _STEP_SECONDS, np.float64)


def _level_and_pitch(windows: ArrayF32) -> tuple[ArrayF64, ArrayF64]:
    """Return the level of windows (n, 640) in dB and their pitch in semitones, NaN if they are unvoiced."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    level = 10 * np.log10((centred.astype(np.float64) ** 2).mean(axis=1) + _SMALLEST_POWER)
    first, last = _LAGS
    spectrum = np.fft.rfft(centred, 2 * _WINDOW_SAMPLES, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, : last + 1]
    # Fewer samples overlap at longer lags.
    correlation = correlation / (1 - np.arange(last + 1) / _WINDOW_SAMPLES)
    lags = np.arange(first, last + 1)
    # Twice the period fits as well as the period.
    preferred = 1 - _OCTAVE_COST * np.log2(lags / first)
    lag = lags[(correlation[:, first:] * preferred).argmax(axis=1)]
    strength = correlation[np.arange(len(lag)), lag]
    voiced = strength > _VOICED * np.maximum(correlation[:, 0], _SMALLEST_POWER)
    return level, np.where(voiced, -12 * np.log2(lag), np.nan)


def _stressed(level: ArrayF64, pitch: ArrayF64) -> ArrayI64:
    """Return the steps of stressed nuclei."""
    kernel = np.hanning(_SMOOTH_STEPS + 2)[1:-1]
    smooth = np.convolve(np.pad(level, _SMOOTH_STEPS // 2, mode="edge"), kernel / kernel.sum(), mode="valid")
    nuclei = _nuclei(smooth, pitch)
    if not len(nuclei):
        return nuclei
    seconds = nuclei * _STEP_SECONDS
    near = np.abs(seconds[:, None] - seconds) < _AROUND_SECONDS
    louder, higher = (
        np.array([value - np.median(values[others]) for value, others in zip(values, near, strict=True)])
        for values in (smooth[nuclei], _pitch_at(nuclei, pitch))
    )
    stress = louder / _LOUDER_DB + higher / _HIGHER_SEMITONES
    close = np.abs(seconds[:, None] - seconds) < _NEIGHBOUR_SECONDS
    strongest = stress >= np.where(close, stress, -np.inf).max(axis=1)
    return np.asarray(nuclei[strongest & (stress >= _MIN_STRESS)])


def _nuclei(smooth: ArrayF64, pitch: ArrayF64) -> ArrayI64:
    """Return the steps where the level of voiced speech peaks."""
    padded = np.pad(smooth, _APART_STEPS, mode="edge")
    peaks = smooth >= sliding_window_view(padded, 2 * _APART_STEPS + 1).max(axis=1)
    peaks &= np.diff(smooth, prepend=-np.inf) > 0  # the first step of an even peak
    return np.flatnonzero(peaks & np.isfinite(pitch) & (smooth > np.percentile(smooth, 95) - _BELOW_LOUD_DB))


def _pitch_at(nuclei: ArrayI64, pitch: ArrayF64) -> ArrayF64:
    """Return the median pitch of each nucleus: single steps may be an octave off."""
    return np.array([np.nanmedian(pitch[max(0, n - 3) : n + 4]) for n in nuclei.tolist()])
