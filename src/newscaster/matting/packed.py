"""The mattes of a clip as two videos, for anchors: a seventh as large. See docs/formats.md.

::

    magic, 8 bytes | length of alpha, u32 | video of alpha, of differences | width, height, F, u32 | magic

They are H.264, with a small loss, and are written as a file of `store` before they are read: a frame of these
takes four times as long. Everything is untrusted when read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from newscaster.errors import MediaError
from newscaster.matting.planes import FrameMatte, PlaneMatte
from newscaster.matting.store import MatteStore, MatteWriter
from newscaster.media import TargetVideo, YuvFrame, empty_frame, encode_target
from newscaster.types import ArrayI64, ImageU8

_MAGIC = b"NCMATTE3"
_LENGTH = struct.Struct("<I")
_TRAILER = struct.Struct("<III8s")
_FPS = Fraction(25)
"""Of the videos, which are never shown."""
_GROUP = 24
_ALPHA_CRF, _DIFFERENCE_CRF = 10, 18
_ZERO, _UNIT = 128, 2
"""The sample of no difference, and the 8-bit values of a step from it."""
_LEAST = 3
"""Least alpha of an edge pixel, and least distance from 255: the codec leaves traces below."""

_Planes = tuple[npt.NDArray[np.uint8] | int, ...]


def is_packed(source: bytes) -> bool:
    """Return whether these are mattes that :func:`unpack` reads."""
    return source[: len(_MAGIC)] == _MAGIC


def packed(source: bytes) -> bytes:
    """Return the mattes of a clip as two videos; as they are, if these are larger, or an image is moved.

    Args:
        source: what `MatteWriter` has written.

    Raises:
        ValueError: the mattes are damaged.
    """
    store = MatteStore(source)
    if store.image is not None:
        return source
    alpha = _video(store, _alpha_planes, crf=_ALPHA_CRF)
    differences = _video(store, _difference_planes, crf=_DIFFERENCE_CRF)
    trailer = _TRAILER.pack(*store.size, len(store), _MAGIC)
    data = b"".join([_MAGIC, _LENGTH.pack(len(alpha)), alpha, differences, trailer])
    return data if len(data) < len(source) else source


def unpack(source: bytes, file: BinaryIO, *, fast_bytes: int = 0) -> None:
    """Write packed mattes as `MatteStore` reads them.

    Args:
        source: what :func:`packed` returned.
        file: open for writing, at its start.
        fast_bytes: see `MatteWriter`.

    Raises:
        ValueError: they are damaged.
    """
    data, start, end = memoryview(source), len(_MAGIC) + _LENGTH.size, len(source) - _TRAILER.size
    if end < start or not is_packed(source):
        raise ValueError("it holds no packed mattes")
    width, height, count, magic = _TRAILER.unpack(data[end:])
    (length,) = _LENGTH.unpack(data[len(_MAGIC) : start])
    if magic != _MAGIC or start + length > end:
        raise ValueError("it is cut short or damaged")
    try:
        alpha, differences = (
            TargetVideo(part, name=name)
            for part, name in (
                (data[start : start + length], "its alpha"),
                (data[start + length : end], "its colours"),
            )
        )
        for video in (alpha, differences):
            if video.size != (width, height) or video.frame_count != count or width % 2 or height % 2:
                raise ValueError(f"it states {count} frames of {width}x{height} pixels, but holds others")
        with MatteWriter(file, size=(width, height), fast_bytes=fast_bytes) as writer:
            for matte in _mattes(alpha, differences):
                writer.add(matte)
    except MediaError as error:
        raise ValueError(str(error)) from error


def unpacked(source: bytes) -> bytes:
    """Return mattes as `MatteStore` reads them, packed or not.

    Raises:
        ValueError: they are damaged.
    """
    if not is_packed(source):
        return source
    buffer = io.BytesIO()
    unpack(source, buffer)
    return buffer.getvalue()


def _mattes(alpha: TargetVideo, differences: TargetVideo) -> Iterator[FrameMatte]:
    for number in range(alpha.frame_count):
        if number % _GROUP == 0:
            alpha.release()
            differences.release()
        y, u, v = (partial(_differences, plane) for plane in differences.image(number).planes)
        yield FrameMatte.of_alpha(_without_traces(alpha.image(number).planes[0]), (y, u, v))


def _without_traces(alpha: ImageU8) -> ImageU8:
    """Return alpha (H, W) with 0 and 255 for what is almost that."""
    alpha = np.ascontiguousarray(alpha)
    alpha = alpha * (alpha >= _LEAST)
    alpha |= np.negative((alpha > 255 - _LEAST).view(np.uint8))
    return alpha


def _differences(plane: ImageU8, index: ArrayI64) -> npt.NDArray[np.int16]:
    """Return the differences (n,) at flat indices (n,) of a plane (h, w) of samples."""
    samples = plane[index // plane.shape[1], index % plane.shape[1]].astype(np.int16)
    return np.asarray(_UNIT * (samples - _ZERO), np.int16)


def _video(store: MatteStore, planes: Callable[[FrameMatte], _Planes], *, crf: int) -> bytes:
    """Return a video of the planes of all mattes."""
    width, height = store.size

    def images() -> Iterator[YuvFrame]:
        for number in range(len(store)):
            image = empty_frame(width, height)
            for plane, values in zip(image.planes, planes(store.frame(number)), strict=True):
                plane[:] = values
            yield image

    return encode_target(images(), _FPS, crf=crf, group=_GROUP, compact=True)


def _alpha_planes(matte: FrameMatte) -> _Planes:
    return 255 if matte.luma is None else matte.luma.full_alpha(), _ZERO, _ZERO


def _difference_planes(matte: FrameMatte) -> _Planes:
    if matte.luma is None or matte.chroma is None:
        return _ZERO, _ZERO, _ZERO
    return (
        _spread(matte.luma, 0),
        _spread(matte.chroma, 0),
        _spread(matte.chroma, 1),
    )


def _spread(plane: PlaneMatte, number: int) -> ImageU8:
    """Return the differences of one plane as samples (h, w)."""
    samples = np.full(plane.size, _ZERO, np.uint8)
    steps = np.rint(plane.difference[number] / _UNIT).astype(np.int16)
    samples.reshape(-1)[plane.index] = np.clip(steps + _ZERO, 0, 255)
    return samples
