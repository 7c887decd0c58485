"""Frames on demand for live streams: one frame of the target with its new mouth at a time.

Mouths at rest are cached for each frame of the target. Without speech, nothing is rendered.
"""

from __future__ import annotations

import copy
import threading

import numpy as np

from newscaster.media import YuvFrame
from newscaster.synthesis.background import Compositor
from newscaster.synthesis.overlays import NO_MARKS, Overlays
from newscaster.synthesis.renderer import Job, Patch, Renderer
from newscaster.synthesis.target import Target
from newscaster.system.cpu import usable_cores
from newscaster.system.turns import Turns
from newscaster.types import ArrayF64

_CACHE_BYTES = 64 << 20
"""Memory for cached mouths at rest."""


class LiveRenderer:
    """Renders one frame at a time, for any number of clients at once.

    Args:
        target: shared by all clients.
        renderer: shared by all clients.
        rest: the mouth in silence, (57, 2) in head units.
        cache_bytes: memory for cached mouths at rest.
    """

    def __init__(
        self, target: Target, renderer: Renderer, *, rest: ArrayF64, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        self.rest = rest
        self._target = target
        self._renderer = renderer
        self._at_rest = _RestCache(cache_bytes)
        self._marks = NO_MARKS
        self._chooser = renderer.chooser()
        self._compositor: Compositor | None = None
        self.turns = Turns(usable_cores() + 1)
        """Taken while a stream computes motion or an image, shared by all streams: a network on each core,
        and one in Python. Frames that are made one after the other take less time, since networks stay in
        the caches."""

    def marked(self, marks: Overlays, compositor: Compositor | None = None) -> LiveRenderer:
        """Return a renderer of another stream, with overlays and a background. The cache is shared."""
        other = copy.copy(self)
        other._marks, other._compositor = marks, compositor
        other._chooser = self._renderer.chooser()
        return other

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, in pixels."""
        return self._target.size

    def load(self, index: int) -> None:
        """Decode frame `index` of the target if it is not: outside of a turn, which others wait for."""
        self._target.load(index)

    def image(self, index: int, shape: ArrayF64, *, number: int = 0) -> YuvFrame:
        """Return frame `index` of the target, owned by the caller.

        Args:
            index: of the frame.
            shape: mouth, (57, 2) in head units.
            number: of the frame in the stream.
        """
        image = self._render_frame(index, shape)
        if self._compositor is not None:
            self._compositor.put_behind(image, index=index, number=number)
        return self._marks.put_on(image, number)

    def synthesises(self, index: int) -> bool:
        """Return whether frame `index` of the target gets a new mouth, in whole or in part."""
        return bool(self._target.blend_weights(np.array([index]))[0] > 0)

    def _render_frame(self, index: int, shape: ArrayF64) -> YuvFrame:
        indices = np.array([index])
        blend_weight = float(self._target.blend_weights(indices)[0])
        frame = self._target.frame(index)
        if blend_weight <= 0 or frame.placement is None:
            return frame.image
        at_rest = np.array_equal(shape, self.rest)
        patch = self._at_rest.get(index) if at_rest else None
        if patch is None:
            points = self._target.transforms(indices).apply(self._target.place(shape[None], indices))[0]
            references = self._chooser.choose(frame, points)
            patch = self._renderer.patch(Job(frame, points, blend_weight, references))
            if at_rest:
                self._at_rest.keep(index, patch)
        patch.put_on(frame.image, frame.placement, blend_weight=blend_weight)
        return frame.image


class _RestCache:
    """A thread-safe cache of rendered mouths at rest, by frame number of the target."""

    def __init__(self, bytes_left: int) -> None:
        self._patches: dict[int, Patch] = {}
        self._bytes_left = bytes_left
        self._lock = threading.Lock()

    def get(self, index: int) -> Patch | None:
        return self._patches.get(index)

    def keep(self, index: int, patch: Patch) -> None:
        with self._lock:
            if index not in self._patches and patch.nbytes <= self._bytes_left:
                self._patches[index] = patch
                self._bytes_left -= patch.nbytes
