"""A name strap: a title over a subtitle on coloured bands, drawn once and blended into frames.

Handles letters, bands and planes. Leaves position and timing to the caller.

::

    ┌──┬────────────────────────────┐
    │  │ Title                      │   bold, light on dark
    │  ├────────────────────────────┤
    │  │ Subtitle                   │   dark on light
    └──┴────────────────────────────┘

A text that is wider than the room is folded into two lines of its band.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, features

from newscaster.errors import InputError
from newscaster.media.frame import YuvFrame, to_samples
from newscaster.texts import quoted
from newscaster.types import ArrayF32, ImageU8

_FONTS = Path(__file__).parents[1] / "data"
_BOLD, _REGULAR = "strap_bold.ttf", "strap.ttf"
_CAPITALS = 0.729
"""Height of a capital of the fonts, relative to their size."""
_TITLE_FRACTION, _SUBTITLE_FRACTION = 25, 35
"""Ratios of the frame's smaller side to the height of capitals."""
_MIN_PIXELS = 7
"""Height of capitals below which letters run together."""
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
"""Scales of a strap that are legible, the largest first."""
_DARK, _LIGHT, _BAR = (22, 25, 31), (244, 245, 247), (200, 16, 46)
_OPACITY = 0.94
_BAND, _LINE = 2.1, 1.6
"""Height of a band of one line, and of a further line, relative to capitals."""
_MISSING_CHARACTER = "\U0010ffff"
_IGNORED = frozenset({"Cf", "Zs"})
"""Categories of characters without a shape of their own: marks of direction, joiners, spaces."""

_Layers = tuple[tuple[ArrayF32, ArrayF32], ...]
"""For each plane: its samples of the strap, and their opacity, 0 to 1."""


class Strap:
    """A name strap for frames of one size.

    Args:
        title: one line.
        subtitle: one line; empty: the strap is the title alone.
        size: width and height of the frames in pixels.
        scale: of the letters; 1 for short names.
        max_width: a text that makes the strap wider, in pixels, is folded at a space; None: none is.

    Raises:
        InputError: a text is empty or several lines, or has characters that cannot be drawn.
    """

    def __init__(
        self,
        title: str,
        subtitle: str = "",
        *,
        size: tuple[int, int],
        scale: float = 1.0,
        max_width: int | None = None,
    ) -> None:
        self.title, self.subtitle = (unicodedata.normalize("NFC", text.strip()) for text in (title, subtitle))
        check_strap_texts(self.title, self.subtitle)
        self._mirrored = _is_right_to_left(self.title)
        rows = _Rows(self.title, self.subtitle, smaller_side=min(size), scale=scale, max_width=max_width)
        colours, opacity = rows.draw(mirrored=self._mirrored)
        self._colours, self._opacity = colours, opacity
        self.size = (colours.shape[1], colours.shape[0])
        """Width and height in pixels, even."""
        self._layers: dict[Hashable, _Layers] = {}

    def put_on(self, image: YuvFrame, corner: tuple[int, int], *, opacity: float = 1.0) -> None:
        """Blend the strap into a frame, in place; pixels outside its box stay unchanged.

        Args:
            image: modified.
            corner: its left and upper edge in pixels, multiples of the frame's chroma steps.
            opacity: of the strap as a whole, 0 to 1, for fades.
        """
        if opacity <= 0:
            return
        layers, (across, down) = self._layers_for(image), image.chroma_steps
        left, top = corner
        for plane, (samples, cover), steps in zip(
            image.planes, layers, ((1, 1), (across, down), (across, down)), strict=True
        ):
            rows, columns = samples.shape
            y, x = top // steps[1], left // steps[0]
            _blend(plane[y : y + rows, x : x + columns], samples, cover * np.float32(opacity))
        if image.alpha is not None:
            width, height = self.size
            box = image.alpha[top : top + height, left : left + width]
            _blend(box, np.full(box.shape, 255, np.float32), self._opacity * np.float32(opacity))

    def _layers_for(self, image: YuvFrame) -> _Layers:
        """Return samples and opacities, computed once for each kind of frame."""
        key = image.layout, image.chroma_steps, image.is_full_range, image.tags
        if key not in self._layers:
            luma, *chroma = to_samples(self._colours, image)
            across, down = image.chroma_steps
            small = np.asarray(Image.fromarray(self._opacity).reduce((across, down)), np.float32)
            reduced = [
                np.asarray(Image.fromarray(plane).reduce((across, down)), np.float32) for plane in chroma
            ]
            self._layers[key] = (
                (np.asarray(luma, np.float32), self._opacity),
                *((plane, small) for plane in reduced),
            )
        return self._layers[key]


