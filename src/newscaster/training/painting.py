"""Pictures painted by a trained full-frame network: whole ones, and the regions of faces.

Knows how landmarks become the network's input; training shares that with :mod:`training.full_frame_data`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from newscaster.face.framemap import draw_frame_map
from newscaster.face.geometry import Similarity
from newscaster.face.region import crop
from newscaster.training.devices import precision_on
from newscaster.training.networks.full_frame import FullFrame, Window

ImageArray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
_AT_ONCE = 8


def paint(network: FullFrame, landmarks: Floats, planes: Floats, looks: Floats) -> Iterator[ImageArray]:
    """Whole pictures (H, W, 3) uint8 RGB, one by one.

    Args:
        network: in evaluation mode.
        landmarks: (F, 478, >=2) in pixels of the network's pictures.
        planes: (F, 2, 3), head units on the plane of the face to pixels.
        looks: (F, 2, 3), the planes that the look is chosen by.
    """
    config = network.config
    corners = np.zeros((len(landmarks), 2), np.int64)
    for _, pictures in _windows(network, landmarks, planes, looks, corners, config.padded):
        yield pictures


def paint_regions(
    network: FullFrame, landmarks: Floats, planes: Floats, looks: Floats, transforms: Similarity, *, side: int
) -> Iterator[ImageArray]:
    """Regions (side, side, 3) uint8 RGB cut out of pictures of which no more is painted than needed.

    Args:
        network: in evaluation mode.
        landmarks: as for :func:`paint`.
        planes: likewise.
        looks: likewise.
        transforms: pictures to region pixels, (F,).
        side: of the regions.
    """
    config = network.config
    cell = config.cell << (len(config.channels) - 1)
    square = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    seen = transforms.inverse().apply(square)
    # A coarsest cell more on every side: what lies outside a window is not seen by convolutions.
    first = np.floor(seen.min(axis=1) / cell).astype(int) - 1
    size = (np.ceil(seen.max(axis=1) / cell).astype(int) + 1 - first).max(axis=0) * cell
    size = np.minimum(size, config.padded)
    corners = np.clip(first * cell, 0, np.array(config.padded) - size)
    painted = _windows(network, landmarks, planes, looks, corners, (int(size[0]), int(size[1])))
    for transform, (corner, picture) in zip(transforms.matrix, painted, strict=True):
        back = Similarity.of(scale=1.0, shift=(float(corner[0]), float(corner[1])))
        yield crop(picture, back.then(Similarity(transform)), side)


def _windows(
    network: FullFrame,
    landmarks: Floats,
    planes: Floats,
    looks: Floats,
    corners: npt.NDArray[np.int64],
    size: tuple[int, int],
) -> Iterator[tuple[npt.NDArray[np.int64], ImageArray]]:
    """Corners and pictures of windows of one size, cut to the picture's edge."""
    config, device = network.config, network.backdrops.device
    precision = precision_on(device)
    for start in range(0, len(landmarks), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        window = Window(tuple((int(x), int(y)) for x, y in corners[part]), size)
        drawn = (draw_frame_map(one, size=config.padded, cell=config.cell) for one in landmarks[part])
        cells = window.scaled(config.cell)
        maps = torch.stack([cells.part(torch.from_numpy(one), index) for index, one in enumerate(drawn)])
        poses = (torch.from_numpy(p[part].astype(np.float32)).to(device) for p in (planes, looks))
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=precision, enabled=precision is not None),
        ):
            painted = network(maps.to(device), *poses, window)
        levels = (painted.float().clamp(0, 1) * 255 + 0.5).permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
        yield from zip(corners[part], levels, strict=True)
