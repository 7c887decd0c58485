"""Frames whose mouth must not be rewritten: turned away, cut off, or with something before it.

Knows how such frames are told, and how the new mouth is faded out before them and in after them. Something
before the mouth is found twice: in single frames by ``mouth_occlusion``, and here by comparison with the
rest of the footage: small pictures of the region are explained by their principal components, and what these
cannot explain, in one place, is no talking mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.crop import Mask
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head, Poses
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import Clip

Array = npt.NDArray[np.float64]
Small = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

SIDE = 24
"""Of the small pictures."""
_COMPONENTS = 24
_FIRST_COMPONENTS = 12
_FIT_FRAMES = 1500
_SUDDEN = 2.0
"""Times the step that one frame in twenty makes."""
_EPISODE_STEPS = 6
"""Sudden steps that an episode may have, its own begin left out: a hand comes in two frames, and moves."""
_PATCH = 5
"""Cells to a side of the place that must be odd: a fifth of the region, some 0.4 outer-eye distances."""
_MIN_NOISE = 3.0
"""Grey levels."""
_FAR = 2.2
"""Something is before the mouth. Ordinary frames of six people's footage reached 1.7."""
_VERY_FAR = 4.0
_NEAR = 1.5
"""Beside a frame in which something is, this is enough."""

_MAX_YAW, _MAX_PITCH, _MAX_ROLL = 35.0, 30.0, 45.0
"""Degrees. Beyond, the far corner of the mouth is hidden, and landmarks there are guesses."""
_BEYOND_FOOTAGE = 10.0
"""Degrees beyond what the footage shows: nothing of it has been learnt."""
_MAX_OUTSIDE = 0.02
"""Of the mask's pixels."""

MARGIN_SECONDS = 0.08
FADE_SECONDS = 0.2
_MAX_SLIP_SECONDS = 0.05
"""One odd frame, if it is not very odd, is a slip of the landmarks."""


def small_components(clip: Clip) -> Small:
    """The clip's regions at (F, 24, 24, 3)."""
    out = np.zeros((clip.frames, SIDE, SIDE, 3), np.uint8)
    for frame in np.flatnonzero(clip.present):
        image = Image.fromarray(clip.crops[frame])
        out[frame] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
    return out


@dataclass(frozen=True)
class Usual:
    """What a person's region looks like while nothing is before it."""

    mean: Array
    """(P,) of the cells looked at."""
    components: Array
    """(K, P), orthonormal."""
    noise: Array
    """(P,): what components usually leave unexplained, in grey levels."""
    cells: Flags
    """(24, 24): those where the mouth is rewritten."""
    error: float = 1.0
    """What one ordinary frame in a hundred has, in units of the noise."""

    @staticmethod
    def of(clips: Sequence[Small], mask: Mask) -> Usual:
        """Found in pictures (n, 24, 24, 3) of clips, some of which may show something before the mouth.

        A microphone in a few frames is more variance than all that mouths do, and would become a component.
        But it comes and goes suddenly, where a head turns and a mouth opens by and by: what lies between two
        sudden steps that undo each other is left out, and taken in again where the rest explains it.
        """
        cells = _cells(mask)
        flats = [clip[:, cells].reshape(len(clip), -1).astype(np.float64) for clip in clips]
        flat = np.concatenate(flats)
        first = _fit(flat, cells, count=_FIRST_COMPONENTS)
        steps = np.concatenate([first._sizes(np.diff(one, axis=0)) for one in flats])
        sudden = _SUDDEN * float(np.quantile(steps, 0.95)) if len(steps) else 0.0
        kept = np.concatenate([_without_episodes(one, first, sudden) for one in flats])
        usual = first
        for _ in range(2):
            usual = _fit(flat[kept], cells, count=_COMPONENTS)
            errors = usual._errors(flat)
            usual = replace(usual, error=float(np.quantile(errors[kept], 0.99)))
            kept |= errors <= _FAR * usual.error
        return usual

    def oddness(self, images: Small) -> Array:
        """(n,): how odd pictures (n, 24, 24, 3) are at their oddest place: 99 in 100 are below 1."""
        flat = images[:, self.cells].reshape(len(images), -1).astype(np.float64)
        return self._errors(flat) / max(self.error, 1e-9)  # 0 if all are alike, such as black

    def _errors(self, flat: Array) -> Array:
        """(n,): root mean square of what is not explained, over the noise, in the worst patch."""
        off = flat - self.mean
        return self._sizes(off - off @ self.components.T @ self.components)

    def _sizes(self, rest: Array) -> Array:
        """(n,): root mean square of differences (n, P), over the noise, in the worst patch."""
        square = np.zeros((len(rest), SIDE, SIDE))
        square[:, self.cells] = ((rest / self.noise) ** 2).reshape(len(rest), -1, 3).mean(axis=-1)
        return np.asarray(np.sqrt(_patch_means(square, self.cells).max(axis=(1, 2))))


