"""Moments of a head that goes round, of one that drifts, and of lids that blink."""

from __future__ import annotations

import numpy as np

from newscaster.face.frame_similarity import FrameSimilarity

FPS = 25.0


def similarity(
    way: np.ndarray, *, blinks: np.ndarray | None = None, segment: np.ndarray | None = None
) -> FrameSimilarity:
    """A head that goes this way, (F, 2) in outer-eye distances, and lids that blink."""
    frames = len(way)
    shut = np.zeros(frames, bool) if blinks is None else blinks
    eyes = np.zeros((frames, 4, 2))
    eyes[:, :2, 1] = 0.05 * ~shut[:, None]
    return FrameSimilarity(
        head=way[:, None] + np.zeros((1, 5, 1)),
        eyes=eyes,
        blinks=shut,
        segment=np.zeros(frames, np.int64) if segment is None else segment,
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
