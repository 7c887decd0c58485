"""Following one person through frames, and leaving out those that show somebody else.

The tracker follows a face from place to place. A cut to another person at the same place does not stop it.
So the followed face is described twice a second and compared with the person meant::

    sample      P     P     P     -     P     O     O     P         P: the person, O: somebody else
    frames   ++++++++++++++++++++++++++++...............++++        -: could not be measured
                                       kept  left out

Frames between samples that disagree are left out: where the change lies is not known. A run of frames without
any sample that could be measured is left out, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import runs
from newscaster.prepare.detect import ImageArray, Landmarks
from newscaster.prepare.people import People
from newscaster.prepare.tracking import FaceTracker, joined
from newscaster.tracking import Describe
from newscaster.tracking.descriptor import describe_faces, descriptor_distance, mean_descriptor

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SAMPLE_SECONDS = 0.5
MAX_SAMPLE_DISTANCE = 0.6
"""Of a single frame's descriptor from the person's mean. Looser than between two files: the face was followed
to here. One sample that is further, between two of the person, is theirs: a blink or a blur."""
MAX_UNMEASURED_SECONDS = 1.0
"""At either end of a run of frames; between two samples of the person it may be longer."""


@dataclass(frozen=True)
class Followed:
    """A person's track through F frames."""

    landmarks: Floats
    """(F, 478, 3) in pixels, NaN if not present."""
    present: Mask
    """(F,): the person's face was found."""
    others: Mask
    """(F,): a face was followed there that is somebody else's, or could not be measured."""


class PersonFollower:
    """Follows the person meant, frame by frame.

    Args:
        people: who is in the footage, and who is meant. Without a descriptor of the person, the face that is
            followed for longest is taken for theirs.
        fps: frames per second.
        describe: in place of ``describe_faces``, for tests.
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
        self._descriptors: list[Floats] = []

    def cut(self) -> None:
        """Note that the next frame is the first of another shot."""
        self._tracker.restart()
        self._cuts.append(len(self._points))

    def step(self, frame: ImageArray) -> Landmarks | None:
        """Landmarks (478, 3) of the face that is followed in the next frame; None if there is none."""
        points = self._tracker.step(frame)
        index = len(self._points)
        started = not self._points or self._points[-1] is None or index in self._cuts[-1:]
        if points is not None and (started or index - self._samples[-1] >= self._step):
            self._samples.append(index)
            self._descriptors.append(self._describe([frame], points[None])[0])
        self._points.append(points)
        return points

    def finish(self) -> Followed:
        """The whole track, without the frames of others."""
        landmarks, present = joined(self._points)
        descriptors = np.array(self._descriptors, np.float32).reshape(-1, 128)
        kept = frames_of_person(
            present, self._samples, descriptors, reference=self._reference, fps=self._fps, cuts=self._cuts
        )
        landmarks[~kept] = np.nan
        return Followed(landmarks, kept, present & ~kept)


def follow_person(
    frames: Iterable[ImageArray], people: People, *, fps: float, describe: Describe | None = None
) -> Followed:
    """Follow the person meant through frames."""
    follower = PersonFollower(people, fps=fps, describe=describe)
    for frame in frames:
        follower.step(frame)
    return follower.finish()


def frames_of_person(
    present: Mask,
    samples: Sequence[int],
    descriptors: Floats,
    *,
    reference: Floats | None,
    fps: float,
    cuts: Sequence[int] = (),
) -> Mask:
    """Which frames of a track show the person.

    Args:
        present: (F,): a face was followed.
        samples: frames that were described.
        descriptors: of those, (n, 128); NaN if they could not be measured.
        reference: the person's (128,); None takes the largest group of samples.
        fps: frames per second.
        cuts: first frames of shots. What is known of one shot does not count for the next.

    Returns:
        (F,), a subset of ``present``.
    """
    kept = np.zeros_like(present)
    places = np.array(samples, np.int64)
    if reference is None:
        reference = _largest_group(descriptors)
    apart = descriptor_distance(descriptors, reference)
    reach = round(MAX_UNMEASURED_SECONDS * fps)
    for start, stop in _runs_in_shots(present, cuts):
        inside = (places >= start) & (places < stop) & np.isfinite(apart)
        theirs = _is_person(apart[inside])
        kept[start:stop] = _keep(places[inside] - start, theirs, stop - start, reach)
    return kept


def _runs_in_shots(present: Mask, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    for start, stop in runs(present):
        edges = [start, *(cut for cut in cuts if start < cut < stop), stop]
        yield from itertools.pairwise(edges)


def _is_person(apart: npt.NDArray[np.float64]) -> Mask:
    """Of consecutive samples: an outlier beside two samples of the person is theirs, too."""
    near = apart <= MAX_SAMPLE_DISTANCE
    before, after = np.roll(near, 1), np.roll(near, -1)
    if len(near) < 3:
        return near
    smoothed = near | (before & after)
    smoothed[[0, -1]] = near[[0, -1]]
    return np.asarray(smoothed)


def _keep(places: npt.NDArray[np.int64], theirs: Mask, length: int, reach: int) -> Mask:
    """Frames of one run between two samples of the person, and up to ``reach`` beyond the outer ones."""
    kept = np.zeros(length, np.bool_)
    if not len(places):
        return kept
    for (a, first), (b, second) in zip(
        zip(places, theirs, strict=True), zip(places[1:], theirs[1:], strict=False), strict=False
    ):
        if first and second:
            kept[a : b + 1] = True
    kept[places[theirs]] = True
    if theirs[0]:
        kept[max(0, places[0] - reach) : places[0]] = True
    if theirs[-1]:
        kept[places[-1] : places[-1] + reach + 1] = True
    return kept


def _largest_group(descriptors: Floats) -> Floats:
    """The mean of the samples that most others are close to; NaN if none could be measured."""
    measured = descriptors[np.isfinite(descriptors).all(axis=1)]
    if not len(measured):
        return mean_descriptor(measured)
    near = descriptor_distance(measured[:, None], measured[None]) <= MAX_SAMPLE_DISTANCE
    return mean_descriptor(measured[near[int(near.sum(axis=1).argmax())]])
