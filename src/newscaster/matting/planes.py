"""The matte of one frame in its own YUV planes: what compositing needs, and nothing else.

A pixel is outside (alpha 0), inside (alpha 255) or on the edge. Inside, the frame stays as it is. Outside,
the background is copied. On the edge, alpha and the person's colour, as the difference to the frame, are
stored. Some 3 % of the pixels are on the edge, so that compositing is cheap and the matte small.

::

    outside | edge | inside        chroma sample i lies on luma column 2 i, between two rows:
    0 0 0 0 | 9 90 | 255 255       it is the mean of 3 x 2 pixels with the weights 1 2 1
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.matting.matte import Matte
from newscaster.media import YuvFrame
from newscaster.media.color import yuv_matrix
from newscaster.types import ArrayBool, ArrayF32, ArrayI64, ImageU8

Size = tuple[int, int]
"""height, width"""
DifferencesAt = Callable[[ArrayI64], npt.NDArray[np.int16]]
"""Differences of colours (n,) at flat indices (n,) of a plane."""
_STEP = 4
"""Of stored colour differences, in 8-bit pixel values."""
_MAX_GAP = 0xFFFF
_LEVEL = 6
_ZLIB_HEADER = b"\x78\x9c"
_MOSTLY_PERSON = 160
_BAND_ROWS = 256
"""Rows whose bits are unpacked at once: they stay in the processor's cache. A multiple of 8."""
_NORMAL, _OPAQUE, _EMPTY = 0, 1, 2


