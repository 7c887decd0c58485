"""Many channels to one: their mean, in which channels of opposite polarity do not cancel.

A cable or a plug-in that inverts one channel is common. The plain mean is silence
then. Channels are compared as the audio comes in, so that streams are mixed as files are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_LIMITS = ((0.1, -0.9), (0.5, -0.7))
"""Time constants in seconds, and the correlation over each below which one of two channels is inverted.

It is turned back when the two, as they are mixed then, correlate as badly; nothing changes in between. The
shorter one is for what changes within a file.
"""
_FADE_SECONDS = 0.005


class Downmix:
    """The mean of the channels, each with a sign, block by block.

    The first channel keeps its polarity. Of two channels of opposite polarity, the later one is inverted.

    Args:
        channels: 1 or more.
        rate: in Hz.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self.channels = channels
        self._rate = rate
        self._signs = np.ones(channels)
        self._products = [np.zeros((channels, channels)) for _ in _LIMITS]

    def mix(self, block: Samples) -> Samples:
        """(n,) float32 of (C, n) float32; not finite if a sample is not."""
        mean: Samples = block.mean(axis=0, dtype=np.float32)
        if len(block) == 1 or not block.shape[1]:
            return mean
        before = self._signs
        self._compare(block)
        if (self._signs > 0).all() and (before > 0).all():
            return mean
        mixed: Samples = (self._signs.astype(np.float32) @ block) / np.float32(len(block))
        if (before != self._signs).any():
            fade = min(block.shape[1], max(1, round(_FADE_SECONDS * self._rate)))
            share = (np.arange(fade, dtype=np.float32) + 1) / np.float32(fade + 1)
            old = (before.astype(np.float32) @ block[:, :fade]) / np.float32(len(block))
            mixed[:fade] = old + share * (mixed[:fade] - old)
        return mixed

    def _compare(self, block: Samples) -> None:
        """Update the signs with a block."""
        samples = block.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            products = samples @ samples.T
        if not np.isfinite(products).all():
            return
        signs = self._signs
        for held, (memory_seconds, limit) in zip(self._products, _LIMITS, strict=True):
            held *= np.exp(-block.shape[1] / (memory_seconds * self._rate))
            held += products
            signs = _aligned(signs, held, limit)
        self._signs = signs


def _aligned(signs: Array, products: Array, limit: float) -> Array:
    """Signs (C,) of channels with these products (C, C), changed until no two cancel each other."""
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
