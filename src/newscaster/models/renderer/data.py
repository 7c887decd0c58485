"""Training data of the renderer: face crops, their mouth landmarks, and batches of both.

This module loads frames, splits them into training and validation, and augments batches. A batch is a
function of the seed and the step alone, so a resumed run sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.topology import MOUTH_POINTS, RING
from newscaster.training.processes import WHOLE, Shard
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8

if TYPE_CHECKING:
    from newscaster.formats.dataset import Dataset
    from newscaster.formats.dataset_clip import Clip as FootageClip

Clip = TypeVar("Clip", bound=Sized)

HELD_OUT_EVERY = 20
"""One clip of so many is held out for validation."""
_TAIL = 10
_FOLD_FRAMES = 75


@dataclass(frozen=True)
class RenderingClip:
    """Successive frames of one clip."""

    crops: ImageU8
    """(F, S, S, 3) RGB; may be memory-mapped."""
    points: ArrayFloat
    """(F, 57, 2): the mouth in crop pixels; frames whose rows are not finite are skipped."""
    angles: ArrayFloat | None = None
    """(F, 3): yaw, pitch and roll of the head in degrees; None: unknown."""

    def __post_init__(self) -> None:
        frames, side = self.crops.shape[:2]
        if self.crops.shape != (frames, side, side, 3) or self.crops.dtype != np.uint8:
            raise ValueError(f"crops are (F, S, S, 3) uint8, not {self.crops.shape} {self.crops.dtype}")
        if self.points.shape != (frames, MOUTH_POINTS, 2):
            raise ValueError(
                f"points are ({frames}, {MOUTH_POINTS}, 2) for these crops, not {self.points.shape}"
            )

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True)
class RenderingData:
    """Training clips, held-out clips, and the mask of a crop."""

    clips: tuple[RenderingClip, ...]
    held_out: tuple[RenderingClip, ...]
    hidden: ArrayBool
    """(S, S): the pixels that are rendered."""

    def __post_init__(self) -> None:
        sides = {clip.crops.shape[1] for clip in (*self.clips, *self.held_out)} | set(self.hidden.shape)
        if len(sides) != 1:
            raise ValueError(f"all crops and the mask must have the same side; found {sorted(sides)}")
        for kind, clips in (("learn from", self.clips), ("check on", self.held_out)):
            if not len(frame_table(clips)):
                raise FootageError(
                    f"the footage has no frame with a face to {kind}. Give footage of at least a few seconds "
                    f"in which one face is seen"
                )

    def __repr__(self) -> str:
        learn, check = (sum(map(len, clips)) for clips in (self.clips, self.held_out))
        return f"RenderingData({learn} frames, {check} held out, side {self.side})"

    @property
    def side(self) -> int:
        """Side of the crops, ``S``."""
        return int(self.hidden.shape[0])

    @staticmethod
    def of(
        clips: Sequence[RenderingClip],
        hidden: ArrayBool,
        *,
        held_out: Sequence[RenderingClip] | None = None,
    ) -> RenderingData:
        """Make data of clips; without ``held_out``, split them into training and validation.

        The split holds out every twentieth clip, at least one. Of a single clip, it holds out the last tenth.

        Raises:
            FootageError: there is no frame to learn from or none to check on.
        """
        learn, check = set_aside(clips, _part) if held_out is None else (list(clips), list(held_out))
        return RenderingData(tuple(learn), tuple(check), hidden)

    @staticmethod
    def from_dataset(dataset: Dataset, *, held_out: Collection[str] | None = None) -> RenderingData:
        """Make data of a dataset's clips; ``held_out`` names validation clips (default: split as :meth:`of`).

        Raises:
            FootageError: there is no frame to learn from or none to check on.
            TakeError: a file of the dataset is damaged.
        """
        named = {
            clip.name: RenderingClip(clip.crops, clip.learnable_points(), _angles(dataset, clip))
            for clip in dataset.clips
        }
        if held_out is None:
            return RenderingData.of(list(named.values()), dataset.mask.hidden)
        learn = [clip for name, clip in named.items() if name not in held_out]
        check = [clip for name, clip in named.items() if name in held_out]
        return RenderingData.of(learn, dataset.mask.hidden, held_out=check)


def set_aside(clips: Sequence[Clip], part: Callable[[Clip, slice], Clip]) -> tuple[list[Clip], list[Clip]]:
    """Split clips into training and validation: every twentieth, or a tenth of a single clip, by ``part``."""
    if len(clips) != 1:
        return [clip for i, clip in enumerate(clips) if i % HELD_OUT_EVERY], list(clips[::HELD_OUT_EVERY])
    cut = len(clips[0]) - max(1, len(clips[0]) // _TAIL)
    return [part(clips[0], slice(cut))], [part(clips[0], slice(cut, None))]


def _angles(dataset: Dataset, clip: FootageClip) -> ArrayF64:
    """Return yaw, pitch and roll of the head, (F, 3); NaN if not present."""
    angles = np.full((clip.frames, 3), np.nan)
    angles[clip.present] = dataset.head.poses(clip.landmarks[clip.present]).angles
    return angles


def _part(clip: RenderingClip, frames: slice) -> RenderingClip:
    angles = None if clip.angles is None else clip.angles[frames]
    return RenderingClip(clip.crops[frames], clip.points[frames], angles)


def frame_table(clips: Sequence[RenderingClip]) -> ArrayI64:
    """(N, 2): clip and frame of every frame whose points are known."""
    rows = []
    for index, clip in enumerate(clips):
        frames = np.flatnonzero(np.isfinite(clip.points).all(axis=(1, 2)))
        rows.append(np.stack([np.full_like(frames, index), frames], axis=1))
    return np.concatenate(rows) if rows else np.empty((0, 2), np.int64)


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Augmentation of frames, the same for context and target, so that both stay one image."""

    shift_px: int = 0
    """Maximum shift of the crop along each axis, in whole pixels. Crops are stabilised, also those of a
    target video: a shift of one pixel costs 0.15 dB in five minutes of one core."""
    brightness: float = 0.03
    """Maximum offset of a colour channel, 1.0 = full scale."""
    contrast: float = 0.08
    """Maximum change of the gain."""
    smoothing: float = 1.0
    """Maximum blend weight of the smoothed mouth, a mean over the frame (1/2) and its neighbours in time (1/4
    each): predicted mouths are smoother than tracked ones."""


