"""Frames in which faces cross, leave and come back, made from clips of single faces; who is where is known.

Each face is an oval cut out of its clip, with a soft edge, that moves over a background. Nearer ones hide
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.media import read_frames
from newscaster.tracking import FaceTracker

WIDTH, HEIGHT, FPS = 640, 360, 25
FACE_PX = 110
"""Longer side of a face's box."""

Frame = npt.NDArray[np.uint8]
Path2D = Callable[[float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Sprite:
    """One person's face, frame by frame."""

    person: str
    frames: npt.NDArray[np.uint8]
    """(F, S, S, 3)"""
    mask: npt.NDArray[np.float32]
    """(S, S, 1): 1 within the oval."""

    def at(self, index: int) -> Frame:
        """Its frames to and fro, without an end."""
        turn = index % (2 * len(self.frames) - 2)
        return self.frames[min(turn, 2 * len(self.frames) - 2 - turn)]


@dataclass(frozen=True)
class Scene:
    """Where each of some faces is, in the frame's widths and heights, nearest last."""

    name: str
    paths: tuple[Path2D, ...]
    seconds: float


def load_sprite(path: Path, person: str, *, frames: int = 60) -> Sprite | None:
    """The largest face of a clip; None if the clip is too short, or a frame shows no face."""
    read = list(read_frames(path, stop_frame=frames))
    tracker = FaceTracker(1)
    boxes = []
    for frame in read:
        faces = tracker.step(frame)
        if not faces:
            return None
        points = faces[0].landmarks[:, :2]
        boxes.append(np.concatenate([points.min(axis=0), points.max(axis=0)]))
    if len(read) < frames // 2:
        return None
    left, top, right, bottom = np.median(boxes, axis=0)
    scale = FACE_PX / max(right - left, bottom - top)
    half, x, y = 0.85 * FACE_PX / scale, (left + right) / 2, (top + bottom) / 2 - 0.08 * FACE_PX / scale
    side, room = 2 * round(half * scale), int(2 * half)
    window = (x - half + room, y - half + room, x + half + room, y + half + room)
    cut = [
        Image.fromarray(np.pad(frame, ((room, room), (room, room), (0, 0)), mode="edge")).resize(
            (side, side), Image.Resampling.BICUBIC, window
        )
        for frame in read
    ]
    grid = (np.arange(side) + 0.5) / side * 2 - 1
    radius = np.hypot(grid[None] / 0.80, grid[:, None] / 0.95)
    mask = np.clip((1 - radius) / 0.08, 0, 1).astype(np.float32)[..., None]
    return Sprite(person, np.stack([np.asarray(one) for one in cut]), mask)


def line(*stops: tuple[float, float, float]) -> Path2D:
    """A path through (second, x, y), straight between them."""
    times, xs, ys = zip(*stops, strict=True)
    return lambda t: (float(np.interp(t, times, xs)), float(np.interp(t, times, ys)))


SCENES = (
    Scene("two cross", (line((0, 0.2, 0.5), (1, 0.2, 0.5), (3, 0.8, 0.5)),
                        line((0, 0.8, 0.5), (1, 0.8, 0.5), (3, 0.2, 0.5))), 4),
    Scene("two cross slowly", (line((0, 0.25, 0.5), (1, 0.25, 0.5), (7, 0.75, 0.52)),
                               line((0, 0.75, 0.5), (1, 0.75, 0.5), (7, 0.25, 0.48))), 8),
    Scene("two meet and turn back", (line((0, 0.2, 0.5), (1, 0.2, 0.5), (2.5, 0.47, 0.5), (4, 0.2, 0.5)),
                                     line((0, 0.8, 0.5), (1, 0.8, 0.5), (2.5, 0.53, 0.5), (4, 0.8, 0.5))), 5),
    Scene("one hides behind the other", (
        line((0, 0.2, 0.5), (1, 0.2, 0.5), (2, 0.6, 0.5), (4, 0.6, 0.5), (5, 0.85, 0.5)),
        line((0, 0.6, 0.5), (6, 0.6, 0.5))), 6),
    Scene("one leaves and comes back elsewhere", (
        line((0, 0.25, 0.5), (1, 0.25, 0.5), (2, -0.3, 0.5), (4, -0.3, 0.5),
             (4.04, 1.3, 0.5), (5.5, 0.8, 0.5)),
        line((0, 0.55, 0.5), (7, 0.55, 0.5))), 7),
    Scene("both leave and come back on the other side", (
        line((0, 0.3, 0.5), (1, 0.3, 0.5), (2, -0.3, 0.5), (3, -0.3, 0.5), (3.04, 1.3, 0.5), (4.5, 0.7, 0.5)),
        line((0, 0.7, 0.5), (1, 0.7, 0.5), (2, 1.3, 0.5), (3, 1.3, 0.5), (3.04, -0.3, 0.5),
             (4.5, 0.3, 0.5))), 6),
    Scene("three cross", (line((0, 0.15, 0.5), (1, 0.15, 0.5), (4, 0.85, 0.5)),
                          line((0, 0.5, 0.5), (5, 0.5, 0.5)),
                          line((0, 0.85, 0.5), (1, 0.85, 0.5), (4, 0.15, 0.5))), 5),
    Scene("three, one leaves, two cross", (
        line((0, 0.15, 0.5), (1, 0.15, 0.5), (2, -0.3, 0.5), (5, -0.3, 0.5), (6, 0.15, 0.5)),
        line((0, 0.5, 0.5), (2, 0.5, 0.5), (4, 0.85, 0.5)),
        line((0, 0.85, 0.5), (2, 0.85, 0.5), (4, 0.5, 0.5))), 7),
)  # fmt: skip


def render(
    scene: Scene, sprites: list[Sprite], *, seed: int
) -> Iterator[tuple[Frame, list[tuple[float, ...]]]]:
    """Frames, and for each sprite (x, y, share of it that can be seen)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (6, 10, 3), dtype=np.uint8)
    background = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    start = rng.integers(0, 50, len(sprites))
    for index in range(round(scene.seconds * FPS)):
        canvas = background.astype(np.float32)
        owner = np.full((HEIGHT, WIDTH), -1)
        places = []
        for number, (sprite, path) in enumerate(zip(sprites, scene.paths, strict=True)):
            x, y = path(index / FPS)
            place = _paste(canvas, owner, sprite, number, index + int(start[number]), (x * WIDTH, y * HEIGHT))
            places.append(place)
        seen = [float((owner == i).sum()) / float((s.mask > 0.5).sum()) for i, s in enumerate(sprites)]
        noise = rng.normal(0, 1.5, canvas.shape)
        frame = np.clip(canvas + noise, 0, 255).astype(np.uint8)
        yield frame, [(*place, fraction) for place, fraction in zip(places, seen, strict=True)]


def _paste(
    canvas: npt.NDArray[np.float32],
    owner: npt.NDArray[np.int64],
    sprite: Sprite,
    number: int,
    index: int,
    center: tuple[float, float],
) -> tuple[float, float]:
    side = len(sprite.mask)
    left, top = round(center[0] - side / 2), round(center[1] - side / 2)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(WIDTH, left + side), min(HEIGHT, top + side)
    if x0 < x1 and y0 < y1:
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        mask, target = sprite.mask[part], canvas[y0:y1, x0:x1]
        target += mask * (sprite.at(index)[part] - target)
        owner[y0:y1, x0:x1][mask[..., 0] > 0.5] = number
    return center