@dataclass(frozen=True)
class PlaneMatte:
    """The matte of planes of one size: luma, or both chroma planes."""

    size: Size
    bits: ImageU8
    """(ceil(h * w / 8),): one bit per pixel, row by row: 1 where alpha is 0."""
    index: ArrayI64
    """(n,) flat indices of the edge pixels, rising."""
    alpha: ImageU8
    """(n,): of the edge pixels, 1 to 254."""
    difference: npt.NDArray[np.int16]
    """(C, n): the person's colour minus the frame's, of C planes."""

    @property
    def outside(self) -> ImageU8:
        """(h, w): 255 where alpha is 0, else 0."""
        return self._outside(0, self.size[0])

    def _outside(self, start: int, stop: int) -> ImageU8:
        """Return the rows from `start`, a multiple of 8, to `stop`."""
        width = self.size[1]
        part = self.bits[start * width // 8 :]
        rows = np.unpackbits(part, count=(stop - start) * width).reshape(-1, width)
        return np.negative(rows, out=rows)

    def cells_outside(self, side: int) -> ArrayBool:
        """Return whether all pixels of each cell of `side` x `side` are outside; cut at the border.

        Args:
            side: 8 or 16.
        """
        height, width = self.size
        if width % 8:
            rows = np.packbits(self.outside, axis=1)
            rows[:, -1] |= 0xFF >> width % 8
        else:
            rows = self.bits.reshape(height, -1)
        octets = rows[::side].copy()
        for first in range(1, side):
            others = rows[first::side]
            octets[: len(others)] &= others
        cells: ArrayBool = octets == 0xFF
        if side == 8:
            return cells
        if cells.shape[1] % 2:
            cells = np.pad(cells, ((0, 0), (0, 1)), constant_values=True)
        return cells[:, ::2] & cells[:, 1::2]

    def composite(self, planes: tuple[ImageU8, ...], background: tuple[ImageU8 | int, ...]) -> None:
        """Replace the background of C planes (h, w), in place.

        Args:
            planes: of the frame; rows may be padded.
            background: as many planes (h, w), or constants.
        """
        weight = self.alpha.astype(np.uint16)
        rest = np.uint16(255) - weight
        strides = {plane.strides[0] for plane in (*planes, *background) if not isinstance(plane, int)}
        positions = {stride: self._positions(stride) for stride in strides}
        mixed = []
        for k, (plane, behind) in enumerate(zip(planes, background, strict=True)):
            colour = self._colour(_flat(plane)[positions[plane.strides[0]]], k)
            colour *= weight
            if isinstance(behind, int):
                colour += rest * np.uint16(behind)
            else:
                colour += rest * _flat(behind)[positions[behind.strides[0]]]
            colour += np.uint16(128)
            colour += colour >> 8  # with the next line: a division by 255, rounded
            colour >>= 8
            mixed.append(colour)
        self._fill(planes, background)
        for plane, colour in zip(planes, mixed, strict=True):
            _flat(plane)[positions[plane.strides[0]]] = colour.astype(np.uint8)

    def clean(self, planes: tuple[ImageU8, ...], fill: tuple[int, ...]) -> None:
        """Give edge pixels the person's colour, and outside pixels a constant, in place."""
        positions = [self._positions(plane.strides[0]) for plane in planes]
        colours = [
            self._colour(_flat(p)[place], k)
            for k, (p, place) in enumerate(zip(planes, positions, strict=True))
        ]
        self._fill(planes, fill)
        for plane, place, colour in zip(planes, positions, colours, strict=True):
            _flat(plane)[place] = colour.astype(np.uint8)

    def _colour(self, pixels: ImageU8, plane: int) -> npt.NDArray[np.uint16]:
        """Return the person's colour (n,) at the edge pixels, from the frame's."""
        colour = pixels.astype(np.int16)
        colour += self.difference[plane]
        return np.clip(colour, 0, 255, out=colour).view(np.uint16)

    def _fill(self, planes: tuple[ImageU8, ...], values: tuple[ImageU8 | int, ...]) -> None:
        """Replace the outside pixels. Bitwise: three times as fast as a masked copy."""
        for start in range(0, self.size[0], _BAND_ROWS):
            stop = min(start + _BAND_ROWS, self.size[0])
            outside = self._outside(start, stop)
            for plane, value in zip(planes, values, strict=True):
                rows = plane[start:stop]
                new = np.uint8(value) if isinstance(value, int) else value[start:stop]
                change = np.bitwise_xor(rows, new)
                change &= outside
                np.bitwise_xor(rows, change, out=rows)

    def _positions(self, stride: int) -> ArrayI64:
        """Return the edge pixels as indices of a flat view whose rows are `stride` apart."""
        width = self.size[1]
        return self.index if stride == width else self.index + self.index // width * (stride - width)

    def taken(self, plane: ImageU8, chosen: ArrayBool) -> ImageU8:
        """Return the samples of a plane (h, w) at the chosen (n,) edge pixels."""
        return _flat(plane)[self._positions(plane.strides[0])[chosen]]

    def full_alpha(self) -> ImageU8:
        """Return alpha (h, w)."""
        alpha: ImageU8 = np.bitwise_not(self.outside)
        alpha.reshape(-1)[self.index] = self.alpha
        return alpha


@dataclass(frozen=True)
class FrameMatte:
    """The matte of one frame.

    Attributes:
        luma: of Y; None: the frame is opaque.
        chroma: of U and V.
    """

    luma: PlaneMatte | None
    chroma: PlaneMatte | None

    @property
    def nbytes(self) -> int:
        """Memory of its arrays."""
        return sum(
            array.nbytes
            for plane in (self.luma, self.chroma)
            if plane is not None
            for array in (plane.bits, plane.index, plane.alpha, plane.difference)
        )

    def composite(self, image: YuvFrame, background: tuple[ImageU8 | int, ...]) -> None:
        """Replace the background of a frame, in place, by planes Y, U and V or constants."""
        if self.luma is not None and self.chroma is not None:
            y, u, v = image.planes
            self.luma.composite((y,), background[:1])
            self.chroma.composite((u, v), background[1:])

    def cut_out(self, image: YuvFrame, fill: tuple[int, int, int]) -> None:
        """Set the alpha of a frame, in place, and remove its background from its colours.

        Args:
            image: its planes are changed where alpha is less than 255.
            fill: Y, U and V where alpha is 0.
        """
        y, u, v = image.planes
        if self.luma is None or self.chroma is None:
            image.alpha = np.full(y.shape, 255, np.uint8)
            return
        self.luma.clean((y,), fill[:1])
        self.chroma.clean((u, v), fill[1:])
        image.alpha = self.luma.full_alpha()

    @staticmethod
    def of(matte: Matte, image: YuvFrame) -> FrameMatte:
        """Return the matte of a frame in its own planes.

        Args:
            matte: of `image.rgb()`.
            image: an odd side of it has grown by one pixel.
        """
        planes = [plane.astype(np.int16) for plane in image.planes]
        height, width = planes[0].shape
        grown = (0, height - matte.alpha.shape[0]), (0, width - matte.alpha.shape[1])
        alpha = np.pad(matte.alpha, grown, mode="edge")
        if alpha.min() == 255:
            return OPAQUE
        colour = np.pad(matte.foreground, (*grown, (0, 0)), mode="edge")
        matrix = np.array(yuv_matrix(image.tags), np.float32).reshape(3, 4)
        edge = np.flatnonzero((alpha > 0) & (alpha < 255))
        luma = colour.reshape(-1, 3)[edge] @ matrix[0, :3] + matrix[0, 3]
        difference = np.rint(luma).astype(np.int16) - planes[0].reshape(-1)[edge]
        y = _plane(alpha, edge, difference[None])
        half = half_alpha(alpha)
        half_edge = np.flatnonzero((half > 0) & (half < 255))
        chroma = _chroma(alpha, colour, half_edge, matrix[1:])
        differences = np.stack(
            [
                np.rint(new).astype(np.int16) - own.reshape(-1)[half_edge]
                for new, own in zip(chroma, planes[1:], strict=True)
            ]
        )
        return FrameMatte(y, _plane(half, half_edge, differences))

    @staticmethod
    def of_alpha(
        alpha: ImageU8, differences: tuple[DifferencesAt, DifferencesAt, DifferencesAt]
    ) -> FrameMatte:
        """Return the matte of alpha (H, W), both even.

        Args:
            alpha: of the person.
            differences: of Y, U and V: return the person's colour minus the frame's, (n,), at flat indices
                (n,) of the plane.
        """
        if alpha.min() == 255:
            return OPAQUE
        half = half_alpha(alpha)
        edge, half_edge = (np.flatnonzero((plane > 0) & (plane < 255)) for plane in (alpha, half))
        luma, *chroma = differences
        return FrameMatte(
            _plane(alpha, edge, luma(edge)[None]),
            _plane(half, half_edge, np.stack([of_plane(half_edge) for of_plane in chroma])),
        )

    def edge_colour(self, image: YuvFrame) -> tuple[int, int, int] | None:
        """Return the mean colour (Y, U, V) of the person along the edge; None if there is no edge."""
        if self.luma is None or self.chroma is None:
            return None
        y, u, v = image.planes
        means: list[int] = []
        for part, planes in ((self.luma, (y,)), (self.chroma, (u, v))):
            near = part.alpha > _MOSTLY_PERSON
            if not near.any():
                return None
            for k, plane in enumerate(planes):
                colour = part.taken(plane, near) + part.difference[k][near]
                means.append(int(np.clip(np.rint(colour.mean()), 16, 235)))
        return means[0], means[1], means[2]

    def encode(self, *, fast: bool = False) -> bytes:
        """Return the matte as bytes: see docs/formats.md.

        Args:
            fast: store alpha and colours as they are: 2.5 times as large, inflated three times as fast.
        """
        if self.luma is None or self.chroma is None:
            return bytes([_OPAQUE])
        if not len(self.luma.index) and not len(self.chroma.index) and self.luma.outside.all():
            return bytes([_EMPTY])
        parts = [*_encode_plane(self.luma), *_encode_plane(self.chroma)]
        if not fast:
            return bytes([_NORMAL]) + zlib.compress(b"".join(parts), _LEVEL)
        return bytes([_NORMAL]) + _partly_compressed(parts, (_LEVEL, 0, _LEVEL, 0))

    @staticmethod
    def decode(data: bytes | memoryview, size: Size) -> FrameMatte:
        """Parse the bytes of `encode`; untrusted.

        Args:
            data: the matte.
            size: height and width of luma, both even.

        Raises:
            ValueError: it is damaged.
        """
        height, width = size
        half = height // 2, width // 2
        kind = data[0] if len(data) else None
        if kind == _OPAQUE:
            return OPAQUE
        if kind == _EMPTY:
            return FrameMatte(_nothing(size, 1), _nothing(half, 2))
        if kind != _NORMAL:
            raise ValueError(f"a matte is of kind {kind}; accepted are 0 to 2")
        most = _max_bytes(size, 1) + _max_bytes(half, 2)
        inflater = zlib.decompressobj()
        try:
            content = inflater.decompress(data[1:], most)
        except zlib.error as error:
            raise ValueError(f"a matte cannot be decompressed ({error})") from error
        if not inflater.eof or inflater.unused_data:
            raise ValueError("a matte is cut short or too long")
        luma, rest = _decode_plane(memoryview(content), size, 1)
        chroma, rest = _decode_plane(rest, half, 2)
        if len(rest):
            raise ValueError(f"a matte has {len(rest)} bytes too many")
        return FrameMatte(luma, chroma)


OPAQUE = FrameMatte(None, None)
"""A frame that keeps its background."""


def _flat(plane: ImageU8) -> ImageU8:
    """Return a writable flat view of a plane whose rows may be padded."""
    height, width = plane.shape
    return np.lib.stride_tricks.as_strided(plane, ((height - 1) * plane.strides[0] + width,), (1,))


def _plane(alpha: ImageU8, edge: ArrayI64, difference: npt.NDArray[np.int16]) -> PlaneMatte:
    rounded = np.clip(np.rint(difference / _STEP), -127, 127) * _STEP
    bits = np.packbits(alpha == 0)
    return PlaneMatte(_size(alpha), bits, edge, alpha.reshape(-1)[edge], rounded.astype(np.int16))


def _size(plane: ImageU8) -> Size:
    return plane.shape[0], plane.shape[1]


def _nothing(size: Size, count: int) -> PlaneMatte:
    return PlaneMatte(
        size,
        np.packbits(np.ones(size, np.bool_)),
        np.zeros(0, np.int64),
        np.zeros(0, np.uint8),
        np.zeros((count, 0), np.int16),
    )


def half_alpha(alpha: ImageU8) -> ImageU8:
    """Return alpha (h, w) of the chroma samples of (H, W): the weighted mean of 3 x 2 pixels, rounded.

    It is 255 only if every pixel is inside, and 0 only if every one is outside.
    """
    rows = alpha[0::2].astype(np.uint16)
    rows += alpha[1::2]
    total = rows[:, 0::2] * np.uint16(2)
    total += rows[:, 1::2]
    total[:, 1:] += rows[:, 1:-1:2]
    total[:, 0] += rows[:, 0]
    half = (total + np.uint16(4)) >> 3
    return np.asarray(np.clip(half, total > 0, 255 - (total < 8 * 255)), np.uint8)


def _chroma(alpha: ImageU8, colour: ImageU8, index: ArrayI64, rows: ArrayF32) -> ArrayF32:
    """Return the colour (2, n) of chroma samples; that of outside pixels has no meaning, and no weight.

    Args:
        alpha: (H, W).
        colour: (H, W, 3) RGB.
        index: (n,) flat indices of the samples.
        rows: (2, 4) of the colour matrix.
    """
    width = alpha.shape[1]
    row, column = 2 * (index // (width // 2)), 2 * (index % (width // 2))
    total = np.zeros((len(index), 3), np.float32)
    weights = np.zeros(len(index), np.float32)
    for shift, factor in ((-1, 1), (0, 2), (1, 1)):
        across = np.maximum(column + shift, 0)
        for down in (0, 1):
            place = (row + down) * width + across
            weight = alpha.reshape(-1)[place].astype(np.float32) * np.float32(factor)
            total += weight[:, None] * colour.reshape(-1, 3)[place]
            weights += weight
    mean = total / np.maximum(weights, 1)[:, None]
    return np.asarray(rows[:, :3] @ mean.T + rows[:, 3:], np.float32)


def _max_bytes(size: Size, count: int) -> int:
    pixels = size[0] * size[1]
    return (pixels + 7) // 8 + 8 + 4 * (pixels + 2) + (1 + count) * pixels


def _encode_plane(plane: PlaneMatte) -> tuple[bytes, bytes]:
    """Return the places of the edge pixels, and their alpha and colours."""
    gaps, lengths = _runs(plane.index)
    alpha = np.diff(plane.alpha, prepend=np.uint8(0)).astype(np.uint8)
    places = [
        plane.bits.tobytes(),
        len(gaps).to_bytes(4, "little"),
        gaps.astype("<u2").tobytes(),
        lengths.astype("<u2").tobytes(),
    ]
    return b"".join(places), alpha.tobytes() + (plane.difference // _STEP).astype(np.int8).tobytes()


def _partly_compressed(parts: list[bytes], levels: tuple[int, ...]) -> bytes:
    """Return one zlib stream (RFC 1950) of parts that are compressed at different levels."""
    stream = [_ZLIB_HEADER]
    for number, (part, level) in enumerate(zip(parts, levels, strict=True), 1):
        deflater = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
        stream.append(deflater.compress(part))
        stream.append(deflater.flush(zlib.Z_FINISH if number == len(parts) else zlib.Z_FULL_FLUSH))
    stream.append(zlib.adler32(b"".join(parts)).to_bytes(4, "big"))
    return b"".join(stream)


def _runs(index: ArrayI64) -> tuple[ArrayI64, ArrayI64]:
    """Return runs of successive indices: the gap before each, and its length, both below 65536."""
    starts = np.flatnonzero(np.diff(index, prepend=-2) != 1)
    first = index[starts]
    lengths = np.diff(np.append(starts, len(index)))
    gaps = first - np.concatenate([[0], first[:-1] + lengths[:-1]])
    long = np.flatnonzero((gaps > _MAX_GAP) | (lengths > _MAX_GAP))
    for number in long[::-1]:
        pairs = np.array(_split(gaps[number], lengths[number]), np.int64).T
        gaps, lengths = (
            np.concatenate([values[:number], split, values[number + 1 :]])
            for values, split in zip((gaps, lengths), pairs, strict=True)
        )
    return gaps, lengths


def _split(gap: int, length: int) -> list[tuple[int, int]]:
    """Split a run whose gap or length needs more than 16 bits."""
    pairs = []
    while gap > _MAX_GAP:
        pairs.append((_MAX_GAP, 0))
        gap -= _MAX_GAP
    while length > _MAX_GAP:
        pairs.append((gap, _MAX_GAP))
        gap, length = 0, length - _MAX_GAP
    return [*pairs, (gap, length)]


def _decode_plane(data: memoryview, size: Size, count: int) -> tuple[PlaneMatte, memoryview]:
    """Return the matte of `count` planes, and the remaining bytes."""
    height, width = size
    pixels = height * width
    packed, data = _cut(data, (pixels + 7) // 8)
    number, data = _cut(data, 4)
    runs = int.from_bytes(number, "little")
    gaps, data = _cut(data, 2 * runs)
    lengths, data = _cut(data, 2 * runs)
    length = np.frombuffer(lengths, "<u2").astype(np.int64)
    starts = np.cumsum(np.frombuffer(gaps, "<u2"), dtype=np.int64)
    starts[1:] += np.cumsum(length)[:-1]
    edge = int(length.sum())
    if runs and starts[-1] + length[-1] > pixels:
        raise ValueError("a matte reaches beyond its frame")
    before = np.cumsum(length) - length
    index = np.arange(edge) + np.repeat(starts - before, length)
    alpha, data = _cut(data, edge)
    difference, data = _cut(data, count * edge)
    values = np.frombuffer(difference, np.int8).reshape(count, edge).astype(np.int16) * _STEP
    summed = np.cumsum(np.frombuffer(alpha, np.uint8), dtype=np.uint8)
    return PlaneMatte(size, np.frombuffer(packed, np.uint8), index, summed, values), data


def _cut(data: memoryview, length: int) -> tuple[memoryview, memoryview]:
    if len(data) < length:
        raise ValueError("a matte is cut short")
    return data[:length], data[length:]
