"""Who of several people speaks, on made-up courses and audio."""

from __future__ import annotations

import numpy as np
import pytest

from making_sync import FPS, talk
from newscaster.prepare.speaking import follow_audio


@pytest.mark.parametrize("lag_seconds", [0.0, 0.7, -0.9])
def test_a_mouth_that_moves_with_the_audio_is_distinguished(lag_seconds: float) -> None:
    """Both talk, and the audio, which may be late, is that of one."""
    own, other = talk(12, lag_seconds), talk(12, seed=3)
    still = np.full(360, 0.1) + 0.001 * np.random.default_rng(0).standard_normal(360)
    gone = np.where(np.arange(360) / FPS < 6, np.nan, own.opening)
    unseen = np.full(360, np.nan)
    mouths = [[mouth] for mouth in (own.opening, gone, other.opening, still, unseen)]
    scores = follow_audio(mouths, [own.predicted], fps=FPS)
    assert min(scores[:2]) > 0.6
    assert max(scores[2:]) < 0.4
    assert scores[4] == 0.0


def test_without_audio_nobody_follows_it() -> None:
    assert follow_audio([[talk(12).opening]], [np.zeros(0)], fps=FPS) == [0.0]
