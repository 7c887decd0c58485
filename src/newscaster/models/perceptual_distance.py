"""Perceptual distance between frames: a metric, not a training loss."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.perceptual import Perceptual
from newscaster.types import ArrayBool, ArrayF64, ImageU8

_AT_ONCE = 16
_MIN_LENGTH = 1e-5


def perceptual_distances(made: ImageU8, real: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return the distance of each frame, (F,): 0 to 2 per resolution, in practice far below 1; 0: identical.

    As in LPIPS without learnt weights (Zhang, Isola, Efros, Shechtman, Wang, *The unreasonable effectiveness
    of deep features as a perceptual metric*, arXiv 1801.03924), with the first blocks of EfficientNet-Lite0
    as the network. At four resolutions, 1/2 to 1/16 of the frame's, the activations at every position are
    normalised to unit length over the channels. The distance is the squared length of their difference,
    averaged over positions with the mask's coverage as weight, and summed over the resolutions. Values are
    not comparable with LPIPS of other networks, nor between crops of different sides.

    Args:
        made, real: (F, H, W, 3) RGB.
        mask: (H, W), the pixels that count. The network sees the whole frames.

    Raises:
        MissingExtraError: the network's weights are not installed.
    """
    network = _network()
    covered = torch.from_numpy(mask.astype(np.float32))[None, None]
    distances = []
    with torch.inference_mode():
        for first in range(0, len(made), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            distances.append(_distances(network(_tensor(made[part])), network(_tensor(real[part])), covered))
    return torch.cat(distances).double().numpy() if distances else np.zeros(0)


def _distances(made: list[Tensor], real: list[Tensor], covered: Tensor) -> Tensor:
    total = torch.zeros(len(made[0]))
    for ours, theirs in zip(made, real, strict=True):
        apart = (_unit(ours) - _unit(theirs)).pow(2).sum(dim=1)
        weights = functional.interpolate(covered, size=apart.shape[-2:], mode="area")[0]
        total += (apart * weights).sum(dim=(1, 2)) / weights.sum()
    return total


def _unit(activations: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(activations, dim=1, keepdim=True)
    return activations / length.clamp_min(_MIN_LENGTH)


def _tensor(images: ImageU8) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


@cache
def _network() -> Perceptual:
    return Perceptual.pretrained()
