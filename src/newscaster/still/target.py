"""A photograph as a target video: frames in which the head moves and the eyes blink, and their landmarks.

::

    photo, landmarks ─► eyes (eyelids) ─► head and shoulders (warp) ─► over the background (layers) ─► frame
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from newscaster.errors import InputError
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import with_level_lips
from newscaster.face.topology import LANDMARKS
from newscaster.matting import Matte, PersonMatte
from newscaster.matting.moved import MovedImage, encode_moved
from newscaster.matting.planes import FrameMatte
from newscaster.matting.store import MatteWriter
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from newscaster.still.eyelids import Eyes
from newscaster.still.head_motion import HeadMotion
from newscaster.still.layers import Layers
from newscaster.still.warp import HeadFlow, HeadMove, rotation
from newscaster.types import ArrayF64, ImageU8, Landmarks

MIN_JACOBIAN = 0.2
"""Cells of the flow keep at least this fraction of their area; larger motion is reduced as a whole."""
_REDUCTION, _MAX_REDUCTIONS = 0.9, 30
_GAZE_LIMIT_DEGREES = 7.0
_COMPENSATION = 0.8
"""How much of the head's rotation the eyes make up for: they keep looking at the viewer."""


class StillTarget:
    """The target video of one photograph. Iterate for its frames, (H, W, 3) uint8, in order.

    Args:
        photo: (H, W, 3) uint8 RGB, both sides even.
        landmarks: of the person's face, (478, 3) pixels: see ``photo.find_face``.
        motion: of the head, the shoulders and the eyes.
        alpha: (H, W) uint8, 255 for the person; by default, matting finds it. Without any person (a drawing,
            a statue), everything near the head moves along.

    Raises:
        InputError: an array has another shape or type, or the face lies outside the photograph.
    """

    def __init__(
        self, photo: ImageU8, landmarks: Landmarks, motion: HeadMotion, *, alpha: ImageU8 | None = None
    ) -> None:
        _check(photo, landmarks, alpha)
        self.photo, self.photo_landmarks = photo, landmarks
        self.notes: list[str] = []
        """What the photograph did not allow, one sentence each."""
        self._flow = HeadFlow(landmarks, (photo.shape[1], photo.shape[0]))
        self._eyes = Eyes(photo, landmarks, iod=self._flow.iod)
        if not self._eyes.can_blink and motion.closure.any():
            self.notes.append("the eyes are hardly open in the photograph, so they do not blink")
        self._found: Matte | None = None
        """Of the photograph, if matting found the person."""
        self._layers = Layers(photo, self._matte(alpha), iod=self._flow.iod)
        self.motion = self._within_limits(motion)
        """As given, or less if the flow would fold."""
        self.head = with_level_lips(Head.fit(landmarks[None]))

    def __len__(self) -> int:
        return len(self.motion)

    def __iter__(self) -> Iterator[ImageU8]:
        return (self.frame(number) for number in range(len(self)))

    def frame(self, number: int) -> ImageU8:
        """Return frame `number`, (H, W, 3) uint8."""
        patches = tuple(self._eyes.patches(*self._eye_state(number)))
        grid = self._flow.grid(self._move(number))
        return self._layers.render(patches, grid, self._flow.columns, self._flow.rows)

    def alpha(self, number: int) -> ImageU8:
        """Return the person's alpha in frame `number`, (H, W) uint8."""
        return self._layers.alpha(self._flow.grid(self._move(number)), self._flow.columns, self._flow.rows)

    def matte(self) -> bytes | None:
        """Return the matte of all frames, as an anchor stores it: that of the photograph, moved.

        None: matting found no person, or the motion is too complex.
        """
        if self._found is None:
            return None
        photo = YuvFrame(FromRgb(ColourTags.for_height(self.photo.shape[0]))(self.photo))
        image = FrameMatte.of(replace(self._found, alpha=self._layers.photo_alpha), photo)
        grids = np.stack([self._flow.grid(self._move(number)) for number in range(len(self))])
        try:
            moved, coefficients = MovedImage.of(image, grids, self._flow.columns, self._flow.rows)
        except ValueError:
            return None
        buffer = io.BytesIO()
        with MatteWriter(buffer, size=photo.padded_size, image=encode_moved(moved)) as writer:
            for row in coefficients:
                writer.add_moved(row)
        return buffer.getvalue()

    @cached_property
    def landmarks(self) -> Landmarks:
        """The landmarks of each frame, (F, 478, 3) pixels, moved by the same flow as the pixels."""
        return np.stack([self._landmarks(number) for number in range(len(self))])

    @cached_property
    def poses(self) -> Poses:
        """The poses of :attr:`head` in each frame."""
        return self.head.poses(self.landmarks)

    def _landmarks(self, number: int) -> Landmarks:
        move = self._move(number)
        points = self._eyes.move(self.photo_landmarks, *self._eye_state(number))
        out = np.empty((LANDMARKS, 3), np.float32)
        out[:, :2] = self._flow.forward(points[:, :2], self._flow.grid(move))
        out[:, 2] = self._flow.turned_depth(points, move)
        return out

    def _move(self, number: int) -> HeadMove:
        motion = self.motion
        yaw, pitch, roll = map(float, motion.angles[number])
        right, down = map(float, motion.shift[number])
        scale, breath = float(motion.scale[number]), float(motion.breath[number])
        return HeadMove((yaw, pitch, roll), (right, down), scale, breath)

    def _eye_state(self, number: int) -> tuple[float, tuple[float, float]]:
        """Return the closure of the lids, and the rotation of the eyes within the head in degrees."""
        # The viewing direction of the photograph, (0, 0, -1), as seen from the turned head.
        seen = rotation(self._move(number).angles).T @ np.array([0.0, 0.0, -1.0])
        turn = _COMPENSATION * np.degrees(np.arcsin(seen[:2])) + self.motion.gaze[number]
        right, down = _GAZE_LIMIT_DEGREES * np.tanh(turn / _GAZE_LIMIT_DEGREES)
        return float(self.motion.closure[number]), (float(right), float(down))

    def _matte(self, alpha: ImageU8 | None) -> ImageU8:
        if alpha is not None:
            return alpha
        low, high = self.photo_landmarks[:, :2].min(axis=0), self.photo_landmarks[:, :2].max(axis=0)
        left, top = map(float, low)
        right, bottom = map(float, high)
        matte = PersonMatte().push(self.photo, face=(left, top, right, bottom))
        if matte.found:
            self._found = matte
        else:
            self.notes.append(
                "no person was found around the face, so the background near the head moves along"
            )
            return np.full(self.photo.shape[:2], 255, np.uint8)
        return matte.alpha

    def _within_limits(self, motion: HeadMotion) -> HeadMotion:
        """Reduce angles and shifts until the flow of every extreme frame is invertible."""
        signals = np.concatenate([motion.angles, motion.shift, motion.angles @ _DIAGONALS], axis=1)
        extremes = sorted({*signals.argmin(axis=0).tolist(), *signals.argmax(axis=0).tolist()})
        self.motion = motion
        for _ in range(_MAX_REDUCTIONS):
            grids = (self._flow.grid(self._move(number)) for number in extremes)
            if min(self._flow.min_jacobian(grid) for grid in grids) >= MIN_JACOBIAN:
                break
            self.motion = replace(
                self.motion, angles=self.motion.angles * _REDUCTION, shift=self.motion.shift * _REDUCTION
            )
        if self.motion is not motion:
            part = float(np.abs(self.motion.angles).max() / max(np.abs(motion.angles).max(), 1e-9))
            self.notes.append(
                f"the head moves by {part:.0%} of the motion requested, to keep the image whole"
            )
        return self.motion


_DIAGONALS: ArrayF64 = np.array([[1, 1], [1, -1], [0, 0]], np.float64)
"""Yaw plus pitch, and yaw minus pitch."""


def _check(photo: ImageU8, landmarks: Landmarks, alpha: ImageU8 | None) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise InputError(f"the photograph is {photo.dtype} {photo.shape}; expected uint8 (H, W, 3), RGB")
    if photo.shape[0] % 2 or photo.shape[1] % 2:
        raise InputError(f"the photograph has {photo.shape[1]}x{photo.shape[0]} pixels; expected even sides")
    if landmarks.shape != (LANDMARKS, 3) or not np.isfinite(landmarks).all():
        raise InputError(f"landmarks have the shape {landmarks.shape}; expected ({LANDMARKS}, 3), finite")
    middle = landmarks[:, :2].mean(axis=0)
    if not ((middle > 0) & (middle < photo.shape[1::-1])).all():
        raise InputError(f"the face lies at {middle.round()}, outside the photograph of {photo.shape[1::-1]}")
    if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != photo.shape[:2]):
        raise InputError(
            f"alpha is {alpha.dtype} {alpha.shape}; expected uint8 {photo.shape[:2]}, as the photograph"
        )
