"""Training data of the full-frame network: whole frames, the faces in them, and batches of both.

Defines the source of the frames, the train/validation split, and the window of a frame that a step sees.
Frames come in pairs of successive ones, so that the loss can distinguish flicker from motion. A batch depends
on the seed and the step alone, so that a resumed run sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.full_face_map import draw_full_face_map
from newscaster.face.head_pose import Head
from newscaster.face.topology import LANDMARKS
from newscaster.models.portrait.frames import (
    MAX_BYTES,
    MAX_PIXELS,
    Size,
    chosen_frames,
    of_one_size,
    reduced_size,
    whole_images,
)
from newscaster.models.portrait.network import FullFrameConfig, Window
from newscaster.models.renderer.data import set_aside
from newscaster.training.processes import WHOLE, Shard
from newscaster.types import ArrayF32, ArrayFloat, ArrayI64, ImageU8

if TYPE_CHECKING:
    from newscaster.formats.dataset import Clip, Dataset


_MIN_CROP = 32
_MAX_LEARNED = 24_000_000


@dataclass(frozen=True)
class WholeFrames:
    """F frames of one size: images, and the landmarks and pose of the face in each."""

    images: ImageU8
    """(N, H, W, 3) RGB; memory-mapped."""
    rows: ArrayI64
    """(F,): index into ``images`` of each frame."""
    landmarks: ArrayF32
    """(F, 478, 2) in pixels of ``images``, not smoothed."""
    planes: ArrayF32
    """(F, 2, 3): smoothed head pose; maps head units on the plane of the face, z = 0, to pixels."""
    appearances: ArrayF32
    """(F, 2, 3): the mean plane of the frame's clip, which selects the appearance codes."""
    clips: ArrayI64
    """(F,): index of the frame's clip."""
    instants: ArrayI64
    """(F,): index of the frame within its clip."""

    def __post_init__(self) -> None:
        frames = len(self.rows)
        shapes = [self.landmarks.shape, self.planes.shape, self.appearances.shape, self.clips.shape]
        expected = [(frames, LANDMARKS, 2), (frames, 2, 3), (frames, 2, 3), (frames,)]
        if shapes != expected or self.instants.shape != (frames,):
            raise ValueError(f"{frames} frames need arrays of {expected} and (F,), not {shapes}")

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"WholeFrames({self.size[0]}x{self.size[1]}, {len(self)} frames)"

    @property
    def size(self) -> Size:
        """Width and height of the images."""
        return self.images.shape[2], self.images.shape[1]

    @property
    def eye_distance_px(self) -> float:
        """Median length of a head unit in pixels."""
        return float(np.median(np.linalg.norm(self.planes[:, :, :2], axis=1)))

    @property
    def firsts(self) -> ArrayI64:
        """Indices of the frames whose successor in time is the next frame here."""
        follows = (np.diff(self.clips) == 0) & (np.diff(self.instants) == 1)
        return np.flatnonzero(follows)

    def of_clips(self, clips: Collection[int]) -> WholeFrames:
        """Return the frames of these clips."""
        return self[np.flatnonzero(np.isin(self.clips, list(clips)))]

    def __getitem__(self, numbers: slice | ArrayI64) -> WholeFrames:
        return WholeFrames(
            self.images,
            *(self.rows[numbers], self.landmarks[numbers], self.planes[numbers], self.appearances[numbers]),
            *(self.clips[numbers], self.instants[numbers]),
        )

    def image(self, number: int) -> ImageU8:
        """Return the frame with this index, (H, W, 3)."""
        return np.asarray(self.images[self.rows[number]])

    def spread(self, count: int) -> ArrayI64:
        """Return the indices of at most ``count`` frames, evenly spread over all."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)

    def maps(self, numbers: ArrayI64, config: FullFrameConfig) -> ImageU8:
        """Draw full-face maps (B, C, H' / cell, W' / cell) of frames at the padded size."""
        return np.stack(
            [draw_full_face_map(self.landmarks[i], size=config.padded, cell=config.cell) for i in numbers]
        )


def whole_frames(
    clips: Sequence[Clip],
    head: Head,
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> WholeFrames:
    """Read the whole frames of clips again from their sources, into a cache in ``folder``.

    Args:
        clips: at least one; all of one frame size.
        head: fitted to the landmarks for the poses.
        folder: folder for these clips alone; a cache of other clips in it is replaced.
        max_bytes: maximum size of the cache; longer footage is thinned.
        max_pixels: maximum area of a frame; larger frames are downscaled.

    Raises:
        FootageError: a source is missing or has changed since preparation, or no frame shows the person.
        MediaError: a source is truncated.
        OutputError: the folder is full or cannot be written.
    """
    source_size = clips[0].record.frame_size
    size = reduced_size(source_size, max_pixels=max_pixels)
    scale = np.array(size) / np.array(source_size)
    planes = [_planes(clip, head) * scale[:, None] for clip in clips]
    seen = [np.isfinite(p).all(axis=(1, 2)) & c.usable for p, c in zip(planes, clips, strict=True)]
    chosen = chosen_frames(seen, most=max(1, max_bytes // (size[0] * size[1] * 3)))
    counts = [len(frames) for frames in chosen]
    if not sum(counts):
        raise FootageError("the footage has no frame that shows the person. Give other footage")
    appearances = [
        p[s].mean(axis=0, keepdims=True) if s.any() else p[:1] for p, s in zip(planes, seen, strict=True)
    ]
    return WholeFrames(
        whole_images(clips, chosen, folder, size=size),
        np.arange(sum(counts)),
        np.concatenate(
            [clip.landmarks[f, :, :2] * scale for clip, f in zip(clips, chosen, strict=True)]
        ).astype(np.float32),
        np.concatenate([p[f] for p, f in zip(planes, chosen, strict=True)]).astype(np.float32),
        np.repeat(np.concatenate(appearances), counts, axis=0).astype(np.float32),
        np.repeat(np.arange(len(clips)), counts),
        np.concatenate(chosen),
    )


def _planes(clip: Clip, head: Head) -> ArrayF32:
    """Return (F, 2, 3) in pixels of the source; NaN for frames without the person."""
    return head.steady_poses(clip.landmarks, clip.present, fps=clip.record.fps).planes


@dataclass(frozen=True)
class FullFrameData:
    """Training frames and validation frames."""

    learn: WholeFrames
    held_out: WholeFrames
    source_size: Size
    """Width and height of the footage; our frames have this size or are downscaled from it."""

    def __post_init__(self) -> None:
        for kind, frames in (("learn from", self.learn), ("check on", self.held_out)):
            if not len(frames):
                raise FootageError(
                    f"the footage has no frame with a face to {kind}. Give footage of at least a few seconds "
                    f"in which one face is seen"
                )
        if not len(self.learn.firsts):
            raise FootageError(
                "the footage has no two successive frames with a face. Give footage in which one face is "
                "seen for at least a few seconds without a break"
            )
        if self.learn.size != self.held_out.size:
            raise ValueError(f"frames have two sizes, {self.learn.size} and {self.held_out.size}")

    def __repr__(self) -> str:
        (width, height), held_out = self.learn.size, len(self.held_out)
        return f"FullFrameData({len(self.learn)} frames, {held_out} held out, {width}x{height})"

    @property
    def scale(self) -> tuple[float, float]:
        """Downscaling factor of the footage along x and y; 1 if the footage keeps its size."""
        (width, height), (full_width, full_height) = self.learn.size, self.source_size
        return width / full_width, height / full_height

    @property
    def config(self) -> FullFrameConfig:
        """Network shape for these frames: at most one appearance per clip, limited by memory."""
        eye_distance_px = round(self.learn.eye_distance_px, 1)
        single = FullFrameConfig(size=self.learn.size, eye_distance_px=eye_distance_px, appearances=1)
        (width, height), (across, down) = single.padded, single.texture_size
        limit = _MAX_LEARNED // (3 * width * height + single.texture_channels * across * down)
        appearances = min(FullFrameConfig.appearances, len(np.unique(self.learn.clips)), max(1, limit))
        return FullFrameConfig(size=single.size, eye_distance_px=eye_distance_px, appearances=appearances)

    @staticmethod
    def from_dataset(
        dataset: Dataset,
        folder: Path,
        *,
        held_out: Collection[str] | None = None,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
    ) -> FullFrameData:
        """Read the whole frames of a dataset and split them.

        Args:
            dataset: prepared footage; its sources are read again.
            folder: for the cache of downscaled frames; a finished cache of the same footage is reused.
            held_out: names of the validation clips; by default every twentieth clip, or the last tenth of a
                single clip.
            max_bytes: maximum size of the cache; longer footage is thinned.
            max_pixels: maximum area of a frame; larger frames are downscaled.

        Raises:
            FootageError: a source is missing or has changed, or no frame is left for training or validation.
            MediaError: a source is truncated.
            OutputError: the folder is full or cannot be written.
        """
        clips = of_one_size(dataset.clips)
        if not clips:
            raise FootageError("the dataset has no clip. Prepare footage of one person talking")
        frames = whole_frames(clips, dataset.head, folder, max_bytes=max_bytes, max_pixels=max_pixels)
        size = clips[0].record.frame_size
        if held_out is None:
            return FullFrameData.of(frames, source_size=size)
        check = {index for index, clip in enumerate(clips) if clip.name in held_out}
        learn = set(range(len(clips))) - check
        return FullFrameData(frames.of_clips(learn), frames.of_clips(check), size)

    @staticmethod
    def of(frames: WholeFrames, *, source_size: Size | None = None) -> FullFrameData:
        """Split frames for training and validation; see ``held_out`` of :meth:`from_dataset`."""
        size = source_size or frames.size
        clips = [np.flatnonzero(frames.clips == clip) for clip in np.unique(frames.clips)]
        learn, check = set_aside(clips, lambda numbers, cut: numbers[cut])
        return FullFrameData(frames[np.concatenate(learn)], frames[np.concatenate(check)], size)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The window of a frame that a step sees: a square around the head with a random offset.

    Lengths are in inter-ocular distances (outer corners), so that the window is the same for every person.
    """

    side: float = 160 / 65
    """Side of the square; rounded to a multiple of the coarsest cell, at most the frame's."""
    across: tuple[float, float] = (-80 / 65, 80 / 65)
    """Horizontal offset of its centre from the head's origin: the leftmost and the rightmost."""
    down: tuple[float, float] = (-50 / 65, 110 / 65)
    """Vertical offset: the uppermost and the lowest."""


