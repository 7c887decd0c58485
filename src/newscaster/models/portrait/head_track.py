"""Synthetic face track of a resting person, who looks at the camera and blinks, as a loop.

The statistics come from footage of the person: the head moves with the same covariance, but more slowly; the
blink is their usual one; the lips rest closed. Everything is periodic, so that the end matches the start. The
full-frame network renders the track.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.full_face_map import BROWS, EYES, IRISES
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head, Poses
from newscaster.face.measures import eyes_open
from newscaster.face.mouth_basis import opening
from newscaster.face.topology import LANDMARKS, MOUTH
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

CALM = 1.0
"""Amplitude of the head motion, as a fraction of the motion while the person talks."""
BLINKS_PER_MINUTE = 15.0
"""People at rest blink 15 to 20 times a minute (Bentivoglio et al. 1997)."""
_FASTEST_HZ = 0.6
_SLOPE_HZ = 0.15
"""Corner frequency of the head motion: its spectrum is flat below and falls above."""
_CLOSED_PERCENT = 15
_BLINK_SECONDS = 0.28
"""Time before and after its lowest point that belongs to a blink."""
_SHUT = 0.5
"""Lids count as shut if the opening of the eyes is below this fraction of the usual."""
_BROWS_FRACTION = 0.5
_NEIGHBOURS = 6


@dataclass(frozen=True)
class FaceTrack:
    """F frames of a face, to be rendered."""

    landmarks: ArrayF32
    """(F, 478, 3) in pixels; the third coordinate is depth, also in pixels."""
    poses: Poses
    """(F,)"""
    home: ArrayF32
    """(2, 3): the plane of the mean pose."""


def resting_track(
    clips: Sequence[ArrayFloat], head: Head, *, fps: float, seconds: float = 10.0, seed: int = 0
) -> FaceTrack:
    """Return a track of a resting face, made from clips of landmarks.

    Args:
        clips: landmarks (F, 478, 3) in pixels, all of one camera; frames without a face are NaN.
        head: of the same person.
        fps: frames per second, of the clips and of the track.
        seconds: length of the loop.
        seed: of the head motion and the times of the blinks.

    Raises:
        FootageError: no clip shows the face for half a second without a break.
    """
    rng = np.random.default_rng(seed)
    faces = [_Face.of(clip[_longest_run(clip)], head, fps) for clip in clips]
    faces = [face for face in faces if len(face.poses) >= fps / 2]
    if not faces:
        raise FootageError(
            "no clip shows the face for half a second without a break. Give footage that shows the face for "
            "longer"
        )
    frames = max(2, round(seconds * fps))
    home = _home(faces)
    poses = _wander(home, faces, frames, fps, rng)
    shapes = _neutral(home)[None] + _brows(home, frames, fps, rng) + _blinks(faces, frames, fps, rng)
    landmarks = np.empty((frames, LANDMARKS, 3), np.float32)
    depths = np.broadcast_to(head.points[None, :, 2:], (frames, LANDMARKS, 1))
    landmarks[..., :2] = poses.project(np.concatenate([shapes, depths], axis=-1))
    landmarks[..., 2] = depths[..., 0] * poses.scale[:, None]
    usual = np.concatenate([face.poses.planes for face in home])
    return FaceTrack(landmarks, poses, np.asarray(usual.mean(axis=0), np.float32))


@dataclass(frozen=True)
class _Face:
    """One clip: head poses, and the face in head coordinates."""

    poses: Poses
    shapes: ArrayF64
    """(F, 478, 2) in head units."""
    open: ArrayF64
    """(F,): opening of the eyes."""

    @staticmethod
    def of(landmarks: ArrayFloat, head: Head, fps: float) -> _Face:
        poses = head.steady_poses(landmarks, fps=fps)
        shapes = poses.unproject(landmarks[:, :, :2].astype(np.float64), head.points[:, 2])
        return _Face(poses, shapes, eyes_open(landmarks))

    @property
    def numbers(self) -> ArrayF64:
        """Poses as vectors (F, 8)."""
        return np.concatenate([self.poses.matrix.reshape(-1, 6), self.poses.shift], axis=1)


def _longest_run(clip: ArrayFloat) -> slice:
    face_runs = runs(np.asarray(np.isfinite(clip).all(axis=(1, 2)))) or [(0, 0)]
    return slice(*max(face_runs, key=lambda run: run[1] - run[0]))


def _home(faces: Sequence[_Face]) -> list[_Face]:
    """Return the clip whose pose is most typical and its nearest neighbours: probably one session."""
    means = np.stack([face.numbers.mean(axis=0) for face in faces])
    spread = np.maximum(means.std(axis=0), 1e-9)
    distances = np.linalg.norm((means[:, None] - means[None]) / spread, axis=-1)
    to_nearest = np.sort(distances, axis=1)[:, : _NEIGHBOURS + 1].mean(axis=1)
    order = np.argsort(distances[int(np.argmin(to_nearest))], kind="stable")
    return [faces[i] for i in order[: _NEIGHBOURS + 1]]


def _wander(
    home: Sequence[_Face], faces: Sequence[_Face], frames: int, fps: float, rng: np.random.Generator
) -> Poses:
    """Return poses (frames,) around home: periodic noise with the covariance of poses within a clip."""
    moved = np.concatenate([face.numbers - face.numbers.mean(axis=0) for face in faces])
    values, vectors = np.linalg.eigh(np.cov(moved.T))
    noise = np.stack([_periodic(frames, fps, rng) for _ in values], axis=1)
    motion = noise * np.sqrt(np.maximum(values, 0)) @ vectors.T * CALM
    usual = np.mean([face.numbers.mean(axis=0) for face in home], axis=0)
    numbers = usual + motion
    # Project back to scaled rotations: the nearest pair of orthogonal rows of equal length.
    u, s, vt = np.linalg.svd(numbers[:, :6].reshape(-1, 2, 3), full_matrices=False)
    return Poses(s.mean(axis=1)[:, None, None] * (u @ vt), numbers[:, 6:])


def _periodic(frames: int, fps: float, rng: np.random.Generator) -> ArrayF64:
    """Return slow periodic noise (frames,) of unit variance."""
    frequencies = np.fft.rfftfreq(frames, 1 / fps)
    size = np.where(
        (frequencies > 0) & (frequencies <= max(_FASTEST_HZ, frequencies[1])),
        1 / (frequencies + _SLOPE_HZ) ** 1.5,
        0,
    )
    spectrum = size * (rng.normal(size=len(size)) + 1j * rng.normal(size=len(size)))
    wave = np.fft.irfft(spectrum, frames)
    return np.asarray(wave / wave.std())


def _neutral(home: Sequence[_Face]) -> ArrayF64:
    """Return the face at rest (478, 2): the median over frames with closed lips and open eyes."""
    shapes = np.concatenate([face.shapes for face in home])
    gap = opening(shapes[:, list(MOUTH)])
    opened = np.concatenate([face.open for face in home])
    awake = opened >= np.median(opened)
    closed = gap <= np.percentile(gap[awake], _CLOSED_PERCENT)
    return np.asarray(np.median(shapes[awake & closed], axis=0))


def _brows(home: Sequence[_Face], frames: int, fps: float, rng: np.random.Generator) -> ArrayF64:
    """Return the motion of the brows (frames, 478, 2) along their first principal component."""
    points = [i for brow in BROWS for i in brow]
    moved = np.concatenate([face.shapes[:, points] - face.shapes[:, points].mean(axis=0) for face in home])
    _, s, vt = np.linalg.svd(moved.reshape(len(moved), -1), full_matrices=False)
    motion = _periodic(frames, fps, rng)[:, None] * s[0] / np.sqrt(len(moved)) * vt[0] * _BROWS_FRACTION
    out = np.zeros((frames, LANDMARKS, 2))
    out[:, points] = motion.reshape(frames, len(points), 2)
    return out


def _blinks(faces: Sequence[_Face], frames: int, fps: float, rng: np.random.Generator) -> ArrayF64:
    """Return offsets (frames, 478, 2) of the person's usual blink, repeated at separate times."""
    blink = _usual_blink(faces, fps)
    out = np.zeros((frames, LANDMARKS, 2))
    count = max(1, round(frames / fps / 60 * BLINKS_PER_MINUTE))
    # One blink in each of `count` equal parts, away from its edges: the track is a loop.
    times = (np.arange(count) + rng.uniform(0.25, 0.75, count)) * frames / count
    for time in times:
        for step, moved in enumerate(blink, start=int(time) - len(blink) // 2):
            out[step % frames] += moved
    return out


def _usual_blink(faces: Sequence[_Face], fps: float) -> ArrayF64:
    """Return the median blink (steps, 478, 2) as offsets from open eyes; other landmarks stay fixed."""
    reach = max(2, round(_BLINK_SECONDS * fps))
    points = [i for ring in (*EYES, *BROWS, *IRISES) for i in ring]
    blinks = []
    for face in faces:
        fraction = face.open / np.median(face.open)
        for at in np.flatnonzero(fraction < _SHUT):
            part = slice(at - reach, at + reach + 1)
            whole = reach <= at < len(fraction) - reach
            if (
                whole
                and at - reach + int(np.argmin(fraction[part])) == at
                and fraction[part][[0, -1]].min() > 0.8
            ):
                shapes = face.shapes[part][:, points]
                blinks.append(shapes - (shapes[0] + shapes[-1]) / 2)
    if not blinks:
        return _drawn_blink(faces, reach)
    out = np.zeros((2 * reach + 1, LANDMARKS, 2))
    fade = np.minimum(1, np.minimum(np.arange(2 * reach + 1), np.arange(2 * reach + 1)[::-1]) / 2)
    out[:, points] = np.median(blinks, axis=0) * fade[:, None, None]
    return out


def _drawn_blink(faces: Sequence[_Face], reach: int) -> ArrayF64:
    """Return a blink that moves the upper lids to the lower ones, for footage without blinks."""
    face = np.median(np.concatenate([face.shapes for face in faces]), axis=0)
    steps = np.arange(-reach, reach + 1)
    # Closing takes about half as long as opening.
    closed = np.where(
        steps < 0, np.exp(-((steps / (0.3 * reach)) ** 2)), np.exp(-((steps / (0.5 * reach)) ** 2))
    )
    out = np.zeros((len(steps), LANDMARKS, 2))
    for ring in EYES:
        half = len(ring) // 2
        upper, lower = ring[1:half], ring[:half:-1]
        travel = 0.9 * (face[list(lower)] - face[list(upper)])
        out[:, list(upper)] = closed[:, None, None] * travel
    return out
