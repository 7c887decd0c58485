"""A line of text on pictures, to be read at any size and on anything: drawn once, mixed into each picture.

Knows letters, backing and planes. Where on the picture it goes is the caller's to say.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from newscaster.errors import InputError
from newscaster.media.frame import YuvFrame
from newscaster.texts import quoted

_FRACTION = 28
"""Capitals are at least so many times smaller than the picture's smaller side, and no smaller."""
_MIN_PIXELS = 7
"""Height of capitals below which letters run together."""
_BACKING = 0.72
"""How much of the picture the backing takes away: white on white is then 9 : 1 in contrast."""
_BLACK, _WHITE, _GREY = 16, 235, 128
_NOBODYS = "\U0010ffff"
"""A character that no font has: what it is drawn as, others are that the font lacks."""


class Label:
    """White letters on a dark backing, for pictures of one size.

    Args:
        text: one line; letters, digits and signs of ASCII.
        size: width and height of the pictures in pixels.

    Raises:
        InputError: the text is empty, has characters that cannot be drawn, or is too long for the pictures.
    """

    def __init__(self, text: str, *, size: tuple[int, int]) -> None:
        self.text = text.strip()
        font = _font(max(_MIN_PIXELS, math.ceil(min(size) / _FRACTION)))
        self.letter_px = _height(font)
        """Height of a capital."""
        self._check(font)
        self.margin = round(0.3 * self.letter_px) * 2
        """Distance from the picture's edges, in pixels."""
        left, top, right, bottom = font.getbbox(self.text)
        aside, above = round(0.8 * self.letter_px), round(0.5 * self.letter_px)
        self.size = (_even(right - left + 2 * aside), _even(bottom - top + 2 * above))
        """Width and height of the backing in pixels, even."""
        room = (size[0] - 2 * self.margin, size[1] - 2 * self.margin)
        if self.size[0] > room[0] or self.size[1] > room[1]:
            raise InputError(
                f"the label {quoted(self.text)} takes {self.size[0]}x{self.size[1]} pixels, and pictures of "
                f"{size[0]}x{size[1]} have room for {room[0]}x{room[1]}. Give a shorter one"
            )
        drawn = Image.new("L", self.size)
        place = ((self.size[0] - right - left) / 2, (self.size[1] - bottom - top) / 2)
        ImageDraw.Draw(drawn).text(place, self.text, fill=255, font=font)
        self._kept, self._added = _mixing(np.asarray(drawn), _WHITE, _BLACK)
        self._kept_chroma, self._added_chroma = _mixing(np.asarray(drawn.reduce(2)), _GREY, _GREY)

    def put_on(self, image: YuvFrame, corner: tuple[int, int]) -> None:
        """Write it on a picture, in place; nothing outside its box is touched.

        Args:
            image: the caller's to write to.
            corner: its left and upper edge in pixels, even.
        """
        left, top = corner
        width, height = self.size
        luma, *chroma = image.planes
        _mix(luma[top : top + height, left : left + width], self._kept, self._added)
        left, top, width, height = left // 2, top // 2, width // 2, height // 2
        for plane in chroma:
            _mix(plane[top : top + height, left : left + width], self._kept_chroma, self._added_chroma)

    def _check(self, font: ImageFont.FreeTypeFont) -> None:
        if not self.text or len(self.text.splitlines()) > 1:
            raise InputError(
                f"the label is {quoted(self.text)}; expected one line of text, such as 'AI-generated'"
            )
        nobodys = bytes(font.getmask(_NOBODYS))
        if odd := sorted({letter for letter in self.text if bytes(font.getmask(letter)) == nobodys} - {" "}):
            raise InputError(
                f"the label {quoted(self.text)} has characters that cannot be drawn: {' '.join(odd)}. "
                "Letters, digits and signs of ASCII can"
            )


def _font(letter_px: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, as large as its capitals need."""
    size = round(1.25 * letter_px)  # its capitals are 0.7 of it; hinting makes that uneven
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


def _mixing(
    letters: npt.NDArray[np.uint8], ink: int, backing: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Of a plane: what is kept of it, and what is added, both in 256ths.

    picture * (1 - b) + backing * b, and letters over that: p (1 - b) (1 - c) + backing b (1 - c) + ink c.
    """
    cover = letters / 255
    kept = np.round(256 * (1 - _BACKING) * (1 - cover))
    added = 256 * (backing * _BACKING * (1 - cover) + ink * cover)
    return kept.astype(np.uint16), np.round(added + 128).astype(np.uint16)  # 128: rounds, rather than cuts


def _mix(plane: npt.NDArray[np.uint8], kept: npt.NDArray[np.uint16], added: npt.NDArray[np.uint16]) -> None:
    plane[:] = (plane * kept + added) >> 8
