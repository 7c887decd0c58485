"""Loudness and true peak, against test signals of EBU Tech 3341 and the filters as BS.1770 prints them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from newscaster.media.loudness import LoudnessMeter, gated_loudness, limited, true_peaks

SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0), (1, -1.99004745483398, 0.99007225036621)


def sine(seconds: float, dbfs: float, *, rate: int = 48_000, hz: float = 1000.0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def powers(samples: np.ndarray, rate: int = 48_000, piece: int = 10_007) -> np.ndarray:
    meter = LoudnessMeter(rate, len(samples))
    for start in range(0, samples.shape[1], piece):
        meter.push(samples[:, start : start + piece])
    return meter.powers()


def loudness(samples: np.ndarray, rate: int = 48_000) -> float:
    return gated_loudness(powers(samples, rate))


@pytest.mark.parametrize("rate", [44_100, 48_000, 88_200, 96_000])
@pytest.mark.parametrize("dbfs", [-23.0, -33.0])
def test_a_sine_in_both_channels(rate: int, dbfs: float) -> None:
    assert loudness(np.stack([sine(5, dbfs, rate=rate)] * 2), rate) == pytest.approx(dbfs, abs=0.1)
    one = np.stack([sine(5, dbfs, rate=rate)])
    assert loudness(one, rate) == pytest.approx(dbfs - 3.01, abs=0.1)


def test_quiet_parts_do_not_count() -> None:
    parts = [sine(5, -36), sine(40, -23), sine(5, -36), sine(5, -72)]
    assert loudness(np.stack([np.concatenate(parts)] * 2)) == pytest.approx(-23, abs=0.1)


def test_surround_counts_more_and_low_frequencies_do_not() -> None:
    levels = (-28, -28, -24, -3, -30, -30)
    assert loudness(np.stack([sine(5, level) for level in levels])) == pytest.approx(-23, abs=0.1)


def test_only_counted_blocks() -> None:
    samples = np.concatenate([sine(3, -13), sine(3, -23)])[None]
    steps = powers(samples)
    assert len(steps) == 60
    counted = np.arange(57) >= 30
    assert gated_loudness(steps, counted) == pytest.approx(-26.01, abs=0.1)
    assert gated_loudness(steps, np.zeros(57, np.bool_)) == -math.inf


@pytest.mark.parametrize("seconds", [0, 0.05, 0.39, 2])
def test_silence_and_short_audio_have_none(seconds: float) -> None:
    assert loudness(np.zeros((2, round(seconds * 48_000)), np.float32)) == -math.inf
    if seconds < 0.4:
        assert loudness(sine(seconds, -10)[None]) == -math.inf


def filtered(samples: np.ndarray) -> np.ndarray:
    """The filters of BS.1770 at 48 kHz, sample by sample."""
    for numerator, denominator in (SHELF, HIGH_PASS):
        result = np.zeros(len(samples))
        for i in range(len(samples)):
            for delay in range(3):
                if i >= delay:
                    result[i] += numerator[delay] * samples[i - delay]
                    if delay:
                        result[i] -= denominator[delay] * result[i - delay]
        samples = result
    return samples


def test_the_weighting_is_that_of_the_standard() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 14_400).astype(np.float32)
    expected = (filtered(noise.astype(np.float64)) ** 2).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(powers(noise[None], piece=777), expected, rtol=1e-4)


def test_blocks_of_any_size_are_the_same() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 150_000)).astype(np.float32)
    whole = powers(noise, piece=150_000)
    assert len(whole) == 31
    for piece in (333, 4800, 48_000, 70_001):
        np.testing.assert_allclose(powers(noise, piece=piece), whole, rtol=1e-6)


def test_peaks_between_samples() -> None:
    times = np.arange(4800)
    between = (0.5 * np.sin(np.pi / 2 * times + np.pi / 4)).astype(np.float32)  # samples at 0.354
    assert np.abs(between).max() < 0.36
    inside = true_peaks(between[None])[100:-100]
    np.testing.assert_allclose(np.maximum(inside[1:], inside[:-1]), 0.5, rtol=0.01)
    assert true_peaks(np.zeros((2, 0), np.float32)).shape == (0,)


def limit(samples: np.ndarray, piece: int, ceiling: float) -> np.ndarray:
    blocks = (samples[:, i : i + piece] for i in range(0, samples.shape[1], piece))
    return np.concatenate(list(limited(blocks, ceiling=ceiling, rate=48_000, channels=len(samples))), axis=1)


@pytest.mark.parametrize("piece", [97, 4801, 100_000])
def test_true_peaks_are_limited_smoothly(piece: int) -> None:
    samples = np.stack([sine(1, -6, hz=311), sine(1, -20, hz=911)])
    samples[:, 20_000:21_000] *= 3
    result = limit(samples, piece, 0.6)
    assert result.shape == samples.shape
    np.testing.assert_allclose(result, limit(samples, 30_011, 0.6), atol=1e-6)
    assert true_peaks(result).max() < 0.6 * 1.01
    far = np.r_[0:19_400, 21_600:48_000]
    np.testing.assert_array_equal(result[:, far], samples[:, far])
    gains = result[0, 19_400:21_600] / np.where(samples[0, 19_400:21_600] == 0, 1, samples[0, 19_400:21_600])
    assert np.abs(np.diff(gains[np.abs(samples[0, 19_400:21_600]) > 0.01])).max() < 0.02
    ratio = np.abs(result[1, 20_400:20_600]).max() / np.abs(samples[1, 20_400:20_600]).max()
    assert ratio == pytest.approx(0.6 / np.abs(samples[0, 20_000:21_000]).max(), abs=0.03)


def test_quiet_audio_is_not_changed() -> None:
    samples = np.random.default_rng(2).uniform(-0.4, 0.4, (1, 20_000)).astype(np.float32)
    np.testing.assert_array_equal(limit(samples, 1234, 0.9), samples)
