"""Tracking of one person's face through a clip.

Matches faces in neighbouring frames, and searches for the face when it is lost. A frame without the person's
face, or on which the track jumps (a cut), is not ``present``: its landmarks are never guessed.

The landmark model runs on a window around the face, so that it also finds small faces. The window stays in
place until the face comes near its border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from newscaster.face.topology import LANDMARKS
from newscaster.prepare.detect import Mesh, detect_faces
from newscaster.prepare.people import People, box_of, overlap
from newscaster.types import ArrayBool, ArrayF32, Box, ImageU8, Landmarks

Window = tuple[int, int, int, int]

_MIN_OVERLAP = 0.5
"""Minimum overlap of a face's boxes in neighbouring frames. A head that crosses its own width in a second
moves by 4 % per frame (0.92). A cut to another shot of the same person rarely reaches 0.5."""
_FORGET_SECONDS = 1.0
"""A face that was lost for longer may reappear anywhere."""
_WINDOW_SIDES = 2.6
"""Side of the window in sides of the face's box, as the models expect."""
_WHOLE_FRACTION = 0.55
"""A window that covers at least this fraction of the frame becomes the whole frame."""
_NEAR_BORDER = 0.15
"""The window moves when the face is closer to its border than this many of its sides."""
_SEARCH_EVERY = 5
"""Frames between searches of the whole frame while the face is lost; its last window is always searched."""
_MAX_FACES = 3


class FaceTracker:
    """Tracks the selected person through the frames of one clip.

    Args:
        people: the people in the footage, and the selected one.
        fps: frames per second.
        detect: finds faces in a frame; replaced in tests.
        make_mesh: makes a `Mesh` for at most so many faces; replaced in tests.
    """

    def __init__(
        self,
        people: People,
        *,
        fps: float,
        detect: Callable[[ImageU8], Box] = detect_faces,
        make_mesh: Callable[[int], Mesh] = Mesh,
    ) -> None:
        self._people = people
        self._detect = detect
        self._mesh = make_mesh(1 if len(people.persons) == 1 else _MAX_FACES)
        self._forget_frames = max(1, round(_FORGET_SECONDS * fps))
        self._window: Window | None = None
        self._last: Box | None = None
        self._lost = 0

    def follow(self, frames: Iterable[ImageU8]) -> tuple[ArrayF32, ArrayBool]:
        """Return landmarks (F, 478, 3) in pixels, NaN without the face, and whether it is present, (F,)."""
        return joined([self.step(frame) for frame in frames])

    def restart(self) -> None:
        """Forget the track: the next frame is the first of another shot."""
        self._window, self._last, self._lost = None, None, 0
        self._mesh.reset()

    def step(self, frame: ImageU8) -> Landmarks | None:
        """Return the person's landmarks (478, 3) in the next frame, in pixels; None without the face."""
        if self._window is None:
            self._move(window_around(self._people.person.boxes[0], frame))
        elif self._lost == 1 or (self._lost and self._lost % _SEARCH_EVERY == 0):
            self._search(frame)
        match = self._find(frame)
        if match is None and self._last is None and self._lost == 0:
            self._search(frame)  # the first frame: in the sampled frames, the face was elsewhere
            match = self._find(frame)
        if match is None:
            self._lost += 1
            return None
        points, box, jumped = match
        self._lost, self._last = 0, box
        if self._window is not None and _near_border(box, self._window, frame):
            self._move(window_around(box, frame))
        return None if jumped else points

    def _find(self, frame: ImageU8) -> tuple[Landmarks, Box, bool] | None:
        """Return the person's landmarks, their box, and whether the track jumped there."""
        assert self._window is not None, "the window is set before it is searched"
        faces = [(points, box_of(points)) for points in self._mesh.find(frame, self._window)]
        recent = self._last is not None and self._lost <= self._forget_frames
        if self._last is not None and recent:
            fractions = [overlap(self._last, box) for _, box in faces]
            if fractions and max(fractions) >= _MIN_OVERLAP:
                return *faces[int(np.argmax(fractions))], False
        selected = [(points, box) for points, box in faces if self._people.is_meant(box)]
        if not selected:
            return None
        return *max(selected, key=lambda face: float(np.prod(face[1][2:] - face[1][:2]))), recent

    def _search(self, frame: ImageU8) -> None:
        """Search the whole frame for the person's face, and set the window around it."""
        boxes = [box for box in self._detect(frame) if self._people.is_meant(box)]
        if boxes:
            nearest = min(boxes, key=self._people.person.distance)
            self._move(window_around(nearest, frame))

    def _move(self, window: Window) -> None:
        if window != self._window:
            self._window = window
            self._mesh.reset()


def joined(frames: Sequence[Landmarks | None]) -> tuple[ArrayF32, ArrayBool]:
    """Stack landmarks of F frames as (F, 478, 3), NaN if None; also return which are present, (F,)."""
    present = np.array([points is not None for points in frames], np.bool_)
    landmarks = np.full((len(frames), LANDMARKS, 3), np.nan, np.float32)
    for i, points in enumerate(frames):
        if points is not None:
            landmarks[i] = points
    return landmarks, present


def window_around(box: Box, frame: ImageU8) -> Window:
    """Return a square around a face, cut at the frame's borders; the whole frame if the face is large."""
    height, width = frame.shape[:2]
    half = _WINDOW_SIDES * float((box[2:] - box[:2]).max()) / 2
    x, y = (box[:2] + box[2:]) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    right, bottom = min(width, int(np.ceil(x + half))), min(height, int(np.ceil(y + half)))
    if (right - left) * (bottom - top) >= _WHOLE_FRACTION * width * height or right <= left or bottom <= top:
        return 0, 0, width, height
    return left, top, right, bottom


def _near_border(box: Box, window: Window, frame: ImageU8) -> bool:
    """Return whether a face is close to, or beyond, a border of its window that is inside the frame."""
    height, width = frame.shape[:2]
    margin = _NEAR_BORDER * float((box[2:] - box[:2]).max())
    gaps = np.array([box[0] - window[0], box[1] - window[1], window[2] - box[2], window[3] - box[3]])
    inside = np.array([window[0] > 0, window[1] > 0, window[2] < width, window[3] < height])
    return bool((inside & (gaps < margin)).any())
