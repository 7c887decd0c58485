"""Frame similarity: the visibility of a cut from one frame of footage to another.

Compares everything but the mouth. The unit is the usual change from frame to frame of the same footage. The
playback order and the choice of a target video use the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.crop import Mask
from newscaster.face.full_face_map import BROWS, EYES, IRISES
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head, Poses
from newscaster.face.measures import eyes_open
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import STABLE
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8

THUMBNAIL_SIDE = 48
"""Side of the two grey thumbnails of a frame: the whole frame, and the head with its surroundings."""
_WINDOW_FRACTION = 0.5
"""Margin of the head's window on every side, in sizes of the face."""

_USUAL_PERCENT = 50
# Invisible changes, however still the footage: the occasional movement of a head at rest between frames.
_MIN_HEAD = 0.004
"""In IOD."""
_MIN_EYES = 0.008
_MIN_FRAME = 1.25
"""8-bit grey values."""

UNSEEN = 2.0
"""Largest change of head, eyes and image of an invisible cut, in usual steps beyond the uncut footage."""

_SHUT = 0.75
"""In a blink, the eyes are open by less than this fraction of the usual."""
_BLINK_MARGIN_SECONDS = 0.08


_ALL = slice(None)


@dataclass(frozen=True)
class FrameSimilarity:
    """Features of the F frames of successive segments of footage, without the mouth."""

    head: ArrayF64
    """(F, P, 2): points that are fixed on the head, in image positions divided by the IOD, smoothed."""
    eyes: ArrayF64
    """(F, Q, 2): lids, irises and brows in the head frame."""
    blinks: ArrayBool
    """(F,): the eyes are closing, closed or opening."""
    segment: ArrayI64
    """(F,): the segment number of each frame, never falling."""
    fps: float
    images: ImageU8 | None = None
    """(F, 2, 48, 48), from `thumbnail`; pixels of 0 are not compared. None if unknown."""

    @staticmethod
    def of(
        landmarks: ArrayFloat,
        poses: Poses,
        head: Head,
        *,
        fps: float,
        segment: ArrayI64 | None = None,
        images: ImageU8 | None = None,
    ) -> FrameSimilarity:
        """Return the features of landmarks (F, 478, >=2) in pixels and the head's steady poses, F."""
        frames = len(poses)
        unit = max(float(np.median(poses.scale)), 1e-6)
        ring = [i for part in (*EYES, *IRISES, *BROWS) for i in part]
        eyes = poses.unproject(landmarks[:, ring, :2].astype(np.float64), head.points[ring, 2])
        return FrameSimilarity(
            head=poses.project(head.points[list(STABLE)]) / unit,
            eyes=eyes,
            blinks=_blinks(eyes_open(landmarks), fps),
            segment=np.zeros(frames, np.int64) if segment is None else segment,
            fps=fps,
            images=images,
        )

    def __len__(self) -> int:
        return len(self.head)

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """First frame of every segment, and one past its last."""
        edges = np.flatnonzero(np.diff(self.segment)) + 1
        return [(int(a), int(b)) for a, b in zip([0, *edges], [*edges, len(self)], strict=True)]

    @cached_property
    def usual(self) -> tuple[float, float, float]:
        """The usual change from one frame to the next: of the head, of the eyes, of the image.

        The median over all pairs of successive frames, and at least the visible minimum.
        """
        first = np.flatnonzero(np.diff(self.segment) == 0)
        floors = (_MIN_HEAD, _MIN_EYES, _MIN_FRAME)
        if not len(first):
            return floors
        changes = (*self._changes(first, first + 1), self.image_change(first, first + 1))
        head, eyes, image = (
            max(float(np.percentile(change, _USUAL_PERCENT)), floor)
            for change, floor in zip(changes, floors, strict=True)
        )
        return head, eyes, image

    def change(self, a: npt.NDArray[np.integer[Any]], b: npt.NDArray[np.integer[Any]]) -> ArrayF64:
        """Return the largest of the three changes of cuts from frames a (n,) to b (n,), in usual changes."""
        head, eyes = self._changes(a, b)
        usual = self.usual
        changes = np.stack([head / usual[0], eyes / usual[1], self.image_change(a, b) / usual[2]])
        return np.asarray(changes.max(axis=0), np.float64)

    def changes_of_face(self, a: slice = _ALL, b: slice = _ALL) -> ArrayF32:
        """Return (n, m): the change between any frame of a and any of b, of head and eyes alone."""
        shape = len(range(*a.indices(len(self)))), len(range(*b.indices(len(self))))
        largest = np.zeros(shape, np.float32)
        for points, usual in zip((self.head, self.eyes), self.usual, strict=False):
            points_a, points_b = (
                (points[part] - points[a].mean(axis=0)).reshape(n, -1)
                for part, n in zip((a, b), shape, strict=True)
            )
            squares_a, squares_b = (points_a**2).sum(axis=1), (points_b**2).sum(axis=1)
            squared = squares_a[:, None] + squares_b[None] - 2 * points_a @ points_b.T
            change = np.sqrt(np.maximum(squared, 0) / points.shape[1]) / usual
            np.maximum(largest, change, out=largest, casting="same_kind")
        return largest

    def _changes(
        self, a: npt.NDArray[np.integer[Any]], b: npt.NDArray[np.integer[Any]]
    ) -> tuple[ArrayF64, ArrayF64]:
        def distance(points: ArrayF64) -> ArrayF64:
            return np.asarray(np.sqrt(((points[a] - points[b]) ** 2).sum(axis=-1).mean(axis=-1)))

        return distance(self.head), distance(self.eyes)

    def image_change(self, a: npt.NDArray[np.integer[Any]], b: npt.NDArray[np.integer[Any]]) -> ArrayF64:
        """Return the RMS difference (n,) outside both mouths in 8-bit grey values, of the worse thumbnail."""
        out = np.zeros(len(a))
        if self.images is None:
            return out
        for first in range(0, len(a), 256):
            images_a, images_b = (self.images[i[first : first + 256]] for i in (a, b))
            compared = (images_a > 0) & (images_b > 0)
            difference = np.where(compared, images_a.astype(np.float32) - images_b, 0)
            count = np.maximum(compared.sum(axis=(2, 3)), 1)
            out[first : first + 256] = np.sqrt((difference**2).sum(axis=(2, 3)) / count).max(axis=1)
        return out


