"""Moments of footage: how much a viewer would see of a cut from one frame to another.

Knows what is compared, which is everything but the mouth, and in what unit: the change that is usual from
frame to frame in that very footage. Leaves it to the order of showing, and to the choice of a stage, what
follows.
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

Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.integer[Any]]

THUMBNAIL_SIDE = 48
"""A frame is kept as two pictures of this side in grey: all of it, and the head with what is around it."""
_WINDOW_FRACTION = 0.5
"""How far the head's window reaches beyond the face on every side, in sizes of the face."""

_USUAL_PERCENT = 50
# What nobody sees, however still the footage: what a head at rest does from frame to frame now and then.
_MIN_HEAD = 0.004
"""Outer-eye distances."""
_MIN_EYES = 0.008
_MIN_FRAME = 1.25
"""Grey levels."""

UNSEEN = 2.0
"""A cut is not seen that changes head, eyes and picture by no more than this many usual steps beyond what
would have followed."""

_SHUT = 0.75
"""A blink is where the eyes are open by less than this share of the usual."""
_BLINK_MARGIN_SECONDS = 0.08


_ALL = slice(None)


@dataclass(frozen=True)
class FrameSimilarity:
    """F frames of stretches of footage, one after another, as a viewer sees them who overlooks the mouth."""

    head: Array
    """(F, P, 2): points that are fixed on the head, in outer-eye distances on the picture, steadied."""
    eyes: Array
    """(F, Q, 2): lids, irises and brows in the head's own frame."""
    blinks: npt.NDArray[np.bool_]
    """(F,): the eyes are closing, closed or opening."""
    segment: npt.NDArray[np.int64]
    """(F,): the number of the stretch that a frame belongs to, never falling."""
    fps: float
    images: ImageArray | None = None
    """(F, 2, 48, 48), from `thumbnail`: 0 is what is not to be compared. None where they are not known."""

    @staticmethod
    def of(
        landmarks: npt.NDArray[np.floating[Any]],
        poses: Poses,
        head: Head,
        *,
        fps: float,
        segment: npt.NDArray[np.int64] | None = None,
        images: ImageArray | None = None,
    ) -> FrameSimilarity:
        """Of landmarks (F, 478, >=2) in pixels and the head's steady poses, F."""
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
        """First frame of every stretch, and one past its last."""
        edges = np.flatnonzero(np.diff(self.segment)) + 1
        return [(int(a), int(b)) for a, b in zip([0, *edges], [*edges, len(self)], strict=True)]

    @cached_property
    def usual(self) -> tuple[float, float, float]:
        """The usual change from one frame to the next: of the head, of the eyes, of the picture.

        The median over all pairs of successive frames, and no less than what can be seen.
        """
        first = np.flatnonzero(np.diff(self.segment) == 0)
        least = (_MIN_HEAD, _MIN_EYES, _MIN_FRAME)
        if not len(first):
            return least
        steps = (*self._changes(first, first + 1), self.image_change(first, first + 1))
        found = [
            max(float(np.percentile(step, _USUAL_PERCENT)), floor)
            for step, floor in zip(steps, least, strict=True)
        ]
        return found[0], found[1], found[2]

    def change(self, a: Indices, b: Indices) -> Array:
        """What is seen of cuts from frames a (n,) to b (n,), in usual changes: the largest of the three."""
        head, eyes = self._changes(a, b)
        usual = self.usual
        found: Array = np.max([head / usual[0], eyes / usual[1], self.image_change(a, b) / usual[2]], axis=0)
        return found

    def changes_of_face(self, a: slice = _ALL, b: slice = _ALL) -> npt.NDArray[np.float32]:
        """(n, m): the same between any frame of a and any of b, of head and eyes alone."""
        shape = len(range(*a.indices(len(self)))), len(range(*b.indices(len(self))))
        worst = np.zeros(shape, np.float32)
        for points, usual in zip((self.head, self.eyes), self.usual, strict=False):
            one, other = (
                (points[part] - points[a].mean(axis=0)).reshape(n, -1)
                for part, n in zip((a, b), shape, strict=True)
            )
            far = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
            np.maximum(
                worst, np.sqrt(np.maximum(far, 0) / points.shape[1]) / usual, out=worst, casting="same_kind"
            )
        return worst

    def _changes(self, a: Indices, b: Indices) -> tuple[Array, Array]:
        def apart(points: Array) -> Array:
            return np.asarray(np.sqrt(((points[a] - points[b]) ** 2).sum(axis=-1).mean(axis=-1)))

        return apart(self.head), apart(self.eyes)

    def image_change(self, a: Indices, b: Indices) -> Array:
        """Root mean square of the difference outside both mouths, in grey levels, of the worse thumbnail."""
        out = np.zeros(len(a))
        if self.images is None:
            return out
        for first in range(0, len(a), 256):
            one, other = (self.images[i[first : first + 256]] for i in (a, b))
            seen = (one > 0) & (other > 0)
            off = np.where(seen, one.astype(np.float32) - other, 0)
            count = np.maximum(seen.sum(axis=(2, 3)), 1)
            out[first : first + 256] = np.sqrt((off**2).sum(axis=(2, 3)) / count).max(axis=1)
        return out


def _blinks(opened: Array, fps: float) -> npt.NDArray[np.bool_]:
    usual = max(float(np.median(opened)), 1e-6)
    shut = opened < _SHUT * usual
    reach = max(1, round(_BLINK_MARGIN_SECONDS * fps))
    found = np.zeros(len(opened), np.bool_)
    for start, stop in runs(shut):
        found[max(0, start - reach) : stop + reach] = True
    return found


def head_window(
    landmarks: Sequence[npt.NDArray[np.floating[Any]]], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The part of the picture (left, top, right, bottom) that shows the head in all of these landmarks.

    Args:
        landmarks: (F, 478, >=2) in pixels of some footage each.
        size: width and height of the picture.
    """
    low = np.min([np.nanmin(points[..., :2], axis=(0, 1)) for points in landmarks], axis=0)
    high = np.max([np.nanmax(points[..., :2], axis=(0, 1)) for points in landmarks], axis=0)
    reach = _WINDOW_FRACTION * (high - low)
    left, top = np.clip(np.floor(low - reach), 0, np.array(size) - 2).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high + reach), [left + 2, top + 2], size).astype(int).tolist()
    return left, top, right, bottom


def thumbnail(
    image: ImageArray, transform: SurfaceWarp, mask: Mask, window: tuple[int, int, int, int]
) -> ImageArray:
    """A picture (H, W, 3) as (2, 48, 48) in grey, 1 to 255, and 0 where the mouth is rewritten.

    Args:
        image: the picture.
        transform: picture to region pixels.
        mask: of the region.
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


def _hidden_cells(
    box: tuple[int, int, int, int], transform: SurfaceWarp, mask: Mask
) -> npt.NDArray[np.bool_]:
    """(48, 48): cells of which a corner or the middle lies where the mouth is rewritten."""
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
