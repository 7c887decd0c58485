"""Steadiness of a finished matte: a pixel of the edge whose colour stays keeps its alpha and its colour.

The network's mask changes beside moving hair, and alpha of still pixels with it. Here alpha of each pixel is
averaged over the frames before and after in which its colour stays the same without a break. So edges that
move are not averaged, and leave no ghosts::

    colour      a a a a | b c d | e e e e e e        a still pixel, motion, another still pixel
    averaged    <----->   . . .   <--------->

`temporal` is causal, and decides by areas of the small frame. This looks ahead, at single pixels.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from newscaster.matting.matte import MASK_SIDE_PX, Matte
from newscaster.types import ArrayBool, ArrayF32, ArrayI64, ImageU8

AHEAD_FRAMES = 8
"""Frames after a frame over which its alpha is averaged."""
_MAX_BEFORE = np.float32(24)
"""Weight, in frames, of those before."""
_STILL_LEVELS = np.float32(2)
"""A change of colour up to here, averaged over 5 x 5 pixels, is noise; from twice as much, it is motion."""
_STEP_LEVELS = np.float32(128)
"""If the means of alpha before and after differ by more, the person moves invisibly, dark before dark."""
_SETTLED_FRAMES = np.float32(6)
"""Alpha of a pixel that was still for twice as long moves by at most one 8-bit value per frame."""
_MOVING = np.float32(0.75)
"""A pixel moves if the frames before it count by less than this."""
_MANY = 5
"""Of the eight pixels around one: if so many move, so does it."""
_AROUND_PX = 2
_FAINT = 3
"""Alphas nearer to 0 or 255 become 0 or 255, so that the edge does not grow."""


@dataclass(frozen=True)
class _Pending:
    matte: Matte
    alpha: ImageU8
    """(H * W,)"""
    colours: tuple[ImageU8, ImageU8, ImageU8]
    """Smooth R, G and B, each (h * w,), of the reduced frame."""
    edge: ArrayI64
    """Flat indices of pixels whose alpha is neither 0 nor 255."""


class SteadyMatte:
    """Steadies the mattes of the frames of one shot; `push` is `AHEAD_FRAMES` frames late.

    Args:
        size: height and width of the frames.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self._factor = -(-max(size) // MASK_SIDE_PX)
        small_width = -(-width // self._factor)
        rows, columns = np.arange(height) // self._factor, np.arange(width) // self._factor
        self._place = (rows[:, None] * small_width + columns).reshape(-1).astype(np.int32)
        self._width = width
        self._moving = np.zeros(height * width, np.bool_)
        self._pending: deque[_Pending] = deque()
        self._edges = np.zeros(height * width, np.uint8)
        """Of how many pending frames each pixel is on the edge."""
        self._active = np.zeros(0, np.int64)
        count = height * width
        self._weight = np.zeros(count, np.float32)
        """Frames before that count; 0 at pixels that were not on the edge."""
        self._alpha = np.zeros(count, np.float32)
        self._shown = np.zeros(count, np.float32)
        """The steady alpha of the last frame."""
        self._colour = np.zeros((3, count), np.float32)
        self._foreground = np.zeros((3, count), np.float32)
        """Of the frames before, times alpha."""

    def push(self, frame: ImageU8, matte: Matte) -> list[Matte]:
        """Take the matte of the next frame (H, W, 3); return those that are complete, at most one."""
        alpha = matte.alpha.reshape(-1)
        edge = np.flatnonzero((alpha - np.uint8(1)) < 254)  # 0 wraps around to 255
        self._edges[edge] += 1
        self._pending.append(_Pending(matte, alpha, _smooth(frame, self._factor), edge))
        return [self._next()] if len(self._pending) > AHEAD_FRAMES else []

    def flush(self) -> list[Matte]:
        """Return the mattes of the last frames."""
        return [self._next() for _ in range(len(self._pending))]

    def _next(self) -> Matte:
        active = np.flatnonzero(self._edges)
        self._forget(active)
        now = self._pending[0]
        place = self._place[active]
        here = [plane[place].astype(np.int16) for plane in now.colours]
        alpha = now.alpha[active].astype(np.float32)
        later, weights = self._after(active, place, here)
        total, counts = later + alpha, weights + 1
        colour = np.stack(here).astype(np.float32) - self._colour[:, active]
        past, before = self._alpha[active], self._weight[active]
        same = _alike(np.abs(colour).max(axis=0), _STILL_LEVELS)
        same *= _alike(np.abs(past - total / counts), _STEP_LEVELS)
        moves = self._among(active, (before > 0) & (same < _MOVING))
        before *= same
        before[moves] = 0
        total[moves], counts[moves] = alpha[moves], 1
        shown = self._shown[active]
        limit = 1 + 255 * _alike(before, _SETTLED_FRAMES)
        shown += np.clip((total + before * past) / (counts + before) - shown, -limit, limit)
        matte = self._steadied(now, active, before, before * past + alpha, shown)
        sums = before + 1
        self._shown[active] = shown
        self._alpha[active] = past + (alpha - past) / sums
        self._colour[:, active] += colour / sums
        self._weight[active] = np.minimum(sums, _MAX_BEFORE)
        self._pending.popleft()
        self._edges[now.edge] -= 1
        self._active = active
        return matte

    def _forget(self, active: ArrayI64) -> None:
        """Reset pixels that were not on the edge for a while."""
        was = self._weight[active]
        self._weight[self._active] = 0
        self._weight[active] = was

    def _among(self, active: ArrayI64, moving: ArrayBool) -> ArrayBool:
        """Return which pixels (n,) move, or are among such: single ones that seem still would stay behind."""
        self._moving[active] = moving
        count = np.zeros(len(active), np.uint8)
        last = len(self._moving) - 1
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                count += self._moving[np.clip(active + (down * self._width + right), 0, last)]
        self._moving[active] = False
        return moving | (count >= _MANY)

    def _after(
        self, active: ArrayI64, place: npt.NDArray[np.int32], here: list[npt.NDArray[np.int16]]
    ) -> tuple[ArrayF32, ArrayF32]:
        """Return the sum of alpha over the frames ahead without a break, and their weights, (n,) each."""
        total, weights = np.zeros(len(active), np.float32), np.zeros(len(active), np.float32)
        weight = np.ones(len(active), np.float32)
        for ahead in list(self._pending)[1:]:
            change = np.zeros(len(active), np.int16)
            for plane, own in zip(ahead.colours, here, strict=True):
                np.maximum(change, np.abs(plane[place] - own), out=change)
            np.minimum(weight, _alike(change.astype(np.float32), _STILL_LEVELS), out=weight)
            weights += weight
            total += weight * ahead.alpha[active]
        return total, weights

    def _steadied(
        self, now: _Pending, active: ArrayI64, before: ArrayF32, alphas: ArrayF32, shown: ArrayF32
    ) -> Matte:
        """Return the matte of a frame with the steady alpha of its active pixels.

        Args:
            now: the frame.
            active: (n,) flat indices.
            before: (n,) frames before that count.
            alphas: (n,) sum of alpha over these and the frame.
            shown: (n,) steady alpha.
        """
        out = now.alpha.copy()
        rounded = np.rint(shown)
        rounded[rounded < _FAINT] = 0
        rounded[rounded > 255 - _FAINT] = 255
        out[active] = rounded.astype(np.uint8)
        foreground = now.matte.foreground.reshape(-1, 3).copy()
        colours = foreground[active]
        weighted = colours.T.astype(np.float32)
        weighted *= now.alpha[active]
        weighted += before * self._foreground[:, active]
        self._foreground[:, active] = weighted / (before + 1)
        weighted /= np.maximum(alphas, 1)
        mean = np.rint(weighted.T).clip(0, 255).astype(np.uint8)
        foreground[active] = np.where(alphas[:, None] >= 1, mean, colours)
        shape = now.matte.alpha.shape
        return Matte(out.reshape(shape), foreground.reshape(*shape, 3), now.matte.found)


def _smooth(frame: ImageU8, factor: int) -> tuple[ImageU8, ImageU8, ImageU8]:
    """Return the planes of a frame, reduced and averaged over about 5 x 5 pixels, (h * w,) each."""
    image = Image.fromarray(frame)
    small = image.reduce(factor) if factor > 1 else image
    blurred = small.filter(ImageFilter.BoxBlur(max(1, round(_AROUND_PX / factor))))
    red, green, blue = (np.asarray(plane).reshape(-1) for plane in blurred.split())
    return red, green, blue


def _alike(difference: ArrayF32, limit: np.float32) -> ArrayF32:
    """Return 1 for differences up to a limit, falling to 0 at twice the limit."""
    return np.asarray(np.clip(2 - difference / limit, 0, 1), np.float32)
