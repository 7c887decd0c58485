from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from newscaster.prepare.shots import CutDetector, shot_ranges

ImageArray = npt.NDArray[np.uint8]


def scene(seed: int) -> ImageArray:
    """A still of large coloured areas."""
    colours = np.random.default_rng(seed).integers(30, 220, (6, 8, 3), dtype=np.uint8)
    return colours.repeat(30, axis=0).repeat(30, axis=1)


def noisy(image: ImageArray, seed: int, *, gain: float = 1.0) -> ImageArray:
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    return np.clip(image * gain + noise, 0, 255).astype(np.uint8)


def cuts(frames: Sequence[ImageArray]) -> list[int]:
    detector = CutDetector()
    for frame in frames:
        detector.step(frame)
    return detector.cuts


def test_cuts_between_stills_are_found() -> None:
    frames = [noisy(scene(k // 20), k) for k in range(60)]
    assert cuts(frames) == [20, 40]


def test_a_pan_and_a_zoom_are_no_cuts() -> None:
    wide = np.concatenate([scene(1), scene(2), scene(3)], axis=1)
    pan = [noisy(wide[:, 6 * k : 6 * k + 240], k) for k in range(70)]
    assert cuts(pan) == []
    zoom = [noisy(scene(1)[k:-k, k:-k][:100, :140], k) for k in range(1, 38)]
    assert cuts(zoom) == []


def test_a_fade_and_a_flash_are_no_cuts() -> None:
    still = scene(4)
    fade = [noisy(still, k, gain=max(0.0, 1 - k / 25)) for k in range(30)]
    assert cuts(fade) == []
    flash = [noisy(still, k) if k != 10 else np.full_like(still, 250) for k in range(30)]
    assert cuts(flash) == []


def test_a_cut_in_motion_is_found() -> None:
    wide = [np.concatenate([scene(s), scene(s + 1)], axis=1) for s in (1, 7)]
    frames = [noisy(wide[k // 25][:, 4 * (k % 25) : 4 * (k % 25) + 240], k) for k in range(50)]
    assert cuts(frames) == [25]


@pytest.mark.parametrize(
    ("starts", "expected"), [([], [(0, 9)]), ([4], [(0, 4), (4, 9)]), ([1, 8], [(0, 1), (1, 8), (8, 9)])]
)
def test_shots_cover_all_frames(starts: list[int], expected: list[tuple[int, int]]) -> None:
    assert shot_ranges(starts, 9) == expected
