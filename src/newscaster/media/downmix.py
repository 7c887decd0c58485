"""Downmix to mono: the mean of the channels with audio, aligned in polarity so that none cancel.

Cables or plug-ins often invert one channel. The plain mean is then silent. It is nearly silent if only one
of many tracks has audio. Channels are compared block by block, so that streams and files are mixed alike.
"""

from __future__ import annotations

import numpy as np

from newscaster.types import ArrayF64, AudioF32

_LIMITS = ((0.1, -0.9), (0.5, -0.7))
"""Time constants in seconds, each with the correlation below which one of two channels is inverted.

The channel is inverted back when the two, as mixed, correlate as badly; this is hysteresis. The shorter time
constant is for changes within a file.
"""
_FADE_SECONDS = 0.005
SILENT_DBFS = -60.0
"""A channel counts from the first sample at this level on. Speech has the same limit, see `speech.level`."""
_SILENT = 10 ** (SILENT_DBFS / 20)


class Downmix:
    """The mean of the channels, each with a sign, block by block. Silent channels do not count.

    The first channel keeps its polarity. Of two channels of opposite polarity, the later one is inverted.

    Args:
        channels: 1 or more.
        rate: in Hz.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self.channels = channels
        self._rate = rate
        self._signs = np.ones(channels)
        self._has_audio = np.zeros(channels, np.bool_)
        self._products = [np.zeros((channels, channels)) for _ in _LIMITS]

    @property
    def _fractions(self) -> ArrayF64:
        """Weights (C,) of the channels in the mean."""
        counted = self._has_audio if self._has_audio.any() else np.ones(self.channels)
        return np.asarray(self._signs * counted / counted.sum())

    def mix(self, block: AudioF32) -> AudioF32:
        """Mix (C, n) float32 to (n,) float32; not finite if a sample is not."""
        mean: AudioF32 = block.mean(axis=0, dtype=np.float32)
        if len(block) == 1 or not block.shape[1]:
            return mean
        before, is_first = self._fractions, not self._has_audio.any()
        self._compare(block)
        fractions = self._fractions
        if (fractions == before).all() and (fractions == 1 / len(block)).all():
            return mean
        with np.errstate(invalid="ignore", over="ignore"):
            mixed: AudioF32 = fractions.astype(np.float32) @ block
            if (before != fractions).any() and not is_first:
                fade = self._fade(block)
                old = before.astype(np.float32) @ block[:, : len(fade)]
                mixed[: len(fade)] = old + fade * (mixed[: len(fade)] - old)
        return mixed

    def align(self, block: AudioF32) -> AudioF32:
        """Return the channels (C, n) float32, each with its sign, so that no mean of them cancels."""
        if len(block) == 1 or not block.shape[1]:
            return block
        before = self._signs
        self._compare(block)
        if (self._signs > 0).all() and (before > 0).all():
            return block
        gains = np.repeat(self._signs.astype(np.float32)[:, None], block.shape[1], axis=1)
        fade = self._fade(block)
        old = before.astype(np.float32)[:, None]
        gains[:, : len(fade)] = old + fade * (gains[:, : len(fade)] - old)
        return block * gains

    def _fade(self, block: AudioF32) -> AudioF32:
        """Return weights (m,) of the new mean at the start of a block, from 0 to 1."""
        count = min(block.shape[1], max(1, round(_FADE_SECONDS * self._rate)))
        return np.asarray((np.arange(count) + 1) / (count + 1), np.float32)

    def _compare(self, block: AudioF32) -> None:
        """Update the signs, and the channels that count, from a block."""
        self._has_audio = self._has_audio | (np.abs(block).max(axis=1) >= _SILENT)
        samples = block.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            products = samples @ samples.T
        if not np.isfinite(products).all():
            return
        signs = self._signs
        for held, (memory_seconds, limit) in zip(self._products, _LIMITS, strict=True):
            held *= np.exp(-block.shape[1] / (memory_seconds * self._rate))
            held += products
            signs = _align_signs(signs, held, limit)
        self._signs = signs


def _align_signs(signs: ArrayF64, products: ArrayF64, limit: float) -> ArrayF64:
    """Change signs (C,) of channels with these products (C, C) until no two cancel each other."""
    scale = np.sqrt(np.maximum(np.diag(products), 1e-12))
    correlation = products / np.outer(scale, scale)
    signs = signs.copy()
    for _ in range(len(signs)):
        mixed = np.triu(correlation * np.outer(signs, signs), 1)
        if mixed.min() > limit:
            break
        _, later = np.unravel_index(int(np.argmin(mixed)), mixed.shape)
        signs[later] = -signs[later]
    return signs
