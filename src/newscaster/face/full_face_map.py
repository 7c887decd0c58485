"""Full-face maps: a whole face drawn as an image, which the portrait network turns into a frame.

Defines what each channel shows, as :mod:`newscaster.face.landmark_map` does for the mouth alone. This map
covers the whole frame and shows everything of the face that moves.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from newscaster.face.topology import INNER_LIPS, JAW, OUTER_LIPS, RING
from newscaster.types import ArrayFloat, ImageU8

CHANNELS = (
    "face oval",
    "jaw",
    "brows",
    "nose",
    "eyes",
    "irises",
    "upper lip",
    "lower lip",
    "inner mouth",
)
"""Names of the channels of a full-face map. Each holds coverage from 0 to 255."""

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323),
    *JAW,
    *(93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Outline of the face, from the middle of the forehead clockwise."""
BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
"""Borders of the lids: from the outer corner over the upper lid and back along the lower."""
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""The centre of each iris, and four points around it."""
_NOSE = (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64)
_BRIDGE = (168, 6, 197, 195, 5, 4)

_OVERSAMPLING = 2


def draw_full_face_map(landmarks: ArrayFloat, *, size: tuple[int, int], cell: int) -> ImageU8:
    """Draw one face, as landmarks (478, >=2) in pixels of its frame, as a map (C, H / cell, W / cell).

    Args:
        landmarks: all landmarks of a face, with eyes and irises.
        size: width and height of the frame in pixels, multiples of ``cell``.
        cell: side of one element of the map in pixels.
    """
    width, height = size
    scale = _OVERSAMPLING / cell
    # Pillow draws with pixel centres at integers; ours are at halves.
    points = np.asarray(landmarks[:, :2], np.float64) * scale - 0.5
    canvas = _Canvas((width * _OVERSAMPLING // cell, height * _OVERSAMPLING // cell), points)
    half = RING // 2
    upper = (*OUTER_LIPS[: half + 1], *INNER_LIPS[: half + 1][::-1])
    lower = (*OUTER_LIPS[half:], OUTER_LIPS[0], INNER_LIPS[0], *INNER_LIPS[half:][::-1])
    eyes = canvas.polygons(*EYES)
    # The lids cover parts of the irises.
    irises = np.minimum(canvas.discs(*IRISES), eyes)
    return np.stack(
        [
            canvas.polygons(FACE_OVAL),
            canvas.polygons(JAW),
            canvas.polygons(*BROWS),
            canvas.polygons(_NOSE, line=_BRIDGE),
            eyes,
            irises,
            canvas.polygons(upper),
            canvas.polygons(lower),
            canvas.polygons(INNER_LIPS),
        ]
    )


class _Canvas:
    """A canvas that draws landmarks, in pixels of the canvas, and then reduces the drawing."""

    def __init__(self, size: tuple[int, int], points: ArrayFloat) -> None:
        self._size, self._points = size, points

    def polygons(self, *rings: tuple[int, ...], line: tuple[int, ...] | None = None) -> ImageU8:
        image = Image.new("L", self._size, 0)
        draw = ImageDraw.Draw(image)
        for ring in rings:
            draw.polygon(self._corners(ring), fill=255)
        if line is not None:
            draw.line(self._corners(line), fill=255, width=_OVERSAMPLING)
        return np.asarray(image.reduce(_OVERSAMPLING))

    def discs(self, *irises: tuple[int, ...]) -> ImageU8:
        image = Image.new("L", self._size, 0)
        draw = ImageDraw.Draw(image)
        for centre, *rim in irises:
            x, y = self._points[centre]
            r = float(np.linalg.norm(self._points[rim] - self._points[centre], axis=1).mean())
            draw.ellipse((float(x) - r, float(y) - r, float(x) + r, float(y) + r), fill=255)
        return np.asarray(image.reduce(_OVERSAMPLING))

    def _corners(self, ring: tuple[int, ...]) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in self._points[list(ring)]]
