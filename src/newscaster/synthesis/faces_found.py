"""The faces that a video shows beside the anchor's person, for the error that they are not the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from newscaster import media
from newscaster.errors import MediaError
from newscaster.prepare.people import Person, box_of
from newscaster.prepare.persons import times_text
from newscaster.synthesis.target import Target
from newscaster.types import Box, ImageU8

_SIDE_PX, _GAP_PX, _TEXT_PX = 220, 12, 30
_SHOWN_FACES = 1.7
"""Side of an image, in sides of the face's box."""
_MARK = ("Software", "newscaster")
"""Text in the PNG files made here: only such a file is replaced by another one."""


@dataclass(frozen=True)
class FaceImage:
    """One face with its surroundings."""

    caption: str
    image: Image.Image
    """Square, `_SIDE_PX` wide."""


def anchor_image(target: Target) -> FaceImage:
    """Return the face of an anchor's person."""
    middle = len(target) // 2
    return FaceImage("the anchor", _face(target.frame(middle).rgb, box_of(target.landmarks[middle])))


def face_images(video: Path, persons: Sequence[Person]) -> list[FaceImage]:
    """Return the faces of the people in a video, from left to right."""
    images = []
    for number, person in enumerate(persons):
        place = len(person.seconds) // 2
        frame = _frame_at(video, person.seconds[place] if person.seconds else 0.0)
        if frame is not None:
            caption = f"face={number}  {times_text(person.seconds)}".strip()
            images.append(FaceImage(caption, _face(frame, person.boxes[min(place, len(person.boxes) - 1)])))
    return images


def write_faces(images: Sequence[FaceImage], video: Path) -> Path:
    """Write the faces side by side as PNG beside an output video; return its path.

    Raises:
        OutputError: the file cannot be written.
    """
    width = len(images) * (_SIDE_PX + _GAP_PX) + _GAP_PX
    sheet = Image.new("RGB", (width, _SIDE_PX + _TEXT_PX + 2 * _GAP_PX), (250, 249, 246))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for number, face in enumerate(images):
        left = _GAP_PX + number * (_SIDE_PX + _GAP_PX)
        sheet.paste(face.image, (left, _GAP_PX))
        draw.text((left, _SIDE_PX + 2 * _GAP_PX), face.caption, fill=(40, 40, 38), font=font)
    path = _free_path(video)
    info = PngImagePlugin.PngInfo()
    info.add_text(*_MARK)
    with media.atomic_write(path) as temporary, temporary.open("wb") as file:
        sheet.save(file, "PNG", pnginfo=info)
    return path


def _free_path(video: Path) -> Path:
    """Return a path that is free, or that of an older file made here."""
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        path = video.with_name(f"{video.stem}.faces{suffix}.png")
        if not path.exists() or _is_ours(path):
            return path
        number += 1


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.format == "PNG" and image.info.get(_MARK[0]) == _MARK[1]
    except (OSError, ValueError):
        return False


def _frame_at(video: Path, seconds: float) -> ImageU8 | None:
    """Return the frame that was sampled at this time; None if the video breaks off before it."""
    second = int(seconds)
    frames = media.read_frames(video, fps=Fraction(1), start_frame=second, stop_frame=second + 1)
    try:
        return next(frames, None)
    except MediaError:
        return None


def _face(frame: ImageU8, box: Box) -> Image.Image:
    """Cut a square around a face, (4,) in pixels; parts beyond the frame are black."""
    half = _SHOWN_FACES * float((box[2:] - box[:2]).max()) / 2
    x, y = ((box[:2] + box[2:]) / 2).tolist()
    corners = np.round([x - half, y - half, x + half, y + half]).astype(int)
    square = Image.fromarray(frame).crop(tuple(corners.tolist()))
    return square.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
