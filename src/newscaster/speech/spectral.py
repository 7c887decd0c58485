"""Waveform to spectra, in NumPy: Whisper's log-mel, and the log-mel and MFCC of the paper's baselines.

All functions take 16 kHz mono float32 in [-1, 1]. Frames are 25 ms long, 10 ms apart, and centred: frame t
covers the samples [160 t - 200, 160 t + 200). features.py cuts and streams the audio.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.types import ArrayF32, ArrayF64

SAMPLE_RATE = 16000
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
HALF_FRAME_SAMPLES = FRAME_SAMPLES // 2
MEL_CHANNELS = 80
MFCC_CHANNELS = 39

_CEPSTRA = 13
_DELTA_REACH = 2
MFCC_REACH = 2 * _DELTA_REACH
"""Frames on either side that one MFCC frame with its second differences depends on."""

_SMALLEST_POWER = 1e-10
_LOUDEST = 2.0
"""log10 of the loudest expected mel power: the fixed reference in place of a window's own maximum."""
_RANGE = 8.0
"""Kept decades below the loudest."""


@cache
def mel_filters() -> ArrayF32:
    """Return Slaney's mel filter bank, (201, 80): equal-area triangles, linear below 1 kHz, then logarithmic.

    M. Slaney, Auditory Toolbox, 1998; Whisper was trained with it.
    """

    def to_mel(hz: ArrayF64) -> ArrayF64:
        logarithmic = 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) * 27.0 / np.log(6.4)
        return np.where(hz < 1000.0, hz * 3.0 / 200.0, logarithmic)

    def to_hz(mel: ArrayF64) -> ArrayF64:
        logarithmic = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * np.log(6.4) / 27.0)
        return np.where(mel < 15.0, mel * 200.0 / 3.0, logarithmic)

    bins_hz = np.linspace(0.0, SAMPLE_RATE / 2, FRAME_SAMPLES // 2 + 1)
    edges_hz = to_hz(np.linspace(0.0, to_mel(np.array([SAMPLE_RATE / 2]))[0], MEL_CHANNELS + 2))
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - lower) / (centre - lower)
    falling = (upper - bins_hz[:, None]) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (upper - lower)).astype(np.float32)


def _log_mel_power(samples: ArrayF32) -> ArrayF32:
    """Return log10 of the mel power of every full frame: (..., n) to (..., 1 + (n - 400) // 160, 80)."""
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)).astype(np.float32)
    frames = sliding_window_view(samples, FRAME_SAMPLES, axis=-1)[..., ::HOP_SAMPLES, :]
    spectrum = np.fft.rfft(frames * window)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    log_power: ArrayF32 = np.log10(np.maximum(power @ mel_filters(), np.float32(_SMALLEST_POWER)))
    return log_power


def whisper_log_mel(windows: ArrayF32) -> ArrayF32:
    """Return Whisper's input for independent windows: (B, n) samples to (B, 80, n // 160).

    As OpenAI computes it: edges reflected, powers clamped to eight decades below the window's loudest, then
    scaled to about [-1, 1]. (https://github.com/openai/whisper, audio.py)

    n is at least 201 samples.
    """
    padded = np.pad(windows, ((0, 0), (HALF_FRAME_SAMPLES, HALF_FRAME_SAMPLES)), mode="reflect")
    frames = windows.shape[-1] // HOP_SAMPLES
    log_power = _log_mel_power(padded)[:, :frames]
    floor = log_power.max(axis=(1, 2), keepdims=True) - np.float32(_RANGE)
    scaled = (np.maximum(log_power, floor) + np.float32(4.0)) / np.float32(4.0)
    return np.ascontiguousarray(scaled.transpose(0, 2, 1))


def local_log_mel(samples: ArrayF32) -> ArrayF32:
    """Return log-mel of the frames that fit into `samples`: (n,) to (1 + (n - 400) // 160, 80).

    The values are about [-0.5, 1.5]: Whisper's scale with a fixed reference in place of the window's maximum,
    so that a frame does not depend on later audio.
    """
    log_power = _log_mel_power(samples)
    return (np.maximum(log_power, np.float32(_LOUDEST - _RANGE)) + np.float32(4.0)) / np.float32(4.0)


def local_mfcc(samples: ArrayF32) -> ArrayF32:
    """Return MFCC of the frames that fit into `samples`, except four at either end: (n,) to (frames - 8, 39).

    Thirteen cepstra of the 80 mel channels (orthonormal DCT-II), then their first and second differences,
    each a regression over two frames on either side (S. Young et al., The HTK Book, eq. 5.16).
    """
    channel = np.arange(MEL_CHANNELS) + 0.5
    basis = np.cos(np.pi / MEL_CHANNELS * channel[:, None] * np.arange(_CEPSTRA))
    basis *= np.sqrt(2.0 / MEL_CHANNELS)
    basis[:, 0] /= np.sqrt(2.0)
    cepstra = local_log_mel(samples) @ basis.astype(np.float32)
    first = _difference(cepstra)
    second = _difference(first)
    inner = slice(MFCC_REACH, -MFCC_REACH)
    return np.concatenate([cepstra[inner], first[_DELTA_REACH:-_DELTA_REACH], second], axis=1)


def _difference(frames: ArrayF32) -> ArrayF32:
    """Return the slope over two frames on either side; four frames shorter than `frames`."""
    near = frames[3:-1] - frames[1:-3]
    far = frames[4:] - frames[:-4]
    slope = (near + np.float32(2.0) * far) / np.float32(10.0)
    return np.asarray(slope, np.float32)
