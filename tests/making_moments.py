"""Moments of a head that goes round, of one that drifts, and of lids that blink."""

from __future__ import annotations

import numpy as np

from newscaster.face.moments import Moments

FPS = 25.0


def moments(
    way: np.ndarray, *, blinks: np.ndarray | None = None, stretch: np.ndarray | None = None
) -> Moments:
    """A head that goes this way, (F, 2) in outer-eye distances, and lids that blink."""
    frames = len(way)
    shut = np.zeros(frames, bool) if blinks is None else blinks
    eyes = np.zeros((frames, 4, 2))
    eyes[:, :2, 1] = 0.05 * ~shut[:, None]
    return Moments(
        head=way[:, None] + np.zeros((1, 5, 1)),
        eyes=eyes,
        blinks=shut,
        stretch=np.zeros(frames, np.int64) if stretch is None else stretch,
        fps=FPS,
    )


def round_way(frames: int, period: float = 100.0) -> np.ndarray:
    turn = 2 * np.pi * np.arange(frames) / period
    return 0.2 * np.stack([np.cos(turn), np.sin(turn)], axis=1)


def drift(frames: int) -> np.ndarray:
    time = np.arange(frames) / frames
    return np.stack([3 * time, 0.3 * np.sin(np.pi * time)], axis=1)


def some_blinks(frames: int, every: int = 90) -> np.ndarray:
    return np.arange(frames) % every // 7 == 5
