"""Temporal stability of alpha: static pixels keep their alpha, moving pixels take the new one at once.

Motion is measured against the frame of the held alpha, not the previous frame: a slow drift accumulates until
it counts, so that no pixel lags behind by more than the threshold. Moving pixels are not averaged, so that
there are no ghosts.
"""

from __future__ import annotations

import numpy as np

from newscaster.matting.filters import box_max, box_mean
from newscaster.types import ArrayF32

_STILL = 7 / 255
"""Change of colour, averaged over 3 x 3 pixels of the small frame, that always counts as noise."""
_NOISE_FACTOR = 8.0
_MAX_STILL = 12 / 255
_MATTERS = np.float32(0.25)
_CERTAIN = np.float32(0.35)
"""If alpha would change by less than 0.25, colours must change up to three times as much to count as motion:
a key frame after frames that the encoder has refined changes colours and alpha slightly."""
_DISAGREE = 0.25
_PATIENCE = 4
"""Frames that must disagree with the held alpha in the same direction before it is dropped: dark clothes move
invisibly before a dark background.

Only near recent motion; elsewhere alpha drifts by less than one 8-bit value per frame.
"""
_NEAR_PX = 24
_NEAR_FRACTION = 1e-3
_BESIDE = np.float32(0.2)
"""Smallest weight of the new alpha near recent motion: traces of a moving edge fade soon."""
_MEMORY = 25
"""Frames."""
_SLEW = np.float32(0.9 / 255)
_TOLERANCE = np.float32(0.06)


class MotionGain:
    """The weight of the new alpha for every pixel of the small frames."""

    def __init__(self) -> None:
        self._reference: ArrayF32 | None = None
        self._alpha: ArrayF32 | None = None
        self._disagreed: ArrayF32 | None = None
        self._recent: ArrayF32 | float = 0.0

    def push(self, small: ArrayF32, alpha: ArrayF32) -> ArrayF32:
        """Return the gain (h, w) in 0..1 for the next frame.

        Args:
            small: (3, h, w) in 0..1.
            alpha: (h, w) of this frame.
        """
        if self._reference is None or self._alpha is None or self._disagreed is None:
            self._reference, self._alpha = small.copy(), alpha.copy()
            self._disagreed = np.zeros_like(alpha)
            return np.ones_like(alpha)
        change = np.abs(box_mean(small - self._reference, 1)).max(axis=0)
        still = min(max(_STILL, _NOISE_FACTOR * float(np.median(change))), _MAX_STILL)
        difference = alpha - self._alpha
        matters = np.clip(box_max(np.abs(difference), 1) / _MATTERS, _CERTAIN, 1)
        moving = np.clip(change * matters / np.float32(still) - 1, 0, 1)
        error = box_mean(difference, 1)
        side = np.where(np.abs(error) > _DISAGREE, np.sign(error), 0)
        self._disagreed = np.where(side == np.sign(self._disagreed), self._disagreed + side, side)
        near = box_mean(moving.astype(np.float32), _NEAR_PX) > _NEAR_FRACTION
        self._recent = np.where(near, _MEMORY, self._recent - 1)
        dropped = (np.abs(self._disagreed) >= _PATIENCE) & (self._recent > 0)
        gain = np.asarray(box_max(np.maximum(moving, dropped).astype(np.float32), 2), np.float32)
        gain = np.where(self._recent > 0, np.maximum(gain, _BESIDE), gain)
        self._reference += gain * (small - self._reference)
        hold(self._alpha, alpha, gain)
        return gain


def hold(alpha: ArrayF32, new: ArrayF32, gain: ArrayF32) -> None:
    """Move `alpha` towards `new` in place, by the weight `gain` or by a drift of under one 8-bit value.

    Without motion, differences of at most 0.06 are ignored: they are noise of the estimate.
    """
    error = new - alpha
    drift = np.clip(error, -_SLEW, _SLEW) * (np.abs(error) > _TOLERANCE)
    step = gain * error
    alpha += np.where(np.abs(step) > np.abs(drift), step, drift)
