from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.media import Label, YuvFrame, encode_target, read_frames, write_video
from newscaster.media.target_video import TargetVideo

SIZES = [(96, 80), (360, 288), (640, 360), (720, 1280), (1920, 1080), (333, 251)]


def image(size: tuple[int, int], colour: object, tmp_path: Path) -> YuvFrame:
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = colour
    video = TargetVideo(encode_target(iter([image]), Fraction(25), preset="ultrafast"))
    return video.image(0)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_outside_the_box_is_touched(size: tuple[int, int], tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3))
    made, label = image(size, noise, tmp_path), Label("AI-generated", size=size)
    before = [plane.copy() for plane in made.planes]
    left, top = 4, 6
    label.put_on(made, (left, top))
    for plane, old, half in zip(made.planes, before, (1, 2, 2), strict=True):
        box = np.zeros(plane.shape, bool)
        box[
            top // half : (top + label.size[1]) // half,
            left // half : (left + label.size[0]) // half,
        ] = True
        np.testing.assert_array_equal(plane[~box], old[~box])
        assert (plane[box] != old[box]).mean() > 0.8


@pytest.mark.parametrize("size", SIZES)
def test_letters_are_large_enough(size: tuple[int, int]) -> None:
    label = Label("AI-generated", size=size)
    assert label.letter_px >= max(7, min(size) / 28)
    assert label.letter_px <= max(9, min(size) / 20)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 255, 0), (128, 128, 128), (0, 80, 255)])
@pytest.mark.parametrize("size", [(96, 80), (360, 288), (1280, 720)])
def test_contrast_on_any_frame(size: tuple[int, int], colour: tuple[int, int, int], tmp_path: Path) -> None:
    """After encoding, too: WCAG's ratio of the brightest letters and the backing around them."""
    made, label = image(size, colour, tmp_path), Label("AI-generated", size=size)
    label.put_on(made, (10, 10))
    shown = tmp_path / "label.mp4"
    write_video(shown, [made] * 3, fps=Fraction(25), audio=None, crf=23)
    width, height = label.size
    box = next(read_frames(shown))[10 : 10 + height, 10 : 10 + width] / 255
    linear = np.where(box <= 0.04045, box / 12.92, ((box + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    letters, backing = np.percentile(luminance, 98), np.median(luminance)
    assert (letters + 0.05) / (backing + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one line of text"),
        ("a\nb", "expected one line of text"),
        ("生成 AI", "cannot be drawn: 成 生"),
        ("A label that is far too long for such a small frame", "Give a shorter label"),
    ],
)
def test_labels_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Label(text, size=(96, 80))
