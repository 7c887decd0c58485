"""The faces in one frame: box, landmarks and descriptor of each.

Descriptors stay in memory; nothing here is written to disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from newscaster.prepare.detect import Mesh, detect_faces
from newscaster.prepare.people import box_of, overlap
from newscaster.prepare.tracking import window_around
from newscaster.tracking import Describe
from newscaster.tracking.descriptor import DESCRIPTOR_SIZE, describe_faces
from newscaster.types import ArrayF32, Box, ImageU8, Landmarks

_MIN_OVERLAP = 0.25
"""Minimum overlap of a detected box and the landmarks in the window around it; with less, they are another
face's."""

_MAX_FACES = 4
"""Maximum number of faces that are searched for in the window around one of them."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """One face in one frame."""

    second: float
    """Time of the frame in its file."""
    box: Box
    """(4,): left, top, right, bottom in pixels."""
    landmarks: Landmarks | None
    """(478, 3) pixels; None if the mesh found none."""
    descriptor: ArrayF32
    """(128,); NaN if it could not be measured."""

    @property
    def side(self) -> float:
        """Side of the box in pixels."""
        return float(np.sqrt(np.prod(self.box[2:] - self.box[:2])))

    @property
    def is_described(self) -> bool:
        return bool(np.isfinite(self.descriptor).all())


def sightings_in(
    frame: ImageU8,
    second: float,
    *,
    detect: Callable[[ImageU8], Box] = detect_faces,
    make_mesh: Callable[[int], Mesh] = Mesh,
    describe: Describe = describe_faces,
) -> list[Sighting]:
    """Return all faces of a frame (H, W, 3), uint8 RGB.

    Tests replace ``detect``, ``make_mesh`` and ``describe``.
    """
    sightings = []
    boxes = detect(frame)
    for box in boxes:
        mesh = make_mesh(min(len(boxes), _MAX_FACES))  # the window may show other faces, too
        mesh.reset()
        faces = mesh.find(frame, window_around(box, frame))
        landmarks = max(faces, key=lambda points: overlap(box_of(points), box), default=None)
        if landmarks is not None and overlap(box_of(landmarks), box) < _MIN_OVERLAP:
            landmarks = None
        descriptor = np.full(DESCRIPTOR_SIZE, np.nan, np.float32)
        if landmarks is not None:
            descriptor = describe([frame], landmarks[None])[0]
        sightings.append(Sighting(second, np.asarray(box, np.float64), landmarks, descriptor))
    return sightings
