from __future__ import annotations

import numpy as np

from newscaster.matting.color import CELL, NO_EVIDENCE, ColorModel, ColorStatistics

SIZE = 64
FRONT = np.array([0.7, 0.3, 0.2])
BACK = np.array([0.2, 0.4, 0.8])


def halves(std_front: float, std_back: float, *, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A frame whose left half is foreground, and the mask of it."""
    rng = np.random.default_rng(0)
    left = np.zeros((size, size), np.float32)
    left[:, : size // 2] = 1
    frame = np.where(
        left > 0,
        FRONT[:, None, None] + rng.normal(0, std_front, (3, size, size)),
        BACK[:, None, None] + rng.normal(0, std_back, (3, size, size)),
    )
    return frame.astype(np.float32), left


def test_score_is_the_mixture_of_the_two_mean_colors() -> None:
    frame, left = halves(0.02, 0.02)
    model = ColorModel.unstack(ColorStatistics(frame).model(left, 1 - left).enlarged((SIZE, SIZE)))
    for fraction in (0.0, 0.25, 0.7, 1.0):
        mixed = fraction * FRONT + (1 - fraction) * BACK
        pixels = np.broadcast_to(mixed[:, None, None], frame.shape).astype(np.float32)
        middle = model.score(pixels)[:, SIZE // 2 - 4 : SIZE // 2 + 4]
        np.testing.assert_allclose(middle, fraction, atol=0.05)


def test_cells_agree_with_discriminant_analysis_of_all_their_pixels() -> None:
    """One window over everything: the closed form of Fisher's discriminant, computed the plain way."""
    size = 5 * CELL  # windows reach 2 cells: the middle cell's covers the whole frame, as the wide ones do
    frame, left = halves(0.05, 0.03, size=size)
    model = ColorStatistics(frame).model(left, 1 - left)
    colors, inside = frame.reshape(3, -1), left.reshape(-1) > 0
    front, back = colors[:, inside], colors[:, ~inside]
    difference = front.mean(axis=1) - back.mean(axis=1)
    np.testing.assert_allclose(model.difference[:, 2, 2], difference, atol=1e-5)
    # Within cells and between them make the whole: between the two extremes of their weights.
    plain = (np.cov(front, bias=True) + np.cov(back, bias=True)) / 2 + (3 / 255) ** 2 * np.eye(3)
    variance = 1 / (difference @ np.linalg.solve(plain, difference))
    assert model.variance[2, 2] == np.float32(variance) or abs(model.variance[2, 2] / variance - 1) < 0.1
    weights = np.linalg.solve(plain, difference) * variance
    np.testing.assert_allclose(model.weights[:, 2, 2], weights, atol=0.1)


def test_variance_grows_where_colors_overlap() -> None:
    clear, left = halves(0.02, 0.02)
    noisy, _ = halves(0.2, 0.2)
    small = ColorStatistics(clear).model(left, 1 - left).variance
    large = ColorStatistics(noisy).model(left, 1 - left).variance
    assert small.max() < 0.01
    assert large.min() > 5 * small.max()


def test_no_evidence_without_one_of_the_classes() -> None:
    frame, left = halves(0.02, 0.02)
    nothing = np.zeros_like(left)
    for front, back in ((left, nothing), (nothing, left), (nothing, nothing)):
        model = ColorStatistics(frame).model(front, back)
        assert (model.variance == NO_EVIDENCE).all()
        assert not model.weights.any()


def test_no_evidence_where_the_classes_have_one_color() -> None:
    frame = np.full((3, SIZE, SIZE), 0.5, np.float32)
    _, left = halves(0, 0)
    assert (ColorStatistics(frame).model(left, 1 - left).variance == NO_EVIDENCE).all()


def test_odd_sizes_have_a_cell_more() -> None:
    frame, left = halves(0.02, 0.02)
    model = ColorStatistics(frame[:, :37, :50]).model(left[:37, :50], 1 - left[:37, :50])
    assert model.offset.shape == (10, 13)
    assert np.isfinite(model.stacked()).all()
