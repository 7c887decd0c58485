"""Clips of motion in shards, and segments that are drawn from them while they are streamed.

A sample is at most :data:`CHUNK_STEPS` successive steps of one clip. ``facts`` of the shards have the basis,
and mean and standard deviation of the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.data import MotionClip
from newscaster.training.loop import History
from newscaster.training.processes import Shard
from newscaster.training.shards import (
    Sample,
    SampleStream,
    ShardSet,
    ShardWriter,
    counts_of,
    reader_of,
    taken_before,
)
from newscaster.types import ArrayFloat

Segments = tuple[Tensor, Tensor, Tensor]
"""Features (B, T, D), target shapes (B, T, P), and whether the mouth was seen (B, T, 1)."""


class MotionBatch(NamedTuple):
    """What a motion network is trained on in one step."""

    segments: Segments
    live: Segments | None = None
    """Windows of live speech."""


KIND = "motion"
CHUNK_STEPS = 250
"""10 s: a segment is drawn from each chunk once an epoch."""
_BUFFER = 256


def write_clips(writer: ShardWriter, group: str, clips: list[MotionClip]) -> None:
    """Write clips into a group of shards, features in half precision."""
    for clip in clips:
        for start in range(0, len(clip.features), CHUNK_STEPS):
            steps = slice(start, start + CHUNK_STEPS)
            sample: Sample = {
                "features": clip.features[steps].astype(np.float16),
                "shapes": clip.shapes[steps].astype(np.float32),
                "present": clip.present[steps],
            }
            writer.add(group, sample)


def facts_of(basis: MouthBasis, features: Tensor) -> Sample:
    """Return what the samples have in common: the basis, mean and standard deviation of features (T, D)."""
    return {
        **basis.to_arrays(),
        "feature_mean": features.float().mean(dim=0).numpy(),
        "feature_deviation": features.float().std(dim=0).clamp_min(1e-4).numpy(),
    }


class StreamedSegments:
    """Random segments of the clips in shards: from each group, a fixed number of every batch.

    Args:
        shards: of :data:`KIND`.
        segment: steps per segment.
    """

    def __init__(self, shards: ShardSet, segment: int) -> None:
        self.shards, self.segment = shards, segment
        self.fingerprint = shards.fingerprint

    def batches(
        self, steps: Iterator[int], count: int, *, seed: int, process: Shard, maker: Shard, history: History
    ) -> Iterator[Segments]:
        """Yield batches of ``count`` segments for some steps; see :meth:`TrainTask.batches`.

        Raises:
            InputError: a shard is damaged, or there are fewer shards than readers.
        """
        groups, reader = self.shards.groups, reader_of(process, maker)
        counts = counts_of([group.fraction for group in groups], count)
        streams: list[Iterator[Sample]] = []
        for step in steps:
            if not streams:
                before = step - maker.index
                streams = [
                    SampleStream(self.shards, group, seed=seed, buffer=_BUFFER).samples(
                        reader, taken=taken_before(history, before, own)
                    )
                    for group, own in zip(groups, counts, strict=True)
                ]
            rng = np.random.default_rng((seed, step, process.index))
            samples = [next(s) for s, own in zip(streams, counts, strict=True) for _ in range(own)]
            yield self._batch([_clip(sample) for sample in samples], rng)

    def _batch(self, clips: list[MotionClip], rng: np.random.Generator) -> Segments:
        features, targets, seen = [], [], []
        for clip in clips:
            start = int(rng.integers(0, max(1, len(clip.features) - self.segment + 1)))
            steps = slice(start, start + self.segment)
            features.append(at_least(clip.features[steps].astype(np.float32), self.segment))
            shapes = clip.shapes[steps]
            targets.append(at_least(shapes.reshape(len(shapes), -1), self.segment))
            seen.append(at_least(clip.present[steps].astype(np.float32), self.segment)[:, None])
        return (
            torch.from_numpy(np.stack(features)),
            torch.from_numpy(np.stack(targets)),
            torch.from_numpy(np.stack(seen)),
        )


def _clip(sample: Sample) -> MotionClip:
    try:
        return MotionClip(sample["features"], sample["shapes"], sample["present"].astype(bool))
    except (KeyError, ValueError) as error:
        raise InputError(f"a sample of the shards has no motion ({error}). Write them again") from error


def at_least(steps: ArrayFloat, count: int) -> ArrayFloat:
    """Steps (T, ...), followed by zeros if they are fewer than ``count``."""
    missing = np.zeros((max(0, count - len(steps)), *steps.shape[1:]), steps.dtype)
    return np.concatenate([steps, missing])