class _Rows:
    """The measures of a strap at one scale, in pixels."""

    def __init__(
        self, title: str, subtitle: str, *, smaller_side: int, scale: float, max_width: int | None
    ) -> None:
        heights = [
            max(_MIN_PIXELS, math.ceil(scale * smaller_side / fraction))
            for fraction in (_TITLE_FRACTION, _SUBTITLE_FRACTION)
        ]
        capital = heights[0]
        self._bar, self._aside = _even(0.35 * capital), round(0.75 * capital)
        around = self._bar + 2 * self._aside
        texts = [(title, _BOLD), (subtitle, _REGULAR)] if subtitle else [(title, _BOLD)]
        self._bands = []
        """Of each text: its lines, their font, and the height of capitals."""
        for (text, name), height in zip(texts, heights, strict=False):
            font = _font(name, round(height / _CAPITALS))
            is_wide = max_width is not None and _even(around + font.getlength(text)) > max_width
            self._bands.append((_folded(text, font) if is_wide else [text], font, height))
        widest = max(font.getlength(line) for lines, font, _ in self._bands for line in lines)
        self.width = _even(around + math.ceil(widest))

    def draw(self, *, mirrored: bool) -> tuple[ImageU8, ArrayF32]:
        """Return colours (H, W, 3) and opacities (H, W)."""
        bands = [_even((_BAND + _LINE * (len(lines) - 1)) * capital) for lines, _, capital in self._bands]
        image = Image.new("RGB", (self.width, sum(bands)), _DARK)
        draw = ImageDraw.Draw(image)
        side = self.width - self._bar - self._aside if mirrored else self._bar + self._aside
        top = 0
        for (lines, font, capital), band, (paper, ink) in zip(
            self._bands, bands, ((_DARK, _LIGHT), (_LIGHT, _DARK)), strict=False
        ):
            draw.rectangle((0, top, self.width, top + band - 1), fill=paper)
            rest = round(_LINE * capital) * (len(lines) - 1)
            baseline = top + (band - rest + capital) // 2
            for number, line in enumerate(lines):
                place = (side, baseline + number * round(_LINE * capital))
                draw.text(place, line, fill=ink, font=font, anchor="rs" if mirrored else "ls")
            top += band
        left = self.width - self._bar if mirrored else 0
        draw.rectangle((left, 0, left + self._bar - 1, top - 1), fill=_BAR)
        return np.array(image, np.uint8), np.full((top, self.width), _OPACITY, np.float32)


def _folded(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Return a text in the two lines whose wider one is narrowest; one line if it has no space."""
    words = text.split()
    pairs = [[" ".join(words[:count]), " ".join(words[count:])] for count in range(1, len(words))]
    return min(pairs, key=lambda pair: max(map(font.getlength, pair)), default=[text])


def _blend(plane: npt.NDArray[Any], samples: ArrayF32, opacity: ArrayF32) -> None:
    plane[:] = np.rint(plane + (samples - plane) * opacity)


@cache
def _font(name: str, size: int, *, shaped: bool = True) -> ImageFont.FreeTypeFont:
    layout = ImageFont.Layout.RAQM if shaped and _shapes() else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(_FONTS / name), size, layout_engine=layout)


def _shapes() -> bool:
    """Return whether letters can be joined and ordered from right to left."""
    return bool(features.check("raqm") and features.check("fribidi"))


def _is_right_to_left(text: str) -> bool:
    """Return whether the first letter that has a direction runs from right to left."""
    directions = [unicodedata.bidirectional(letter) for letter in text]
    strong = [direction for direction in directions if direction in ("L", "R", "AL")]
    return bool(strong) and strong[0] != "L"


def check_strap_texts(title: str, subtitle: str) -> None:
    """Check the texts of a strap; an empty subtitle is none.

    Raises:
        InputError: a text is empty or several lines, or has characters that cannot be drawn.
    """
    _check(title, "title", _BOLD)
    if subtitle:
        _check(subtitle, "subtitle", _REGULAR)


def _check(text: str, name: str, font_name: str) -> None:
    if not text or len(text.splitlines()) > 1:
        raise InputError(f"the {name} is {quoted(text)}; expected one line of text, such as a name")
    font = _font(font_name, 20, shaped=False)
    missing = bytes(font.getmask(_MISSING_CHARACTER))
    odd = sorted(
        letter
        for letter in set(text)
        if unicodedata.category(letter) not in _IGNORED
        and (unicodedata.category(letter)[0] == "C" or bytes(font.getmask(letter)) == missing)
    )
    if odd:
        raise InputError(
            f"the {name} {quoted(text)} has characters that cannot be drawn: {' '.join(map(quoted, odd))}. "
            "Accepted are Latin, Greek, Cyrillic, Hebrew and Arabic letters, digits and punctuation"
        )
    if not _shapes() and any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text):
        raise InputError(
            f"the {name} {quoted(text)} runs from right to left, which needs the library FriBiDi, and it was "
            "not found. Install it (libfribidi0 on Debian), or give a text in Latin letters"
        )


def _even(pixels: float) -> int:
    return 2 * math.ceil(pixels / 2)
