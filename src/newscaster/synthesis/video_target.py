"""A given video as the target of an anchor: which frames get a new mouth, where it lies, how it is faded.

The frames come from outside (`on`): from `video_reader`, or from the renderer of another person's mouth in
the same video. An anchor's stored target is in `target`; both give `frames` what it asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.crop import Box, FaceCrop, Mask, covered, cut_crop, cut_small, shrink_factor
from newscaster.face.geometry import smooth, smoothstep
from newscaster.face.head_pose import SMOOTHING_SECONDS, Head, Poses
from newscaster.face.mouth_basis import place_mouth
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import JAW, JAW_LINE
from newscaster.formats.anchor import AnchorFace
from newscaster.media import FrameCopier, YuvFrame, computed_ahead, small_rgb
from newscaster.prepare.occlusion import FADE_SECONDS, faded, turned_away
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.target import TargetFrame
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ImageU8

_MAX_OUTSIDE = 0.02
"""Of what would be rewritten, so much may lie outside the frame."""
_OWN_JAW = np.abs(np.linspace(-1, 1, len(JAW)))
"""(17,): how much of the jaw line is that of the frame: all at its ends, nothing at the chin."""


@dataclass(frozen=True, eq=False)
class VideoTarget:
    """A video in which one person's lips are rewritten."""

    track: VideoTrack
    face: AnchorFace
    """The anchor's head, mouth basis and mask."""
    crop: FaceCrop
    poses: Poses
    """Smoothed within each shot; frames without a face have the nearest pose."""
    warps: SurfaceWarp
    weights: ArrayF32
    """(F,) blend weights, 0 to 1."""
    jaws: ArrayF64
    """(F, 17, 2): the jaw line that each frame shows, in head units, smoothed; NaN without a face."""
    cut_side: int
    """Side of the crops of its frames, which divides that of `crop`: no larger than the renderer needs."""
    outside: ArrayBool | None = None
    """(F,) whether a frame is outside the part to rewrite; None: the whole video is rewritten."""
    images: _Images | None = None
    """The decoded frames in the order in which `frames` asks for them; see `on`."""

    @staticmethod
    def of(
        track: VideoTrack, face: AnchorFace, crop: FaceCrop, *, cut_side: int | None = None
    ) -> VideoTarget:
        """Return a tracked video as the target of an anchor. By default its crops have their full side."""
        poses = steady_poses(face.head, track)
        warps = crop.transforms(face.head, poses)
        weights = np.zeros(len(track), np.float32)
        outside = _cut_off(warps, face.mask, track)
        turned = turned_away(poses, face.poses.angles)
        for start, stop in track.shots:
            shot = slice(start, stop)
            bad = ~track.present[shot] | track.covered[shot] | outside[shot] | turned[shot]
            # A cut hides the change of the mouth; only within a shot the new mouth is faded in and out.
            weights[shot] = 0 if bad.all() else np.where(bad, 0, faded(bad, float(track.fps)))
        jaws = _jaws(track, face.head, poses)
        return VideoTarget(track, face, crop, poses, warps, weights, jaws, cut_side or crop.side)

    def on(self, images: Iterator[YuvFrame]) -> VideoTarget:
        """Return the same with decoded frames, which are modified in place."""
        return replace(self, images=_Images(images))

    def within(self, start_seconds: float, stop_seconds: float) -> VideoTarget:
        """Return the same, rewritten from one time to another alone, faded in and out within the video."""
        fps, count = float(self.track.fps), len(self.track)
        times = (np.arange(count) + 0.5) / fps
        since = times - start_seconds if start_seconds > times[0] else np.inf
        left = stop_seconds - times if stop_seconds < times[-1] else np.inf
        edge = np.broadcast_to(np.minimum(since, left), count)
        weights = self.weights * smoothstep(edge / FADE_SECONDS).astype(np.float32)
        return replace(self, weights=weights, outside=edge <= 0)

    def reasons(self) -> npt.NDArray[np.str_]:
        """Return why each frame keeps its own mouth, (F,); empty: it is rewritten, in whole or faded."""
        cut_off, turned = (
            _cut_off(self.warps, self.face.mask, self.track),
            turned_away(self.poses, self.face.poses.angles),
        )
        checks = (
            (self.weights > 0, ""),
            (~self.track.present, "the face is not seen"),
            (self.track.covered, "something is before the mouth"),
            (cut_off, "the face is cut off by the edge of the frame"),
            (turned, "the head is turned away"),
            (np.zeros(len(self), np.bool_) if self.outside is None else self.outside, "outside the part"),
        )
        beside = "beside frames that keep theirs"
        names = np.select([flags for flags, _ in checks], [name for _, name in checks], beside)
        return np.asarray(names)

    def __len__(self) -> int:
        return len(self.track)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.track.size

    @property
    def landmarks(self) -> ArrayF32:
        """(n, 478, 3) in pixels, of the frames that show the face."""
        return self.track.landmarks[self.track.present]

    def order(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Yield the frames in order; the last one stays."""
        yield from range(start, len(self))
        yield from itertools.repeat(len(self) - 1)

    def blend_weights(self, indices: npt.NDArray[np.integer[Any]]) -> ArrayF32:
        """Return the weight of the new mouth in these frames, (f,), 0 to 1."""
        return np.asarray(self.weights[indices])

    def place(self, shapes: ArrayFloat, indices: npt.NDArray[np.integer[Any]]) -> ArrayF64:
        """Return mouth shapes (f, 57, 2) in head units as pixels of these frames, (f, 57, 2).

        Toward its ends, the jaw line becomes the one that the frame shows. It goes on outside the mask, and
        two lines that do not meet there are seen as a step or a smear.
        """
        joined = shapes.astype(np.float64)
        seen = self.jaws[indices]
        change = _OWN_JAW[:, None] * (seen - joined[:, JAW_LINE])
        joined[:, JAW_LINE] += np.where(np.isfinite(change), change, 0)
        return place_mouth(joined, self.face.head, self.poses[indices])

    def transforms(self, indices: npt.NDArray[np.integer[Any]]) -> SurfaceWarp:
        """Return the warps from frame to crop pixels."""
        return self.warps[indices]

    def frames(self, indices: Iterable[int]) -> Iterator[TargetFrame]:
        """Yield these frames, with the next of `images`. Each call goes on where the last one ended."""
        assert self.images is not None, "frames come from `on`"
        for index in indices:
            image = self.images.next()
            if image is None:
                return
            yield self._frame(index, image, self.images)

    def cut_all(
        self, indices: Sequence[int], images: Iterator[YuvFrame], *, workers: int
    ) -> Iterator[ImageU8]:
        """Yield the crops (S, S, 3) of some decoded frames, which are cut in parallel."""
        decoded = _Images(images)

        def parts() -> Iterator[tuple[int, ImageU8, Box]]:
            for index in indices:
                image = decoded.next()
                assert image is not None, "each index has an image"
                yield index, *self._part(index, image, decoded)

        return computed_ahead(
            lambda part: self._cut(*part), parts(), workers=workers, name="newscaster-crops"
        )

    def _frame(self, index: int, image: YuvFrame, images: _Images) -> TargetFrame:
        transform = self.warps[index]
        if self.weights[index] <= 0:
            return TargetFrame(index, image, _NO_CROP, transform, None)  # stays as it is
        placement = self.face.mask.placeable.place(transform, size=image.padded_size)
        if self.cut_side < self.crop.side:
            cut = self._cut_small(index, image, images)
        else:
            cut = self._cut(index, *self._part(index, image, images))
        angles = self.poses[np.array([index])].angles[0]
        return TargetFrame(index, image, cut, transform, placement, angles)

    def _cut_small(self, index: int, image: YuvFrame, images: _Images) -> ImageU8:
        side, small_side, warp = self.crop.side, self.cut_side, self.warps[index]
        box = covered(warp, side=side, size=image.padded_size)
        factor = shrink_factor(warp, side=side, small_side=small_side)
        cut = cut_small(
            images.small_part(image, box, factor),
            warp.from_corner(box.left, box.top),
            side=side,
            small_side=small_side,
            factor=factor,
        )
        cut.flags.writeable = False
        return cut

    def _part(self, index: int, image: YuvFrame, images: _Images) -> tuple[ImageU8, Box]:
        """Return the part of a frame that its crop shows, as RGB, and where it lies."""
        box = covered(self.warps[index], side=self.crop.side, size=image.padded_size)
        return images.part(image, box), box

    def _cut(self, index: int, part: ImageU8, box: Box) -> ImageU8:
        cut = cut_crop(part, self.warps[index].from_corner(box.left, box.top), self.crop.side)
        cut.flags.writeable = False
        return cut


_NO_CROP = np.zeros((0, 0, 3), np.uint8)


class _Images:
    """Decoded frames of one size, and parts of them; for one thread."""

    def __init__(self, images: Iterator[YuvFrame]) -> None:
        self._images = images
        self._copier: FrameCopier | None = None

    def next(self) -> YuvFrame | None:
        """Return the next frame; None after the last one."""
        return next(self._images, None)

    def part(self, image: YuvFrame, box: tuple[int, int, int, int]) -> ImageU8:
        """Return a part of a frame as RGB (h, w, 3): left, top, right and bottom, all even."""
        return self._copier_for(image).rgb_part(image, box)

    def small_part(self, image: YuvFrame, box: tuple[int, int, int, int], factor: int) -> ImageU8:
        """Return the same, reduced; see `small_rgb`."""
        return small_rgb(image, box, factor, self._copier_for(image))

    def _copier_for(self, image: YuvFrame) -> FrameCopier:
        if self._copier is None:
            self._copier = FrameCopier.like(image)
        return self._copier


def steady_poses(head: Head, track: VideoTrack) -> Poses:
    """Return poses that are smoothed within each shot, (F,); frames without a face take the nearest one's."""
    matrix = np.zeros((len(track), 2, 3))
    shift = np.zeros((len(track), 2))
    for start, stop in track.shots:
        present = track.present[start:stop]
        if not present.any():
            continue
        poses = head.steady_poses(track.landmarks[start:stop], present, fps=track.fps)
        matrix[start:stop], shift[start:stop] = poses.matrix, poses.shift
    seen = np.flatnonzero(track.present)
    after = np.searchsorted(seen, np.arange(len(track))).clip(0, len(seen) - 1)
    before = (after - 1).clip(0)
    frames = np.arange(len(track))
    nearest = np.where(
        np.abs(seen[before] - frames) <= np.abs(seen[after] - frames), seen[before], seen[after]
    )
    return Poses(matrix[nearest], shift[nearest])


def _jaws(track: VideoTrack, head: Head, poses: Poses) -> ArrayF64:
    """Return the jaw line of each frame in head units, (F, 17, 2), smoothed as poses are; NaN: no face."""
    line = track.landmarks[:, list(JAW), :2].astype(np.float64)
    raw = poses.unproject(line, head.points[list(JAW), 2])
    sigma = SMOOTHING_SECONDS * float(track.fps)
    jaws = np.full(raw.shape, np.nan)
    for start, stop in track.shots:
        shot = slice(start, stop)
        jaws[shot] = smooth(raw[shot], track.present[shot], sigma_frames=sigma)
    return jaws


def _cut_off(warps: SurfaceWarp, mask: Mask, track: VideoTrack) -> ArrayBool:
    """(F,): a part of what would be rewritten lies outside the frame."""
    rows, columns = np.nonzero(mask.hidden[::4, ::4])
    points = np.stack([columns, rows], axis=1) * 4.0 + 2.0
    # Warps are linear down the crop: between the ends of each column, no place is further out.
    x, y = np.unique(points[:, 0]), points[:, 1]
    ends = np.concatenate([np.stack([x, np.full_like(x, end)], axis=1) for end in (y.min(), y.max())])
    out = np.zeros(len(track), np.bool_)
    for first in range(0, len(track), 512):
        indices = np.arange(first, min(first + 512, len(track)))
        near_edge = indices[~_inside(warps[indices], ends, track).all(axis=1)]
        if len(near_edge):
            out[near_edge] = 1 - _inside(warps[near_edge], points, track).mean(axis=1) > _MAX_OUTSIDE
    return out


def _inside(warps: SurfaceWarp, points: ArrayFloat, track: VideoTrack) -> ArrayBool:
    """(f, P): whether points (P, 2) of the crop lie inside each of f frames."""
    places = warps.back(points[None])
    return np.asarray(((places >= 0) & (places < np.array(track.size))).all(axis=-1))
