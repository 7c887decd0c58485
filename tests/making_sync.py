"""A mouth and what its audio predicts, made up, with a lag and clocks that run apart."""

from __future__ import annotations

import numpy as np

from newscaster.prepare.lag import SpokenSegment

FPS = 30.0


def talk(
    seconds: float,
    lag_seconds: float = 0.0,
    *,
    drift: float = 0.0,
    seed: int = 0,
    audio_seed: int | None = None,
) -> SpokenSegment:
    """A mouth that opens at random, and the prediction from its audio, delayed; or from other audio."""
    times = np.arange(round(seconds * 25)) / 25
    mouth = _wave(np.arange(round(seconds * FPS)) / FPS, seed)
    audio = _wave((times - lag_seconds) / (1 + drift), seed if audio_seed is None else audio_seed)
    noise = np.random.default_rng(seed)
    return SpokenSegment(
        mouth + noise.normal(0, 0.01, len(mouth)),
        FPS,
        audio + noise.normal(0, 0.01, len(times)),
        np.ones(len(times), np.bool_),
    )


def _wave(times: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(100 + seed)
    syllables = np.cumsum(rng.uniform(0.16, 0.45, 600)) - 20
    strength = rng.uniform(0.4, 1.0, len(syllables))
    return 0.1 * (strength * np.exp(-0.5 * ((times[:, None] - syllables) / 0.05) ** 2)).sum(axis=1)
