from __future__ import annotations

import numpy as np
import pytest

from newscaster.speech.activity import speech_activity


def bursts(noise: float = 0.0, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Twelve seconds: 1.2 s of syllables, 0.8 s of pause, and so on; and where the syllables are (25 Hz)."""
    time = np.arange(192000) / 16000
    speaking = time % 2.0 < 1.2
    voice = 0.3 * np.sin(2 * np.pi * 150 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)) * speaking
    audio = gain * (voice + np.random.default_rng(0).normal(0, 1, len(time)) * noise)
    return audio.astype(np.float32), speaking[::640]


@pytest.mark.parametrize(("noise", "gain"), [(0.0, 1.0), (0.003, 1.0), (0.02, 1.0), (0.003, 0.05)])
def test_finds_syllables_whatever_the_noise_and_gain(noise: float, gain: float) -> None:
    audio, speaking = bursts(noise, gain)
    active = speech_activity(audio)
    assert active.dtype == np.bool_
    assert active.shape == speaking.shape
    assert active[speaking].mean() > 0.97
    assert active[~speaking].mean() < 0.4  # 120 ms on either side of the 800 ms belong to the syllables


def test_silence_noise_and_nothing() -> None:
    assert not speech_activity(np.zeros(32000, np.float32)).any()
    assert not speech_activity(np.full(32000, 0.4, np.float32)).any()
    assert not speech_activity(np.random.default_rng(0).normal(0, 0.05, 64000).astype(np.float32)).any()
    assert speech_activity(np.zeros(0, np.float32)).shape == (0,)
    assert speech_activity(np.zeros(641, np.float32)).shape == (2,)
