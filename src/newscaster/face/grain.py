"""Grain: the noise of a camera and of compression, which a painted mouth lacks and the frame around it has.

Knows how strong it is in footage beside what was painted, and how to add as much. A network that is trained
by errors paints the mean of what may be, and a mean has no noise: painted skin stands still in a picture that
does not. Grain is added to brightness, where the eye sees it most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

ImageArray = npt.NDArray[np.uint8]

STRONGEST = 4.0
"""Levels. Footage that flickers more than that shows something else than grain."""
_SIDEWAYS = 0.35
"""Weight of the neighbours in grain, beside 1: neighbouring pixels correlate by 0.56. In GRID's footage,
0.54 down and 0.64 across."""
_PLACES = 64
_FRACTION = 0.9
"""Of the flicker of footage that is aimed at: grain is errors, too, and with all of it painted mouths were a
twentieth above the footage on other clips than those that it was measured on."""
_CHANGE = math.sqrt(6) * math.sqrt(2 / math.pi)
"""Mean absolute second difference of noise of deviation 1 from frame to frame."""


class Grain:
    """Grain of one strength for regions of one side; the same for the same frame.

    Args:
        strength: its standard deviation in levels of 0 to 255; 0 leaves regions as they are.
        side: of the regions, S.
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

    def add(self, crop: ImageArray, number: int) -> ImageArray:
        """A region (S, S, 3) with the grain of the frame of this number."""
        if self.strength == 0:
            return crop
        # A large odd number, so that successive frames' grain comes from far apart.
        place = number * 2654435761 % _PLACES**2
        top, left = divmod(place, _PLACES)
        height, width = crop.shape[:2]
        grained = crop + self._noise[top : top + height, left : left + width]
        return np.asarray(np.clip(grained, 0, 255), np.uint8)


def grain_between(made: npt.NDArray[np.floating[Any]], real: npt.NDArray[np.floating[Any]]) -> float:
    """The strength of grain that real pixels have and made ones lack, in levels.

    From mean absolute second differences in time, d: noise of deviation s on top of a motion that both show
    makes d_real² = d_made² + (1.95 s)².

    Args:
        made: brightness (N, 3, P) of P pixels in N times three successive frames.
        real: the same of the footage.
    """
    flicker = [float(np.abs(x[:, 0] - 2 * x[:, 1] + x[:, 2]).mean()) for x in (made, real)]
    missing = math.sqrt(max(0.0, (flicker[1] * _FRACTION) ** 2 - flicker[0] ** 2))
    return min(STRONGEST, missing / _CHANGE)
