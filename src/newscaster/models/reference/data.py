"""Training data of the reference renderer: frames of a person, each with references among the others.

A batch is a function of the seed and the step alone, so that a resumed run sees the same batches as an
uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from newscaster.face.crop import reduced
from newscaster.face.hidden_box import Box
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.reference_flow import coarse_flow
from newscaster.face.references import CELLS, nearest_references, relative_distances
from newscaster.models.reference.network import Sight, box_sight
from newscaster.models.renderer.data import RenderingClip, frame_table
from newscaster.training.processes import WHOLE, Shard
from newscaster.types import ArrayBool, ArrayF32, ArrayFloat, ArrayI64, ImageU8

_APART_FRAMES = 10
"""In training, references of the same clip are at least this far from their frame: nearer ones are too like
it, as no frame is like the mouth of other speech."""
_MIN_SUBSET = 12
"""Least number of frames that references are drawn from, if there are so many."""
_SINGLE = 0.2
"""Share of pairs of frames that have a single reference, as a person has of whom there is one photograph."""


_DRAWN = ("crops", "hidden", "landmark_maps", "flow", "distance", "small", "large")
"""Fields of a batch that are drawn frame by frame."""


@dataclass(frozen=True, kw_only=True)
class LightVariation:
    """Standard deviations of random changes of light, 1.0 = full scale."""

    gain: float = 0.08
    """Of the brightness of frame and references."""
    tint: float = 0.025
    """Of each colour beside it."""
    offset: float = 0.03
    reference_gain: float = 0.04
    """Of the brightness of the references alone."""
    reference_tint: float = 0.015
    reference_offset: float = 0.01


@dataclass(frozen=True)
class ReferenceBatch:
    """B frames of one size, and K references for each."""

    crops: ImageU8
    """(B, S, S, 3)."""
    hidden: ArrayBool
    """(B, S, S)."""
    landmark_maps: ImageU8
    """(B, 4, CELLS, CELLS)."""
    flow: ArrayF32
    """(B, K, 2, GRID, GRID)."""
    distance: ArrayF32
    """(B, K)."""
    small: ImageU8
    """(B, K, CELLS, CELLS, 3)."""
    large: ImageU8
    """(B, S, S, 3)."""
    light: ArrayF32
    """(4, B, 3): gain and offset of the frames, gain and offset of the references."""

    @staticmethod
    def joined(batches: Sequence[ReferenceBatch]) -> ReferenceBatch:
        """Return several batches of one size as one."""
        values = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in _DRAWN}
        return ReferenceBatch(**values, light=np.concatenate([batch.light for batch in batches], axis=1))

    def on(self, device: torch.device, box: Box) -> BoxBatch:
        """Return the box of the frames, in cells, on a device."""
        crops, hidden, maps, flow, distance, small, large, light = (
            torch.from_numpy(array).to(device)
            for array in (
                self.crops,
                self.hidden,
                self.landmark_maps,
                self.flow,
                self.distance,
                self.small,
                self.large,
                self.light,
            )
        )
        gain, offset, reference_gain, reference_offset = light
        image = crops.permute(0, 3, 1, 2).float() / 255 * gain[..., None, None] + offset[..., None, None]
        sight = box_sight(
            image,
            hidden[:, None],
            maps,
            flow,
            distance,
            _lit(small, reference_gain[:, None], reference_offset[:, None]),
            _lit(large, reference_gain, reference_offset),
            box=box,
        )
        t, b, l, r = box.scaled_up(self.crops.shape[1] // CELLS)  # noqa: E741
        return BoxBatch(image[..., t:b, l:r], hidden[:, None, t:b, l:r], sight)


class BoxBatch(NamedTuple):
    """The box of B frames: h x w cells of `cell` pixels."""

    target: Tensor
    """(B, 3, h cell, w cell) of 0 to 1."""
    hidden: Tensor
    """(B, 1, h cell, w cell), bool."""
    sight: Sight


def _lit(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Apply gain and offset (..., 3) to images (..., h, w, 3) of 0 to 255."""
    return images.float() * gain[..., None, None, :] + 255 * offset[..., None, None, :]


