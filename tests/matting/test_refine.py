from __future__ import annotations

import numpy as np
import pytest

from newscaster.matting import refine
from newscaster.matting.cells import CellSampler
from newscaster.matting.filters import enlarge, planes, shrink, shrink_floats
from newscaster.matting.refine import STEP, Evidence, Refiner

SIZE = (150, 133)


@pytest.mark.parametrize(("step", "scale"), [(2, 1), (4, 1), (4, 2), (6, 2)])
def test_sampled_cells_are_those_of_the_enlarged_image(step: int, scale: int) -> None:
    cells = 7, 5
    values = np.random.default_rng(0).random((3, cells[0] * scale - 1, cells[1] * scale)).astype(np.float32)
    rows, columns = (index.ravel() for index in np.mgrid[: cells[0], : cells[1]])
    sampled = CellSampler(step=step, scale=scale).sample(values, rows, columns)
    shape = values.shape[1] * step // scale, values.shape[2] * step // scale
    whole = enlarge(values, shape, step=step // scale)
    image = sampled.reshape(3, step, step, *cells).transpose(0, 3, 1, 4, 2)
    image = image.reshape(3, cells[0] * step, cells[1] * step)
    np.testing.assert_allclose(image[:, : shape[0], : shape[1]], whole, atol=1e-6)


def refined(refiner: Refiner, radius: float, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Alpha and foreground of a soft noisy disc with hairs, of which the mask knows a coarse disc."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(y - 75, x - 66)
    hair = (distance < radius + 12) & (np.arctan2(y - 75, x - 66) * 9 % 1 < 0.3)
    inside = np.maximum(np.clip((radius - distance) / 8 + 0.5, 0, 1), 0.6 * hair)[..., None]
    noise = np.random.default_rng(0).normal(0, 4, (*SIZE, 3))
    colors = inside * np.array([170, 60, 50]) + (1 - inside) * np.array([60, 110, 200])
    frame = np.clip(colors + noise, 0, 255).astype(np.uint8)
    small_frame = shrink(frame, factor)
    coarse = np.clip((radius + 6 - distance) / 12 + 0.5, 0, 1).astype(np.float32)
    mask = shrink_floats(coarse, factor)
    evidence = Evidence(planes(shrink(small_frame, STEP)), shrink_floats(mask, STEP), band_px=6)
    foreground = refiner.refine(frame, mask, evidence, np.ones_like(evidence.alpha))
    return refiner.alpha.copy(), foreground


@pytest.mark.parametrize("factor", [1, 2])
def test_settled_cells_take_what_their_pixels_would(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsettled(alpha: np.ndarray) -> np.ndarray:
        return np.full_like(alpha, np.nan)

    fast, naive = Refiner(SIZE, factor=factor), Refiner(SIZE, factor=factor)
    for radius in (40.0, 30.0):  # pixels between the two discs become settled again
        alpha, colors = refined(fast, radius, factor)
        with monkeypatch.context() as patch:
            patch.setattr(refine, "_settled", unsettled)
            all_alpha, all_colors = refined(naive, radius, factor)
        assert 0.02 < ((alpha > 0) & (alpha < 1)).mean() < 0.5
        assert (np.abs(alpha - all_alpha) > 1 / 255).mean() < 0.002
        edge = (alpha == all_alpha) & (alpha > 0) & (alpha < 1)
        assert edge.any()
        np.testing.assert_array_equal(colors[edge], all_colors[edge])


def test_a_cleared_refiner_starts_at_zero() -> None:
    refiner = Refiner(SIZE, factor=1)
    refined(refiner, 40.0, 1)
    refiner.clear()
    assert not refiner.alpha.any()
    again, _ = refined(refiner, 40.0, 1)
    np.testing.assert_array_equal(again, refined(Refiner(SIZE, factor=1), 40.0, 1)[0])
