"""The stage at work: the footage's frames in the order of showing, and the region cut out of each.

Knows what is worth keeping in memory: of every frame the region and where it goes back, which are the same
whenever it is shown. Frames stay as they were decoded, and `media.TargetVideo` keeps them. The order is left
to `order`, what is drawn into the region to `renderer`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.crop import FaceCrop, Placement, covered, cut_crop, place
from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.mouth_basis import place_mouth
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.anchor import AnchorFace
from newscaster.media import TargetVideo, YuvFrame
from newscaster.synthesis.playback_order import PlaybackOrder

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

CACHE_BYTES = 128 << 20
"""What regions and masks may take; frames beyond that are cut again each time they are shown."""


@dataclass(frozen=True)
class TargetFrame:
    """One frame of the stage, about to get a new mouth."""

    index: int
    """Its number on the stage."""
    image: YuvFrame
    """As decoded, free to be written to."""
    crop: Image
    """The region (S, S, 3) RGB cut out of it; not to be written to."""
    transform: SurfaceWarp
    """Picture to region pixels."""
    placement: Placement | None
    """Where a new region goes on the picture; None where nothing of it would show."""

    @property
    def rgb(self) -> Image:
        """The picture (H, W, 3) RGB: converted anew, and apart from it."""
        return self.image.rgb()


class Target:
    """A stage's pictures, poses and regions.

    Args:
        video: the pictures.
        face: the face track, of as many frames.
        crop: the square that is cut out.
        loops: whether the last frame is followed by the first. Otherwise `PlaybackOrder` sets the order.
        size: width and height of the pictures.
        cache_bytes: budget for what is kept of the frames.

    Raises:
        AnchorError: video and face track do not fit each other.
    """

    def __init__(
        self,
        video: TargetVideo,
        face: AnchorFace,
        *,
        crop: FaceCrop,
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
        self._crop_of = crop
        self._size = size
        self._loops = loops
        self._kept: dict[int, _Kept] = {}
        self._bytes_left = cache_bytes
        self._turn = threading.Lock()  # decoder, cache and filters are for one thread at a time

    def __len__(self) -> int:
        return len(self._face.poses)

    @property
    def landmarks(self) -> npt.NDArray[np.float32]:
        """(F, 478, 3) pixels on the pictures, as detected."""
        return self._face.landmarks

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
    def _play_order(self) -> PlaybackOrder:
        face = self._face
        return PlaybackOrder.of(
            FrameSimilarity.of(
                face.landmarks,
                face.poses,
                face.head,
                fps=float(self._video.fps),
                segment=face.segment,
                images=face.thumbnails,
            )
        )

    def blend_weights(self, indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """(f,): how much of the new mouth these frames take, 0 to 1."""
        blend_weight = self._face.blend_weight
        return np.ones(len(indices), np.float32) if blend_weight is None else blend_weight[indices]

    def place(self, shapes: npt.NDArray[np.floating[Any]], indices: npt.NDArray[np.integer[Any]]) -> Array:
        """Pixels on the picture (f, 57, 2) of mouth shapes (f, 57, 2) put on these frames of the stage."""
        return place_mouth(shapes, self._face.head, self._face.poses[indices])

    def transforms(self, indices: npt.NDArray[np.integer[Any]]) -> SurfaceWarp:
        """Picture to region pixels of these frames."""
        return self._face.transforms[indices]

    def frames(self, indices: Iterable[int]) -> Iterator[TargetFrame]:
        """These frames, in their order."""
        for index in indices:
            yield self.frame(index)

    def frame(self, index: int) -> TargetFrame:
        """One frame. Threads that ask at once take turns; what they are given is theirs."""
        with self._turn:
            image = self._video.image(index)
            kept = self._kept.get(index) or self._keep(index, self._cut(index))
        image.size = self._size
        return TargetFrame(index, image, kept.crop, self._face.transforms[index], kept.placement)

    def _cut(self, index: int) -> _Kept:
        transform, side = self._face.transforms[index], self._crop_of.side
        box = covered(transform, side=side, size=self._video.size)
        part = self._video.part(index, box)
        crop = cut_crop(part, transform.from_corner(box.left, box.top), side)
        crop.flags.writeable = False
        return _Kept(crop, place(self._face.mask.soft, transform, size=self._video.size))

    def _keep(self, index: int, cut: _Kept) -> _Kept:
        masks = (cut.placement.soft.nbytes + cut.placement.half_soft.nbytes) if cut.placement else 0
        size = cut.crop.nbytes + masks
        if size <= self._bytes_left:
            self._kept[index] = cut
            self._bytes_left -= size
        return cut


@dataclass(frozen=True)
class _Kept:
    """What is the same whenever a frame is shown."""

    crop: Image
    placement: Placement | None
