from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from newscaster.evaluation.blur_detection import cpbd


def checks(contrast: int) -> np.ndarray:
    squares = np.add.outer(np.arange(128) // 40, np.arange(128) // 40) % 2
    return np.repeat((100 + contrast * squares)[..., None], 3, axis=2).astype(np.uint8)


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def slope(width: int, height: int, *, contrast: int) -> np.ndarray:
    row = 100 + contrast * np.clip((np.arange(64) - 20) / width, 0, 1)
    return np.repeat(np.repeat(np.rint(row)[None, :, None], height, axis=0), 3, axis=2).astype(np.uint8)


def test_the_value_is_the_fraction_of_edges_that_look_sharp() -> None:
    sharp = checks(100)
    soft = blurred(sharp, 1.0)
    assert cpbd(sharp) == cpbd(blurred(sharp, 0.5)) == 1
    assert cpbd(soft) == 0
    assert cpbd(np.concatenate([sharp, soft])) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("width", "contrast", "value"), [(3, 90, 1), (4, 90, 0), (5, 40, 1), (6, 40, 0)])
def test_the_just_noticeable_width_depends_on_contrast(width: int, contrast: int, value: int) -> None:
    assert cpbd(slope(width, 64, contrast=contrast)) == value
    assert cpbd(slope(width, 64, contrast=contrast)[:, ::-1]) == value, "a slope that falls"


def test_blur_across_rows_is_not_measured() -> None:
    image = slope(8, 64, contrast=90).transpose(1, 0, 2)
    assert np.isnan(cpbd(image))


def test_an_even_image_has_no_edges() -> None:
    assert np.isnan(cpbd(np.full((64, 64, 3), 128, np.uint8)))


def test_images_below_a_block_are_refused() -> None:
    with pytest.raises(ValueError, match="96x63 pixels; expected 64"):
        cpbd(np.zeros((63, 96, 3), np.uint8))
