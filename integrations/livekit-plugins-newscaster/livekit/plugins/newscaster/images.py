"""Shows each image when its audio is played.

The audio source plays in real time. When frames were late, audio waits in it, for as long as the latest frame
was late, until a silence is left out. An image that is shown at once would then be ahead of its audio.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from livekit import rtc

_AT_ONCE_SECONDS = 0.002
"""Shorter delays are not waited for: the clock of the event loop has about this resolution."""


class ImageSchedule:
    """Images that wait for their audio, in order.

    Args:
        show: publishes an image.
        min_gap_seconds: minimum time between images of which the first one waits. When silence is left out,
            images come closer than a frame, until they have caught up.
    """

    def __init__(self, show: Callable[[rtc.VideoFrame], None], *, min_gap_seconds: float) -> None:
        self._show = show
        self._min_gap_seconds = min_gap_seconds
        self._waiting: deque[tuple[float, rtc.VideoFrame]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, image: rtc.VideoFrame, delay_seconds: float) -> None:
        """Show an image after a delay, and after those that wait."""
        loop = asyncio.get_running_loop()
        if not self._waiting and delay_seconds < _AT_ONCE_SECONDS:
            self._show(image)
            return
        due = loop.time() + delay_seconds
        if self._waiting:
            due = max(due, self._waiting[-1][0] + self._min_gap_seconds)
        self._waiting.append((due, image))
        if self._timer is None:
            self._timer = loop.call_at(due, self._show_due)

    def clear(self) -> None:
        """Drop the images that wait: their audio will not be played."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _show_due(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] <= loop.time() + _AT_ONCE_SECONDS:
            self._show(self._waiting.popleft()[1])
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0], self._show_due)
