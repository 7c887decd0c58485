"""Mattes of whole clips: the person's face selects the person, and each shot is matted on its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from newscaster.errors import InputError
from newscaster.matting.matte import CoarseMatte, FaceBox, Matte, PersonMatte
from newscaster.matting.network import PersonNetwork, load_person_network
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.matting.refine import Evidence
from newscaster.matting.steady import SteadyMatte
from newscaster.media import YuvFrame, computed_ahead, made_ahead
from newscaster.system.cpu import usable_cores
from newscaster.types import ArrayFloat, ImageU8


def matte_clip(
    frames: Iterable[YuvFrame],
    faces: Sequence[FaceBox | None],
    *,
    starts: frozenset[int] = frozenset(),
    keep: Callable[[int], bool] = lambda index: False,
    network: PersonNetwork | None = None,
) -> Iterator[FrameMatte]:
    """Yield the matte of each frame.

    Args:
        frames: in order.
        faces: the face of the person in each frame; None: not found there, so that all people are kept.
        starts: frames that start a shot: nothing is held from the frame before.
        keep: whether a frame keeps its background: it is not looked at.
        network: by default the packaged one.
    """
    looked = _looked(frames, faces, starts, keep, network or load_person_network())
    with made_ahead(looked, depth=2) as ahead:
        measured = computed_ahead(_Looked.measured, ahead, workers=usable_cores(), name="newscaster-matte")
        with closing(measured):
            shot: _Shot | None = None
            for frame, evidence in measured:
                if shot is not None and (frame.matting is not shot.matting or frame.coarse is None):
                    yield from shot.flush()
                    shot = None
                if frame.coarse is None:
                    yield OPAQUE
                    continue
                shot = shot or _Shot(frame.matting, frame.coarse)
                yield from shot.push(frame.image, frame.coarse, evidence)
            if shot is not None:
                yield from shot.flush()


@dataclass(frozen=True, eq=False)
class _Looked:
    """A frame in which the people were found."""

    image: YuvFrame
    matting: PersonMatte
    """Of the shot."""
    coarse: CoarseMatte | None
    """None: the frame keeps its background."""

    def measured(self) -> tuple[_Looked, Evidence | None]:
        """Return this, and the evidence of its colours."""
        return self, None if self.coarse is None else self.coarse.evidence()


def _looked(
    frames: Iterable[YuvFrame],
    faces: Sequence[FaceBox | None],
    starts: frozenset[int],
    keep: Callable[[int], bool],
    network: PersonNetwork,
) -> Iterator[_Looked]:
    """Find the people in each frame; the arguments are those of :func:`matte_clip`."""
    matting = PersonMatte(network)
    for index, image in enumerate(frames):
        if index in starts:
            matting = PersonMatte(network)
        coarse = None if keep(index) else _coarse(matting, image.rgb(), faces[index])
        yield _Looked(image, matting, coarse)


def _coarse(matting: PersonMatte, frame: ImageU8, face: FaceBox | None) -> CoarseMatte:
    """Find the person with this face, or all people if the face finds none."""
    if face is not None:
        with suppress(InputError):  # a face outside the frame
            coarse = matting.coarse(frame, face=face)
            if coarse.mask is not None:
                return coarse
    return matting.coarse(frame)


class _Shot:
    """Refines the mattes of the frames of one shot."""

    def __init__(self, matting: PersonMatte, first: CoarseMatte) -> None:
        height, width = first.frame.shape[:2]
        self.matting = matting
        self._steady = SteadyMatte((height, width))
        self._images: deque[YuvFrame] = deque()

    def push(self, image: YuvFrame, coarse: CoarseMatte, evidence: Evidence | None) -> Iterator[FrameMatte]:
        """Take the next frame; yield the mattes that are complete."""
        self._images.append(image)
        matte = self.matting.refine(coarse, evidence)
        yield from self._in_planes(self._steady.push(coarse.frame, matte))

    def flush(self) -> Iterator[FrameMatte]:
        """Yield the mattes of the last frames."""
        yield from self._in_planes(self._steady.flush())

    def _in_planes(self, mattes: list[Matte]) -> Iterator[FrameMatte]:
        return (FrameMatte.of(matte, self._images.popleft()) for matte in mattes)


def face_box(landmarks: ArrayFloat) -> FaceBox | None:
    """Return the box of face landmarks (L, 2 or more) in pixels; None if they are not finite."""
    points = landmarks[:, :2]
    if not np.isfinite(points).all():
        return None
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None
