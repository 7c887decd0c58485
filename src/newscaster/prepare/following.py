"""Tracking of one person through frames, without the frames of other people.

The tracker follows a face by its position. A cut to another person at the same position does not stop it.
Therefore a face descriptor is computed twice a second and compared with that of the selected person::

    sample      P     P     P     -     P     O     O     P         P: the person, O: someone else
    frames   ++++++++++++++++++++++++++++...............++++        -: could not be measured
                                       kept  dropped

Frames between samples that disagree are dropped, because the position of the change is unknown. A run of
frames without any measurable sample is dropped, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.face.geometry import runs
from newscaster.prepare.people import People
from newscaster.prepare.tracking import FaceTracker, joined
from newscaster.tracking import Describe
from newscaster.tracking.descriptor import describe_faces, descriptor_distance, mean_descriptor
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64, ImageU8, Landmarks

SAMPLE_SECONDS = 0.5
MAX_SAMPLE_DISTANCE = 0.6
"""Maximum distance of a single frame's descriptor from the person's mean. It is looser than between two
files, because the face was tracked. One sample that is further, between two of the person, still counts as
theirs: a blink or motion blur."""
MAX_UNMEASURED_SECONDS = 1.0
"""Maximum unmeasured time at either end of a run of frames; between two samples of the person, there is no
limit."""


@dataclass(frozen=True)
class Followed:
    """A person's track through F frames."""

    landmarks: ArrayF32
    """(F, 478, 3) in pixels, NaN if not present."""
    present: ArrayBool
    """(F,): the person's face was found."""
    others: ArrayBool
    """(F,): the tracked face is someone else's, or could not be measured."""


class PersonFollower:
    """Tracks the selected person, frame by frame.

    Args:
        people: the people in the footage, and the selected one. If that person has no descriptor, the face
            that is tracked for longest is theirs.
        fps: frames per second.
        describe: replaces ``describe_faces`` in tests.
    """

    def __init__(self, people: People, *, fps: float, describe: Describe | None = None) -> None:
        self._tracker = FaceTracker(people, fps=fps)
        self._reference = people.person.descriptor
        self._describe = describe or describe_faces
        self._step = max(1, round(SAMPLE_SECONDS * fps))
        self._fps = fps
        self._points: list[Landmarks | None] = []
        self._cuts: list[int] = []
        self._samples: list[int] = []
        self._descriptors: list[ArrayF32] = []

    def cut(self) -> None:
        """Note that the next frame is the first of another shot."""
        self._tracker.restart()
        self._cuts.append(len(self._points))

    def step(self, frame: ImageU8) -> Landmarks | None:
        """Return landmarks (478, 3) of the tracked face in the next frame; None if there is none."""
        points = self._tracker.step(frame)
        index = len(self._points)
        starts_run = not self._points or self._points[-1] is None or index in self._cuts[-1:]
        if points is not None and (starts_run or index - self._samples[-1] >= self._step):
            self._samples.append(index)
            self._descriptors.append(self._describe([frame], points[None])[0])
        self._points.append(points)
        return points

    def finish(self) -> Followed:
        """Return the whole track, without the frames of other people."""
        landmarks, present = joined(self._points)
        descriptors = np.array(self._descriptors, np.float32).reshape(-1, 128)
        kept = frames_of_person(
            present, self._samples, descriptors, reference=self._reference, fps=self._fps, cuts=self._cuts
        )
        landmarks[~kept] = np.nan
        return Followed(landmarks, kept, present & ~kept)


def follow_person(
    frames: Iterable[ImageU8], people: People, *, fps: float, describe: Describe | None = None
) -> Followed:
    """Track the selected person through frames."""
    follower = PersonFollower(people, fps=fps, describe=describe)
    for frame in frames:
        follower.step(frame)
    return follower.finish()


def frames_of_person(
    present: ArrayBool,
    samples: Sequence[int],
    descriptors: ArrayF32,
    *,
    reference: ArrayF32 | None,
    fps: float,
    cuts: Sequence[int] = (),
) -> ArrayBool:
    """Select the frames of a track that show the person.

    Args:
        present: (F,): a face was tracked.
        samples: indices of the frames with a descriptor.
        descriptors: their descriptors, (n, 128); NaN if they could not be measured.
        reference: the person's descriptor (128,); None uses the largest group of samples.
        fps: frames per second.
        cuts: first frames of shots; samples of one shot do not count for another.

    Returns:
        (F,), a subset of ``present``.
    """
    kept = np.zeros_like(present)
    indices = np.array(samples, np.int64)
    if reference is None:
        reference = _largest_group(descriptors)
    distances = descriptor_distance(descriptors, reference)
    reach = round(MAX_UNMEASURED_SECONDS * fps)
    for start, stop in _runs_in_shots(present, cuts):
        inside = (indices >= start) & (indices < stop) & np.isfinite(distances)
        theirs = _is_person(distances[inside])
        kept[start:stop] = _keep(indices[inside] - start, theirs, stop - start, reach)
    return kept


def _runs_in_shots(present: ArrayBool, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the runs of frames with a face, cut where a shot starts."""
    for start, stop in runs(present):
        edges = [start, *(cut for cut in cuts if start < cut < stop), stop]
        yield from itertools.pairwise(edges)


def _is_person(distances: ArrayF64) -> ArrayBool:
    """Return which consecutive samples show the person; an outlier between two of them counts, too."""
    near = distances <= MAX_SAMPLE_DISTANCE
    before, after = np.roll(near, 1), np.roll(near, -1)
    if len(near) < 3:
        return near
    smoothed = near | (before & after)
    smoothed[[0, -1]] = near[[0, -1]]
    return np.asarray(smoothed)


def _keep(indices: ArrayI64, theirs: ArrayBool, length: int, reach: int) -> ArrayBool:
    """Keep the frames of a run between two samples of the person, and ``reach`` frames at both ends."""
    kept = np.zeros(length, np.bool_)
    if not len(indices):
        return kept
    for (a, first), (b, second) in zip(
        zip(indices, theirs, strict=True), zip(indices[1:], theirs[1:], strict=False), strict=False
    ):
        if first and second:
            kept[a : b + 1] = True
    kept[indices[theirs]] = True
    if theirs[0]:
        kept[max(0, indices[0] - reach) : indices[0]] = True
    if theirs[-1]:
        kept[indices[-1] : indices[-1] + reach + 1] = True
    return kept


def _largest_group(descriptors: ArrayF32) -> ArrayF32:
    """Return the mean of the largest group of similar samples; NaN if none could be measured."""
    measured = descriptors[np.isfinite(descriptors).all(axis=1)]
    if not len(measured):
        return mean_descriptor(measured)
    near = descriptor_distance(measured[:, None], measured[None]) <= MAX_SAMPLE_DISTANCE
    return mean_descriptor(measured[near[int(near.sum(axis=1).argmax())]])
