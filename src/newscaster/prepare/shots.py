"""Cuts: the frames at which another shot starts.

Compares small images of neighbouring frames. A cut changes nearly everything at once, and stands out from the
changes around it; a moving camera, a zoom or a flash does not.
"""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image

from newscaster.types import ArrayF32, ImageU8

_WIDTH, _HEIGHT = 32, 18
MIN_CHANGE = 12.0
"""8-bit pixel values, mean over the small image. Talking heads change by 0.2 to 2 from frame to frame."""
MIN_CHANGE_RATIO = 4.0
"""Minimum ratio of the change at a cut to the median of the changes before it."""
_AROUND_FRAMES = 6
_CERTAIN_CHANGE = 36.0
"""Minimum change at a cut in the second frame of a shot, whose usual change is not known yet."""
_FLASH_RATIO = 0.5
"""A frame is a flash if its two neighbours differ by less than this fraction of the change."""


class CutDetector:
    """Finds cuts frame by frame, without look-ahead.

    A flash is one bright frame with two changes. Only the next frame shows that it was no cut. :attr:`cuts`
    then drops it.
    """

    def __init__(self) -> None:
        self._small: list[ArrayF32] = []
        self._changes: list[float] = []
        self._count = 0
        self.cuts: list[int] = []
        """Numbers of the frames that start a shot, except the first frame."""

    def step(self, frame: ImageU8) -> bool:
        """Return whether this frame (H, W, 3) starts another shot."""
        small = _small_image(frame)
        index, self._count = self._count, self._count + 1
        is_cut = False
        if self._small:
            change = _difference(small, self._small[-1])
            if self._changes:
                usual = float(np.median(self._changes))
                is_cut = change >= max(MIN_CHANGE, MIN_CHANGE_RATIO * usual)
            else:
                is_cut = change >= _CERTAIN_CHANGE
            back = len(self._small) > 1 and _difference(small, self._small[-2]) < _FLASH_RATIO * change
            if is_cut and back and self.cuts and self.cuts[-1] == index - 1:
                self.cuts.pop()  # the frame before was a flash
                is_cut = False
            self._changes = [*self._changes[1 - _AROUND_FRAMES :], change]
        if is_cut:
            self.cuts.append(index)
            self._changes = []
        self._small = [*self._small[-1:], small]
        return is_cut


def shot_ranges(cuts: list[int], frames: int) -> list[tuple[int, int]]:
    """Return the first frame of each shot, and one past its last frame.

    >>> shot_ranges([10, 25], 40)
    [(0, 10), (10, 25), (25, 40)]
    """
    edges = [0, *cuts, frames]
    return list(itertools.pairwise(edges))


def _small_image(frame: ImageU8) -> ArrayF32:
    step = max(1, min(frame.shape[0] // (4 * _HEIGHT), frame.shape[1] // (4 * _WIDTH)))
    image = Image.fromarray(np.ascontiguousarray(frame[::step, ::step]))
    return np.asarray(image.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX), np.float32)


def _difference(a: ArrayF32, b: ArrayF32) -> float:
    return float(np.abs(a - b).mean())
