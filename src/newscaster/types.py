"""Types that several packages share: arrays, progress callbacks, and stream operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

# Arrays by type. Docstrings give their shapes.
ArrayF32 = npt.NDArray[np.float32]
ArrayF64 = npt.NDArray[np.float64]
ArrayFloat = npt.NDArray[np.floating[Any]]
"""Floats of any precision."""
ArrayI64 = npt.NDArray[np.int64]
ArrayBool = npt.NDArray[np.bool_]

# Arrays by meaning.
AudioF32 = npt.NDArray[np.float32]
"""Mono audio (N,), 1.0 = full scale."""
ImageU8 = npt.NDArray[np.uint8]
"""8-bit pixels: frames and crops (..., H, W, 3) RGB, planes and maps (..., H, W)."""
Landmarks = npt.NDArray[np.float32]
"""Face landmarks (..., 478, 3): x and y in pixels of the frame, z in the scale of x."""
Box = npt.NDArray[np.float64]
"""Rectangles (..., 4) in pixels: left, top, right, bottom."""

Progress = Callable[[str, float, float], None]
"""Takes the phase of a job, how much of it is done, and how much there is."""
FrameProgress = Callable[[int, int], None]
"""Takes how many frames are done, and how many there are."""

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class StreamOperator(Protocol[In, Out]):
    """Turns a stream into another, piece by piece.

    The output does not depend on how the input was cut into pieces. Memory is that of a window and of the
    piece pushed. Operators whose output waits for later input have ``delay_seconds``, too.
    """

    def push(self, piece: In, /) -> Out:
        """Return the output that has become certain with this piece, of any size."""

    def flush(self) -> Out:
        """End the stream; return the rest of the output."""
