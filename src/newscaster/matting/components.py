"""Connected components of a coarse mask: the people, their holes, and the crops for the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.matting.filters import box_max, box_mean, resize, shrink_floats
from newscaster.types import ArrayBool, ArrayF32

Box = tuple[float, float, float, float]
"""left, top, right, bottom as fractions of the frame's width and height, unless pixels are specified."""
Size = tuple[int, int]
"""height, width"""

_PERSON = 0.5
_SURE = 0.85
_FAINT = 0.1
_MIN_FRACTION = 1e-3
"""Of the frame: smaller components are not people."""
_MIN_OF_LARGEST = 0.03
_NEAR_PX = 6
"""Margin around a person in which the fine mask counts, in pixels of the coarse one: the reach of hair."""
_ALL = 0.95
_MAX_HEADS = 3
_MAX_COMPONENTS = 64
_HOLE = 0.004
_SPECK = 0.001
"""Of a person's area: a hole of at most this size is filled; one of up to `_HOLE` if its mask is not sure."""
_LIKELY_HOLE = 0.02
"""The same, of a hole that is rather person than background, such as an ear ring before hair."""
_STEADY = 0.06
"""Crops stay while the people's box moves by less than this fraction of it."""


def spread(seed: ArrayBool, allowed: ArrayBool) -> ArrayBool:
    """Return all pixels of `allowed` that are connected with `seed` through `allowed` (4 neighbours)."""
    reached = seed & allowed
    views = [(reached, allowed), (reached[:, ::-1], allowed[:, ::-1])]
    views += [(r.T, a.T) for r, a in [(reached, allowed), (reached[::-1], allowed[::-1])]]
    blocked = [np.maximum.accumulate(np.where(a, -1, np.arange(a.shape[1])), axis=1) for _, a in views]
    count = -1
    while count != (count := int(reached.sum())):
        for (view, _), last_blocked in zip(views, blocked, strict=True):
            last = np.maximum.accumulate(np.where(view, np.arange(view.shape[1]), -1), axis=1)
            view |= last > last_blocked
    return reached


def components(mask: ArrayBool) -> list[ArrayBool]:
    """Return the connected components, the largest first; at most 64, the first ones from the top."""
    rest = mask.copy()
    parts: list[ArrayBool] = []
    while len(parts) < _MAX_COMPONENTS and rest.any():
        seed = np.zeros_like(mask)
        seed.flat[int(np.argmax(rest))] = True
        parts.append(spread(seed, rest))
        rest &= ~parts[-1]
    return sorted(parts, key=lambda part: -int(part.sum()))


def holes(mask: ArrayF32) -> ArrayBool:
    """Return the false holes in people: tiny ones, and small ones of which the network is not sure.

    Visible background between an arm and the body is larger, or surely background.
    """
    people = mask > _SURE
    outside = np.pad(~people, 1, constant_values=True)
    border = np.zeros_like(outside)
    border[0] = True
    inner = ~people & ~spread(border, outside)[1:-1, 1:-1]
    filled = np.zeros_like(people)
    if not inner.any():
        return filled
    area = people.sum()
    for part in components(inner):
        fraction, mean = part.sum() / area, mask[part].mean()
        is_likely = fraction <= _LIKELY_HOLE and mean > _PERSON
        if fraction <= _SPECK or (fraction <= _HOLE and mean > _FAINT) or is_likely:
            filled |= part
    return filled


