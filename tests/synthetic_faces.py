"""Frames with faces that no camera saw: those of the bundled anchor grid-s1, which a network rendered."""

from __future__ import annotations

import zipfile
from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.media import read_frames

Frame = npt.NDArray[np.uint8]


@cache
def anchor_frames(count: int = 12) -> tuple[Frame, ...]:
    """The first frames of that anchor's target video."""
    archive = resources.files("newscaster.data").joinpath("grid-s1.anchor")
    with TemporaryDirectory() as folder, archive.open("rb") as file, zipfile.ZipFile(file) as contents:
        path = Path(folder) / "video.mp4"
        path.write_bytes(contents.read("stage.mp4"))
        return tuple(read_frames(path, stop_frame=count))


def person(frame: Frame, *, tint: tuple[float, float, float] = (1, 1, 1), mirrored: bool = False) -> Frame:
    """The same face, as somebody else's: its colours times `tint`, and mirrored."""
    tinted = np.clip(frame * np.array(tint), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(tinted[:, ::-1]) if mirrored else tinted


def paste(canvas: Frame, face: Frame, center_x: int, *, height: int) -> None:
    """Put a face, `height` high, into the middle of a canvas at this column, or the part that lies within."""
    width = round(height * face.shape[1] / face.shape[0])
    small = np.asarray(Image.fromarray(face).resize((width, height), Image.Resampling.BICUBIC))
    left, top = center_x - width // 2, (canvas.shape[0] - height) // 2
    first, last = max(0, -left), min(width, canvas.shape[1] - left)
    if first < last:
        canvas[top : top + height, left + first : left + last] = small[:, first:last]
