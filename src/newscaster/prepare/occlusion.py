"""Frames whose mouth must not be rewritten: turned away, cut off, or covered.

Detects such frames, and computes blend weights that fade the new mouth out before them and in after them.
Occluders are found twice: in single frames by ``mouth_occlusion``, and here by comparison with the rest of
the footage. Principal components explain small images of the crop. A local residual is not a talking mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from newscaster.face.crop import Mask
from newscaster.face.geometry import runs, smoothstep
from newscaster.face.head_pose import Head, Poses
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import Clip
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ImageU8

SIDE = 24
"""Side of the small images."""
_COMPONENTS = 24
_FIRST_COMPONENTS = 12
_FIT_FRAMES = 1500
_SUDDEN = 2.0
"""Multiple of the 95th percentile of changes between frames; larger changes are sudden."""
_EPISODE_STEPS = 6
"""Maximum number of sudden changes in an episode, after its start: a hand moves in within two frames."""
_PATCH = 5
"""Side, in cells, of the patch that must be odd: a fifth of the crop, about 0.4 IOD."""
_MIN_NOISE = 3.0
"""8-bit pixel values."""
_FAR = 2.2
"""Minimum oddness of an occluded frame. Ordinary frames of six people's footage reached 1.7."""
_VERY_FAR = 4.0
"""The same for a single frame."""
_NEAR = 1.5
"""The same for frames next to an occluded one."""

_MAX_YAW, _MAX_PITCH, _MAX_ROLL = 35.0, 30.0, 45.0
"""Degrees. Beyond, the far corner of the mouth is hidden, and landmarks there are guesses."""
_BEYOND_FOOTAGE = 10.0
"""Degrees beyond the range of the footage: such poses have not been learnt."""
_MAX_OUTSIDE = 0.02
"""Maximum fraction of the mask's pixels outside the frame."""

MARGIN_SECONDS = 0.08
FADE_SECONDS = 0.2
_MAX_SLIP_SECONDS = 0.05
"""A single odd frame, unless it is very odd, is an error of the landmarks."""


def small_components(clip: Clip) -> ImageU8:
    """Return the clip's crops at (F, 24, 24, 3)."""
    out = np.zeros((clip.frames, SIDE, SIDE, 3), np.uint8)
    for frame in np.flatnonzero(clip.present):
        image = Image.fromarray(clip.crops[frame])
        out[frame] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
    return out


@dataclass(frozen=True)
class Usual:
    """Model of a person's crop without an occluder."""

    mean: ArrayF64
    """(P,) of the selected cells."""
    components: ArrayF64
    """(K, P), orthonormal."""
    noise: ArrayF64
    """(P,): usual residual of the components, in 8-bit pixel values."""
    cells: ArrayBool
    """(24, 24): the cells in which the mouth is rewritten."""
    error: float = 1.0
    """99th percentile of the error of ordinary frames, in units of the noise."""

    @staticmethod
    def of(clips: Sequence[ImageU8], mask: Mask) -> Usual:
        """Fit the model to images (n, 24, 24, 3) of clips, some of which may show an occluder.

        A microphone in a few frames has more variance than all mouths, and would become a component. But it
        appears and disappears suddenly, whereas a head turns and a mouth opens gradually. Therefore the
        frames between two sudden changes that cancel each other are excluded first, and included again if the
        model of the rest explains them.
        """
        cells = _cells(mask)
        clip_pixels = [clip[:, cells].reshape(len(clip), -1).astype(np.float64) for clip in clips]
        flat = np.concatenate(clip_pixels)
        first = _fit(flat, cells, count=_FIRST_COMPONENTS)
        steps = np.concatenate([first._sizes(np.diff(pixels, axis=0)) for pixels in clip_pixels])
        sudden = _SUDDEN * float(np.quantile(steps, 0.95)) if len(steps) else 0.0
        kept = np.concatenate([_without_episodes(pixels, first, sudden) for pixels in clip_pixels])
        usual = first
        for _ in range(2):
            usual = _fit(flat[kept], cells, count=_COMPONENTS)
            errors = usual._errors(flat)
            usual = replace(usual, error=float(np.quantile(errors[kept], 0.99)))
            kept |= errors <= _FAR * usual.error
        return usual

    def oddness(self, images: ImageU8) -> ArrayF64:
        """Return how odd images (n, 24, 24, 3) are in their oddest patch, (n,): 99 % are below 1."""
        flat = images[:, self.cells].reshape(len(images), -1).astype(np.float64)
        return self._errors(flat) / max(self.error, 1e-9)  # 0 if all are alike, such as black

    def _errors(self, flat: ArrayF64) -> ArrayF64:
        """Return the root mean square residual over the noise in the worst patch, (n,)."""
        centred = flat - self.mean
        return self._sizes(centred - centred @ self.components.T @ self.components)

    def _sizes(self, rest: ArrayF64) -> ArrayF64:
        """Return the root mean square of differences (n, P) over the noise in the worst patch, (n,)."""
        square = np.zeros((len(rest), SIDE, SIDE))
        square[:, self.cells] = ((rest / self.noise) ** 2).reshape(len(rest), -1, 3).mean(axis=-1)
        return np.asarray(np.sqrt(_patch_means(square, self.cells).max(axis=(1, 2))))