def bounding_box(mask: ArrayBool) -> Box:
    """Return the box of all true pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


@dataclass(frozen=True)
class Crop:
    """A crop of the frame for the network: its box, and the weight of its mask."""

    box: Box
    weight: float


@dataclass(frozen=True)
class People:
    """The people in a frame, coarsely.

    Attributes:
        keep: coarse mask of the pixels in which the fine mask counts: around the kept people.
        box: the box of all of them.
        crops: close-up crops for the network.
    """

    keep: ArrayBool
    box: Box
    crops: list[Crop]

    def clean(self, mask: ArrayF32) -> ArrayF32:
        """Remove other people and false holes from the fine mask (h, w)."""
        size, coarse_size = (mask.shape[0], mask.shape[1]), (self.keep.shape[0], self.keep.shape[1])
        if not self.keep.all():
            soft = box_mean(self.keep.astype(np.float32), 1)
            mask = np.asarray(mask * resize(soft, size), np.float32)
        filled = holes(resize(mask, coarse_size))
        if filled.any():
            mask = np.maximum(mask, resize(box_max(filled.astype(np.float32), 1), size))
        return mask


def find_people(
    whole: ArrayF32,
    size: Size,
    *,
    face: Box | None = None,
    other_faces: Sequence[Box] = (),
    before: People | None = None,
) -> People | None:
    """Find the people in the mask of a whole frame; return None if there are none.

    Args:
        whole: (256, 256) probabilities of the frame, resized to a square.
        size: of the frame in pixels.
        face, other_faces: boxes in pixels of the frame; see `matte.PersonMatte.push`.
        before: result for the previous frame; its crops stay while they fit, against flicker of the mask.
    """
    coarse = shrink_floats(whole, 2)
    people = coarse > _PERSON
    mine = np.ones_like(people)
    parts = [part for part in components(people) if part.sum() >= _MIN_FRACTION * part.size]
    heads = []
    if face is not None:
        mine = _nearest(people.shape, size, face, other_faces)
        parts = [part & mine for part in parts if _touches(part & mine, size, face)]
        heads = [_head_of_face(face, size)]
    parts = [part for part in parts if part.sum() >= _MIN_OF_LARGEST * parts[0].sum()]
    if not parts:
        return None
    kept = np.logical_or.reduce(parts)
    others = people & ~kept
    near = box_max(kept.astype(np.float32), _NEAR_PX) > 0
    keep = (spread(kept, (coarse > _FAINT) & mine) | near) & mine & ~others
    box = bounding_box(kept)
    crops = layout(box, heads or [_head(part, size) for part in parts[:_MAX_HEADS]], size)
    if before is not None and len(before.crops) == len(crops) and _steady(before.box, box):
        return People(keep, before.box, before.crops)
    return People(keep, box, crops)


def layout(box: Box, heads: list[Box], size: Size) -> list[Crop]:
    """Return crops around people: their common box, squares along its longer side if long, and heads."""
    height, width = size
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    margin = 0.08 * max(right - left, bottom - top)
    left, top = max(left - margin, 0), max(top - margin, 0)
    right, bottom = min(right + margin, width), min(bottom + margin, height)
    boxes = []
    if (right - left) * (bottom - top) < _ALL * width * height:  # else the whole frame's mask is as good
        boxes.append((left, top, right, bottom, 1.0))
    short, long = sorted((right - left, bottom - top))
    if long > 1.25 * short:
        count = min(int(np.ceil((long / short - 1) / 0.6)) + 1, 5)
        for start in np.linspace(0, long - short, count):
            if bottom - top > right - left:
                boxes.append((left, top + start, right, top + start + short, 1.5))
            else:
                boxes.append((left + start, top, left + start + short, bottom, 1.5))
    crops = [Crop((x0 / width, y0 / height, x1 / width, y1 / height), w) for x0, y0, x1, y1, w in boxes]
    return crops + [Crop(head, 2.0) for head in heads]


def _head(part: ArrayBool, size: Size) -> Box:
    """Estimate the box of a person's head from the silhouette alone: at the top, around its topmost tenth."""
    left, top, right, bottom = bounding_box(part)
    side = 0.74 * min((right - left) * size[1], (bottom - top) * size[0])
    counts = np.cumsum(part.sum(axis=1))
    columns = part[: int(np.searchsorted(counts, 0.1 * counts[-1])) + 1].sum(axis=0)
    x = float((columns * (np.arange(len(columns)) + 0.5)).sum() / columns.sum() / len(columns))
    return _square(x * size[1] - side / 2, top * size[0] - 0.15 * side, side, size)


def _head_of_face(face: Box, size: Size) -> Box:
    """Return the square around a head from its face's box in pixels."""
    side = 2.4 * max(face[2] - face[0], face[3] - face[1])
    return _square((face[0] + face[2] - side) / 2, (face[1] + face[3] - side) / 2, side, size)


def _square(left: float, top: float, side: float, size: Size) -> Box:
    """Move a square in pixels into the frame, and crop it if necessary."""
    left, top = min(max(left, 0), max(size[1] - side, 0)), min(max(top, 0), max(size[0] - side, 0))
    right, bottom = min(left + side, size[1]), min(top + side, size[0])
    return left / size[1], top / size[0], right / size[1], bottom / size[0]


def _touches(part: ArrayBool, size: Size, face: Box) -> bool:
    """Return whether a component of the coarse mask overlaps the box of a face in pixels."""
    rows = slice(
        int(max(face[1], 0) / size[0] * part.shape[0]), int(np.ceil(face[3] / size[0] * part.shape[0]))
    )
    columns = slice(
        int(max(face[0], 0) / size[1] * part.shape[1]), int(np.ceil(face[2] / size[1] * part.shape[1]))
    )
    return bool(part[rows, columns].any())


def _nearest(shape: tuple[int, ...], size: Size, face: Box, others: Sequence[Box]) -> ArrayBool:
    """Return the pixels nearest to this face, in face widths; horizontal distances count four times."""
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) * size[0] / shape[0]
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) * size[1] / shape[1]

    def distance(box: Box) -> ArrayF32:
        center_x, center_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return np.asarray(np.hypot(x - center_x, (y - center_y) / 4) / (box[2] - box[0]), np.float32)

    mine = np.ones(shape, np.bool_)
    for other in others:
        mine &= distance(face) <= distance(other)
    return mine


def _steady(before: Box, now: Box) -> bool:
    """Return whether the people's boxes are nearly the same."""
    width, height = before[2] - before[0], before[3] - before[1]
    scale = width, height, width, height
    return all(abs(a - b) < _STEADY * s for a, b, s in zip(before, now, scale, strict=True))
