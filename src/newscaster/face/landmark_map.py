"""Landmark maps: a mouth drawn as an image that the renderer translates into pixels.

Defines the content of each channel. The drawing is anti-aliased, so that the map changes when the mouth
moves by less than a pixel.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from newscaster.face.hidden_box import Box
from newscaster.face.topology import INNER_RING, JAW_LINE, RING
from newscaster.types import ArrayFloat, ImageU8

CHANNELS = ("inner mouth", "upper lip", "lower lip", "face above the jaw line")
"""Names of the channels of a landmark map. Each holds coverage from 0 to 255."""
_OVERSAMPLING = 4


def draw_landmark_map(points: ArrayFloat, *, side: int, map_side: int, box: Box | None = None) -> ImageU8:
    """Draw one mouth (57, 2), in pixels of a crop of ``side``, as a landmark map (C, map_side, map_side).

    With a box of pixels of the map, only that part is drawn: (C, h, w).
    """
    box = box or Box(0, map_side, 0, map_side)
    scaled = np.asarray(points, np.float64) * (map_side * _OVERSAMPLING / side)
    scaled -= np.array([box.left, box.top]) * _OVERSAMPLING
    outer, inner, jaw = scaled[:RING], scaled[INNER_RING], scaled[JAW_LINE]
    half = RING // 2
    upper = np.concatenate([outer[: half + 1], inner[: half + 1][::-1]])
    lower = np.concatenate([outer[half:], outer[:1], inner[:1], inner[half:][::-1]])
    size = ((box.right - box.left) * _OVERSAMPLING, (box.bottom - box.top) * _OVERSAMPLING)
    filled = (fill_polygon(polygon, size) for polygon in (inner, upper, lower, jaw))
    return np.stack([np.asarray(image.reduce(_OVERSAMPLING)) for image in filled])


def fill_polygon(points: ArrayFloat, size: tuple[int, int]) -> Image.Image:
    """Return an image of width and height ``size`` that is 255 inside a polygon (P, 2), and 0 outside.

    It has no soft edge: draw it large, and reduce it.
    """
    image = Image.new("L", size, 0)
    # Pillow draws with pixel centres at integers; ours are at halves.
    ImageDraw.Draw(image).polygon((np.asarray(points, np.float64) - 0.5).ravel().tolist(), fill=255)
    return image
