"""Loudness and true peak of audio (ITU-R BS.1770-5), in constant memory, at any rate.

::

    samples    |--------|--------|--------|--------|--------|--------|    steps of 100 ms: weighted power
    blocks     |================= 400 ms ==========|
                        |================= 400 ms ==========|              loudness, gated, then averaged
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from newscaster.types import ArrayBool, ArrayF64, AudioF32

STEPS_PER_SECOND = 10
BLOCK_STEPS = 4
"""Steps of a gating block of 400 ms, which starts with each step."""
_OFFSET_LU = -0.691
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_SURROUND_WEIGHT = 1.41
_WEIGHTS = {
    6: (1, 1, 1, 0, _SURROUND_WEIGHT, _SURROUND_WEIGHT),
    8: (1, 1, 1, 0, 1, 1, _SURROUND_WEIGHT, _SURROUND_WEIGHT),
}
"""Weights of 5.1 and 7.1 in FFmpeg's order; the low-frequency channel does not count. Others have 1."""
_IMPULSE_SECONDS = 0.15
"""Length of the impulse response of the frequency weighting; the rest is below -150 dB."""
_OVERSAMPLING = 4
_TAPS = 24
_LIMITER_SECONDS = 0.005
"""Reach of the limiter's gain to either side of a peak."""


