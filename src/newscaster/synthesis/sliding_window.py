"""Sliding windows over a stream of steps, for filters with a fixed reach on either side.

The output does not depend on how the stream was cut. Memory is that of one window and the pushed piece.
"""

from __future__ import annotations

import numpy as np

from newscaster.types import ArrayF64, ArrayFloat


class SlidingWindow:
    """The steps of a stream, each with its neighbours.

    ::

        held     |-- behind --|=== next steps ===|-- ahead --|
                              returned when `ahead` is complete, or at the end

    Args:
        behind: earlier steps in the window of a step.
        ahead: later steps in the window of a step.
        channels: channels per step, K.
        ends_last: whether the first and the last step are repeated beyond the ends; otherwise zeros.
    """

    def __init__(self, *, behind: int, ahead: int, channels: int, ends_last: bool) -> None:
        assert behind >= 0
        assert ahead >= 0
        self._behind = behind
        self._ahead = ahead
        self._channels = channels
        self._ends_last = ends_last
        self._held: ArrayF64 | None = None

    def push(self, steps: ArrayFloat) -> ArrayF64:
        """Push steps (n, K); return the windows (t, K, behind + 1 + ahead) that are complete now."""
        width = self._behind + 1 + self._ahead
        if not len(steps):
            return np.zeros((0, steps.shape[1], width))
        before = self._pad(steps[:1], self._behind) if self._held is None else self._held
        joined = np.concatenate([before, steps]).astype(np.float64)
        count = max(0, len(joined) - width + 1)
        self._held = joined[count:].copy()
        if not count:
            return np.zeros((0, steps.shape[1], width))
        return np.lib.stride_tricks.sliding_window_view(joined, width, axis=0)

    def flush(self) -> ArrayF64:
        """Return the windows of the remaining steps: (t, K, behind + 1 + ahead)."""
        if self._held is None:
            return np.zeros((0, self._channels, self._behind + 1 + self._ahead))
        return self.push(self._pad(self._held[-1:], self._ahead))

    def _pad(self, end: ArrayFloat, count: int) -> ArrayF64:
        repeated = np.repeat(end, count, axis=0)
        return np.asarray(repeated if self._ends_last else np.zeros_like(repeated), np.float64)
