"""Images of twice the size: how much of fine textures bilinear sampling of them keeps."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.media.doubling import bilinear, doubled


def gains(cycles: float) -> np.ndarray:
    """Amplitudes of a wave of so many cycles per pixel, moved by 0, 1/4, 1/2 and 3/4 pixels, over its own."""
    columns = np.arange(400)
    wave = np.repeat(127.5 + 80 * np.cos(2 * np.pi * cycles * columns)[None, :, None], 8, axis=0)
    large = doubled(wave.round().astype(np.uint8)).astype(np.float32)
    found = []
    for shift in (0, 0.25, 0.5, 0.75):
        x = 2 * (columns[50:-50] + shift)
        row = bilinear(large, x, np.full(len(x), 8.0))[:, 0] - 127.5
        found.append(2 * np.abs((row * np.exp(-2j * np.pi * cycles * columns[50:-50])).mean()) / 80)
    return np.array(found)


def test_pixels_that_are_not_moved_are_the_images_own() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    np.testing.assert_array_equal(doubled(image)[::2, ::2], image)


def test_coarse_structures_stay_as_they_are() -> None:
    assert gains(0.02) == pytest.approx(1, abs=0.02)


def test_fine_textures_gain_what_encoders_take() -> None:
    power = gains(0.25) ** 2
    assert 1.15 < power.mean() < 1.25
    assert power.max() < 1.7
