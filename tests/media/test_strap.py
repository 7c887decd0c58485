from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.media import Strap, YuvFrame, encode_target, strap
from newscaster.media.color import ToRgb
from newscaster.media.target_video import TargetVideo

SIZES = [(360, 288), (720, 576), (1080, 1920)]


def image(size: tuple[int, int], colour: object = (0, 120, 200)) -> YuvFrame:
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = colour
    return TargetVideo(encode_target(iter([image]), Fraction(25), preset="ultrafast")).image(0)


@pytest.mark.parametrize("size", SIZES)
def test_bands_of_light_letters_on_dark_and_dark_on_light(size: tuple[int, int]) -> None:
    made, drawn = image(size), Strap("Jane Doe", "newscaster", size=size)
    before = [plane.copy() for plane in made.planes]
    drawn.put_on(made, (16, 24))
    width, height = drawn.size
    for plane, old, step in zip(made.planes, before, (1, 2, 2), strict=True):
        box = np.zeros(plane.shape, bool)
        box[24 // step : (24 + height) // step, 16 // step : (16 + width) // step] = True
        np.testing.assert_array_equal(plane[~box], old[~box])
        assert (plane[box] != old[box]).mean() > 0.95
    luma = made.planes[0][24 : 24 + height, 16 : 16 + width].astype(int)
    upper, lower = luma[: height // 2 - 2], luma[-height // 3 :]
    assert np.median(upper) < 60 < 200 < np.percentile(upper, 99)
    assert np.percentile(lower, 1) < 100 < 200 < np.median(lower)


def test_a_fade_is_between_the_frame_and_the_strap() -> None:
    drawn = Strap("Jane Doe", size=(360, 288))
    levels = []
    for opacity in (0, 0.25, 0.5, 1):
        made = image((360, 288), (255, 255, 255))
        drawn.put_on(made, (8, 8), opacity=opacity)
        levels.append(made.planes[0][8 : 8 + drawn.size[1], 8 : 8 + drawn.size[0]].mean())
    assert levels[0] == pytest.approx(235, abs=1)
    steps = np.diff(levels) / (levels[3] - levels[0])
    np.testing.assert_allclose(steps, [0.25, 0.25, 0.5], atol=0.01)


def test_a_transparent_frame_is_opaque_behind_it() -> None:
    drawn, made = Strap("Jane Doe", size=(360, 288)), image((360, 288))
    made.alpha = np.zeros((288, 360), np.uint8)
    drawn.put_on(made, (8, 8))
    assert (made.alpha > 0).sum() == drawn.size[0] * drawn.size[1]
    assert made.alpha.max() == round(0.94 * 255)


def test_smaller_scales_are_narrower_and_legible() -> None:
    widths = [Strap("A long name for a strap", size=(360, 288), scale=s).size[0] for s in strap.SCALES]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.75 * widths[0]


@pytest.mark.parametrize("text", ["Zoë Müller-Łukasz", "Мария Иванова", "Ελένη", "Nguyễn Thị Ánh"])
def test_letters_of_other_languages(text: str) -> None:
    assert Strap(text, text, size=(360, 288)).title == text


@pytest.mark.skipif(not strap._shapes(), reason="needs FriBiDi")
@pytest.mark.parametrize("text", ["ليلى حداد", "נועה כהן"])
def test_texts_from_right_to_left_are_mirrored(text: str) -> None:
    """The bar is on the right, and the text beside it."""
    made, drawn = image((360, 288)), Strap(text, size=(360, 288))
    drawn.put_on(made, (0, 0))
    rgb = ToRgb()(made.frame)[: drawn.size[1], : drawn.size[0]].astype(int)
    red = (rgb[..., 0] - rgb[..., 1]).mean(axis=0)
    assert red[-5:-1].min() > 100 > red[:4].max()
    assert Strap("Jane " + text, size=(360, 288))._mirrored is False


def test_right_to_left_without_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strap.features, "check", lambda name: False)
    with pytest.raises(InputError, match="needs the library FriBiDi"):
        Strap("נועה כהן", size=(360, 288))


@pytest.mark.parametrize(
    ("title", "subtitle", "message"),
    [
        ("", "", "the title is ''; expected one line"),
        ("a\nb", "", "expected one line of text"),
        ("Jane", "a\nb", "the subtitle is"),
        ("生成", "", "cannot be drawn: '成' '生'"),
        ("Jane", "\x07", "the subtitle .* cannot be drawn"),
    ],
)
def test_texts_that_cannot_be(title: str, subtitle: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Strap(title, subtitle, size=(360, 288))


def test_wide_texts_are_folded_where_they_are_narrowest() -> None:
    long, short = "Alexandra of Northumberland and Kent", "Envoy"
    whole = Strap(long, short, size=SIZES[1])
    folded = Strap(long, short, size=SIZES[1], max_width=whole.size[0] - 2)
    assert folded.size[0] < 0.7 * whole.size[0]
    assert whole.size[1] < folded.size[1] < 2 * whole.size[1], "the subtitle keeps its line"
    assert Strap(long, short, size=SIZES[1], max_width=whole.size[0]).size == whole.size
    assert (
        Strap("Northumberland", size=SIZES[1], max_width=2).size
        == Strap("Northumberland", size=SIZES[1]).size
    )


def test_both_lines_of_a_folded_text_are_drawn() -> None:
    size = SIZES[1]
    made, drawn = image(size), Strap("Alexandra Northumberland", size=size, max_width=200)
    drawn.put_on(made, (0, 0))
    width, height = drawn.size
    ink = (made.planes[0][:height, 8:width].astype(int) > 150).any(axis=1)
    rows = np.flatnonzero(np.diff(ink.astype(int)))
    assert len(rows) >= 4, "two lines, and paper between them"
    assert not ink[:4].any()
    assert not ink[-4:].any()
