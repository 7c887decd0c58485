from __future__ import annotations

import itertools

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.synthesis.articulation import _LOWER, _UPPER, AS_TRAINED, Articulation, Smoother
from tiny_anchor import COEFFICIENTS, tiny_basis


def smoothed(steps: np.ndarray, smoothness: float, piece: int = 1000) -> np.ndarray:
    smoother = Smoother(Articulation(smoothness=smoothness).kernel, steps.shape[1])
    parts = [smoother.push(steps[i : i + piece]) for i in range(0, len(steps), piece)]
    return np.concatenate([*parts, smoother.flush()])


def wave(hz: float, steps: int = 400) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(steps) / 25)[:, None]


def test_as_trained_changes_no_bit() -> None:
    steps = np.random.default_rng(0).standard_normal((50, COEFFICIENTS)).astype(np.float32)
    assert Articulation() == AS_TRAINED
    assert (smoothed(steps, 1.0) == steps).all()
    network_alone = Articulation(rests=False)
    assert (network_alone.shapes(steps, tiny_basis()) == tiny_basis().reconstruct(steps)).all()


@pytest.mark.parametrize("smoothness", [0, 0.3, 1, 1.2, 2, 3.7, 4])
def test_smoothing_keeps_what_is_slow_and_does_not_delay(smoothness: float) -> None:
    kernel = Articulation(smoothness=smoothness).kernel
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-12)
    assert len(kernel) <= 7
    np.testing.assert_allclose(smoothed(np.full((9, 2), 0.7), smoothness), 0.7)
    peak = np.zeros((15, 1))
    peak[7] = 1
    assert smoothed(peak, smoothness).argmax() == 7
    assert smoothed(np.ones((1, 2)), smoothness).shape == (1, 2)


def test_smoothness_attenuates_fast_movements() -> None:
    fast = [smoothed(wave(5), smoothness).std() for smoothness in (0, 0.5, 1, 1.5, 2, 3, 4)]
    assert (np.diff(fast) < 0).all()
    assert fast[0] > 1.3 * fast[2]
    assert fast[-1] < 0.2 * fast[2]
    # Nothing happens suddenly near 1.
    assert np.abs(smoothed(wave(5), 1.001) - wave(5)).max() < 1e-2
    assert np.abs(smoothed(wave(5), 0.999) - wave(5)).max() < 1e-2


@pytest.mark.parametrize("smoothness", [0.0, 2.5, 4.0])
@pytest.mark.parametrize("piece", [1, 7])
def test_smoothing_does_not_depend_on_the_cut(smoothness: float, piece: int) -> None:
    steps = np.random.default_rng(0).standard_normal((40, 3))
    np.testing.assert_allclose(smoothed(steps, smoothness, piece), smoothed(steps, smoothness), atol=1e-12)


def opening_basis() -> MouthBasis:
    """One direction that opens the drawn mouth's lips, closed at rest; the others of the drawn mouth."""
    basis = tiny_basis()
    mean, opens = basis.mean.copy(), np.zeros_like(basis.mean)
    mean[_UPPER, 1] = mean[_LOWER, 1] = 0.85
    opens[_UPPER, 1], opens[_LOWER, 1] = -1, 1
    components = np.concatenate([opens[None] / np.linalg.norm(opens), basis.components[1:]])
    return MouthBasis(mean, components, basis.stds)


def test_openness() -> None:
    basis = opening_basis()
    steps = np.zeros((5, COEFFICIENTS))
    steps[:, 0] = [0.0, 0.1, 0.5, 1.5, 3.0]
    wide = [opening(Articulation(openness=o).shapes(steps, basis)) for o in (0, 0.5, 1, 1.5, 2)]
    np.testing.assert_allclose(wide[0], 0, atol=1e-12)
    np.testing.assert_allclose(wide[1][3:], 0.5 * wide[2][3:], atol=1e-12)  # lips that are not nearly closed
    assert all((more[1:] > less[1:]).all() for less, more in itertools.pairwise(wide))
    np.testing.assert_allclose(wide[4][2], 2 * wide[2][2], rtol=0.02)
    assert wide[4][4] < 3.5 / 3.0 * wide[2][4] + 1e-9  # a mouth as wide as real ones hardly opens further
    assert (Articulation(openness=2).shapes(steps[:1], basis) == basis.mean).all()  # rest stays rest


def test_mouths_wider_than_real_ones_stay_as_they_are() -> None:
    steps = np.full((1, COEFFICIENTS), 5.0)
    np.testing.assert_allclose(
        Articulation(openness=2).shapes(steps, opening_basis()), opening_basis().reconstruct(steps), atol=1e-6
    )


def test_lips_that_nearly_meet_meet() -> None:
    basis = opening_basis()
    steps = np.zeros((60, COEFFICIENTS))
    steps[:, 0] = np.linspace(0, 1.5, 60)
    alone, met = (opening(Articulation(rests=rests).shapes(steps, basis)) for rests in (False, True))
    near = (alone > 0) & (alone < 0.02)
    assert near.sum() > 5
    np.testing.assert_allclose(met[near], alone[near] * np.sqrt(alone[near] / 0.02), atol=1e-9)
    np.testing.assert_allclose(met[alone >= 0.02], alone[alone >= 0.02], atol=1e-12)
    assert (np.diff(met) > 0).all()  # nothing jumps, and what opens opens


def test_lips_meet_and_do_not_cross() -> None:
    basis = opening_basis()
    steps = np.zeros((3, COEFFICIENTS))
    steps[:, 0] = [-0.5, 0.0, 0.5]
    plain = basis.reconstruct(2 * steps)
    assert (plain[0, _LOWER, 1] < plain[0, _UPPER, 1]).all()
    shapes = Articulation(openness=2).shapes(steps, basis)
    gaps = shapes[:, _LOWER, 1] - shapes[:, _UPPER, 1]
    np.testing.assert_allclose(gaps[:2], 0, atol=1e-12)
    assert (gaps[2] > 0).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"openness": -0.1}, "openness is -0.1; expected 0 to 2, where 1 is the motion as trained"),
        ({"openness": 2.5}, "openness is 2.5; expected 0 to 2"),
        ({"smoothness": 4.01}, "smoothness is 4.01; expected 0 to 4"),
        ({"smoothness": float("nan")}, "smoothness is nan; expected 0 to 4"),
    ],
)
def test_errors(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Articulation(**values)