@dataclass(frozen=True)
class PairBatch:
    """P pairs of successive frames, the two of a pair adjacent, B = 2 P."""

    images: ImageU8
    """(B, h, w, 3): the frames inside the windows, which the network learns to render."""
    maps: ImageU8
    """(B, C, h' / cell, w' / cell) of the windows."""
    planes: ArrayF32
    """(B, 2, 3)"""
    appearances: ArrayF32
    """(B, 2, 3)"""
    window: Window
    """Windows of the padded frames, h' by w'; larger than h by w if a window spans the whole frame."""


class Pairs:
    """Batches of pairs of successive frames.

    Args:
        frames: source of the pairs.
        config: of the network; windows lie inside its padded size.
        sight: size and offset of the windows.
    """

    def __init__(self, frames: WholeFrames, config: FullFrameConfig, sight: Sight) -> None:
        if frames.size != config.size:
            raise ValueError(f"the network renders {config.size}, the frames are {frames.size}")
        self._frames, self._config, self._sight = frames, config, sight
        self._firsts, self._eye_distance_px = frames.firsts, frames.eye_distance_px
        self._grid = config.coarsest_cell
        side = round(sight.side * self._eye_distance_px / self._grid) * self._grid
        side = max(side, -(-_MIN_CROP // self._grid) * self._grid)
        self.crop: Size = min(side, config.padded[0]), min(side, config.padded[1])

    def random(self, pairs: int, *, seed: int, step: int, shard: Shard = WHOLE) -> PairBatch:
        """Return a shard of the batch of a step, with this number of pairs."""
        rng, pairs = np.random.default_rng((seed, step)), pairs * shard.count
        firsts = rng.choice(self._firsts, pairs)
        offsets = np.stack(
            [rng.uniform(*self._sight.across, pairs), rng.uniform(*self._sight.down, pairs)], axis=1
        )
        centres = self._frames.planes[firsts, :, 2] + offsets * self._eye_distance_px
        rows = shard.rows(pairs)
        return self.batch(firsts[rows], centres[rows])

    def batch(self, firsts: ArrayI64, centres: ArrayFloat) -> PairBatch:
        """Return pairs by the indices of their first frames, in windows around these centres (P, 2)."""
        crop, grid = np.array(self.crop), self._grid
        corners = np.round((centres - crop / 2) / grid) * grid
        corners = np.clip(corners, 0, np.array(self._config.padded) - crop).astype(int).repeat(2, axis=0)
        numbers = np.stack([firsts, firsts + 1], axis=1).ravel()
        window = Window(tuple((int(x), int(y)) for x, y in corners), self.crop)
        maps = self._frames.maps(numbers, self._config)
        cell = self._config.cell
        columns, rows = (side // cell for side in self.crop)
        cut = [m[:, y : y + rows, x : x + columns] for m, (x, y) in zip(maps, corners // cell, strict=True)]
        images = [self._cut(i, x, y) for i, (x, y) in zip(numbers, corners, strict=True)]
        planes, appearances = self._frames.planes[numbers], self._frames.appearances[numbers]
        return PairBatch(np.stack(images), np.stack(cut), planes, appearances, window)

    def _cut(self, number: int, x: int, y: int) -> ImageU8:
        """Cut a window out of a frame; the edge of the frame is repeated beyond it.

        ::

            frame      |---------------------|
            padded     |------------------------|
            windows       |=======|     |=======|    edge repeated: the network renders the padding, too
                       |========================|    whole frame: the network cuts the padding off
        """
        (width, height), crop = self._frames.size, self.crop
        columns = np.minimum(np.arange(x, x + min(crop[0], width)), width - 1)
        rows = np.minimum(np.arange(y, y + min(crop[1], height)), height - 1)
        return np.asarray(self._frames.image(number)[rows][:, columns])
