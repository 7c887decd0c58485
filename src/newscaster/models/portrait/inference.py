"""Inference and evaluation of a full-frame network, for previews, metrics and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from newscaster.errors import InputError
from newscaster.face.crop import cut_crop
from newscaster.face.full_face_map import CHANNELS, draw_full_face_map
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.models.losses import sharpness
from newscaster.models.portrait.data import WholeFrames
from newscaster.models.portrait.network import FullFrame, Window
from newscaster.models.renderer.losses import psnr
from newscaster.training.precision import autocast
from newscaster.types import ArrayBool, ArrayFloat, ArrayI64, ImageU8

_OVAL = CHANNELS.index("face oval")
_BATCH = 5


def render_frames(
    network: FullFrame,
    landmarks: ArrayFloat,
    planes: ArrayFloat,
    appearances: ArrayFloat,
    *,
    batch: int = _BATCH,
    precision: torch.dtype | None = None,
) -> Iterator[ImageU8]:
    """Render frames of faces.

    Args:
        network: in evaluation mode; it computes on the device of its weights.
        landmarks: (F, 478, >=2) in pixels of the network's frame.
        planes: (F, 2, 3), smoothed head poses.
        appearances: (F, 2, 3), planes that select the appearance codes; see :class:`WholeFrames`.
        batch: number of frames rendered at once.
        precision: dtype of the computation; None: float32.

    Yields:
        (H, W, 3) uint8 RGB, one per face.
    """
    width, height = network.config.size
    windows = Window(((0, 0),) * len(landmarks), network.config.padded)
    for image in _rendered_frames(
        network, landmarks, planes, appearances, windows, batch=batch, precision=precision
    ):
        yield np.ascontiguousarray(image[:height, :width])


def render_crops(
    network: FullFrame,
    landmarks: ArrayFloat,
    planes: ArrayFloat,
    appearances: ArrayFloat,
    transforms: SurfaceWarp,
    *,
    side: int,
    batch: int = _BATCH,
    precision: torch.dtype | None = None,
) -> Iterator[ImageU8]:
    """Render crops (side, side, 3) of frames of faces, and no more of each frame than the crop needs.

    Args:
        network: see :func:`render_frames`.
        landmarks: likewise.
        planes: likewise.
        appearances: likewise.
        transforms: (F,), from pixels of the network's frame to pixels of the crop.
        side: of the crops, in pixels.
        batch: see :func:`render_frames`.
        precision: likewise.
    """
    windows = _windows_of(network, transforms, side)
    rendered = _rendered_frames(
        network, landmarks, planes, appearances, windows, batch=batch, precision=precision
    )
    for index, image in enumerate(rendered):
        x, y = windows.corners[index]
        yield cut_crop(image, transforms[index].from_corner(x, y), side)


def _windows_of(network: FullFrame, transforms: SurfaceWarp, side: int) -> Window:
    """Return windows of one size, on the coarsest grid, that contain the crops."""
    config = network.config
    padded = np.array(config.padded)
    coarsest = config.coarsest_cell
    seen = transforms.outline(0, 0, side, side)
    # One coarsest cell more on every side: convolutions do not see the outside of a window.
    first = np.floor(seen.min(axis=1) / coarsest).astype(int) - 1
    last = np.ceil(seen.max(axis=1) / coarsest).astype(int) + 1
    size = np.minimum((last - first).max(axis=0) * coarsest, padded)
    corners = np.clip(first * coarsest, 0, padded - size)
    return Window(tuple((int(x), int(y)) for x, y in corners), (int(size[0]), int(size[1])))


def _rendered_frames(
    network: FullFrame,
    landmarks: ArrayFloat,
    planes: ArrayFloat,
    appearances: ArrayFloat,
    windows: Window,
    *,
    batch: int,
    precision: torch.dtype | None,
) -> Iterator[ImageU8]:
    """Yield windows of the padded frames."""
    config, device = network.config, network.backdrops.device
    for start in range(0, len(landmarks), batch):
        part = slice(start, start + batch)
        window = Window(windows.corners[part], windows.size)
        cells = window.scaled(config.cell)
        drawn = (draw_full_face_map(face, size=config.padded, cell=config.cell) for face in landmarks[part])
        maps = torch.stack([cells.part(torch.from_numpy(face_map), i) for i, face_map in enumerate(drawn)])
        poses = (torch.from_numpy(np.ascontiguousarray(a[part], np.float32)) for a in (planes, appearances))
        with torch.inference_mode(), autocast(device, precision):
            rendered = network(maps.to(device), *(pose.to(device) for pose in poses), window)
        yield from to_images(rendered)


def to_images(rendered: Tensor) -> ImageU8:
    """Convert images (B, 3, H, W) of about 0 to 1 to (B, H, W, 3) uint8."""
    levels = (rendered.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


@dataclass(frozen=True)
class ImageQuality:
    """Quality of rendered frames."""

    psnr: float
    """Over all pixels of all frames together, in dB."""
    face_psnr: float
    """Inside the face oval alone, in dB."""
    sharpness: float
    """Ratio of the variances of the Laplacian inside the face oval, rendered to real, each summed over
    frames; 1: equally sharp. NaN if no oval lies inside the frame."""
    frames: int


def evaluate(
    network: FullFrame,
    frames: WholeFrames,
    numbers: ArrayI64 | None = None,
    *,
    precision: torch.dtype | None = None,
) -> ImageQuality:
    """Render frames of any footage of the person and compare them with the real ones.

    Args:
        network: in evaluation mode.
        frames: of the size that the network renders.
        numbers: indices of the frames to compare; by default all.
        precision: dtype of the computation; None: float32.

    Raises:
        InputError: the frames have another size.
    """
    if frames.size != network.config.size:
        raise InputError(
            f"the network renders frames of {network.config.size}; the footage was read at {frames.size}. "
            f"Use footage of the same size and read it with the same max_pixels"
        )
    numbers = np.arange(len(frames)) if numbers is None else numbers
    faces = (frames.landmarks[numbers], frames.planes[numbers], frames.appearances[numbers])
    squared, counts, sharp = np.zeros(2), np.zeros(2, np.int64), np.zeros(2)
    for number, rendered in zip(numbers, render_frames(network, *faces, precision=precision), strict=True):
        real, oval = frames.image(number), face_oval(network, frames.landmarks[number])
        error = (rendered.astype(np.float64) - real) ** 2
        squared += error.sum(), error[oval].sum()
        counts += error.size, error[oval].size
        sharp += [sharpness(image, oval) for image in (rendered, real)]
    ratio = float(sharp[0] / sharp[1]) if sharp[1] else math.nan
    whole, face = (psnr(float(s), max(1, int(c))) for s, c in zip(squared, counts, strict=True))
    return ImageQuality(whole, face, ratio, len(numbers))


def face_oval(network: FullFrame, landmarks: ArrayFloat) -> ArrayBool:
    """Return the mask (H, W) of pixels inside the face oval."""
    config = network.config
    drawn = draw_full_face_map(landmarks, size=config.padded, cell=config.cell)[_OVAL] > 127
    width, height = config.size
    return np.asarray(drawn.repeat(config.cell, axis=0).repeat(config.cell, axis=1)[:height, :width])
