"""Mattes of a clip, frame by frame: `PersonMatte` in, `Matte` out, `composite` with another background.

A frame takes three steps. The first and the last go on from the frame before; the second may run in any
thread::

    PersonMatte.coarse ─► CoarseMatte.evidence ─► PersonMatte.refine
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.errors import InputError
from newscaster.matting.components import People, find_people
from newscaster.matting.filters import planes, shrink, shrink_floats
from newscaster.matting.network import PersonNetwork, load_person_network
from newscaster.matting.refine import STEP, Evidence, Refiner
from newscaster.matting.temporal import MotionGain
from newscaster.types import ArrayF32, ImageU8

FaceBox = tuple[float, float, float, float]
"""left, top, right, bottom of a face in pixels of the frame."""
MIN_SIDE_PX = 32
MASK_SIDE_PX = 960
_BAND = 0.09


@dataclass(frozen=True)
class Matte:
    """The matte of one frame.

    Attributes:
        alpha: (H, W) uint8, 255 for the person, 0 for the background.
        foreground: (H, W, 3) uint8 RGB, not premultiplied: the person's own colour, without the old
            background. At alpha 255 it is the frame's; at alpha 0 it has no meaning.
        found: whether there is a person; if not, alpha is 0 everywhere.
    """

    alpha: ImageU8
    foreground: ImageU8
    found: bool


@dataclass(frozen=True, eq=False)
class CoarseMatte:
    """A frame, and the network's mask of the people in it.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        small: the same, reduced to the size of the mask.
        mask: probability of a person; None: there is no person.
        band_px: half the width of the band along the mask's edge in which colours count.
    """

    frame: ImageU8
    small: ImageU8
    mask: ArrayF32 | None
    band_px: int = 0

    def evidence(self) -> Evidence | None:
        """Return the evidence of the colours; None if there is no person."""
        if self.mask is None:
            return None
        return Evidence(
            planes(shrink(self.small, STEP)), shrink_floats(self.mask, STEP), band_px=self.band_px
        )


class PersonMatte:
    """Matting of people in the frames of one clip; static pixels keep their alpha.

    Frames are pushed in order. Results do not depend on how many clips are matted at a time.

    Args:
        network: by default the packaged one; clips may share it.
    """

    def __init__(self, network: PersonNetwork | None = None) -> None:
        self._network = network or load_person_network()
        self._size: tuple[int, int] | None = None
        self._people: People | None = None

    def push(
        self, frame: ImageU8, *, face: FaceBox | None = None, other_faces: Sequence[FaceBox] = ()
    ) -> Matte:
        """Return the matte of the clip's next frame: all three steps.

        Args:
            frame: (H, W, 3) uint8 RGB, at least 32 x 32, of one size throughout the clip.
            face: the face of the one person to keep; by default all people are kept.
            other_faces: faces of the others. If two people touch, a pixel belongs to the nearer face.

        Raises:
            InputError: the frame has another type or size, or a face lies outside it. The state is unchanged.
        """
        coarse = self.coarse(frame, face=face, other_faces=other_faces)
        return self.refine(coarse, coarse.evidence())

    def coarse(
        self, frame: ImageU8, *, face: FaceBox | None = None, other_faces: Sequence[FaceBox] = ()
    ) -> CoarseMatte:
        """Find the people in the clip's next frame: the first step. See :meth:`push`."""
        size = self._checked_size(frame)
        if face is None and other_faces:
            raise InputError("other_faces is given without face; also give the face of the person to keep")
        for box in [*([face] if face is not None else []), *other_faces]:
            _check_face(box, size)
        if self._size is None:
            self._start(size)
        small = shrink(frame, self._factor)
        whole = self._network.mask(small)
        self._people = find_people(whole, size, face=face, other_faces=other_faces, before=self._people)
        if self._people is None:
            return CoarseMatte(frame, small, None)
        mask = self._people.clean(self._network.fused(small, whole, self._people.crops))
        left, top, right, bottom = self._people.box
        extent = min((right - left) * mask.shape[1], (bottom - top) * mask.shape[0])
        return CoarseMatte(frame, small, mask, band_px=max(3, round(_BAND * extent / STEP)))

    def refine(self, coarse: CoarseMatte, evidence: Evidence | None) -> Matte:
        """Return the matte of the clip's next frame: the last step.

        Args:
            coarse: of the frame.
            evidence: `coarse.evidence()`.
        """
        if coarse.mask is None or evidence is None:
            return self._no_person(coarse.frame)
        gain = self._motion.push(evidence.small, evidence.alpha)
        foreground = self._refiner.refine(coarse.frame, coarse.mask, evidence, gain)
        alpha = (self._refiner.alpha * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        return Matte(alpha, foreground, bool(alpha.any()))

    def _checked_size(self, frame: ImageU8) -> tuple[int, int]:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(f"a frame is {frame.dtype} {frame.shape}; expected uint8 (H, W, 3), RGB")
        height, width = frame.shape[:2]
        if min(height, width) < MIN_SIDE_PX:
            raise InputError(
                f"a frame is {width}x{height} pixels; matting needs frames of {MIN_SIDE_PX}x"
                f"{MIN_SIDE_PX} or more. Give larger footage"
            )
        if self._size is not None and self._size != (height, width):
            raise InputError(
                f"a frame is {width}x{height} pixels, those before {self._size[1]}x{self._size[0]}; "
                "give frames of one size, or begin a new matte for another clip"
            )
        return height, width

    def _start(self, size: tuple[int, int]) -> None:
        self._size = size
        self._factor = -(-max(size) // MASK_SIDE_PX)
        self._refiner = Refiner(size, factor=self._factor)
        self._motion = MotionGain()

    def _no_person(self, frame: ImageU8) -> Matte:
        self._motion = MotionGain()
        self._refiner.clear()
        return Matte(np.zeros(frame.shape[:2], np.uint8), frame.copy(), found=False)


def _check_face(box: FaceBox, size: tuple[int, int]) -> None:
    left, top, right, bottom = box
    inside = left < right and top < bottom and right > 0 and bottom > 0 and left < size[1] and top < size[0]
    if not inside or not np.isfinite(box).all():
        raise InputError(
            f"a face lies at left, top, right, bottom = {tuple(box)}; expected a box inside the frame of "
            f"{size[1]}x{size[0]} pixels, left < right and top < bottom"
        )


def composite(matte: Matte, background: ImageU8) -> ImageU8:
    """Composite the person over another background.

    Args:
        matte: of one frame.
        background: (H, W, 3) uint8 RGB of the frame's size, or one colour, (3,) uint8.

    Returns:
        (H, W, 3) uint8. At alpha 255 it is exactly the foreground, at alpha 0 exactly the background.

    Raises:
        InputError: the background is of another type or size.
    """
    if background.dtype != np.uint8 or background.shape not in ((3,), matte.foreground.shape):
        height, width = matte.alpha.shape
        raise InputError(
            f"the background is {background.dtype} {background.shape}; expected uint8 "
            f"({height}, {width}, 3), or (3,) for one colour"
        )
    alpha = matte.alpha[..., None].astype(np.uint32)
    mixed = alpha * matte.foreground + (255 - alpha) * background
    return np.asarray((mixed + 127) // 255, np.uint8)
