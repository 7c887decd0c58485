"""New mouths on stage frames: face map, rendering network, compositing; several frames at a time, in order.

The network spends its time outside Python's lock, so that worker threads share the cores. Which threads and
batches are fastest was measured for a whole pipeline, decoding and encoding included: workers with one thread
each beat one network call that all cores share.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.facemap import CHANNELS, draw_face_map
from newscaster.inference import Session
from newscaster.media import Picture
from newscaster.runtime.compositing import composite
from newscaster.runtime.stage import StageFrame

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

BATCH = 2
"""Frames per call of the network."""
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Job:
    """A frame and the mouth that it is to get."""

    frame: StageFrame
    points: Array
    """(57, 2) in region pixels."""
    share: float = 1.0
    """How much of the new mouth is taken, 0 to 1; at 0 the frame passes through as it is."""


class Renderer:
    """Paints mouths into stage frames.

    Args:
        session: the rendering network, `region` (B, S, S, 3) and `face_map` (B, C, M, M), both uint8, to
            `rendered` (B, S, S, 3) uint8. Called from several threads at a time; best made with threads=1.
        soft: (S, S) uint8, how much of the rendered region is taken.
        map_side: side of the face maps, M.
        workers: threads that render at a time; by default one per core, up to 8.
        batch: frames per call of the network.

    Raises:
        AnchorError: the network takes or gives something else.
    """

    def __init__(
        self,
        session: Session,
        *,
        soft: Image,
        map_side: int,
        workers: int | None = None,
        batch: int = BATCH,
    ) -> None:
        side = soft.shape[0]
        image, face_map = (side, side, 3), (len(CHANNELS), map_side, map_side)
        found = [
            session.inputs.get("region", ())[1:],
            session.inputs.get("face_map", ())[1:],
            session.outputs.get("rendered", ())[1:],
        ]
        if found != [image, face_map, image]:
            raise AnchorError(
                f"{session!r} is not this anchor's rendering network; expected "
                f"region (B, {side}, {side}, 3) and face_map (B, {len(CHANNELS)}, {map_side}, {map_side}) -> "
                "rendered, shaped as the region"
            )
        self._session = session
        self._soft = soft
        self._map_side = map_side
        self._workers = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
        self._batch = batch

    def render(self, jobs: Iterable[Job]) -> Iterator[Picture]:
        """The finished pictures, in the order of the jobs: their frames' own, written to.

        As many batches as there are workers, and one more, are in work at a time: the jobs are taken, and
        memory grows, no further than that.
        """
        source = iter(jobs)
        pending: deque[Future[list[Picture]]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="newscaster-renderer") as pool:
            try:
                while batch := list(itertools.islice(source, self._batch)):
                    pending.append(pool.submit(self._finish, batch))
                    if len(pending) > self._workers:
                        yield from pending.popleft().result()
                while pending:
                    yield from pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _finish(self, batch: list[Job]) -> list[Picture]:
        if seen := [job for job in batch if job.share > 0 and job.frame.placement is not None]:
            self._paint(seen)
        return [job.frame.picture for job in batch]

    def _paint(self, batch: list[Job]) -> None:
        side = self._soft.shape[0]
        maps = np.stack([draw_face_map(job.points, side=side, map_side=self._map_side) for job in batch])
        regions = np.stack([job.frame.region for job in batch])
        rendered = self._session.run(region=regions, face_map=maps)["rendered"]
        for job, region in zip(batch, rendered, strict=True):
            assert job.frame.placement is not None
            composite(job.frame.picture, region, job.frame.placement, share=job.share)
