"""Sampling of rotated, scaled squares from frames, with bilinear interpolation.

The arithmetic is that of OpenCV's ``warpPerspective`` with INTER_LINEAR on 8-bit frames, bit for bit: source
positions are rounded to 1/32 px, and results to integers. MediaPipe uses it, so its networks get the same
pixels here. Only the necessary pixels are read: a large frame costs no more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.types import ArrayF32, ArrayF64, ImageU8

_STEPS = 32
"""Positions between two pixels."""
_SHIFT, _MASK = 5, 31
_STRIP = 64
"""Rows at a time; sides are multiples of it."""


class SquareSampler:
    """A sampler of squares of one size.

    It keeps its working memory, for one thread at a time: repeated allocation would double the time. It
    samples in strips, so that this memory stays in the processor's cache.

    Args:
        side: side of the squares in pixels.
    """

    def __init__(self, side: int) -> None:
        self.side, self._count = side, _STRIP * side
        self._numbers = np.arange(side, dtype=np.float64)
        self._position = np.empty((_STRIP, side), np.float64)
        self._sums, self._addends = np.ones((_STRIP, 2)), np.ones((2, side))
        self._x, self._y, self._clipped_x, self._clipped_y = np.empty((4, self._count), np.int32)
        self._index = np.empty(self._count, np.intp)
        self._weights = np.empty((4, self._count), np.uint16)  # left, right; upper, lower
        self._vertical = np.empty(self._count, np.float32)
        self._taps = np.empty((3, self._count), np.uint8)
        self._product = np.empty((3, self._count), np.uint16)
        self._rows = np.empty((2, 3, self._count), np.uint16)
        self._lower = np.empty((3, self._count), np.float32)

    def cut(self, frame: ImageU8, matrix: ArrayF64, out: ArrayF32, *, zeros_outside: bool = False) -> None:
        """Write the square as planes (3, side, side), 0 to 255, into `out`.

        Args:
            frame: (H, W, 3) uint8 RGB; also a view of a larger one.
            matrix: source position of each pixel.
            zeros_outside: whether pixels outside the frame are black; otherwise the border is repeated.
        """
        source = _Source(frame)
        planes = out.reshape(3, -1)
        for first in range(0, self.side, _STRIP):
            self._place(matrix, first)
            if zeros_outside:
                self._weigh()
                self._read_beyond(source)
            else:
                np.clip(self._x, 0, (source.width - 1) * _STEPS, out=self._x)
                np.clip(self._y, 0, (source.height - 1) * _STEPS, out=self._y)
                self._weigh()
                self._read_inside(source)
            self._finish(planes[:, first * self.side : first * self.side + self._count])

    def _place(self, matrix: ArrayF64, first: int) -> None:
        """Compute the source positions of the rows from `first`, in steps, into `_x` and `_y`."""
        rows = self._numbers[first : first + _STRIP, None]
        for (a, b, c), target in zip((matrix * _STEPS).tolist(), (self._x, self._y), strict=True):
            self._sums[:, :1] = rows * b + c
            self._addends[1] = self._numbers * a
            np.matmul(self._sums, self._addends, out=self._position)  # a sum, faster than np.add of both
            np.rint(self._position, out=self._position)
            np.copyto(target, self._position.reshape(-1), casting="unsafe")

    def _weigh(self) -> None:
        """Split positions into whole pixels and the weights of the four around them."""
        left, right, top, bottom = self._weights
        np.bitwise_and(self._x, _MASK, out=right, casting="unsafe")
        np.subtract(_STEPS, right, out=left)
        np.bitwise_and(self._y, _MASK, out=bottom, casting="unsafe")
        np.subtract(_STEPS, bottom, out=top)
        np.right_shift(self._x, _SHIFT, out=self._x)
        np.right_shift(self._y, _SHIFT, out=self._y)

    def _read_inside(self, source: _Source) -> None:
        """Read positions inside the frame. A neighbour outside has no weight, so any pixel serves."""
        self._point(self._x, self._y, source.stride)
        for tap, offset in enumerate((0, 3, source.stride, source.stride + 3)):
            self._accumulate(tap, source.data[offset:])

    def _read_beyond(self, source: _Source) -> None:
        """Read positions that may be outside the frame: a neighbour outside loses its weight."""
        for axis, (pixels, size) in enumerate(((self._x, source.width), (self._y, source.height))):
            for late in (0, 1):
                self._weights[2 * axis + late] *= (pixels >= -late) & (pixels < size - late)
        for tap in range(4):
            down, right = divmod(tap, 2)
            np.clip(self._x, -right, source.width - 1 - right, out=self._clipped_x)
            np.clip(self._y, -down, source.height - 1 - down, out=self._clipped_y)
            self._clipped_x += right
            self._clipped_y += down
            self._point(self._clipped_x, self._clipped_y, source.stride)
            self._accumulate(tap, source.data)

    def _point(self, x: npt.NDArray[np.int32], y: npt.NDArray[np.int32], stride: int) -> None:
        """Compute the byte offsets of the pixels into `_index`; x and y are overwritten."""
        x *= 3
        y *= stride
        y += x
        np.copyto(self._index, y)

    def _accumulate(self, tap: int, data: ImageU8) -> None:
        """Add the pixels at `_index`, times their horizontal weight, to their row, the upper or the lower."""
        down, right = divmod(tap, 2)
        for channel in range(3):
            # "wrap" avoids a check. Only pixels without weight are ever wrapped.
            data[channel:].take(self._index, out=self._taps[channel], mode="wrap")
        target = self._product if right else self._rows[down]
        np.copyto(target, self._taps)
        target *= self._weights[right]
        if right:
            self._rows[down] += target

    def _finish(self, out: ArrayF32) -> None:
        """Weight the two rows and round; the inputs are integers below 2^24."""
        for down, target in enumerate((out, self._lower)):
            np.multiply(self._weights[2 + down], np.float32(1 / _STEPS**2), out=self._vertical)
            np.copyto(target, self._rows[down])
            target *= self._vertical
        out += self._lower
        out += np.float32(0.5)
        np.floor(out, out=out)


class _Source:
    """A frame as one row of bytes, without a copy if it is a view of a larger one."""

    def __init__(self, frame: ImageU8) -> None:
        if frame.strides[1:] != (3, 1) or frame.strides[0] < 0:
            frame = np.ascontiguousarray(frame)
        if min(frame.shape[:2]) < 2:  # every pixel has a neighbour to its right and below
            frame = np.pad(frame, ((0, 1), (0, 1), (0, 0)), mode="edge")
        self.height, self.width = frame.shape[:2]
        self.stride = frame.strides[0]
        """Bytes from one row to the next."""
        count = (self.height - 1) * self.stride + self.width * 3
        self.data = np.lib.stride_tricks.as_strided(frame, (count,), (1,))


def square_matrix(center: tuple[float, float], side_px: float, angle: float, side: int) -> ArrayF64:
    """Return the sampling matrix of a square, corner to corner: column 0 is at the edge, without half pixels.

    Args:
        center: centre of the square in the frame.
        side_px: side of the square in the frame.
        angle: rotation, clockwise on the screen, in radians.
        side: side of the result in pixels.
    """
    scale = side_px / side
    cos, sin = float(np.cos(angle)) * scale, float(np.sin(angle)) * scale
    half = side / 2
    x, y = center
    values: Any = [[cos, -sin, x - half * (cos - sin)], [sin, cos, y - half * (sin + cos)]]
    return np.array(values, np.float64)
