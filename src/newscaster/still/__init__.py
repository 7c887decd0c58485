"""One photograph to a target video: the head moves a little, the eyes blink.

::

    photo = upright(read_photo(path))
    landmarks = find_face(photo.pixels, name=path.name)
    target = StillTarget(photo.pixels, landmarks, HeadMotion.generate(fps=25))
    for frame in target:                         # (H, W, 3) uint8
        ...
    target.landmarks, target.poses               # of all frames

The mouth keeps still; ``synthesis`` rewrites it.
"""

from __future__ import annotations

from newscaster.still.head_motion import HeadMotion, MotionStyle
from newscaster.still.photo import Photo, find_face, read_photo, upright
from newscaster.still.target import StillTarget

__all__ = ["HeadMotion", "MotionStyle", "Photo", "StillTarget", "find_face", "read_photo", "upright"]
