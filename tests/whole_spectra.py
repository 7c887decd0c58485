"""Spectra of whole audio, silence around it: what streams of them are compared with."""

from __future__ import annotations

import numpy as np

from newscaster.speech.spectral import (
    FRAME_SAMPLES,
    HALF_FRAME_SAMPLES,
    HOP_SAMPLES,
    MFCC_REACH,
    local_log_mel,
    local_mfcc,
)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log-mel of a whole sound, silence around it: (N,) to (ceil(N / 160), 80) at 100 Hz."""
    return local_log_mel(_around(samples, frames=0))[: -(-len(samples) // HOP_SAMPLES)]


def mfcc(samples: np.ndarray) -> np.ndarray:
    """MFCC with differences of a whole sound, silence around it: (N,) to (ceil(N / 160), 39) at 100 Hz."""
    return local_mfcc(_around(samples, frames=MFCC_REACH))[: -(-len(samples) // HOP_SAMPLES)]


def _around(samples: np.ndarray, *, frames: int) -> np.ndarray:
    """`samples` in the silence that the first and last frame, and `frames` more on either side, look into."""
    steps = max(1, -(-len(samples) // HOP_SAMPLES))
    left = HALF_FRAME_SAMPLES + frames * HOP_SAMPLES
    total = (steps - 1 + 2 * frames) * HOP_SAMPLES + FRAME_SAMPLES
    padded = np.zeros(total, np.float32)
    padded[left : left + len(samples)] = samples
    return padded
