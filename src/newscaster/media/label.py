"""A line of text on frames, legible at any size and on any background: drawn once, blended into each frame.

Handles letters, backing and planes. Leaves the position to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from newscaster.errors import InputError
from newscaster.media.frame import YuvFrame
from newscaster.media.hdr import white_code
from newscaster.texts import quoted
from newscaster.types import ImageU8

_FRACTION = 28
"""Maximum ratio of the frame's smaller side to the height of capitals."""
_MIN_PIXELS = 7
"""Height of capitals below which letters run together."""
_BACKING = 0.72
"""Opacity of the backing: white letters on a white frame then have a contrast of 9 : 1."""
_BLACK, _WHITE, _GREY = 16, 235, 128
_Factors = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]
_MISSING_CHARACTER = "\U0010ffff"
"""A character that no font has: it is drawn like every character that the font lacks."""


class Label:
    """White letters on a dark backing, for frames of one size.

    Args:
        text: one line of printable ASCII.
        size: width and height of the frames in pixels.

    Raises:
        InputError: the text is empty, has characters that cannot be drawn, or is too long for the frames.
    """

    def __init__(self, text: str, *, size: tuple[int, int]) -> None:
        self.text = text.strip()
        check_label_text(self.text)
        font = _font(max(_MIN_PIXELS, math.ceil(min(size) / _FRACTION)))
        self.letter_px = _height(font)
        """Height of a capital."""
        self.margin = round(0.3 * self.letter_px) * 2
        """Distance from the edges of the frame, in pixels."""
        left, top, right, bottom = font.getbbox(self.text)
        aside, above = round(0.8 * self.letter_px), round(0.5 * self.letter_px)
        self.size = (_even(right - left + 2 * aside), _even(bottom - top + 2 * above))
        """Width and height of the backing in pixels, even."""
        room = (size[0] - 2 * self.margin, size[1] - 2 * self.margin)
        if self.size[0] > room[0] or self.size[1] > room[1]:
            raise InputError(
                f"the label {quoted(self.text)} needs {self.size[0]}x{self.size[1]} pixels, and frames of "
                f"{size[0]}x{size[1]} have room for {room[0]}x{room[1]}. Give a shorter label"
            )
        self._letters = Image.new("L", self.size)
        place = ((self.size[0] - right - left) / 2, (self.size[1] - bottom - top) / 2)
        ImageDraw.Draw(self._letters).text(place, self.text, fill=255, font=font)
        self._factors: dict[Hashable, tuple[_Factors, _Factors]] = {}

    def put_on(self, image: YuvFrame, corner: tuple[int, int]) -> None:
        """Draw the label on a frame, in place; pixels outside its box stay unchanged. The box is opaque.

        Args:
            image: modified.
            corner: its left and upper edge in pixels, even.
        """
        left, top = corner
        width, height = self.size
        across, down = image.chroma_steps
        of_luma, of_chroma = self._factors_for(image)
        luma, *chroma = image.planes
        _blend(luma[top : top + height, left : left + width], of_luma)
        if image.alpha is not None:
            image.alpha[top : top + height, left : left + width] = 255
        left, top, width, height = left // across, top // down, width // across, height // down
        for plane in chroma:
            _blend(plane[top : top + height, left : left + width], of_chroma)

    def _factors_for(self, image: YuvFrame) -> tuple[_Factors, _Factors]:
        """Return the factors of luma and of chroma, computed once for each kind of frame."""
        layout, steps, full = image.layout, image.chroma_steps, image.is_full_range
        key = layout, steps, full, image.tags.transfer
        if key not in self._factors:
            unit = 1 << (layout.depth - 8)
            black, top = (0, layout.peak) if full else (_BLACK * unit, _WHITE * unit)
            white = round(black + (top - black) * white_code(image.tags.transfer))
            letters, small = np.asarray(self._letters), np.asarray(self._letters.reduce(steps))
            self._factors[key] = (
                _blend_factors(letters, white, black),
                _blend_factors(small, _GREY * unit, _GREY * unit),
            )
        return self._factors[key]


def check_label_text(text: str) -> None:
    """Check the text of a label.

    Raises:
        InputError: it is empty or several lines, or has characters that cannot be drawn.
    """
    if not text or len(text.splitlines()) > 1:
        raise InputError(f"the label is {quoted(text)}; expected one line of text, such as 'AI-generated'")
    font = _font(_MIN_PIXELS)
    missing_mask = bytes(font.getmask(_MISSING_CHARACTER))
    if odd := sorted({letter for letter in text if bytes(font.getmask(letter)) == missing_mask} - {" "}):
        raise InputError(
            f"the label {quoted(text)} has characters that cannot be drawn: {' '.join(odd)}. "
            "Accepted are printable ASCII characters"
        )


def _font(letter_px: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, in the size at which capitals have this height."""
    size = round(1.25 * letter_px)  # capitals are 0.7 of the size; hinting makes that uneven
    while True:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        if _height(font) >= letter_px:
            return font
        size += 1


def _height(font: ImageFont.FreeTypeFont) -> int:
    _, top, _, bottom = font.getbbox("H")
    return round(bottom - top)


def _even(pixels: float) -> int:
    return 2 * math.ceil(pixels / 2)


def _blend_factors(letters: ImageU8, ink: int, backing: int) -> _Factors:
    """Return the factor for a plane and the value to add, both in 256ths.

    frame * (1 - b) + backing * b, and letters over that: f (1 - b) (1 - c) + backing b (1 - c) + ink c.
    """
    cover = letters / 255
    kept = np.round(256 * (1 - _BACKING) * (1 - cover))
    added = 256 * (backing * _BACKING * (1 - cover) + ink * cover)
    return kept.astype(np.uint32), np.round(added + 128).astype(np.uint32)  # 128: round, do not truncate


def _blend(plane: npt.NDArray[Any], factors: _Factors) -> None:
    kept, added = factors
    plane[:] = (plane * kept + added) >> 8