class LoudnessMeter:
    """The weighted power of audio that comes in blocks; it does not depend on their sizes.

    Args:
        rate: in Hz, a multiple of 10.
        channels: in FFmpeg's order.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._step = rate // STEPS_PER_SECOND
        self._weights = np.asarray(_WEIGHTS.get(channels, (1,) * channels), np.float64)
        self._response = _impulse_response(rate)
        self._held: AudioF32 = np.zeros((channels, len(self._response) - 1), np.float32)
        self._powers: list[ArrayF64] = []

    def push(self, samples: AudioF32) -> None:
        """Push the next samples: (C, n) float32, finite."""
        self._held = np.concatenate([self._held, samples], axis=1)
        history = len(self._response) - 1
        steps = (self._held.shape[1] - history) // self._step
        if steps < STEPS_PER_SECOND:
            return
        self._measure(steps)

    def powers(self) -> ArrayF64:
        """Return the power of each whole step so far: (T,), 1.0 = that of full scale in one channel."""
        steps = (self._held.shape[1] - len(self._response) + 1) // self._step
        if steps:
            self._measure(steps)
        return np.concatenate([np.zeros(0), *self._powers])

    def _measure(self, steps: int) -> None:
        count, history = steps * self._step, len(self._response) - 1
        used = self._held[:, : history + count].astype(np.float64)
        size = history + count
        spectrum = np.fft.rfft(used, size) * np.fft.rfft(self._response, size)
        weighted = np.fft.irfft(spectrum, size)[:, history:]  # what wraps around is in the history
        squares = (weighted**2).reshape(len(weighted), steps, -1).mean(axis=2)
        self._powers.append(self._weights @ squares)
        self._held = self._held[:, count:].copy()


def gated_loudness(powers: ArrayF64, counted: ArrayBool | None = None) -> float:
    """Return the integrated loudness in LUFS; -inf if no block is above the gates.

    Args:
        powers: of each step (T,), see :class:`LoudnessMeter`.
        counted: which blocks count at all, (T - 3,); None: all.
    """
    if len(powers) < BLOCK_STEPS:
        return -math.inf
    blocks = np.convolve(powers, np.full(BLOCK_STEPS, 1 / BLOCK_STEPS), "valid")
    if counted is not None:
        blocks = blocks[counted]
    blocks = blocks[blocks > _power_of(_ABSOLUTE_GATE_LUFS)]
    if not len(blocks):
        return -math.inf
    relative = _loudness_of(float(blocks.mean())) + _RELATIVE_GATE_LU
    return _loudness_of(float(blocks[blocks > _power_of(relative)].mean()))


def _loudness_of(power: float) -> float:
    return _OFFSET_LU + 10 * math.log10(power)


def _power_of(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LU) / 10))


def true_peaks(samples: AudioF32) -> ArrayF64:
    """Return the largest magnitude of all channels at and after each sample: (C, n) to (n,).

    The audio between two samples is interpolated at three points, from twelve samples to either side.
    """
    peaks: ArrayF64 = np.abs(samples).max(axis=0, initial=0.0).astype(np.float64)
    if not len(peaks):
        return peaks
    padded = np.pad(samples, ((0, 0), (_TAPS // 2 - 1, _TAPS // 2)))
    for taps in _interpolation():
        for channel in padded:
            peaks = np.maximum(peaks, np.abs(np.correlate(channel, taps, "valid")))
    return peaks


def limited(blocks: Iterable[AudioF32], *, ceiling: float, rate: int, channels: int) -> Iterator[AudioF32]:
    """Yield audio (C, n) whose true peaks are lowered to a ceiling by smooth gains, the same in all channels.

    Audio below the ceiling is unchanged.

    Args:
        blocks: (C, n), 1.0 = full scale.
        ceiling: largest magnitude of the result.
        rate: in Hz.
        channels: C.
    """
    reach = round(_LIMITER_SECONDS * rate)
    window = 2 * reach + 1
    margin = 2 * reach + _TAPS + 1
    held = np.zeros((channels, margin), np.float32)
    for block in itertools.chain(blocks, [np.zeros((channels, margin), np.float32)]):
        held = np.concatenate([held, block], axis=1)
        count = held.shape[1] - 2 * margin
        if count <= 0:
            continue
        peaks = true_peaks(held)[_TAPS:-_TAPS]
        peaks = np.maximum(peaks[1:], peaks[:-1])  # a sample has a peak before it, and one after it
        needed = np.minimum(1, ceiling / np.maximum(peaks, ceiling))
        audio = held[:, margin : margin + count]
        if needed.min() < 1:
            lowest = np.lib.stride_tricks.sliding_window_view(needed, window).min(axis=1)
            gains = np.convolve(lowest, np.full(window, 1 / window), "valid")[:count]
            audio = (audio * np.minimum(gains, 1)).astype(np.float32)
        yield audio
        held = held[:, count:]


@cache
def _interpolation() -> tuple[AudioF32, ...]:
    """Return the taps of each point between two samples, a windowed sinc."""
    times = np.arange(_TAPS) - (_TAPS // 2 - 1)
    filters = []
    for point in range(1, _OVERSAMPLING):
        at = times - point / _OVERSAMPLING
        taps = np.sinc(at) * np.cos(np.pi * at / (_TAPS + 1)) ** 2
        filters.append((taps / taps.sum()).astype(np.float32))
    return tuple(filters)


@cache
def _impulse_response(rate: int) -> ArrayF64:
    """Return the impulse response of the K weighting at a rate: a high shelf, then a high-pass.

    BS.1770 tabulates the filters for 48 kHz. Their analogue parameters give them at other rates (De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement", AES 2018).
    """
    k = math.tan(math.pi * 1681.974450955533 / rate)
    quality, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = (
        (high + band * k / quality + k * k, 2 * (k * k - high), high - band * k / quality + k * k),
        (1 + k / quality + k * k, 2 * (k * k - 1), 1 - k / quality + k * k),
    )
    k = math.tan(math.pi * 38.13547087602444 / rate)
    quality = 0.5003270373238773
    scale = 1 + k / quality + k * k
    high_pass = ((scale, -2 * scale, scale), (scale, 2 * (k * k - 1), 1 - k / quality + k * k))
    size = 1 << math.ceil(math.log2(2 * _IMPULSE_SECONDS * rate))
    delays = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)[:, None] ** np.arange(3)
    response = np.ones(size // 2 + 1, np.complex128)
    for numerator, denominator in (shelf, high_pass):
        response *= (delays @ np.asarray(numerator)) / (delays @ np.asarray(denominator))
    return np.asarray(np.fft.irfft(response, size)[: round(_IMPULSE_SECONDS * rate)])