def _fit(flat: ArrayF64, cells: ArrayBool, *, count: int) -> Usual:
    mean = flat.mean(axis=0)
    sampled = flat[:: -(-len(flat) // _FIT_FRAMES)] - mean
    _, _, vt = np.linalg.svd(sampled, full_matrices=False)
    components = vt[: max(1, min(count, len(sampled) // 8))]
    centred = flat - mean
    rest = centred - centred @ components.T @ components
    return Usual(mean, components, 1.48 * np.median(np.abs(rest), axis=0) + _MIN_NOISE, cells)


def _without_episodes(flat: ArrayF64, usual: Usual, sudden: float) -> ArrayBool:
    """Select the frames (n,) of a clip (n, P) outside episodes that start and end suddenly.

    ::

        change       small     sudden  small sudden    small          before and after are alike:
        frames  aaaaaaaaaaaaaaaa | bbbbbbbbbbb | aaaaaaaaaaaaaaaa      b is an episode
    """
    out = np.ones(len(flat), np.bool_)
    ends = np.flatnonzero(usual._sizes(np.diff(flat, axis=0)) > sudden) + 1
    for i, start in enumerate(ends):
        for stop in ends[i + 1 : i + 1 + _EPISODE_STEPS]:
            before, after = flat[start - 1], flat[stop]
            if stop - start < len(flat) / 2 and usual._sizes((after - before)[None])[0] <= sudden:
                out[start:stop] = False
                break
    return out


def _cells(mask: Mask) -> ArrayBool:
    small = Image.fromarray(mask.hidden.astype(np.uint8) * 255).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small) > 127


def _patch_means(values: ArrayF64, cells: ArrayBool) -> ArrayF64:
    """Return means of the selected cells over patches of 5 x 5; 0 if less than half are selected."""

    def sums(a: ArrayF64) -> ArrayF64:
        padded = np.pad(a.cumsum(axis=-1).cumsum(axis=-2), [(0, 0)] * (a.ndim - 2) + [(1, 0), (1, 0)])
        n = _PATCH
        return np.asarray(
            padded[..., n:, n:] - padded[..., :-n, n:] - padded[..., n:, :-n] + padded[..., :-n, :-n]
        )

    count = sums(cells.astype(np.float64))
    return np.where(count >= _PATCH**2 / 2, sums(np.where(cells, values, 0.0)) / np.maximum(count, 1), 0.0)


def hidden_mouths(oddness: ArrayF64, fps: float) -> ArrayBool:
    """Return the frames (F,) with an occluded mouth, from the oddness of the frames."""
    out = np.zeros(len(oddness), np.bool_)
    slip = max(1, round(_MAX_SLIP_SECONDS * fps))
    for start, stop in runs(oddness > _NEAR):
        worst = float(oddness[start:stop].max())
        if worst > _FAR and (stop - start > slip or worst > _VERY_FAR):
            out[start:stop] = True
    return out


_MIN_INSIDE = 0.9
"""Minimum fraction of a mouth's points inside the frame."""


def turned_away(poses: Poses, seen: ArrayF64) -> ArrayBool:
    """Return the poses (F,) beyond the limits, or beyond the angles of the footage, `seen` (n, 3)."""
    angles = poses.angles
    limits = np.array([_MAX_YAW, _MAX_PITCH, _MAX_ROLL])
    low, high = np.percentile(seen, [1, 99], axis=0)
    out = np.abs(angles) > limits
    out |= (angles < low - _BEYOND_FOOTAGE) | (angles > high + _BEYOND_FOOTAGE)
    return np.asarray(out.any(axis=1))


def shows_mouth(landmarks: ArrayF32, poses: Poses, seen: ArrayF64, frame_size: tuple[int, int]) -> ArrayBool:
    """Return the frames (n,) with a mouth that is neither turned away nor outside the frame.

    Args:
        landmarks: (n, 478, 3) in pixels.
        poses: head poses of the same frames.
        seen: (m, 3), the angles of the footage.
        frame_size: width and height in pixels.
    """
    points = landmarks[:, list(MOUTH), :2]
    inside = ((points >= 0) & (points < frame_size)).all(axis=2).mean(axis=1)
    return np.asarray((inside > _MIN_INSIDE) & ~turned_away(poses, seen))


def cut_off(clip: Clip, mask: Mask) -> ArrayBool:
    """Return the frames (F,) in which a part of the mask lies outside the frame."""
    rows, columns = np.nonzero(mask.hidden[::4, ::4])
    out = np.zeros(clip.frames, np.bool_)
    if not len(rows):
        return out
    points = np.stack([columns, rows], axis=1) * 4.0 + 2.0
    present = np.flatnonzero(clip.present)
    in_frame = clip.transforms.back(points[None])[present]
    inside = ((in_frame >= 0) & (in_frame < np.array(clip.record.frame_size))).all(axis=-1)
    out[present] = 1 - inside.mean(axis=1) > _MAX_OUTSIDE
    return out


def faded(bad: ArrayBool, fps: float) -> ArrayF32:
    """Return weights (F,): 0 in bad frames and a margin around them, rising smoothly to 1 further away."""
    frames = np.arange(len(bad))
    bad_frames = np.flatnonzero(bad)
    if not len(bad_frames):
        return np.ones(len(bad), np.float32)
    after = np.searchsorted(bad_frames, frames)
    distance = np.minimum(
        np.abs(frames - bad_frames[np.minimum(after, len(bad_frames) - 1)]),
        np.abs(frames - bad_frames[np.maximum(after - 1, 0)]),
    )
    ramp = (distance - round(MARGIN_SECONDS * fps)) / max(1, round(FADE_SECONDS * fps))
    return np.asarray(smoothstep(ramp), np.float32)


def blend_weights(
    clips: Sequence[Clip],
    images: Sequence[ImageU8],
    head: Head,
    mask: Mask,
    covered: Sequence[ArrayBool] | None = None,
) -> list[ArrayF32]:
    """Return the blend weights of each clip's frames: (F,), 0 to 1; 0 without a face.

    Args:
        clips: clips with crops.
        images: their `small_components`.
        head: the person's head.
        mask: mask of the crop.
        covered: frames (F,) of each clip in which `mouth_occlusion` found an occluder. The model of the crop
            excludes them.
    """
    if covered is None:
        covered = [np.zeros(clip.frames, np.bool_) for clip in clips]
    poses = [head.steady_poses(clip.landmarks, clip.present, fps=clip.record.fps) for clip in clips]
    angles = np.concatenate([p.angles[clip.present] for p, clip in zip(poses, clips, strict=True)])
    free = [clip.present & ~flags for clip, flags in zip(clips, covered, strict=True)]
    usual = None
    if sum(int(flags.sum()) for flags in free) > 1:
        usual = Usual.of([small[flags] for small, flags in zip(images, free, strict=True)], mask)
    out = []
    for clip, small, pose, flags in zip(clips, images, poses, covered, strict=True):
        fps, present = float(clip.record.fps), clip.present
        oddness = np.zeros(clip.frames)
        if usual is not None:
            oddness[present] = usual.oddness(small[present])
        bad = hidden_mouths(oddness, fps) | cut_off(clip, mask) | (flags & present)
        bad[present] |= turned_away(pose[present], angles)
        out.append(np.where(present, faded(bad, fps), 0).astype(np.float32))
    return out