def _blinks(opened: ArrayF64, fps: float) -> ArrayBool:
    usual = max(float(np.median(opened)), 1e-6)
    shut = opened < _SHUT * usual
    margin = max(1, round(_BLINK_MARGIN_SECONDS * fps))
    blinks = np.zeros(len(opened), np.bool_)
    for start, stop in runs(shut):
        blinks[max(0, start - margin) : stop + margin] = True
    return blinks


def head_window(landmarks: Sequence[ArrayFloat], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the window (left, top, right, bottom) of the frame that shows the head in all landmarks.

    Args:
        landmarks: one (F, 478, >=2) in pixels for each piece of footage.
        size: width and height of the frame.
    """
    low = np.min([np.nanmin(points[..., :2], axis=(0, 1)) for points in landmarks], axis=0)
    high = np.max([np.nanmax(points[..., :2], axis=(0, 1)) for points in landmarks], axis=0)
    margin = _WINDOW_FRACTION * (high - low)
    left, top = np.clip(np.floor(low - margin), 0, np.array(size) - 2).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high + margin), [left + 2, top + 2], size).astype(int).tolist()
    return left, top, right, bottom


def thumbnail(
    image: ImageU8, transform: SurfaceWarp, mask: Mask, window: tuple[int, int, int, int]
) -> ImageU8:
    """Return a frame (H, W, 3) as thumbnails (2, 48, 48) in grey, 1 to 255, with 0 in the rewritten mouth.

    Args:
        image: the frame.
        transform: frame to crop pixels.
        mask: of the crop.
        window: see `head_window`.
    """
    height, width = image.shape[:2]
    source = Image.fromarray(image)
    out = np.empty((2, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    for small, box in zip(out, ((0, 0, width, height), window), strict=True):
        part = source.resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX, box=box).convert("L")
        small[:] = np.maximum(np.asarray(part), 1)
        small[_hidden_cells(box, transform, mask)] = 0
    return out


def _hidden_cells(box: tuple[int, int, int, int], transform: SurfaceWarp, mask: Mask) -> ArrayBool:
    """Return (48, 48): cells with a corner or the middle inside the rewritten mouth."""
    left, top, right, bottom = box
    steps = np.linspace(0, 1, 2 * THUMBNAIL_SIDE + 1)
    xs, ys = np.meshgrid(left + steps * (right - left), top + steps * (bottom - top))
    points = transform.apply(np.stack([xs, ys], axis=-1).reshape(-1, 2))
    side = len(mask.hidden)
    column, row = np.floor(np.nan_to_num(points, nan=-1.0)).astype(int).T
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    hidden = np.zeros(len(points), bool)
    hidden[inside] = mask.hidden[row[inside], column[inside]]
    grid = hidden.reshape(len(steps), len(steps))
    cells = np.zeros((THUMBNAIL_SIDE,) * 2, bool)
    for dy in range(3):
        for dx in range(3):
            cells |= grid[dy : dy + 2 * THUMBNAIL_SIDE : 2, dx : dx + 2 * THUMBNAIL_SIDE : 2]
    return cells
