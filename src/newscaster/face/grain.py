"""Grain: the noise of camera and compression, which a rendered mouth lacks and the frame around it has.

Measures the grain of footage against its rendering, and adds as much. A network that is trained by errors
renders the mean of all plausible images, and a mean has no noise: rendered skin stands still in a frame that
flickers. Grain is added to brightness, because it is most visible there.
"""

from __future__ import annotations

import math

import numpy as np

from newscaster.types import ArrayFloat, ImageU8

STRONGEST = 4.0
"""8-bit pixel values. Stronger flicker is not grain."""
_SIDEWAYS = 0.35
"""Weight of the neighbours, relative to 1 for the pixel itself: neighbouring pixels correlate by 0.56. In
GRID's footage the correlation is 0.54 vertically and 0.64 horizontally."""
_PLACES = 64
_FRACTION = 0.9
"""Fraction of the footage's flicker to reach. Grain also contains errors: at 1, rendered mouths exceeded the
footage by 5 % on clips other than the measured ones."""
_CHANGE = math.sqrt(6) * math.sqrt(2 / math.pi)
"""Mean absolute second difference, over three frames, of noise of standard deviation 1."""


class Grain:
    """Grain of one strength for crops of one side; equal for equal frame numbers.

    Args:
        strength: standard deviation in 8-bit pixel values; 0 leaves crops unchanged.
        side: side of the crops in pixels, S.
    """

    def __init__(self, strength: float, *, side: int) -> None:
        self.strength = strength
        if strength == 0:
            return
        noise = np.random.default_rng(0).normal(size=(side + _PLACES + 2,) * 2)
        for axis in (0, 1):
            noise = np.moveaxis(noise, axis, 0)
            noise = np.moveaxis(noise[1:-1] + _SIDEWAYS * (noise[:-2] + noise[2:]), 0, axis)
        self._noise = np.rint(strength * noise / noise.std()).astype(np.int16)[..., None]

    def add(self, crop: ImageU8, number: int) -> ImageU8:
        """Return the crop (S, S, 3) with the grain of frame ``number``."""
        if self.strength == 0:
            return crop
        # A large odd number, so that the grain of successive frames comes from distant places.
        place = number * 2654435761 % _PLACES**2
        top, left = divmod(place, _PLACES)
        height, width = crop.shape[:2]
        grained = crop + self._noise[top : top + height, left : left + width]
        return np.asarray(np.clip(grained, 0, 255), np.uint8)


def grain_between(made: ArrayFloat, real: ArrayFloat) -> float:
    """Return the strength of the grain that real pixels have and rendered ones lack, in 8-bit pixel values.

    From mean absolute second differences in time, d: noise of standard deviation s on top of a common motion
    gives d_real² = d_made² + (1.95 s)².

    Args:
        made: rendered brightness (N, 3, P): P pixels in N triples of successive frames.
        real: the same of the footage.
    """
    flicker = [float(np.abs(x[:, 0] - 2 * x[:, 1] + x[:, 2]).mean()) for x in (made, real)]
    missing = math.sqrt(max(0.0, (flicker[1] * _FRACTION) ** 2 - flicker[0] ** 2))
    return min(STRONGEST, missing / _CHANGE)
