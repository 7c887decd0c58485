"""Embedding of the mark: integer sample values, computed once and added to one plane of each frame.

Frames of 320 pixels and more carry it in the blue difference (U), in which the eye hardly sees small
structures. In smaller frames, a cell of U has too few samples to survive encoding, so that luma carries it.
Luma carries that of black and white video, too, which stays without colour.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PIL import Image

from newscaster.media import Plane, YuvFrame
from newscaster.types import ArrayF32, ImageU8
from newscaster.watermark.pattern import (
    BLUE,
    CELLS,
    LUMA,
    SMALLER_SIDE_PX,
    blurred,
    cell_px,
    field,
    id_of,
    weights,
)

_BLUE_FROM_PX = 320
"""Smaller side of the frames whose mark is in U, unless they are black and white."""
_BLUE_CELLS = 10.0
"""RMS amplitude in U, in 8-bit sample values, times the pixels of a cell: larger cells survive more."""
_FAINTEST_BLUE, _STRONGEST_BLUE = 0.5, 2.0
_LEAK = 2.4 * 0.134 / 224
"""Change of luminance by a step of U where G is 0 and B is 1: the derivative of the display's power of 2.4,
times the weight of B in luminance, times that of U in B (BT.709). That of G is the same, with the other sign.
"""
_SEEN = 0.004
"""Contrast of luminance at which the eye sees cells."""
_SATURATED_BLUE = 0.5
"""Strength in saturated colours, of that in grey."""
_FLARE = 0.005
"""Light that a black display reflects; white is 1."""
_DIM = 0.08
"""Light below which sensitivity to contrast falls with the square root of it (de Vries and Rose)."""
_FAINTEST, _STRONGEST = 0.65, 1.4
"""RMS amplitude in luma in 8-bit sample values: in flat areas, and at most (45 dB)."""
_OF_TEXTURE = 0.25
"""Increase of the amplitude in luma per sample value of local texture."""
_SMALL_CELL_PX, _LARGE_CELLS = 6.4, 0.7
"""Pixels of a cell up to which luma has this amplitude, and the factor of large cells, which the eye sees
better and encoders keep."""
_MAX_LEVELS = 3
_FLAT = 32
"""Range of luma, in 8-bit sample values, up to which a frame without colour may begin a video in colour."""


class Watermark:
    """The mark of one anchor, for frames of one size.

    Args:
        identity: of the anchor, as `AnchorFile.identity`; the mark carries its first digits.
        like: one of the frames: sets the size. Without colours, all frames count as black and white, unless
            it is as good as black. Its colours, or its texture if luma carries the mark, set the strength.

    Raises:
        InputError: the identity is malformed.
    """

    def __init__(self, identity: str, *, like: YuvFrame) -> None:
        self.id = id_of(identity)
        """The id in the mark."""
        height, width = like.planes[0].shape
        side_px = cell_px(width, height)
        self.plane = BLUE if min(width, height) >= _BLUE_FROM_PX and not _is_grey(like) else LUMA
        """Number of the marked plane: 0 (Y) or 1 (U)."""
        shape = like.planes[self.plane].shape
        across, down = like.chroma_steps if self.plane == BLUE else (1, 1)
        rows, columns = weights(shape[0], side_px / down, CELLS), weights(shape[1], side_px / across, CELLS)
        pattern = rows @ field(self.id) @ columns.T
        pattern /= np.sqrt((pattern**2).mean())
        if self.plane == BLUE:
            pattern *= np.clip(_BLUE_CELLS / side_px, _FAINTEST_BLUE, _STRONGEST_BLUE)
            pattern *= _blue_strength(like.rgb(), shape)
        else:
            pattern *= np.clip(_SMALL_CELL_PX / side_px, _LARGE_CELLS, 1)
            pattern *= _strength(np.asarray(like.planes[0] >> (like.layout.depth - 8), np.uint8))
        np.rint(pattern, out=pattern)
        self.levels = np.clip(pattern, -_MAX_LEVELS, _MAX_LEVELS, out=pattern).astype(np.int8)
        """(h, w), -3 to 3: added to the plane."""
        self._padded: dict[Hashable, Plane] = {}

    def put_on(self, image: YuvFrame) -> None:
        """Mark a frame, in place. The plane is first clamped to 3 to 252 of 255, the valid range of video.

        Args:
            image: a writable frame of the same size.
        """
        plane = image.rows(self.plane)
        unit = 1 << (image.layout.depth - 8)
        np.clip(plane, _MAX_LEVELS * unit, (255 - _MAX_LEVELS) * unit, out=plane)
        np.add(plane, self._added(image, plane.shape[1]), out=plane)  # modulo 256: adding 255 takes 1 away

    def _added(self, image: YuvFrame, row_samples: int) -> Plane:
        """Return the levels as stored, in rows of `row_samples`, as in the frame's memory."""
        key = row_samples, image.layout.depth, image.orientation
        if (padded := self._padded.get(key)) is None:
            stored = image.orientation.undo(self.levels)
            padding = row_samples - stored.shape[1]
            wide = np.pad(stored, ((0, 0), (0, padding)))
            if image.layout.depth > 8:
                padded = (wide.astype(np.int16) << (image.layout.depth - 8)).view(np.uint16)
            else:
                padded = wide.view(np.uint8)
            self._padded[key] = padded
        return padded


def _is_grey(image: YuvFrame) -> bool:
    """Return whether a frame is of a black and white video, as far as it shows."""
    luma = image.planes[LUMA] >> (image.layout.depth - 8)
    return image.is_monochrome and int(luma.max()) - int(luma.min()) > _FLAT


def _blue_strength(rgb: ImageU8, shape: tuple[int, ...]) -> ArrayF32:
    """Return the relative amplitude in U (h, w), by the colours of a frame (H, W, 3).

    U changes the luminance of saturated colours, above all of blue: luma is not linear in light.
    """
    factor = max(1, round(min(rgb.shape[:2]) / SMALLER_SIDE_PX))
    colors = np.asarray(Image.fromarray(rgb).reduce(factor), np.float32) / np.float32(255)
    light = colors**2.4 @ np.array([0.2126, 0.7152, 0.0722], np.float32) + np.float32(_FLARE)
    slopes = colors**1.4
    contrast = _LEAK * np.abs(slopes[:, :, 2] - slopes[:, :, 1]) / np.sqrt(light * (light + _DIM))
    strength = blurred(np.maximum(1 / np.hypot(1, contrast / _SEEN), _SATURATED_BLUE).astype(np.float32))
    resized = Image.fromarray(strength).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def _strength(luma: ImageU8) -> ArrayF32:
    """Return the local amplitude (H, W), by the texture of a frame at the scale of cells."""
    height, width = luma.shape
    factor = max(1, round(min(height, width) / SMALLER_SIDE_PX))
    plane = np.asarray(Image.fromarray(luma).reduce(factor), np.float32)
    texture = blurred(np.abs(plane - blurred(plane)))
    strength: ArrayF32 = np.clip(_FAINTEST + _OF_TEXTURE * texture, _FAINTEST, _STRONGEST)
    return strength.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]  # smooth enough
