"""Frames of many people in shards, and batches that are drawn from them while they are streamed.

A sample is up to :data:`SAMPLE_FRAMES` successive frames of one person. References of a frame are others of
its sample. Groups are named by the side of the crops; ``facts`` of the shards have the union of the masks of
each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from newscaster.errors import InputError
from newscaster.models.reference.data import LightVariation, ReferenceBatch, ReferenceFrames
from newscaster.models.renderer.data import RenderingClip
from newscaster.training.loop import History
from newscaster.training.processes import Shard
from newscaster.training.shards import (
    Sample,
    SampleStream,
    ShardSet,
    ShardWriter,
    reader_of,
    taken_before,
)
from newscaster.types import ArrayBool

KIND = "base renderer"
SAMPLE_FRAMES = 48
PAIRS_PER_SAMPLE = 4
"""Pairs of frames that are drawn from a sample, in successive batches."""
_BUFFER = 32


class FramesWriter:
    """Writes people's frames into shards, one person at a time.

    Args:
        writer: of shards of :data:`KIND`.
    """

    def __init__(self, writer: ShardWriter) -> None:
        self._writer = writer
        self._hidden: dict[int, ArrayBool] = {}

    def add(self, clips: Sequence[RenderingClip], hidden: ArrayBool) -> None:
        """Write the clips of a person whose mask is ``hidden`` (S, S)."""
        side = hidden.shape[0]
        self._hidden[side] = self._hidden.get(side, np.zeros_like(hidden)) | hidden
        for clip in clips:
            for start in range(0, len(clip), SAMPLE_FRAMES):
                frames = slice(start, start + SAMPLE_FRAMES)
                crops, points = np.asarray(clip.crops[frames]), np.asarray(clip.points[frames], np.float32)
                if np.isfinite(points).all(axis=(1, 2)).sum() > 1:
                    self._writer.add(str(side), {"crops": crops, "points": points, "hidden": hidden})

    def close(self) -> None:
        """Finish the shards."""
        self._writer.close({str(side): hidden for side, hidden in self._hidden.items()})


class StreamedPeople:
    """Batches of the frames in shards.

    Args:
        shards: of :data:`KIND`.
        variation: random changes of light.
    """

    def __init__(self, shards: ShardSet, variation: LightVariation) -> None:
        self.shards, self._variation = shards, variation
        self.fingerprint = shards.fingerprint
        self.hidden: dict[int, ArrayBool] = {int(side): mask for side, mask in shards.facts.items()}
        self._groups = {int(group.name): group for group in shards.groups}
        if self._groups.keys() != self.hidden.keys():
            raise InputError("the shards have crops without a mask. Write them again with --write-shards")

    def batches(
        self,
        steps: Iterator[int],
        pairs: dict[int, int],
        *,
        seed: int,
        process: Shard,
        maker: Shard,
        history: History,
    ) -> Iterator[ReferenceBatch]:
        """Yield batches of as many pairs as ``pairs`` has for each side; the sides take turns.

        Raises:
            InputError: a shard is damaged, or there are fewer shards than readers.
        """
        sides, reader = sorted(pairs), reader_of(process, maker)
        streams: list[Iterator[ReferenceFrames]] = []
        for step in steps:
            if not streams:
                before = taken_before(history, step - maker.index, 1)
                for turn, side in enumerate(sides):
                    taken = (before + len(sides) - 1 - turn) // len(sides) * pairs[side] // PAIRS_PER_SAMPLE
                    stream = SampleStream(self.shards, self._groups[side], seed=seed, buffer=_BUFFER)
                    streams.append(self._drawn(stream.samples(reader, taken=taken), pairs[side]))
            turn = step // maker.count % len(sides)  # each maker reads all sides
            rng = np.random.default_rng((seed, step, process.index))
            frames = [next(streams[turn]) for _ in range(pairs[sides[turn]])]
            yield ReferenceBatch.joined([one.random(2, rng) for one in frames])

    def _drawn(self, samples: Iterator[Sample], pairs: int) -> Iterator[ReferenceFrames]:
        """Yield the frames to draw each pair from: of ``pairs`` samples in turn."""
        slots = [(self._frames(next(samples)), 1 + turn % PAIRS_PER_SAMPLE) for turn in range(pairs)]
        while True:
            for turn, (frames, left) in enumerate(slots):
                yield frames
                slots[turn] = (
                    (frames, left - 1) if left > 1 else (self._frames(next(samples)), PAIRS_PER_SAMPLE)
                )

    def _frames(self, sample: Sample) -> ReferenceFrames:
        try:
            clip = RenderingClip(sample["crops"], sample["points"])
            return ReferenceFrames([clip], sample["hidden"].astype(bool), variation=self._variation)
        except (KeyError, ValueError) as error:
            raise InputError(f"a sample of the shards has no frames ({error}). Write them again") from error
