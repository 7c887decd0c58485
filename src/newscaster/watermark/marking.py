"""Embedding of the mark: integer pixel values, computed once and added to the luma of each frame."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from PIL import Image

from newscaster.media import Plane, YuvFrame
from newscaster.types import ArrayF32, ImageU8
from newscaster.watermark.pattern import CELLS, SMALLER_SIDE_PX, blurred, cell_px, field, id_of, weights

_FAINTEST, _STRONGEST = 0.65, 1.4
"""RMS amplitude of the mark in 8-bit pixel values: in flat areas, and at most (45 dB)."""
_OF_TEXTURE = 0.25
"""Increase of the amplitude per pixel value of local texture."""
_MAX_LEVELS = 3


class Watermark:
    """The mark of one anchor, for frames of one size: fainter in flat areas, so that it is invisible.

    Args:
        identity: of the anchor, as `AnchorFile.identity`; the mark carries its first digits.
        like: one of the frames, to measure the texture.

    Raises:
        InputError: the identity is malformed.
    """

    def __init__(self, identity: str, *, like: YuvFrame) -> None:
        self.id = id_of(identity)
        """The id in the mark."""
        luma = np.asarray(like.planes[0] >> (like.layout.depth - 8), np.uint8)
        height, width = luma.shape
        side_px = cell_px(width, height)
        pattern = weights(height, side_px, CELLS) @ field(self.id) @ weights(width, side_px, CELLS).T
        pattern *= _strength(luma) / np.sqrt((pattern**2).mean())
        np.rint(pattern, out=pattern)
        self.levels = np.clip(pattern, -_MAX_LEVELS, _MAX_LEVELS, out=pattern).astype(np.int8)
        """(H, W), -3 to 3: added to luma."""
        self._padded: dict[Hashable, Plane] = {}

    def put_on(self, image: YuvFrame) -> None:
        """Mark a frame, in place. Luma is first clamped to 3 to 252 of 255, the valid range of video.

        Args:
            image: a writable frame of the same size.
        """
        luma = image.luma_rows
        unit = 1 << (image.layout.depth - 8)
        np.clip(luma, _MAX_LEVELS * unit, (255 - _MAX_LEVELS) * unit, out=luma)
        np.add(luma, self._added(image, luma.shape[1]), out=luma)  # modulo 256: adding 255 takes 1 away

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


def _strength(luma: ImageU8) -> ArrayF32:
    """Return the local amplitude (H, W), by the texture of a frame at the scale of cells."""
    height, width = luma.shape
    factor = max(1, round(min(height, width) / SMALLER_SIDE_PX))
    plane = np.asarray(Image.fromarray(luma).reduce(factor), np.float32)
    texture = blurred(np.abs(plane - blurred(plane)))
    strength: ArrayF32 = np.clip(_FAINTEST + _OF_TEXTURE * texture, _FAINTEST, _STRONGEST)
    return strength.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]  # smooth enough
