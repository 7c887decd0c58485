from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def audio() -> np.ndarray:
    """2.7 s of something like speech: a buzz whose formants and loudness move, and pauses."""
    time = np.arange(43210) / 16000
    rng = np.random.default_rng(7)
    buzz = sum(np.sin(2 * np.pi * 120 * n * time + n) / n * (1 + np.sin(n + 9 * time)) for n in range(1, 25))
    loudness = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, None)
    return (0.1 * buzz * loudness + rng.normal(0, 0.001, len(time))).astype(np.float32)