def _fit(flat: Array, cells: Flags, *, count: int) -> Usual:
    mean = flat.mean(axis=0)
    some = flat[:: -(-len(flat) // _FIT_FRAMES)] - mean
    _, _, vt = np.linalg.svd(some, full_matrices=False)
    components = vt[: max(1, min(count, len(some) // 8))]
    off = flat - mean
    rest = off - off @ components.T @ components
    return Usual(mean, components, 1.48 * np.median(np.abs(rest), axis=0) + _MIN_NOISE, cells)


def _without_episodes(flat: Array, usual: Usual, sudden: float) -> Flags:
    """(n,): the frames of a clip (n, P), without episodes that begin and end suddenly and change nothing.

    ::

        step         small     sudden  small sudden    small          before and after are alike:
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


def _cells(mask: Mask) -> Flags:
    small = Image.fromarray(mask.hidden.astype(np.uint8) * 255).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small) > 127


def _patch_means(values: Array, cells: Flags) -> Array:
    """Means over patches of 5 x 5 of the cells that count; patches with less than half of these are 0."""

    def sums(a: Array) -> Array:
        padded = np.pad(a.cumsum(axis=-1).cumsum(axis=-2), [(0, 0)] * (a.ndim - 2) + [(1, 0), (1, 0)])
        n = _PATCH
        return np.asarray(
            padded[..., n:, n:] - padded[..., :-n, n:] - padded[..., n:, :-n] + padded[..., :-n, :-n]
        )

    count = sums(cells.astype(np.float64))
    return np.where(count >= _PATCH**2 / 2, sums(np.where(cells, values, 0.0)) / np.maximum(count, 1), 0.0)


def hidden_mouths(oddness: Array, fps: float) -> Flags:
    """(F,): something is before the mouth, as told by how odd the frames are."""
    out = np.zeros(len(oddness), np.bool_)
    slip = max(1, round(_MAX_SLIP_SECONDS * fps))
    for start, stop in runs(oddness > _NEAR):
        worst = float(oddness[start:stop].max())
        if worst > _FAR and (stop - start > slip or worst > _VERY_FAR):
            out[start:stop] = True
    return out


_MIN_INSIDE = 0.9
"""Share of a mouth's points inside the frame."""


def turned_away(poses: Poses, seen: Array) -> Flags:
    """(F,): poses that no mouth can be put on, of which `seen` (n, 3), the footage's angles, show nothing."""
    angles = poses.angles
    most = np.array([_MAX_YAW, _MAX_PITCH, _MAX_ROLL])
    low, high = np.percentile(seen, [1, 99], axis=0)
    out = np.abs(angles) > most
    out |= (angles < low - _BEYOND_FOOTAGE) | (angles > high + _BEYOND_FOOTAGE)
    return np.asarray(out.any(axis=1))


def shows_mouth(
    landmarks: npt.NDArray[np.float32], poses: Poses, seen: Array, frame_size: tuple[int, int]
) -> Flags:
    """(n,): frames with a mouth that is neither turned away nor outside the frame.

    Args:
        landmarks: (n, 478, 3) in pixels.
        poses: of the same frames.
        seen: (m, 3), the footage's angles.
        frame_size: width and height in pixels.
    """
    points = landmarks[:, list(MOUTH), :2]
    inside = ((points >= 0) & (points < frame_size)).all(axis=2).mean(axis=1)
    return np.asarray((inside > _MIN_INSIDE) & ~turned_away(poses, seen))


def cut_off(clip: Clip, mask: Mask) -> Flags:
    """(F,): a part of what would be rewritten lies outside the picture."""
    rows, columns = np.nonzero(mask.hidden[::4, ::4])
    out = np.zeros(clip.frames, np.bool_)
    if not len(rows):
        return out
    points = np.stack([columns, rows], axis=1) * 4.0 + 2.0
    seen = np.flatnonzero(clip.present)
    places = clip.transforms.back(points[None])[seen]
    inside = ((places >= 0) & (places < np.array(clip.record.frame_size))).all(axis=-1)
    out[seen] = 1 - inside.mean(axis=1) > _MAX_OUTSIDE
    return out


def faded(bad: Flags, fps: float) -> npt.NDArray[np.float32]:
    """(F,) 0 to 1: 0 in frames that are bad and a little around, rising smoothly to 1 away from them."""
    frames = np.arange(len(bad))
    places = np.flatnonzero(bad)
    if not len(places):
        return np.ones(len(bad), np.float32)
    after = np.searchsorted(places, frames)
    away = np.minimum(
        np.abs(frames - places[np.minimum(after, len(places) - 1)]),
        np.abs(frames - places[np.maximum(after - 1, 0)]),
    )
    way = np.clip((away - round(MARGIN_SECONDS * fps)) / max(1, round(FADE_SECONDS * fps)), 0, 1)
    return np.asarray(way**2 * (3 - 2 * way), np.float32)


def blend_weights(
    clips: Sequence[Clip],
    images: Sequence[Small],
    head: Head,
    mask: Mask,
    covered: Sequence[Flags] | None = None,
) -> list[npt.NDArray[np.float32]]:
    """How much of a new mouth each frame of the clips may take: (F,) from 0 to 1 of each; 0 without a face.

    Args:
        clips: with regions.
        images: their `small_components`.
        head: the person's.
        mask: of the region.
        covered: frames of each that `mouth_occlusion` found something in, (F,). They are not taken for usual.
    """
    if covered is None:
        covered = [np.zeros(clip.frames, np.bool_) for clip in clips]
    poses = [head.steady_poses(clip.landmarks, clip.present, fps=clip.record.fps) for clip in clips]
    angles = np.concatenate([p.angles[clip.present] for p, clip in zip(poses, clips, strict=True)])
    free = [clip.present & ~flags for clip, flags in zip(clips, covered, strict=True)]
    some = sum(int(flags.sum()) for flags in free) > 1
    usual = (
        Usual.of([small[flags] for small, flags in zip(images, free, strict=True)], mask) if some else None
    )
    out = []
    for clip, small, pose, flags in zip(clips, images, poses, covered, strict=True):
        fps, seen = float(clip.record.fps), clip.present
        oddness = np.zeros(clip.frames)
        if usual is not None:
            oddness[seen] = usual.oddness(small[seen])
        bad = hidden_mouths(oddness, fps) | cut_off(clip, mask) | (flags & seen)
        bad[seen] |= turned_away(pose[seen], angles)
        out.append(np.where(seen, faded(bad, fps), 0).astype(np.float32))
    return out
