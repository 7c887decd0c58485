"""Single pictures for live streams: the next frame of a stage with its new mouth, made when it is wanted.

What a mouth at rest looks like in a frame of the stage is always the same, and kept: where nobody speaks,
nothing is rendered.
"""

from __future__ import annotations

import copy
import threading

import numpy as np
import numpy.typing as npt

from newscaster.media import YuvFrame
from newscaster.synthesis.compositing import composite
from newscaster.synthesis.overlays import NO_MARKS, Overlays
from newscaster.synthesis.renderer import Image, Job, Renderer
from newscaster.synthesis.target import Target

Array = npt.NDArray[np.float64]

_KEPT_BYTES = 64 << 20
"""What regions with the mouth at rest may take."""


class LiveRenderer:
    """Paints one frame at a time, for any number of listeners at once.

    Args:
        target: shared by all.
        renderer: shared by all.
        rest: the mouth where nobody speaks, (57, 2) in head units.
        kept_bytes: budget for regions with the mouth at rest.
    """

    def __init__(
        self, target: Target, renderer: Renderer, *, rest: Array, kept_bytes: int = _KEPT_BYTES
    ) -> None:
        self.rest = rest
        self._target = target
        self._renderer = renderer
        self._resting = _Resting(kept_bytes)
        self._marks = NO_MARKS

    def marked(self, marks: Overlays) -> LiveRenderer:
        """This painter, which marks its pictures, too. What is kept is shared."""
        other = copy.copy(self)
        other._marks = marks
        return other

    def image(self, index: int, shape: Array) -> YuvFrame:
        """Frame `index` of the stage with the mouth (57, 2) in head units: the caller's to keep."""
        return self._marks.put_on(self._rendered_frames(index, shape))

    def synthesises(self, index: int) -> bool:
        """Whether frame `index` of the stage gets a new mouth, in whole or in part."""
        return bool(self._target.blend_weights(np.array([index]))[0] > 0)

    def _rendered_frames(self, index: int, shape: Array) -> YuvFrame:
        one = np.array([index])
        blend_weight = float(self._target.blend_weights(one)[0])
        frame = self._target.frame(index)
        if blend_weight <= 0 or frame.placement is None:
            return frame.image
        at_rest = np.array_equal(shape, self.rest)
        crop = self._resting.get(index) if at_rest else None
        if crop is None:
            points = self._target.transforms(one).apply(self._target.place(shape[None], one))[0]
            crop = self._renderer.crops([Job(frame, points, blend_weight)])[0]
            if at_rest:
                self._resting.keep(index, crop)
        composite(frame.image, crop, frame.placement, blend_weight=blend_weight)
        return frame.image


class _Resting:
    """Regions with the mouth at rest, by frames of the stage; for several threads."""

    def __init__(self, bytes_left: int) -> None:
        self._crops: dict[int, Image] = {}
        self._bytes_left = bytes_left
        self._turn = threading.Lock()

    def get(self, index: int) -> Image | None:
        return self._crops.get(index)

    def keep(self, index: int, crop: Image) -> None:
        with self._turn:
            if index not in self._crops and crop.nbytes <= self._bytes_left:
                self._crops[index] = crop
                self._bytes_left -= crop.nbytes