STILL = Variation(shift_px=0, brightness=0.0, contrast=0.0, smoothing=0.0)
"""No augmentation, for validation."""


@dataclass(frozen=True)
class Batch:
    """B frames."""

    crops: ImageU8
    """(B, S, S, 3)"""
    landmark_maps: ImageU8
    """(B, 4, M, M)"""
    gain: ArrayF32
    """(B, 1, 1, 1): factor of pixel values of 0 to 1."""
    offset: ArrayF32
    """(B, 3, 1, 1): added after the gain."""
    folds: ArrayI64
    """(B,): fold of each frame, 0 or 1; folds alternate about every three seconds."""


class Frames:
    """All frames of some clips with their landmark maps, in batches.

    Args:
        clips: the clips that hold the frames.
        map_side: side of the landmark maps, ``M``.
        variation: the augmentation.
    """

    def __init__(
        self, clips: Sequence[RenderingClip], *, map_side: int, variation: Variation = STILL
    ) -> None:
        self._clips, self._map_side, self._variation = clips, map_side, variation
        self._points = [clip.points.astype(np.float32) for clip in clips]
        self._smoothed = [_smoothed(points) for points in self._points]
        self._table = frame_table(clips)
        step = np.diff(self._table, axis=0)
        self._followed = np.flatnonzero((step == [0, 1]).all(axis=1))
        self._fold_frames = min(_FOLD_FRAMES, max(1, len(self._table) // 4))

    def __len__(self) -> int:
        return len(self._table)

    def spread(self, count: int) -> ArrayI64:
        """Return the numbers of at most ``count`` frames, evenly spread over all."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64))

    def triples(self, count: int) -> ArrayI64:
        """Return the numbers (n, 3) of at most ``count`` triples of successive frames, evenly spread."""
        middle = np.intersect1d(self._followed, self._followed + 1)
        chosen = np.unique(np.linspace(0, len(middle) - 1, min(count, len(middle))).round().astype(np.int64))
        return np.asarray(middle[chosen][:, None] + np.array([-1, 0, 1]), np.int64)

    def openings(self, count: int) -> ArrayI64:
        """Return numbers of at most ``count`` frames, from the most closed mouth to the most open one."""
        inner = np.stack([self._points[clip][frame][RING : 2 * RING, 1] for clip, frame in self._table])
        order = np.argsort(inner.max(axis=1) - inner.min(axis=1), kind="stable")
        return np.asarray(order[self.spread(count)], np.int64)

    def pairs(self, count: int, *, seed: int, step: int, shard: Shard = WHOLE) -> Batch:
        """Return the batch of a step: ``count`` pairs of successive frames, augmented pair by pair.

        They are a shard of a batch of so many times the pairs.

        If no frames are successive, each frame is its own successor.
        """
        generator, count = np.random.default_rng((seed, step)), count * shard.count
        if len(self._followed):
            first = self._followed[generator.integers(len(self._followed), size=count)]
            numbers = np.stack([first, first + 1], axis=1).reshape(-1)
        else:
            numbers = np.repeat(generator.integers(len(self), size=count), 2)
        return self.batch(numbers, generator=generator, together=2, shard=shard)

    def batch(
        self,
        numbers: ArrayI64,
        *,
        generator: np.random.Generator | None = None,
        together: int = 1,
        shard: Shard = WHOLE,
    ) -> Batch:
        """Return the frames of these numbers, 0 to ``len(self) - 1``, augmented if there is a ``generator``.

        Groups of ``together`` neighbours share one augmentation. A shard of the frames is returned, in which
        they are as in the whole batch.
        """
        rng, size = generator or np.random.default_rng(0), len(numbers) // together
        how = self._variation if generator else STILL
        shifts = rng.integers(-how.shift_px, how.shift_px + 1, size=(size, 2)).repeat(together, axis=0)
        blend_weights = rng.uniform(0, how.smoothing, size=size).repeat(together)
        rows = shard.rows(len(numbers))
        drawn = [
            self._draw(number, shift, float(blend_weight))
            for number, shift, blend_weight in zip(
                numbers[rows], shifts[rows], blend_weights[rows], strict=True
            )
        ]
        gain = 1 + rng.uniform(-how.contrast, how.contrast, size=(size, 1, 1, 1)).repeat(together, axis=0)
        offset = rng.uniform(-how.brightness, how.brightness, size=(size, 3, 1, 1)).repeat(together, axis=0)
        return Batch(
            np.stack([crop for crop, _ in drawn]),
            np.stack([landmark_map for _, landmark_map in drawn]),
            gain[rows].astype(np.float32),
            offset[rows].astype(np.float32),
            numbers[rows] // self._fold_frames % 2,
        )

    def _draw(self, number: int, shift: ArrayI64, blend_weight: float) -> tuple[ImageU8, ImageU8]:
        clip, frame = self._table[number]
        crop = self._clips[clip].crops[frame]
        points = self._points[clip][frame]
        if blend_weight:
            points = points + blend_weight * (self._smoothed[clip][frame] - points)
        if shift.any():
            # Rows and columns that come in from outside repeat the edge.
            rows, columns = (np.clip(np.arange(len(crop)) - s, 0, len(crop) - 1) for s in shift[::-1])
            crop, points = crop[rows][:, columns], points + shift
        landmark_map = draw_landmark_map(points, side=len(crop), map_side=self._map_side)
        return crop, landmark_map


def mouth_box(clips: Sequence[RenderingClip], *, around: float = 0.35) -> tuple[int, int, int, int]:
    """Return the bounding box of the lips in these clips: top, bottom, left and right in crop pixels.

    It covers the central 99 % of their points, plus a margin of ``around`` / 2 of its width on every side.
    """
    lips = np.concatenate([clip.points[:, : 2 * RING].reshape(-1, 2)[::7] for clip in clips])
    lips = lips[np.isfinite(lips).all(axis=1)]
    (left, top), (right, bottom) = np.percentile(lips, 0.5, axis=0), np.percentile(lips, 99.5, axis=0)
    more = around / 2 * (right - left)
    return int(top - more), int(bottom + more), int(left - more), int(right + more)


def _smoothed(points: ArrayF32) -> ArrayF32:
    # NaN beside a frame without a face, and the clip's ends: the frame's own points.
    out = points.copy()
    if len(points) > 2:
        out[1:-1] = 0.25 * points[:-2] + 0.5 * points[1:-1] + 0.25 * points[2:]
    return np.where(np.isfinite(out), out, points)
