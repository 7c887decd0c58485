from __future__ import annotations

import numpy as np
import pytest

from newscaster.speech.spectral import (
    local_log_mel,
    mel_filters,
    whisper_log_mel,
)
from whole_spectra import log_mel, mfcc


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_mel_filters_are_triangles_of_equal_area() -> None:
    filters = mel_filters()
    assert filters.shape == (201, 80)
    assert filters.min() == 0.0
    np.testing.assert_allclose(filters[:, 45:].sum(axis=0) * 40.0, 1.0, atol=0.02)
    peaks = filters.argmax(axis=0)
    assert (np.diff(peaks) >= 0).all()
    assert filters.max() == pytest.approx(0.025880685, rel=1e-6)  # OpenAI's table


def naive_whisper_log_mel(samples: np.ndarray) -> np.ndarray:
    """Frame by frame, as the formula reads."""
    padded = np.pad(samples.astype(np.float64), 200, mode="reflect")
    window = np.hanning(401)[:-1]
    dft = np.exp(-2j * np.pi * np.outer(np.arange(201), np.arange(400)) / 400)
    frames = [np.abs(dft @ (padded[t : t + 400] * window)) ** 2 for t in range(0, len(samples), 160)]
    log_power = np.log10(np.maximum(np.array(frames) @ mel_filters(), 1e-10))
    return ((np.maximum(log_power, log_power.max() - 8.0) + 4.0) / 4.0).T


def test_whisper_log_mel_is_the_formula() -> None:
    windows = np.stack([noise(3200, 1), np.zeros(3200, np.float32)])
    windows[0, 1600:] *= 1e-5
    found = whisper_log_mel(windows)
    assert found.shape == (2, 80, 20)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], naive_whisper_log_mel(windows[0]), atol=2e-4)
    np.testing.assert_allclose(found[1], -1.5, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 399, 5000])
def test_lengths(samples: int) -> None:
    frames = -(-samples // 160)
    assert log_mel(noise(samples)).shape == (frames, 80)
    assert mfcc(noise(samples)).shape == (frames, 39)


def test_log_mel_is_local_and_has_a_floor() -> None:
    audio = noise(16000)
    louder_later = audio.copy()
    louder_later[8000:] *= 8.0
    np.testing.assert_array_equal(log_mel(audio)[:48], log_mel(louder_later)[:48])
    np.testing.assert_allclose(log_mel(np.zeros(800, np.float32)), -0.5)


def test_a_tone_peaks_in_its_channel() -> None:
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(8000) / 16000).astype(np.float32)
    centre = mel_filters()[25].argmax()  # 1000 Hz is bin 25
    assert (local_log_mel(tone).argmax(axis=1) == centre).all()


def test_mfcc_differences_are_regressions() -> None:
    found = mfcc(noise(8000))
    for of, into in ((slice(0, 13), slice(13, 26)), (slice(13, 26), slice(26, 39))):
        for t in range(2, len(found) - 2):
            slope = np.polynomial.polynomial.polyfit(np.arange(-2, 3), found[t - 2 : t + 3, of], 1)[1]
            np.testing.assert_allclose(found[t, into], slope, atol=1e-4)
