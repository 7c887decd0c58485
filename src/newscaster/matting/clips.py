"""Mattes of whole clips: the person's face selects the person, and each shot is matted on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from newscaster.errors import InputError
from newscaster.matting.matte import FaceBox, Matte, PersonMatte
from newscaster.matting.network import PersonNetwork, load_person_network
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.media import YuvFrame
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
    network = network or load_person_network()
    matting = PersonMatte(network)
    for index, image in enumerate(frames):
        if index in starts:
            matting = PersonMatte(network)
        if keep(index):
            yield OPAQUE
            continue
        yield FrameMatte.of(_push(matting, image.rgb(), faces[index]), image)


def _push(matting: PersonMatte, frame: ImageU8, face: FaceBox | None) -> Matte:
    """Return the matte of the person with this face, or of all people if the face finds none."""
    if face is not None:
        with suppress(InputError):  # a face outside the frame
            matte = matting.push(frame, face=face)
            if matte.found:
                return matte
    return matting.push(frame)


def face_box(landmarks: ArrayFloat) -> FaceBox | None:
    """Return the box of face landmarks (L, 2 or more) in pixels; None if they are not finite."""
    points = landmarks[:, :2]
    if not np.isfinite(points).all():
        return None
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None
