"""A face made of formulas: 478 landmarks that turn, nod and talk as told."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from newscaster.face.head_pose import Poses
from newscaster.face.topology import INNER_LIPS, JAW, LANDMARKS, OUTER_LIPS

Array = npt.NDArray[np.float64]

_FIXED = {
    33: (-0.5, 0.0, 0.0),
    133: (-0.18, 0.03, -0.05),
    362: (0.18, 0.03, -0.05),
    263: (0.5, 0.0, 0.0),
    159: (-0.34, -0.06, -0.06),
    145: (-0.34, 0.06, -0.05),
    386: (0.34, -0.06, -0.06),
    374: (0.34, 0.06, -0.05),
    168: (0.0, -0.03, -0.2),
    6: (0.0, 0.12, -0.25),
    197: (0.0, 0.27, -0.32),
    195: (0.0, 0.4, -0.4),
    5: (0.0, 0.5, -0.46),
    4: (0.0, 0.58, -0.48),
    127: (-0.76, -0.02, 0.45),
    356: (0.76, -0.02, 0.45),
    234: (-0.8, 0.3, 0.55),
    454: (0.8, 0.3, 0.55),
}


def face_points(opening: float = 0.0) -> Array:
    """(478, 3) in outer-eye distances; ``opening`` is the gap between the inner lips."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-0.75, 0.75, LANDMARKS), rng.uniform(-0.5, 1.4, LANDMARKS)
    points = np.stack([x, y, 0.7 * x**2 + 0.15 * (y - 0.4) ** 2 - 0.25], axis=1)
    around = np.pi - np.arange(len(OUTER_LIPS)) * 2 * np.pi / len(
        OUTER_LIPS
    )  # left corner, over the top, back
    for indices, width, height in ((OUTER_LIPS, 0.36, 0.15), (INNER_LIPS, 0.28, 0.02)):
        ring = np.stack([width * np.cos(around), 1.0 - height * np.sin(around)], axis=1)
        below = np.sin(around) < -1e-6
        ring[below, 1] += opening * np.sin(-around[below])
        points[list(indices)] = np.column_stack([ring, -0.28 + 0.5 * ring[:, 0] ** 2])
    angle = np.linspace(0, np.pi, len(JAW))
    jaw = np.stack([0.72 * np.cos(angle), 0.7 + (0.85 + opening) * np.sin(angle)], axis=1)
    points[list(JAW)] = np.column_stack([jaw, 0.4 - 0.5 * np.sin(angle)])
    for index, place in _FIXED.items():
        points[index] = place
    return points


def rotation(*, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """(3, 3) of angles in degrees, as Poses.angles reads them for small ones: roll after pitch after yaw."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def seen(
    points: Array, turn: Array, *, scale: float = 60.0, shift: tuple[float, float] = (160.0, 120.0)
) -> Array:
    """Landmarks (478, 3) in pixels of a face (478, 3) turned by (3, 3); the depth has the scale of x."""
    placed = scale * points @ turn.T
    placed[:, :2] += shift
    return placed


def talking(
    frames: int, *, moving: float = 1.0, shift: tuple[float, float] = (160.0, 120.0)
) -> npt.NDArray[np.float32]:
    """Landmarks (F, 478, 3) of a face that talks and moves its head a little (``moving`` times as much)."""
    return _talking(frames, moving, shift).copy()


@lru_cache(maxsize=64)
def _talking(frames: int, moving: float, shift: tuple[float, float]) -> npt.NDArray[np.float32]:
    time = np.arange(frames) / 25
    gaps = 0.12 * np.clip(np.sin(2 * np.pi * 2.3 * time), 0, None)
    found = []
    for t, gap in zip(time, gaps, strict=True):
        turn = rotation(
            yaw=6 * moving * np.sin(1.1 * t),
            pitch=3 * moving * np.sin(1.7 * t),
            roll=2 * moving * np.sin(0.8 * t),
        )
        place = (shift[0] + 3 * moving * np.sin(0.9 * t), shift[1] + 2 * moving * np.sin(1.3 * t))
        found.append(seen(face_points(float(gap)), turn, shift=place))
    return np.array(found, np.float32)


def poses_of(
    turns: list[Array], *, scale: float = 60.0, shift: tuple[float, float] = (160.0, 120.0)
) -> Poses:
    """The poses that :func:`seen` puts these turns in."""
    return Poses(np.stack([scale * turn[:2] for turn in turns]), np.tile(np.array(shift), (len(turns), 1)))
