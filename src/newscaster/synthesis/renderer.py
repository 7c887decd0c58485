"""New mouths on target frames: landmark map, rendering network, compositing; parallel, in order.

The network runs outside Python's global lock, so that worker threads use all cores. Threads and batches are
the fastest measured for a whole pipeline, with decoding and encoding: workers with one thread each beat one
network call on all cores.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from newscaster.errors import AnchorError
from newscaster.face.crop import Placement
from newscaster.face.grain import Grain
from newscaster.face.landmark_map import CHANNELS, draw_landmark_map
from newscaster.inference import Session
from newscaster.media import Plane, YuvFrame, computed_ahead, made_ahead
from newscaster.synthesis.compositing import composite
from newscaster.synthesis.target import TargetFrame
from newscaster.system.cpu import usable_cores
from newscaster.types import ArrayF64, ArrayI64, ImageU8

BATCH = 2
"""Frames per call of the network."""
JOBS_AHEAD = 8
"""Frames decoded before a worker is free: decoding from a keyframe takes a while."""
_MAX_WORKERS = 8


def default_workers() -> int:
    """Return one thread per core that this process may use, up to 8."""
    return min(_MAX_WORKERS, usable_cores())


@dataclass(frozen=True)
class Job:
    """A frame and its new mouth."""

    frame: TargetFrame
    points: ArrayF64
    """(57, 2) in pixels of the crop."""
    blend_weight: float = 1.0
    """Weight of the new mouth, 0 to 1; at 0 the frame is unchanged."""
    references: ArrayI64 | None = None
    """(K,) numbers of the frames to copy from, if the renderer copies; None: the nearest ones."""
    fading: ArrayI64 | None = None
    """(K,) those of the frame before, if they fade away here; None: they do not."""


class Chooser(Protocol):
    """Chooses what a renderer copies from, for the frames of one stream in order."""

    def choose(self, frame: TargetFrame, points: ArrayF64) -> ArrayI64 | None:
        """Return the references for a frame and its mouth (57, 2) in crop pixels; None: there are none."""


class _NoReferences:
    def choose(self, frame: TargetFrame, points: ArrayF64) -> ArrayI64 | None:
        return None


class Patch(Protocol):
    """A rendered mouth, for one frame of the target and all copies of it."""

    @property
    def nbytes(self) -> int:
        """Memory of its pixels."""

    def put_on(self, image: YuvFrame, placement: Placement, *, blend_weight: float) -> None:
        """Blend it into the frame, in place."""


@dataclass(frozen=True, eq=False)
class _RgbPatch:
    crop: ImageU8
    """(h, w, 3), see `Renderer.crops`."""
    corner: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return self.crop.nbytes

    def put_on(self, image: YuvFrame, placement: Placement, *, blend_weight: float) -> None:
        composite(image, self.crop, placement, corner=self.corner, blend_weight=blend_weight)


class Renderer(ABC):
    """Renders mouths into target frames. Subclasses render the crops.

    Args:
        workers: threads that render at a time; by default one per core, up to 8.
        batch: frames per call of :meth:`crops`.
    """

    def __init__(self, *, workers: int | None = None, batch: int = BATCH) -> None:
        self._workers = workers or default_workers()
        self._batch = batch

    corner: tuple[int, int] = (0, 0)
    """Column and row of the crop's pixel that is the first of those rendered."""

    @abstractmethod
    def crops(self, jobs: list[Job]) -> ImageU8:
        """Return the rendered crops of jobs, (B, S, S, 3) uint8 RGB, computed in the calling thread.

        A renderer may return a part of them, (B, h, w, 3), that has all pixels of the mask: see `corner`.
        """

    def patch(self, job: Job) -> Patch:
        """Return the rendered mouth of one job, computed in the calling thread."""
        return _RgbPatch(self.crops([job])[0], self.corner)

    def planned(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield jobs in their order, with the references that suit the whole stream best."""
        yield from jobs

    def chooser(self) -> Chooser:
        """Return what chooses references frame by frame, for a live stream."""
        return _NoReferences()

    def render(self, jobs: Iterable[Job]) -> Generator[YuvFrame]:
        """Yield the finished frames, in the order of the jobs. The frames of the jobs are modified in place.

        A thread prefetches up to `JOBS_AHEAD` jobs. One batch more than workers is in progress at a time.
        Memory grows no further than that. Close the generator to stop early: the threads end with it.
        """
        with made_ahead(self.planned(jobs), depth=JOBS_AHEAD) as source:
            batches = iter(lambda: list(itertools.islice(source, self._batch)), [])
            finished = computed_ahead(
                self._finish, batches, workers=self._workers, name="newscaster-renderer"
            )
            with closing(finished):
                for frames in finished:
                    yield from frames

    def _finish(self, batch: list[Job]) -> list[YuvFrame]:
        if visible := [job for job in batch if job.blend_weight > 0 and job.frame.placement is not None]:
            hues = [(job.frame.image, _hue(job.frame.image)) for job in visible]
            self._render_frames(visible)
            for image, hue in hues:
                for plane, kept in zip(image.planes[1:], hue, strict=False):
                    plane[:] = kept
        return [job.frame.image for job in batch]

    def _render_frames(self, batch: list[Job]) -> None:
        for job, crop in zip(batch, self.crops(batch), strict=True):
            _put_on(_RgbPatch(crop, self.corner), job)


def _put_on(patch: Patch, job: Job) -> None:
    assert job.frame.placement is not None
    patch.put_on(job.frame.image, job.frame.placement, blend_weight=job.blend_weight)


def _hue(image: YuvFrame) -> tuple[Plane, ...]:
    """Return copies of U and V of black and white video; otherwise nothing.

    Mouths of a person who was filmed in colour then get that hue, too.
    """
    return tuple(plane.copy() for plane in image.planes[1:]) if image.is_monochrome else ()


class MapRenderer(Renderer):
    """Renders crops by a network that predicts them from their surroundings and a landmark map.

    Args:
        session: the rendering network, `region` (B, S, S, 3) and `face_map` (B, C, M, M), both uint8, to
            `rendered` (B, S, S, 3) uint8. Called from several threads at a time; best made with threads=1.
        side: side of the crops, S.
        map_side: side of the landmark maps, M.
        grain: strength of the grain of rendered crops, in 8-bit pixel values.
        workers: threads that render at a time; by default one per core, up to 8.
        batch: frames per call of the network.

    Raises:
        AnchorError: the inputs or outputs of the network do not fit.
    """

    def __init__(
        self,
        session: Session,
        *,
        side: int,
        map_side: int,
        grain: float = 0.0,
        workers: int | None = None,
        batch: int = BATCH,
    ) -> None:
        super().__init__(workers=workers, batch=batch)
        image, landmark_map = (side, side, 3), (len(CHANNELS), map_side, map_side)
        shapes = [
            session.inputs.get("region", ())[1:],
            session.inputs.get("face_map", ())[1:],
            session.outputs.get("rendered", ())[1:],
        ]
        if shapes != [image, landmark_map, image]:
            raise AnchorError(
                f"{session!r} is not this anchor's rendering network; expected "
                f'"region" (B, {side}, {side}, 3) and "face_map" (B, {len(CHANNELS)}, {map_side}, '
                f'{map_side}) -> "rendered", of the shape of "region"'
            )
        self._session = session
        self._side = side
        self._map_side = map_side
        self._grain = Grain(grain, side=side)

    def crops(self, jobs: list[Job]) -> ImageU8:
        """Return the rendered crops of jobs, (B, S, S, 3) uint8 RGB, computed in the calling thread."""
        maps = np.stack(
            [draw_landmark_map(job.points, side=self._side, map_side=self._map_side) for job in jobs]
        )
        crops = np.stack([job.frame.crop for job in jobs])
        inputs = {"region": crops, "face_map": maps}
        rendered = self._session.run_one("rendered", crops.shape, **inputs)
        if rendered.dtype != np.uint8:
            raise AnchorError(f"{self._session!r} returns {rendered.dtype} pixels; expected uint8")
        if self._grain.strength == 0:
            return rendered
        grained = [self._grain.add(crop, job.frame.index) for crop, job in zip(rendered, jobs, strict=True)]
        return np.stack(grained)
