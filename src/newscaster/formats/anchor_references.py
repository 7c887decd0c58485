"""The references of an anchor: face crops that its renderer copies from, each as a JPEG image.

They are decoded when they are first read. `anchor` has the file around them.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.errors import AnchorError
from newscaster.face.references import MAX_REFERENCES, References
from newscaster.face.topology import MOUTH_POINTS
from newscaster.safety.readers import read_tensors
from newscaster.types import ArrayI64, ImageU8

_QUALITY = 96
"""JPEG quality, without subsampling of colours: 45 dB, and a tenth of the bytes."""
_MAX_ANGLE = 360.0
_MAX_PLACE = 4.0
"""Largest coordinate of a mouth, in crop widths."""


def references_to_bytes(references: References) -> bytes:
    """Return references as a safetensors file; :func:`references_from_bytes` is the inverse.

    ::

        images   (bytes,) uint8    JPEG images of S x S pixels, one after the other
        ends     (N,) int64        where each ends
        points   (N, 57, 2) float32, mouths in crop widths
        angles   (N, 3) float32, yaw, pitch and roll of the heads in degrees, if they are known
    """
    from safetensors.numpy import save

    crops = references.crops
    images = crops.images() if isinstance(crops, _Decoded) else list(map(_jpeg, crops))
    arrays: dict[str, npt.NDArray[Any]] = {
        "images": np.frombuffer(b"".join(images), np.uint8),
        "ends": np.cumsum([len(image) for image in images], dtype=np.int64),
        "points": np.ascontiguousarray(references.points, np.float32),
    }
    if references.angles is not None:
        arrays["angles"] = np.ascontiguousarray(references.angles, np.float32)
    return save(arrays)


def _jpeg(crop: ImageU8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def references_from_bytes(data: bytes, *, side: int) -> References:
    """Read references whose crops have this side.

    Raises:
        AnchorError: the data are damaged, or no references of this side.
    """
    try:
        arrays = read_tensors(data)
        images, ends, points = arrays["images"], arrays["ends"], arrays["points"]
    except (KeyError, ValueError) as error:
        raise AnchorError(f"they are damaged ({error})") from error
    count = len(ends) if ends.ndim == 1 else 0
    kinds = [array.dtype for array in (images, ends, points)] == [np.uint8, np.int64, np.float32]
    if not kinds or not 1 <= count <= MAX_REFERENCES or points.shape != (count, MOUTH_POINTS, 2):
        raise AnchorError(
            f"they are {count} images with points {points.shape}; expected 1 to {MAX_REFERENCES}"
        )
    if not (np.isfinite(points).all() and np.abs(points).max() <= _MAX_PLACE):
        raise AnchorError(f"their points are not finite, or beyond {_MAX_PLACE:g} crop widths")
    if (np.diff(ends, prepend=0) <= 0).any() or ends[-1] != images.size:
        raise AnchorError("their images do not lie one after the other")
    angles = arrays.get("angles")
    if angles is not None and (
        angles.shape != (count, 3) or angles.dtype != np.float32 or not (np.abs(angles) <= _MAX_ANGLE).all()
    ):
        raise AnchorError(f"their angles {angles.shape} are not {count} times three of up to 360 degrees")
    return References(_Decoded(images.tobytes(), ends, side), points, angles)


class _Decoded(Sequence[ImageU8]):
    """Images that are decoded once each, when they are read. Thread-safe."""

    def __init__(self, images: bytes, ends: ArrayI64, side: int) -> None:
        self._images, self._ends, self._side = images, ends.tolist(), side
        self._crops: dict[int, ImageU8] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ends)

    def images(self) -> list[bytes]:
        """Return the JPEG images as they are stored: encoded again, they would lose a little."""
        return [self._images[first:last] for first, last in pairwise([0, *self._ends])]

    def __getitem__(self, index: int) -> ImageU8:  # type: ignore[override]
        crop = self._crops.get(index)
        if crop is None:
            crop = self._decode(index)
            with self._lock:
                self._crops[index] = crop
        return crop

    def _decode(self, index: int) -> ImageU8:
        data = self._images[self._ends[index - 1] if index else 0 : self._ends[index]]
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                if image.size != (self._side, self._side) or image.mode != "RGB":
                    raise ValueError(f"{image.mode} {image.size}")
                crop = np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise AnchorError(
                f"reference {index} is not a JPEG image of {self._side} x {self._side} pixels ({error}). "
                "Copy the anchor again from its source, or train it again"
            ) from error
        crop.flags.writeable = False
        return crop
