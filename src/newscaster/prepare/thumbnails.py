"""Images for the report: frames with the tracked face, and a sheet of mouths."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from newscaster.face.crop import FaceCrop, cut_crop
from newscaster.face.geometry import Similarity
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import (
    INNER_LIPS,
    JAW,
    LEFT_EYE_OUTER,
    OPENING_PAIRS,
    OUTER_LIPS,
    RIGHT_EYE_OUTER,
)
from newscaster.types import ArrayF32, ImageU8

_WIDEST_PX = 360
_SHOWN_FACES = 2.2
"""Side of the shown part of a frame, in sides of the face's box."""
_QUALITY = 85
_MOUTH_SIZE = (96, 64)
_MOUTH_WIDTH = 1.1
_SQUARE = (86, 182, 255)
_LIPS = (255, 92, 122)
_POINTS = (240, 240, 240)


@dataclass(frozen=True)
class Shown:
    """A frame kept for the report."""

    jpeg: bytes
    """The face and its surroundings, at most 360 pixels wide."""
    corner: tuple[int, int]
    """Left and top of this part in the footage."""
    scale: float
    """Its size over that in the footage."""
    frame: int
    """Frame number in the segment."""

    @staticmethod
    def of(image: ImageU8, landmarks: ArrayF32, frame: int) -> Shown:
        points = landmarks[:, :2]
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        half = _SHOWN_FACES * float(np.ptp(points, axis=0).max()) / 2
        left, top = np.clip(middle - half, 0, np.array(image.shape[1::-1]) - 1).astype(int).tolist()
        right, bottom = np.minimum(middle + half + 1, image.shape[1::-1]).astype(int).tolist()
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        cut = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
        scale = _WIDEST_PX / cut.width
        small = cut.resize((_WIDEST_PX, max(1, round(cut.height * scale))), Image.Resampling.LANCZOS)
        return Shown(_jpeg(small), (left, top), scale, frame)


@dataclass(frozen=True)
class Mouth:
    """An image of a mouth."""

    opening: float
    """Gap between the inner lips, in IOD."""
    image: ImageU8
    """(64, 96, 3), upright, lips in the middle, 1.1 IOD wide."""


def mouth_of(image: ImageU8, landmarks: ArrayF32) -> Mouth:
    """Cut out the mouth of a frame (H, W, 3) with landmarks (478, 3)."""
    points = landmarks[:, :2].astype(np.float64)
    eyes = points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]
    gap = np.mean([np.hypot(*(points[a] - points[b])) for a, b in OPENING_PAIRS]) / np.hypot(*eyes)
    scale = _MOUTH_SIZE[0] / _MOUTH_WIDTH / float(eyes @ eyes)
    turn = scale * np.array([[eyes[0], eyes[1]], [-eyes[1], eyes[0]]])
    shift = np.full(2, _MOUTH_SIZE[0] / 2) - turn @ points[list(OUTER_LIPS)].mean(axis=0)
    # Convert only the surroundings of the mouth to a Pillow image: frames may be large.
    reach = np.hypot(*eyes) * _MOUTH_WIDTH
    left, top = np.maximum(points[list(OUTER_LIPS)].mean(axis=0) - reach, 0).astype(int)
    near = np.ascontiguousarray(image[top : top + int(2 * reach) + 2, left : left + int(2 * reach) + 2])
    if not near.size:
        return Mouth(float(gap), np.zeros((_MOUTH_SIZE[1], _MOUTH_SIZE[0], 3), np.uint8))
    shift += turn @ np.array([left, top], np.float64)
    upright = SurfaceWarp.of(Similarity(np.concatenate([turn, shift[:, None]], axis=1)))
    rows = slice((_MOUTH_SIZE[0] - _MOUTH_SIZE[1]) // 2, (_MOUTH_SIZE[0] + _MOUTH_SIZE[1]) // 2)
    return Mouth(float(gap), cut_crop(near, upright, _MOUTH_SIZE[0])[rows])


def annotated(shown: Shown, landmarks: ArrayF32, transform: SurfaceWarp, crop: FaceCrop) -> Image.Image:
    """Draw the crop's square and the landmarks (478, 3), in pixels of the footage, into a frame."""
    small = Image.open(io.BytesIO(shown.jpeg))
    fine = 2  # drawn at twice the size: Pillow's lines are not anti-aliased
    scale = shown.scale * fine
    canvas = small.resize((small.width * fine, small.height * fine), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    points = (landmarks[:, :2] - shown.corner) * scale
    for x, y in points:
        draw.ellipse((x - 0.9, y - 0.9, x + 0.9, y + 0.9), fill=_POINTS)
    for chain in ((*OUTER_LIPS, OUTER_LIPS[0]), (*INNER_LIPS, INNER_LIPS[0]), JAW):
        draw.line([(float(x), float(y)) for x, y in points[list(chain)]], fill=_LIPS, width=2)
    outline = (transform.outline(0, 0, crop.side, crop.side) - shown.corner) * scale
    draw.line([(float(x), float(y)) for x, y in outline], fill=_SQUARE, width=3, joint="curve")
    return canvas.resize(small.size, Image.Resampling.BOX)


def mouth_sheet(mouths: Sequence[Mouth], *, columns: int) -> Image.Image | None:
    """Arrange mouths in rows; None if there are none."""
    if not mouths:
        return None
    width, height = _MOUTH_SIZE
    sheet = Image.new("RGB", (columns * width, -(-len(mouths) // columns) * height), (128, 128, 128))
    for i, mouth in enumerate(mouths):
        sheet.paste(Image.fromarray(mouth.image), (i % columns * width, i // columns * height))
    return sheet


def data_uri(image: Image.Image) -> str:
    """Encode an image as a data URI for HTML."""
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(image)).decode("ascii")


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()
