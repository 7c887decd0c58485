"""Windows over a stream of steps, for filters that reach a fixed number of steps to either side.

What comes out does not depend on how the stream was cut; memory is that of one window and of what is
pushed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class SlidingWindow:
    """Every step of a stream with its neighbours.

    ::

        held     |-- behind --|=== next steps ===|-- ahead --|
                              given when what is ahead of them has come, or at the end

    Args:
        behind: steps before each one that its window holds.
        ahead: steps after it.
        channels: of each step, K.
        ends_last: whether the first and the last step go on beyond the ends; otherwise there are zeros.
    """

    def __init__(self, *, behind: int, ahead: int, channels: int, ends_last: bool) -> None:
        assert behind >= 0
        assert ahead >= 0
        self._behind = behind
        self._ahead = ahead
        self._channels = channels
        self._ends_last = ends_last
        self._held: Array | None = None

    def push(self, steps: npt.NDArray[np.floating[Any]]) -> Array:
        """Windows (t, K, behind + 1 + ahead) of the steps that have theirs now, of steps (n, K)."""
        width = self._behind + 1 + self._ahead
        if not len(steps):
            return np.zeros((0, steps.shape[1], width))
        before = self._beyond(steps[:1], self._behind) if self._held is None else self._held
        joined = np.concatenate([before, steps]).astype(np.float64)
        count = max(0, len(joined) - width + 1)
        self._held = joined[count:].copy()
        if not count:
            return np.zeros((0, steps.shape[1], width))
        return np.lib.stride_tricks.sliding_window_view(joined, width, axis=0)

    def flush(self) -> Array:
        """Windows of the steps that are left: (t, K, behind + 1 + ahead)."""
        if self._held is None:
            return np.zeros((0, self._channels, self._behind + 1 + self._ahead))
        return self.push(self._beyond(self._held[-1:], self._ahead))

    def _beyond(self, end: npt.NDArray[np.floating[Any]], count: int) -> Array:
        repeated = np.repeat(end, count, axis=0)
        return np.asarray(repeated if self._ends_last else np.zeros_like(repeated), np.float64)
