"""Following one person's face through a clip.

Knows when two faces in neighbouring frames are the same, and what to do when the face is lost. A frame
without the person's face, or on which the track jumps (a cut), is not ``present``: nothing is ever guessed
there.

The landmark model is given a window around the face rather than the whole picture, so that faces that are
small in the picture are found as well; the window stands still until the face comes near its border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from newscaster.face.topology import LANDMARKS
from newscaster.prepare.detect import Boxes, ImageArray, Landmarks, Mesh, detect_faces
from newscaster.prepare.people import People, box_of, overlap

Box = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]

_MIN_OVERLAP = 0.5
"""Of a face's boxes in neighbouring frames. A head that crosses its own width in a second moves by 4 % a
frame (0.92); a cut to another shot of the same person rarely reaches 0.5."""
_FORGET_SECONDS = 1.0
"""A face that was lost for longer may come back anywhere."""
_WINDOW_SIDES = 2.6
"""Side of the window in sides of the face's box: the models want about this much around a face."""
_WHOLE_FRACTION = 0.55
"""A window that would cover this much of the picture is the whole picture instead."""
_NEAR_BORDER = 0.15
"""The window is moved when the face is closer to its border than this many of its sides."""
_SEARCH_EVERY = 5
"""Frames between searches of the whole picture while the face is lost; its last window is watched anyway."""
_MAX_FACES = 3


class FaceTracker:
    """Follows the person meant through the frames of one clip.

    Args:
        people: who is in the footage, and who is meant.
        fps: of the frames.
        detect, make_mesh: what finds faces in a picture, and landmarks of at most so many; tests put in their
            own.
    """

    def __init__(
        self,
        people: People,
        *,
        fps: float,
        detect: Callable[[ImageArray], Boxes] = detect_faces,
        make_mesh: Callable[[int], Mesh] = Mesh,
    ) -> None:
        self._people = people
        self._detect = detect
        self._mesh = make_mesh(1 if len(people.persons) == 1 else _MAX_FACES)
        self._forget_frames = max(1, round(_FORGET_SECONDS * fps))
        self._window: Window | None = None
        self._last: Box | None = None
        self._lost = 0

    def follow(self, frames: Iterable[ImageArray]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Landmarks (F, 478, 3) in pixels, NaN where the face is not there, and where it is, (F,)."""
        return joined([self.step(frame) for frame in frames])

    def restart(self) -> None:
        """Start anew: the next frame is the first of another shot."""
        self._window, self._last, self._lost = None, None, 0
        self._mesh.reset()

    def step(self, frame: ImageArray) -> Landmarks | None:
        """The person's landmarks (478, 3) in the next frame, in pixels; None where the face is not there."""
        if self._window is None:
            self._move(window_around(self._people.person.boxes[0], frame))
        elif self._lost == 1 or (self._lost and self._lost % _SEARCH_EVERY == 0):
            self._search(frame)
        found = self._find(frame)
        if found is None and self._last is None and self._lost == 0:
            self._search(frame)  # the first frame: the face was elsewhere when it was looked for
            found = self._find(frame)
        if found is None:
            self._lost += 1
            return None
        points, box, jumped = found
        self._lost, self._last = 0, box
        if self._window is not None and _near_border(box, self._window, frame):
            self._move(window_around(box, frame))
        return None if jumped else points

    def _find(self, frame: ImageArray) -> tuple[Landmarks, Box, bool] | None:
        """The person's landmarks, their box, and whether the track jumped to get there."""
        assert self._window is not None, "a window is set before anything is looked for in it"
        faces = [(points, box_of(points)) for points in self._mesh.find(frame, self._window)]
        recent = self._last is not None and self._lost <= self._forget_frames
        if self._last is not None and recent:
            fractions = [overlap(self._last, box) for _, box in faces]
            if fractions and max(fractions) >= _MIN_OVERLAP:
                return *faces[int(np.argmax(fractions))], False
        meant = [(points, box) for points, box in faces if self._people.is_meant(box)]
        if not meant:
            return None
        return *max(meant, key=lambda face: float(np.prod(face[1][2:] - face[1][:2]))), recent

    def _search(self, frame: ImageArray) -> None:
        """Set the window around the person's face, wherever it is in the picture."""
        boxes = [box for box in self._detect(frame) if self._people.is_meant(box)]
        if boxes:
            nearest = min(boxes, key=self._people.person.distance)
            self._move(window_around(nearest, frame))

    def _move(self, window: Window) -> None:
        if window != self._window:
            self._window = window
            self._mesh.reset()


def joined(found: Sequence[Landmarks | None]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Landmarks of F frames as (F, 478, 3), NaN where there are none, and where there are some, (F,)."""
    present = np.array([points is not None for points in found], np.bool_)
    landmarks = np.full((len(found), LANDMARKS, 3), np.nan, np.float32)
    for i, points in enumerate(found):
        if points is not None:
            landmarks[i] = points
    return landmarks, present


def window_around(box: Box, frame: ImageArray) -> Window:
    """A square around a face, cut at the picture's borders; the whole picture if the face is large in it."""
    height, width = frame.shape[:2]
    half = _WINDOW_SIDES * float((box[2:] - box[:2]).max()) / 2
    x, y = (box[:2] + box[2:]) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(width, int(np.ceil(x + half))), min(height, int(np.ceil(y + half)))
    if (right - left) * (bottom - top) >= _WHOLE_FRACTION * width * height or right <= left or bottom <= top:
        return 0, 0, width, height
    return left, top, right, bottom


def _near_border(box: Box, window: Window, frame: ImageArray) -> bool:
    """Whether a face is close to a border of its window that is not the picture's, or has outgrown it."""
    height, width = frame.shape[:2]
    margin = _NEAR_BORDER * float((box[2:] - box[:2]).max())
    room = np.array([box[0] - window[0], box[1] - window[1], window[2] - box[2], window[3] - box[3]])
    inside = np.array([window[0] > 0, window[1] > 0, window[2] < width, window[3] < height])
    return bool((inside & (room < margin)).any())
