from __future__ import annotations

import numpy as np
import pytest

from newscaster.face.geometry import Similarity, eye_distance, runs, smooth


def some_similarities(count: int = 5) -> Similarity:
    rng = np.random.default_rng(1)
    angle, scale = rng.uniform(-1, 1, count), rng.uniform(0.3, 3, count)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.uniform(-50, 50, (2, count))
    return Similarity(np.stack([np.stack([cos, -sin, shift[0]], -1), np.stack([sin, cos, shift[1]], -1)], 1))


def test_then_chains() -> None:
    a, b = some_similarities(), some_similarities()[::-1]
    points = np.random.default_rng(2).uniform(0, 100, (5, 7, 2))
    np.testing.assert_allclose(a.then(b).apply(points), b.apply(a.apply(points)), atol=1e-9)
    np.testing.assert_allclose(a.then(b).scale, a.scale * b.scale)


def test_similarity_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        Similarity(np.zeros((3, 3)))


def test_runs_of_true_values() -> None:
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool)) == [(0, 2), (3, 4), (6, 9)]
    assert runs(np.zeros(0, bool)) == []


def test_smoothing_has_no_lag() -> None:
    present = np.ones(101, bool)
    bump = np.exp(-0.5 * ((np.arange(101) - 50) / 6) ** 2)
    out = smooth(bump, present, sigma_frames=1.5)
    assert int(np.argmax(out)) == 50
    np.testing.assert_allclose(out, out[::-1], atol=1e-12)
    ramp = np.arange(101.0)
    np.testing.assert_allclose(smooth(ramp, present, sigma_frames=1.5)[6:-6], ramp[6:-6], atol=1e-9)


def test_smoothing_removes_jitter() -> None:
    noise = np.random.default_rng(3).standard_normal((400, 2))
    out = smooth(noise, np.ones(400, bool), sigma_frames=1.5)
    assert out.std() < 0.5 * noise.std()


def test_smoothing_does_not_cross_gaps() -> None:
    present = np.ones(60, bool)
    present[30:33] = False
    values = np.where(np.arange(60) < 30, 0.0, 100.0)
    out = smooth(values, present, sigma_frames=2.0)
    np.testing.assert_allclose(out[:30], 0.0)
    np.testing.assert_allclose(out[33:], 100.0)
    assert np.isnan(out[30:33]).all()
    apart = smooth(values[33:], present[33:], sigma_frames=2.0)
    np.testing.assert_array_equal(out[33:], apart)


def test_smoothing_of_a_run_shorter_than_the_kernel() -> None:
    present = np.array([False, True, True, False])
    out = smooth(np.array([np.nan, 1.0, 3.0, np.nan]), present, sigma_frames=3.0)
    assert np.isnan(out[[0, 3]]).all()
    assert 1.0 < out[1] < out[2] < 3.0


def test_eye_distance() -> None:
    landmarks = np.zeros((2, 478, 3))
    landmarks[:, 33, :2], landmarks[:, 263, :2] = (10, 20), (40, 60)
    np.testing.assert_allclose(eye_distance(landmarks), [50.0, 50.0])
