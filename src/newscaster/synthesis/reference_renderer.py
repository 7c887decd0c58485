"""New mouths that are copied from other frames of the person.

`face.references` chooses the frames, `face.reference_flow` says where their parts go, and the network of
`models.reference` warps, mixes and corrects them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.crop import reduced
from newscaster.face.landmark_map import CHANNELS, draw_landmark_map
from newscaster.face.reference_flow import GRID, coarse_flow
from newscaster.face.references import (
    COUNT,
    SMALL_SIDE,
    ReferencePath,
    References,
    nearest_references,
    relative_distances,
)
from newscaster.inference import Session
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.types import ArrayF32, ArrayF64, ArrayI64, ImageU8


class ReferenceRenderer(Renderer):
    """Renders crops from references.

    Args:
        session: the rendering network of `models.reference`, for one frame at a time. Called from several
            threads at a time; best made with threads=1.
        references: the frames to copy from; their crops have the side of the rendered ones.
        side: side of the crops, S.
        map_side: side of the landmark maps, M.
        workers: threads that render at a time; by default one per core, up to 8.

    Raises:
        AnchorError: the inputs or outputs of the network do not fit.
    """

    def __init__(
        self,
        session: Session,
        references: References,
        *,
        side: int,
        map_side: int,
        workers: int | None = None,
    ) -> None:
        super().__init__(workers=workers, batch=1)
        image = (1, side, side, 3)
        expected = {
            "region": image,
            "face_map": (1, len(CHANNELS), map_side, map_side),
            "flow": (1, COUNT, 2, GRID, GRID),
            "distance": (1, COUNT),
            "small": (1, COUNT, SMALL_SIDE, SMALL_SIDE, 3),
            "large": image,
        }
        if session.inputs != expected or session.outputs.get("rendered") != image:
            raise AnchorError(
                f"{session!r} is not a network that copies from {COUNT} references; expected the inputs "
                f'{expected} and the output "rendered", {image}'
            )
        if not len(references):
            raise AnchorError("there are no references to copy from")
        self._session, self._references = session, references
        self._side, self._map_side = side, map_side
        self._small: dict[int, ImageU8] = {}
        self._lock = threading.Lock()

    def planned(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """See :class:`Renderer`: the references are those of the cheapest path."""
        path = ReferencePath(self._references.points)
        waiting: deque[Job] = deque()
        for job in jobs:
            waiting.append(job)
            for numbers in path.push(job.points[None] / self._side):
                yield replace(waiting.popleft(), references=numbers)
        for numbers in path.flush():
            yield replace(waiting.popleft(), references=numbers)

    def chooser(self) -> _LiveChooser:
        """See :class:`Renderer`: each frame is decided at once, from those before it."""
        return _LiveChooser(self._references.points, side=self._side)

    def crops(self, jobs: list[Job]) -> ImageU8:
        """See :class:`Renderer`."""
        return np.concatenate([self._crop(job) for job in jobs])

    def _crop(self, job: Job) -> ImageU8:
        mouth = np.asarray(job.points, np.float64) / self._side
        points = self._references.points
        numbers = nearest_references(mouth, points) if job.references is None else job.references
        chosen = points[numbers]
        crop = job.frame.crop
        landmark_map = draw_landmark_map(job.points, side=self._side, map_side=self._map_side)
        inputs: dict[str, npt.NDArray[Any]] = {
            "region": crop,
            "face_map": landmark_map,
            "flow": coarse_flow(mouth, chosen),
            "distance": relative_distances(mouth, chosen),
            "small": np.stack([self._reduced(number) for number in numbers.tolist()]),
            "large": self._references.crops[int(numbers[0])],
        }
        single = {name: array[None] for name, array in inputs.items()}
        rendered = self._session.run_one("rendered", (1, *crop.shape), **single)
        if rendered.dtype != np.uint8:
            raise AnchorError(f"{self._session!r} returns {rendered.dtype} pixels; expected uint8")
        return rendered

    def _reduced(self, number: int) -> ImageU8:
        """Return a reference at the side that the network mixes; it is computed once."""
        small = self._small.get(number)
        if small is None:
            small = reduced(self._references.crops[number], SMALL_SIDE)
            with self._lock:
                self._small[number] = small
        return small


class _LiveChooser:
    def __init__(self, points: ArrayF32, *, side: int) -> None:
        self._path, self._side = ReferencePath(points, look_ahead=0), side

    def choose(self, points: ArrayF64) -> ArrayI64 | None:
        """Return the references for the next mouth."""
        chosen: ArrayI64 = self._path.push(points[None] / self._side)[0]
        return chosen
