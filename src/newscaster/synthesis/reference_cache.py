"""References of a person in a given video, kept for the next dub of the same video.

A file has the crops as PNG images, without loss, so that a second dub has the same pixels. Its name is the
hash of all that decides which crops these are and what they show. A file that is damaged counts as none.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from newscaster.face.crop import FaceCrop
from newscaster.face.references import MAX_REFERENCES, References
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import MOUTH_POINTS
from newscaster.prepare.video_track import VideoTrack
from newscaster.system.files import atomic_write
from newscaster.system.folders import make_cache_folder
from newscaster.types import ArrayF32, ArrayF64, ArrayI64, ImageU8

_VERSION = 2
"""Of the choice of references, of their crops, and of the making of mouths."""
_PNG_LEVEL = 1
"""The fastest: 20 MB for 240 crops of 256 pixels, 65 MB at 512."""
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    SyntaxError,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What NumPy and Pillow raise."""


def references_path(
    cache: Path,
    track: VideoTrack,
    *,
    numbers: ArrayI64,
    points: ArrayF32,
    crop: FaceCrop,
    warps: SurfaceWarp,
    made: ArrayF64,
    plain: bool,
) -> Path:
    """Return the file of references.

    Args:
        cache: the folder.
        track: the video.
        numbers: (N,) of the frames.
        points: (N, 57, 2), their mouths in crop widths.
        crop: the face crop.
        warps: N, from pixels of the frames to pixels of the crops.
        made: (M, 57, 2), mouths that are made besides.
        plain: whether frames are converted to 8-bit 4:2:0.
    """
    header = [_VERSION, track.sha256, str(track.fps), plain, crop.to_json()]
    key = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for array in (numbers.astype(np.int64), points.astype(np.float32), warps.to_array(), made):
        key.update(np.ascontiguousarray(array).tobytes())
    return cache / f"{key.hexdigest()[:32]}.references"


def write_references(path: Path, references: References, *, workers: int) -> None:
    """Write references, in whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with ThreadPoolExecutor(workers) as pool:
        images = list(pool.map(_to_png, references.crops))
    angles = references.angles
    arrays = {
        "images": np.frombuffer(b"".join(images), np.uint8),
        "ends": np.cumsum([len(image) for image in images], dtype=np.int64),
        "points": references.points,
        "angles": np.zeros((0, 3), np.float32) if angles is None else angles,
    }
    make_cache_folder(path.parent)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_references(path: Path, *, side: int) -> References | None:
    """Return the references of a file with crops of this side; None if there is none, or it is damaged.

    Each crop is decoded when it is first read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            images, ends, points, angles = (stored[k] for k in ("images", "ends", "points", "angles"))
        count = len(points)
        if (
            not 1 <= count <= MAX_REFERENCES
            or ends.shape != (count,)
            or points.shape[1:] != (MOUTH_POINTS, 2)
        ):
            return None
        parts = [part.tobytes() for part in np.split(images, ends[:-1])]
        if any(part[: len(_PNG_START)] != _PNG_START or part[16:29] != _png_kind(side) for part in parts):
            return None
        return References(_Decoded(parts), points, angles if len(angles) else None)
    except _DAMAGED:
        return None


class _Decoded(Sequence[ImageU8]):
    """Crops of PNG images. Thread-safe. The zip file has checked their bytes."""

    def __init__(self, images: list[bytes]) -> None:
        self._images = images
        self._crops: dict[int, ImageU8] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> ImageU8:  # type: ignore[override]
        crop = self._crops.get(index)
        if crop is None:
            crop = self._crops[index] = _from_png(self._images[index])
        return crop


def _to_png(crop: ImageU8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "PNG", compress_level=_PNG_LEVEL)
    return file.getvalue()


def _from_png(data: bytes) -> ImageU8:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        crop = np.asarray(image)
    crop.flags.writeable = False
    return crop


def _png_kind(side: int) -> bytes:
    """Return the size and the kind of a square RGB image of 8 bits, as PNG states them: not interlaced."""
    return struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
