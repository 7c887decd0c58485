"""The stage at work: the footage's frames in the order of showing, and the region cut out of each.

Knows what is worth keeping in memory. The order is left to `order`, what is drawn into the region to
`renderer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.anchor import AnchorFace
from newscaster.errors import AnchorError
from newscaster.face.geometry import Similarity
from newscaster.face.moments import Moments
from newscaster.face.mouth import place_mouth
from newscaster.face.region import Region, crop
from newscaster.media import StageVideo
from newscaster.runtime.order import PlayOrder

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

CACHE_BYTES = 96 << 20
"""What crops and pictures may take; a longer stage is decoded and cut again each time it is shown."""


@dataclass(frozen=True)
class StageFrame:
    """One frame of the stage, about to get a new mouth."""

    index: int
    """Its number on the stage."""
    image: Image
    """The picture (H, W, 3) RGB, free to be written to."""
    region: Image
    """The region (S, S, 3) RGB cut out of it; not to be written to."""
    transform: Similarity
    """Picture to region pixels."""


class Stage:
    """A stage's pictures, poses and regions.

    Args:
        video: the pictures.
        face: the face track, of as many frames.
        region: the square that is cut out.
        loops: whether the last frame is followed by the first; otherwise the order is `order.PlayOrder`'s.
        size: width and height of the pictures.
        cache_bytes: budget for what is kept decoded.

    Raises:
        AnchorError: video and face track do not fit each other.
    """

    def __init__(
        self,
        video: StageVideo,
        face: AnchorFace,
        *,
        region: Region,
        size: tuple[int, int],
        loops: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        width, height = size
        # An odd side has grown by one pixel in the video.
        if video.frame_count != len(face.poses) or video.size != (width + width % 2, height + height % 2):
            raise AnchorError(
                f"the stage's video has {video.frame_count} frames of {video.size[0]}x{video.size[1]} "
                f"pixels; expected {len(face.poses)} of {width}x{height}"
            )
        self._video = video
        self._face = face
        self._region = region
        self._size = size
        self._loops = loops
        self._crops: dict[int, Image] = {}
        self._images: dict[int, Image] = {}
        crops_bytes = len(self) * region.side**2 * 3
        images_bytes = len(self) * width * height * 3
        self._keeps_crops = crops_bytes <= cache_bytes
        self._keeps_images = crops_bytes + images_bytes <= cache_bytes

    def __len__(self) -> int:
        return len(self._face.poses)

    def order(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Frame numbers without end, so that nothing is seen to jump; the same for the same start and seed.

        A stage whose end meets its beginning goes round and round. Others are played on, cut where two
        moments meet unseen, and turned round where the head is calm: see `order`.
        """
        last = len(self) - 1
        if not 0 <= start <= last:
            raise ValueError(f"the stage has frames 0 to {last}; start={start}")
        return self._round(start) if self._loops else self._play_order.frames(start=start, seed=seed)

    def _round(self, start: int) -> Iterator[int]:
        while True:
            yield from range(start, len(self))
            start = 0

    @cached_property
    def _play_order(self) -> PlayOrder:
        face = self._face
        return PlayOrder.of(
            Moments.of(
                face.landmarks,
                face.poses,
                face.head,
                fps=float(self._video.fps),
                stretch=face.stretch,
                pictures=face.thumbnails,
            )
        )

    def shares(self, indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """(f,): how much of the new mouth these frames take, 0 to 1."""
        share = self._face.share
        return np.ones(len(indices), np.float32) if share is None else share[indices]

    def place(self, shapes: npt.NDArray[np.floating[Any]], indices: npt.NDArray[np.integer[Any]]) -> Array:
        """Pixels on the picture (f, 57, 2) of mouth shapes (f, 57, 2) put on these frames of the stage."""
        return place_mouth(shapes, self._face.head, self._face.poses[indices])

    def transforms(self, indices: npt.NDArray[np.integer[Any]]) -> Similarity:
        """Picture to region pixels of these frames."""
        return Similarity(self._face.transforms.matrix[indices])

    def frames(self, indices: Iterable[int]) -> Iterator[StageFrame]:
        """These frames, in their order; for one thread at a time."""
        for index in indices:
            yield self.frame(index)

    def frame(self, index: int) -> StageFrame:
        """One frame."""
        kept = self._images.get(index)
        transform = self._face.transforms[index]
        region = self._crops.get(index)
        image = self._decode(index) if kept is None else kept
        if region is None:
            region = crop(image, transform, self._region.side)
            region.flags.writeable = False
            if self._keeps_crops:
                self._crops[index] = region
        if self._keeps_images:
            self._images[index] = image
            image = image.copy()
        return StageFrame(index, image, region, transform)

    def _decode(self, index: int) -> Image:
        width, height = self._size
        image = self._video.frame(index)
        return image if image.shape[:2] == (height, width) else np.ascontiguousarray(image[:height, :width])
