"""The target video of an anchor: its frames in playback order, and the face crop of each.

Caches the crop and the placement of each frame, which are the same whenever it is shown. `media.TargetVideo`
holds the decoded frames. `playback_order` orders them, `renderer` renders the crops.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.crop import FaceCrop, Placement, covered, cut_crop, cut_small, shrink_factor
from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.mouth_basis import place_mouth
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.anchor import AnchorFace
from newscaster.formats.named_clips import NamedClip
from newscaster.media import TargetVideo, YuvFrame
from newscaster.synthesis.actions import ActionGraph
from newscaster.synthesis.playback_order import PlaybackOrder
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8

CACHE_BYTES = 128 << 20
"""Memory for crops and masks; other frames are cut again each time they are shown."""


@dataclass(frozen=True)
class TargetFrame:
    """One frame of the target, before it gets a new mouth."""

    index: int
    """Frame number in the target."""
    image: YuvFrame
    """As decoded; may be modified."""
    crop: ImageU8
    """Face crop (S, S, 3) RGB, or the same at the smaller side that the renderer needs; read-only."""
    transform: SurfaceWarp
    """From pixels of the frame to pixels of the crop."""
    placement: Placement | None
    """Position of the crop on the frame; None if no pixel of it would be visible."""
    angles: ArrayF64 | None = None
    """(3,) yaw, pitch and roll of the head in degrees; None: unknown."""
    is_kept: bool = False
    """Whether the target keeps the crop, and gives the same array again."""

    @property
    def rgb(self) -> ImageU8:
        """A copy of the frame, (H, W, 3) RGB."""
        return self.image.rgb()


class Target:
    """Frames, head poses and face crops of a target video.

    Args:
        video: the decoded frames.
        face: the face track, of the same number of frames.
        crop: the square of the face crop.
        loops: whether the first frame follows the last one. Otherwise `PlaybackOrder` sets the order.
        size: width and height of the frames.
        cache_bytes: memory for cached crops and masks.
        cut_side: side of the crops of its frames, if the renderer needs no larger ones; default: the crop's.
        clips: parts that are shown on cue.

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
        cut_side: int | None = None,
        clips: Sequence[NamedClip] = (),
    ) -> None:
        width, height = size
        # An odd side has grown by one pixel in the video.
        if video.frame_count != len(face.poses) or video.size != (width + width % 2, height + height % 2):
            raise AnchorError(
                f"the target video has {video.frame_count} frames of {video.size[0]}x{video.size[1]} "
                f"pixels; expected {len(face.poses)} of {width}x{height}"
            )
        self._video = video
        self._face = face
        self._crop_of = crop
        self.cut_side = cut_side or crop.side
        self._size = size
        self._loops = loops
        self._clips = tuple(clips)
        self._cache: dict[int, _CachedCrop] = {}
        self._bytes_left = cache_bytes
        self._lock = threading.Lock()  # guards decoder, cache and filters

    def __len__(self) -> int:
        return len(self._face.poses)

    @property
    def landmarks(self) -> ArrayF32:
        """(F, 478, 3) in pixels of the frames, as detected."""
        return self._face.landmarks

    def order(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Return endless frame numbers without visible cuts; deterministic for a start and a seed.

        A target whose end meets its start loops. Others are cut between similar frames, and reversed while
        the head is calm: see `playback_order`. They are shown without their named clips. If `start` lies in
        one, the nearest other frame is the first.
        """
        last = len(self) - 1
        if not 0 <= start <= last:
            raise ValueError(f"the target has frames 0 to {last}; start={start}")
        if self._loops:
            return self._loop(start)
        if self.actions is None:
            return self._play_order.frames(start=start, seed=seed)
        return self.actions.order.frames(start=self.own_start(start), seed=seed)

    def own_start(self, start: int) -> int:
        """Return the frame nearest to `start` that is in no named clip."""
        if self.actions is None:
            return start
        own = np.flatnonzero(self.actions.own_frames)
        return int(own[np.abs(own - start).argmin()])

    def _loop(self, start: int) -> Iterator[int]:
        while True:
            yield from range(start, len(self))
            start = 0

    @cached_property
    def actions(self) -> ActionGraph | None:
        """The named clips, and the ways into and out of them; None: there are none."""
        return ActionGraph(self._similarity, self._clips, loops=self._loops) if self._clips else None

    @cached_property
    def _play_order(self) -> PlaybackOrder:
        return PlaybackOrder.of(self._similarity)

    @property
    def _similarity(self) -> FrameSimilarity:
        face = self._face
        return FrameSimilarity.of(
            face.landmarks,
            face.poses,
            face.head,
            fps=float(self._video.fps),
            segment=face.segment,
            images=face.thumbnails,
        )

    def blend_weights(self, indices: npt.NDArray[np.integer[Any]]) -> ArrayF32:
        """Return the weights (f,) of the new mouth in frames, 0 to 1."""
        blend_weight = self._face.blend_weight
        return np.ones(len(indices), np.float32) if blend_weight is None else blend_weight[indices]

    def place(self, shapes: ArrayFloat, indices: npt.NDArray[np.integer[Any]]) -> ArrayF64:
        """Return mouth shapes (f, 57, 2) placed on these frames of the target: (f, 57, 2) in pixels."""
        return place_mouth(shapes, self._face.head, self._face.poses[indices])

    def transforms(self, indices: npt.NDArray[np.integer[Any]]) -> SurfaceWarp:
        """Return the warps from pixels of these frames to pixels of their crops."""
        return self._face.transforms[indices]

    def frames(self, indices: Iterable[int]) -> Iterator[TargetFrame]:
        """Yield frames, in this order."""
        for index in indices:
            yield self.frame(index)

    def release(self) -> None:
        """Free the decoded frames of the video. Thread-safe."""
        with self._lock:
            self._video.release()

    def load(self, index: int) -> None:
        """Decode a frame, and those of its group, unless they are kept. Thread-safe."""
        with self._lock:
            self._video.load(index)

    def frame(self, index: int) -> TargetFrame:
        """Return one frame, owned by the caller. Thread-safe."""
        with self._lock:
            image = self._video.image(index)
            cached = self._cache.get(index) or self._keep(index, self._cut(index))
        image.size = self._size
        transform = self._face.transforms[index]
        angles = self._angles[index]
        return TargetFrame(index, image, cached.crop, transform, cached.placement, angles, is_kept=True)

    @cached_property
    def _angles(self) -> ArrayF64:
        """(F, 3) of the heads, see `TargetFrame`."""
        return self._face.poses.angles

    def image(self, index: int) -> YuvFrame:
        """Return the image of one frame, owned by the caller. Thread-safe."""
        with self._lock:
            image = self._video.image(index)
        image.size = self._size
        return image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._size

    @property
    def plane_size(self) -> tuple[int, int]:
        """Width and height of luma, both even."""
        return self._video.size

    @property
    def segment(self) -> ArrayI64 | None:
        """(F,) number of the segment of footage of each frame; None: one segment."""
        return self._face.segment

    @property
    def loops(self) -> bool:
        """Whether the first frame follows the last one."""
        return self._loops

    def _cut(self, index: int) -> _CachedCrop:
        transform, side = self._face.transforms[index], self._crop_of.side
        box = covered(transform, side=side, size=self._video.size)
        onto = transform.from_corner(box.left, box.top)
        if self.cut_side < side:
            factor = shrink_factor(transform, side=side, small_side=self.cut_side)
            part = self._video.part(index, box, factor=factor)
            crop = cut_small(part, onto, side=side, small_side=self.cut_side, factor=factor)
        else:
            crop = cut_crop(self._video.part(index, box), onto, side)
        crop.flags.writeable = False
        return _CachedCrop(crop, self._face.mask.placeable.place(transform, size=self._video.size))

    def _keep(self, index: int, cut: _CachedCrop) -> _CachedCrop:
        masks = (cut.placement.soft.nbytes + cut.placement.half_soft.nbytes) if cut.placement else 0
        size = cut.crop.nbytes + masks
        if size <= self._bytes_left:
            self._cache[index] = cut
            self._bytes_left -= size
        return cut


@dataclass(frozen=True)
class _CachedCrop:
    """The parts of a frame that are the same whenever it is shown."""

    crop: ImageU8
    placement: Placement | None
