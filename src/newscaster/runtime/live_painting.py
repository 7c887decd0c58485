"""Single pictures for live streams: the next frame of a stage with its new mouth, made when it is wanted.

What a mouth at rest looks like in a frame of the stage is always the same, and kept: where nobody speaks,
nothing is rendered.
"""

from __future__ import annotations

import copy
import threading

import numpy as np
import numpy.typing as npt

from newscaster.media import Picture
from newscaster.runtime.compositing import composite
from newscaster.runtime.marks import NO_MARKS, Marks
from newscaster.runtime.renderer import Image, Job, Renderer
from newscaster.runtime.stage import Stage

Array = npt.NDArray[np.float64]

_KEPT_BYTES = 64 << 20
"""What regions with the mouth at rest may take."""


class LivePainter:
    """Paints one frame at a time, for any number of listeners at once.

    Args:
        stage: shared by all.
        renderer: shared by all.
        rest: the mouth where nobody speaks, (57, 2) in head units.
        kept_bytes: budget for regions with the mouth at rest.
    """

    def __init__(
        self, stage: Stage, renderer: Renderer, *, rest: Array, kept_bytes: int = _KEPT_BYTES
    ) -> None:
        self.rest = rest
        self._stage = stage
        self._renderer = renderer
        self._resting = _Resting(kept_bytes)
        self._marks = NO_MARKS

    def marked(self, marks: Marks) -> LivePainter:
        """This painter, which marks its pictures, too. What is kept is shared."""
        other = copy.copy(self)
        other._marks = marks
        return other

    def picture(self, index: int, shape: Array) -> Picture:
        """Frame `index` of the stage with the mouth (57, 2) in head units: the caller's to keep."""
        return self._marks.put_on(self._painted(index, shape))

    def synthesises(self, index: int) -> bool:
        """Whether frame `index` of the stage gets a new mouth, in whole or in part."""
        return bool(self._stage.shares(np.array([index]))[0] > 0)

    def _painted(self, index: int, shape: Array) -> Picture:
        one = np.array([index])
        share = float(self._stage.shares(one)[0])
        frame = self._stage.frame(index)
        if share <= 0 or frame.placement is None:
            return frame.picture
        at_rest = np.array_equal(shape, self.rest)
        region = self._resting.get(index) if at_rest else None
        if region is None:
            points = self._stage.transforms(one).apply(self._stage.place(shape[None], one))[0]
            region = self._renderer.regions([Job(frame, points, share)])[0]
            if at_rest:
                self._resting.keep(index, region)
        composite(frame.picture, region, frame.placement, share=share)
        return frame.picture


class _Resting:
    """Regions with the mouth at rest, by frames of the stage; for several threads."""

    def __init__(self, bytes_left: int) -> None:
        self._regions: dict[int, Image] = {}
        self._bytes_left = bytes_left
        self._turn = threading.Lock()

    def get(self, index: int) -> Image | None:
        return self._regions.get(index)

    def keep(self, index: int, region: Image) -> None:
        with self._turn:
            if index not in self._regions and region.nbytes <= self._bytes_left:
                self._regions[index] = region
                self._bytes_left -= region.nbytes
