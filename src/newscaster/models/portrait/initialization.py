"""Initialization of a full-frame network: appearance codes computed from the footage.

The frames are clustered by the head pose of their clips; each cluster is one appearance. Its backdrop is the
mean of its frames, its texture the mean of the same frames in head coordinates. A texture covers the backdrop
at points at which frames vary less in head coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.portrait.data import WholeFrames
from newscaster.models.portrait.network import TEXTURE_BOX, FullFrame, FullFrameConfig
from newscaster.types import ArrayFloat, ArrayI64

_COLOURS = 3
_MIN_SPREAD = 0.005
"""Minimum spread of poses in inter-ocular distances, for clips in which the head stays in one place."""
_MIN_VARIANCE, _STEEPNESS, _MAX_COVER = 1e-4, 2.0, 4.0
_EVERY = 10
_ROUNDS = 50


@torch.no_grad()
def start_from(
    network: FullFrame, frames: WholeFrames, *, sharpness: float = 6.0, most_frames: int = 2000, seed: int = 0
) -> None:
    """Set the appearance codes of a network on the CPU from frames.

    Args:
        network: its backdrops, textures, centres and pose scale are set.
        frames: training frames.
        sharpness: of the transition between appearances: weight of squared distances, in spreads.
        most_frames: maximum number of frames that are read, evenly spread.
        seed: of the clustering.
    """
    config = network.config
    poses = frames.appearances.reshape(len(frames), -1)
    usual = poses.mean(axis=0)
    spread = np.maximum(poses.std(axis=0), _MIN_SPREAD * config.eye_distance_px)
    numbers = frames.spread(most_frames)
    centres, groups = group((poses[numbers] - usual) / spread, config.appearances, seed=seed)
    appearances = _Appearances(frames, config, numbers, groups)
    backdrops, textures = appearances.means()
    width, height = config.size
    network.backdrops[:, :, :height, :width] = backdrops
    network.backdrops[:, :, :, width:] = network.backdrops[:, :, :, width - 1 : width]
    network.backdrops[:, :, height:] = network.backdrops[:, :, height - 1 : height]
    network.textures[:, :_COLOURS] = textures
    network.textures[:, _COLOURS] = appearances.cover(backdrops, textures)
    network.centres.copy_(torch.from_numpy(centres * sharpness**0.5))
    network.usual.copy_(torch.from_numpy(usual))
    network.spread.copy_(torch.from_numpy(spread / sharpness**0.5))


class _Appearances:
    """Means and variances of groups of frames, in the frame and on the plane of the face."""

    def __init__(
        self, frames: WholeFrames, config: FullFrameConfig, numbers: ArrayI64, groups: ArrayI64
    ) -> None:
        self._frames, self._config = frames, config
        self._pairs = list(zip(numbers.tolist(), groups.tolist(), strict=True))
        self._counts = np.bincount(groups, minlength=config.appearances)
        left, top, right, bottom = TEXTURE_BOX
        across, down = config.texture_size
        xs = (torch.arange(across) + 0.5) / across * (right - left) + left
        ys = (torch.arange(down) + 0.5) / down * (bottom - top) + top
        self._places = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)

    def means(self) -> tuple[Tensor, Tensor]:
        """Return backdrops (appearances, 3, H, W) and textures (appearances, 3, h, w).

        An appearance without frames gets the mean of the others.
        """
        appearances, (width, height), (across, down) = (
            self._config.appearances, self._config.size, self._config.texture_size
        )  # fmt: skip
        backdrops = torch.zeros(appearances, _COLOURS, height, width)
        textures = torch.zeros(appearances, _COLOURS, down, across)
        for number, appearance in self._pairs:
            image = self._image(number)
            backdrops[appearance] += image / self._counts[appearance]
            textures[appearance] += self._from_head(image, number) / self._counts[appearance]
        empty = torch.from_numpy(self._counts == 0)
        for means in (backdrops, textures):
            means[empty] = means[~empty].mean(dim=0)
        return backdrops, textures

    def cover(self, backdrops: Tensor, textures: Tensor) -> Tensor:
        """Return the coverage of the textures (h, w), before the sigmoid."""
        still, moving = torch.zeros(backdrops.shape[2:]), torch.zeros(textures.shape[2:])
        for number, appearance in self._pairs:
            image = self._image(number)
            still += ((image - backdrops[appearance]) ** 2).mean(dim=0) / len(self._pairs)
            seen = self._from_head(image, number)
            moving += ((seen - textures[appearance]) ** 2).mean(dim=0) / len(self._pairs)
        sample = self._pairs[::_EVERY]
        behind = sum((self._from_head(still[None], number)[0] for number, _ in sample), torch.zeros(()))
        ratio = (behind / len(sample) + _MIN_VARIANCE) / (moving + _MIN_VARIANCE)
        return (torch.log(ratio) * _STEEPNESS).clamp(-_MAX_COVER, _MAX_COVER)

    def _image(self, number: int) -> Tensor:
        image = torch.from_numpy(np.array(self._frames.image(number)))
        return image.permute(2, 0, 1).float() / 255

    def _from_head(self, image: Tensor, number: int) -> Tensor:
        """Resample an image (C, H, W) on the plane of the face, (C, h, w); its edge is repeated."""
        plane = torch.from_numpy(self._frames.planes[number])
        places = self._places @ plane[:, :2].T + plane[:, 2]
        grid = places / torch.tensor(self._config.size) * 2 - 1
        return functional.grid_sample(image[None], grid[None], align_corners=False, padding_mode="border")[0]


def group(points: ArrayFloat, count: int, *, seed: int) -> tuple[ArrayFloat, ArrayI64]:
    """Cluster points (N, D): return centres (count, D), and the index of each point's centre, (N,).

    k-means (Lloyd 1982) with the initialization of k-means++ (Arthur and Vassilvitskii 2007). If there are
    fewer distinct points than centres, some centres have no point.
    """
    rng = np.random.default_rng(seed)
    centres = points[rng.choice(len(points), 1)]
    while len(centres) < count:
        far = _distances(points, centres).min(axis=1)
        fraction = far / far.sum() if far.sum() > 0 else None
        centres = np.concatenate([centres, points[rng.choice(len(points), 1, p=fraction)]])
    nearest = _distances(points, centres).argmin(axis=1)
    for _ in range(_ROUNDS):
        means = [
            points[nearest == k].mean(axis=0) if (nearest == k).any() else c for k, c in enumerate(centres)
        ]
        centres = np.stack(means)
        nearest = _distances(points, centres).argmin(axis=1)
    return centres, nearest


def _distances(points: ArrayFloat, centres: ArrayFloat) -> ArrayFloat:
    """Return squared distances (N, count)."""
    return np.asarray(((points[:, None] - centres[None]) ** 2).sum(axis=-1))
