from __future__ import annotations

import numpy as np
import pytest

from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.open_mouths import natural_shapes
from newscaster.face.references import References
from newscaster.synthesis.base_motion import base_motion
from newscaster.synthesis.made_mouths import MAX_BASES, missing_shapes, with_made_mouths

SIDE = 128


@pytest.fixture(scope="module")
def basis() -> MouthBasis:
    return base_motion().basis


def test_a_mouth_that_talks_lacks_nothing(basis: MouthBasis) -> None:
    assert missing_shapes(natural_shapes(basis), basis, max_count=60).shape == (0, 57, 2)


def test_a_closed_mouth_lacks_the_open_ones(basis: MouthBasis) -> None:
    shapes = natural_shapes(basis)
    seen = shapes[opening(shapes) < 0.03]
    missing = missing_shapes(seen, basis, max_count=60)
    assert len(missing) > 10
    narrowest, widest = np.percentile(opening(seen), [2, 98])
    assert ((opening(missing) > widest) | (opening(missing) < narrowest)).all()
    assert opening(missing).max() > 0.09
    few = missing_shapes(seen, basis, max_count=5)
    assert len(few) == 5
    assert opening(few).max() == pytest.approx(opening(missing).max(), rel=0.2)


def test_a_mouth_that_opens_little_lacks_the_widest(basis: MouthBasis) -> None:
    shapes = natural_shapes(basis)
    seen = shapes[opening(shapes) < 0.115]
    missing = missing_shapes(seen, basis, max_count=60)
    assert 2 < len(missing) < 12
    assert opening(missing).min() > 1.3 * opening(seen).max()


def test_parted_lips_lack_the_closed_ones(basis: MouthBasis) -> None:
    shapes = natural_shapes(basis)
    seen = shapes[(opening(shapes) > 0.01) & (opening(shapes) < 0.03)]
    missing = missing_shapes(seen, basis, max_count=60)
    assert opening(missing).min() < 0.005
    assert opening(missing).max() > 0.09


def test_mouths_are_made_of_heads_that_are_turned_differently(basis: MouthBasis) -> None:
    """Each of the chosen closed mouths gives every missing one, at its own place and angle."""
    rng = np.random.default_rng(0)
    angles = np.array([[0, 0, 0], [1, 0, 0], [-20, 0, 0], [20, 0, 0], [0, 1, 0], [0, 0, 1]] * 3, np.float32)
    shapes = 0.2 * np.repeat(basis.mean[None], len(angles), axis=0) + 0.5
    shapes[9:] += 0.2 * (basis.reconstruct(2 * np.eye(basis.size)[:1]) - basis.mean)  # open: no bases
    crops = list(rng.integers(90, 200, (len(angles), SIDE, SIDE, 3), dtype=np.uint8))
    missing = missing_shapes(np.repeat(basis.mean[None], 9, axis=0), basis, max_count=4)
    asked: list[int] = []

    def places(number: int, wanted: np.ndarray) -> np.ndarray:
        asked.append(number)
        return SIDE * (0.2 * wanted + 0.5)

    own = References(crops, shapes.astype(np.float32), angles)
    found = with_made_mouths(own, missing, basis.mean, places=places, pixels_per_unit=0.2 * SIDE, workers=1)
    assert len(found) == len(own) + MAX_BASES * len(missing)
    assert found.angles is not None
    np.testing.assert_array_equal(found.angles[: len(own)], angles)
    assert sorted(found.angles[len(own) :, 0].tolist()) == [-20.0] * 4 + [0.0] * 4 + [20.0] * 4
    assert all(number < 9 for number in asked)
    np.testing.assert_allclose(found.points[len(own) :][:4], 0.2 * missing + 0.5, atol=1e-6)
