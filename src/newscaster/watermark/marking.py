"""Putting the mark on pictures: whole levels, worked out once, added to the luma of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.media import YuvFrame
from newscaster.watermark.pattern import (
    CELLS,
    SMALLER_SIDE_PX,
    Floats,
    blurred,
    cell_px,
    field,
    id_of,
    weights,
)

_FAINTEST, _STRONGEST = 0.65, 1.4
"""Root mean square of what is added, in levels: where pictures are flat, and at most (45 dB)."""
_OF_TEXTURE = 0.25
"""How much more of it there is for each level of what pictures have there themselves."""
_MAX_LEVELS = 3


class Watermark:
    """The mark of one anchor, for pictures of one size: fainter where they are flat, so that it is not seen.

    Args:
        identity: of the anchor, as `AnchorFile.identity`; its first digits are carried.
        like: one of the pictures, which says where there is texture.

    Raises:
        InputError: the identity is not one.
    """

    def __init__(self, identity: str, *, like: YuvFrame) -> None:
        self.id = id_of(identity)
        """What it carries."""
        luma = like.planes[0]
        height, width = luma.shape
        side_px = cell_px(width, height)
        drawn = weights(height, side_px, CELLS) @ field(self.id) @ weights(width, side_px, CELLS).T
        drawn *= _strength(luma) / np.sqrt((drawn**2).mean())
        np.rint(drawn, out=drawn)
        self.levels = np.clip(drawn, -_MAX_LEVELS, _MAX_LEVELS, out=drawn).astype(np.int8)
        """(H, W), -3 to 3: what is added to luma."""
        self._filled_up: dict[int, npt.NDArray[np.uint8]] = {}

    def put_on(self, image: YuvFrame) -> None:
        """Mark a picture, in place. Luma outside of 3 to 252, where no video's should be, goes there first.

        Args:
            image: of the same size; the caller's to write to.
        """
        luma = image.luma_rows
        np.clip(luma, _MAX_LEVELS, 255 - _MAX_LEVELS, out=luma)
        np.add(luma, self._added(luma.shape[1]), out=luma)  # modulo 256: adding 255 takes 1 away

    def _added(self, row_bytes: int) -> npt.NDArray[np.uint8]:
        """The levels, in rows as long as the pictures' are in memory."""
        if (found := self._filled_up.get(row_bytes)) is None:
            more = row_bytes - self.levels.shape[1]
            found = np.pad(self.levels, ((0, 0), (0, more))).view(np.uint8)
            self._filled_up[row_bytes] = found
        return found


def _strength(luma: npt.NDArray[np.uint8]) -> Floats:
    """(H, W): how much is added where, by the texture of a picture at the size of cells."""
    height, width = luma.shape
    times = max(1, round(min(height, width) / SMALLER_SIDE_PX))
    plane = np.asarray(Image.fromarray(luma).reduce(times), np.float32)
    texture = blurred(np.abs(plane - blurred(plane)))
    strength: Floats = np.clip(_FAINTEST + _OF_TEXTURE * texture, _FAINTEST, _STRONGEST)
    return strength.repeat(times, axis=0).repeat(times, axis=1)[:height, :width]  # smooth enough as it is