class ReferenceFrames:
    """Frames of one person, and where their references come from.

    Args:
        clips: the frames, whose crops have the same geometry.
        hidden: (S, S), the pixels to replace.
        sources: clips to take references from; None: ``clips`` themselves, but not the frame's neighbours.
        variation: random changes of light; None: there are none, and mouths and references are exact.
    """

    def __init__(
        self,
        clips: Sequence[RenderingClip],
        hidden: ArrayBool,
        *,
        sources: Sequence[RenderingClip] | None = None,
        variation: LightVariation | None = None,
    ) -> None:
        self._clips, self._hidden, self._variation = clips, hidden, variation
        self._own = sources is None
        self._sources = clips if sources is None else sources
        self.side = hidden.shape[0]
        self._table, self._source_table = frame_table(clips), frame_table(self._sources)
        self._points = _of_table(clips, self._table)
        self._source_points = _of_table(self._sources, self._source_table)

    def __len__(self) -> int:
        return len(self._table)

    def spread(self, count: int) -> ArrayI64:
        """Return the numbers of at most ``count`` frames, evenly spread."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64))

    def random(self, count: int, generator: np.random.Generator, *, shard: Shard = WHOLE) -> ReferenceBatch:
        """Return pairs of successive frames, ``count`` in all, with varied references and light.

        They are a shard of a batch of so many times the frames.
        """
        return self.batch(self._numbers(count * shard.count, generator), generator, shard=shard)

    def pass_over(self, count: int, generator: np.random.Generator) -> None:
        """Take from a generator what :meth:`random` takes."""
        self._varied(len(self._numbers(count, generator)), generator)

    def batch(
        self,
        numbers: ArrayI64,
        generator: np.random.Generator | None = None,
        *,
        shard: Shard = WHOLE,
    ) -> ReferenceBatch:
        """Return a shard of frames by their numbers.

        With a generator, references and light are varied, pair by pair.
        """
        subsets, light = self._varied(len(numbers), generator)
        rows = shard.rows(len(numbers))
        drawn = [
            self._draw(number, subset)
            for number, subset in zip(numbers[rows].tolist(), subsets[rows], strict=True)
        ]
        fields: dict[str, Any] = {
            name: np.stack(values) for name, values in zip(_DRAWN, zip(*drawn, strict=True), strict=True)
        }
        return ReferenceBatch(**fields, light=light[:, rows])

    def _numbers(self, count: int, generator: np.random.Generator) -> ArrayI64:
        """Return the numbers of random pairs of successive frames, ``count`` in all."""
        first = generator.integers(max(1, len(self) - 1), size=count // 2)
        second = np.minimum(first + 1, len(self) - 1)
        return np.stack([first, second], axis=1).reshape(-1)

    def _varied(
        self, count: int, generator: np.random.Generator | None
    ) -> tuple[list[ArrayI64 | None], ArrayF32]:
        """Return the sources that references of each of ``count`` frames may be, and their light."""
        if generator is None:
            return [None] * count, _light(count, None, None)
        subsets: list[ArrayI64 | None] = []
        for _ in range((count + 1) // 2):
            subsets += [self._subset(generator)] * 2
        return subsets[:count], _light(count, self._variation, generator)

    def _subset(self, generator: np.random.Generator) -> ArrayI64:
        """Return the sources that references may be, as if there were less footage."""
        total = len(self._source_table)
        if generator.random() < _SINGLE:
            return generator.integers(total, size=1)
        count = max(min(_MIN_SUBSET, total), int(total * generator.uniform(0.05, 1.0)))
        return np.sort(generator.permutation(total)[:count])

    def _draw(self, number: int, subset: ArrayI64 | None) -> tuple[ImageU8 | ArrayBool | ArrayF32, ...]:
        clip, frame = self._table[number].tolist()
        side = self.side
        mouth = self._points[number] / side
        allowed = np.arange(len(self._source_table)) if subset is None else subset
        if self._own:
            of_clip, at = self._source_table[allowed].T
            far = (of_clip != clip) | (np.abs(at - frame) >= _APART_FRAMES)
            allowed = allowed[far] if far.any() else allowed
        chosen = allowed[nearest_references(mouth, self._source_points[allowed] / side)]
        shapes = self._source_points[chosen] / side
        images = [self._sources[c].crops[f] for c, f in self._source_table[chosen].tolist()]
        return (
            np.asarray(self._clips[clip].crops[frame]),
            self._hidden,
            draw_landmark_map(mouth * side, side=side, map_side=CELLS),
            coarse_flow(mouth, shapes),
            relative_distances(mouth, shapes),
            np.stack([reduced(image, CELLS) for image in images]),
            np.asarray(images[0]),
        )


def _of_table(clips: Sequence[RenderingClip], table: ArrayI64) -> ArrayF32:
    """Return the mouths of the frames of a table, (N, 57, 2)."""
    points: list[ArrayFloat] = [clips[clip].points[frame] for clip, frame in table.tolist()]
    return np.asarray(np.stack(points), np.float32)


def _light(count: int, variation: LightVariation | None, generator: np.random.Generator | None) -> ArrayF32:
    light = np.zeros((4, count, 3), np.float32)
    light[0] = light[2] = 1
    if variation is None or generator is None:
        return light
    pairs = (count + 1) // 2

    def drawn(gain: float, tint: float, offset: float) -> tuple[ArrayFloat, ArrayFloat]:
        brightness = generator.normal(0, gain, (pairs, 1)) + generator.normal(0, tint, (pairs, 3))
        shift = generator.normal(0, offset, (pairs, 1)).repeat(3, axis=1)
        return (1 + brightness).repeat(2, axis=0)[:count], shift.repeat(2, axis=0)[:count]

    gain, offset = drawn(variation.gain, variation.tint, variation.offset)
    more, beside = drawn(variation.reference_gain, variation.reference_tint, variation.reference_offset)
    light[:] = gain, offset, gain * more, offset + beside
    return light
