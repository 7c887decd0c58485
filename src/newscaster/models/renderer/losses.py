"""Weights of a renderer's training loss, and the peak signal-to-noise ratio.

The losses themselves are in :mod:`newscaster.models.losses`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.losses import Mean, alone


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much every part of the reconstruction loss counts."""

    outside: float = 0.1
    """Weight of the margin around the hidden pixels, which count 1."""
    inner_mouth: float = 4.0
    """Added weight of the inner mouth: teeth and tongue are few pixels that everybody looks at."""
    gradient: float = 0.5
    """Weight of the error of differences between neighbours, beside that of the values: keeps edges sharp."""
    temporal: float = 0.5
    """Weight of the error of differences between successive frames: what flickers is seen."""
    perceptual: float = 0.004
    """Weight of activations of a network that has learnt to see, about the mouth; counts with sharpening."""


def pixel_weights(covered: Tensor, inner_mouth: Tensor, weights: LossWeights, mean: Mean = alone) -> Tensor:
    """Weight of every pixel, (B, 1, h, w), of mean 1 over the hidden ones of a closed mouth.

    Args:
        covered: (1, 1, h, w) bool, the pixels that are rendered.
        inner_mouth: (B, 1, h', w') coverage of 0 to 1, at any resolution.
        weights: how much every part counts.
        mean: over the processes that train together.
    """
    size = covered.shape[-2:]
    if inner_mouth.shape[-2:] != size:
        inner_mouth = functional.interpolate(inner_mouth, size=size, mode="bilinear", align_corners=False)
    where = torch.where(covered, 1.0, weights.outside)
    return where * (1 + weights.inner_mouth * inner_mouth) / mean(covered.float().mean())


def psnr(squared_error: float, count: int) -> float:
    """Peak signal-to-noise ratio in dB for a sum of squared errors of 8-bit values."""
    return 10 * math.log10(255**2 * count / max(squared_error, 1e-9))
