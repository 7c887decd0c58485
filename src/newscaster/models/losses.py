"""Losses of rendered frames: pixels and gradients, changes in time, detail and perceptual distance.

Pixel errors alone give blurred frames: the mean of all plausible ones. The detail loss, a discriminator and
the perceptual loss favour sharp frames. They start once the frame is otherwise right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.perceptual import Perceptual
from newscaster.training.adversarial import AdversarialLoss
from newscaster.training.budget import Ramp
from newscaster.types import ArrayBool, ImageU8

Mean = Callable[[Tensor], Tensor]
"""The mean of a tensor over the processes that train together (`training.processes`)."""
LUMA = (0.299, 0.587, 0.114)
_AROUND, _EVERY = 9, 4
_LEAST = 1e-7


@dataclass(frozen=True, kw_only=True)
class Sharpening:
    """Losses that ask for sharp frames; they come in once a frame is otherwise right."""

    detail: float = 0.15
    """Weight of the amount of fine detail around each pixel (:func:`detail_loss`)."""
    adversarial: AdversarialLoss = field(default_factory=AdversarialLoss)
    ramp: Ramp = field(default_factory=lambda: Ramp(start=0.35, duration=0.1))
    """When all of them come in."""


@dataclass(frozen=True, kw_only=True)
class FullFrameWeights:
    """Weights of the loss terms, relative to the pixel error, which has weight 1."""

    face: float = 2.0
    """Added weight of pixels inside the face."""
    gradient: float = 0.5
    """Of the error of differences between neighbours."""
    temporal: float = 0.5
    """Of the error of differences between successive frames: viewers notice flicker more than blur."""
    perceptual: float = 0.003
    """Of the perceptual loss."""


def alone(value: Tensor) -> Tensor:
    """Return the mean over a single process."""
    return value


def pixel_weights(oval: Tensor, weights: FullFrameWeights, mean: Mean = alone) -> Tensor:
    """Weight of every pixel, (B, 1, h, w), of mean 1; ``oval`` is the coverage by the face, 0 to 1."""
    pixels = 1 + weights.face * oval
    return pixels / mean(pixels.mean())


def reconstruction_loss(
    output: Tensor, target: Tensor, pixels: Tensor, *, gradient: float, temporal: float
) -> Tensor:
    """Weighted L1 of pixels (B, 3, h, w) and of their differences in space and time; a scalar.

    Args:
        output: frames in pairs of successive ones, the two of a pair next to each other.
        target: the real ones.
        pixels: weight of every pixel, (B, 1, h, w).
        gradient: weight of the differences between neighbours.
        temporal: weight of the differences between successive frames; 0: frames need not be in pairs.
    """
    error = output - target
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = (across.abs() * pixels[..., 1:]).mean() + (down.abs() * pixels[..., 1:, :]).mean()
    change = ((error[1::2] - error[::2]).abs() * pixels[::2]).mean() if temporal else 0.0
    return (error.abs() * pixels).mean() + gradient * edges + temporal * change


def perceptual_loss(network: Perceptual, rendered: Tensor, real: Tensor) -> Tensor:
    """L1 between activations, summed over resolutions; a scalar."""
    with torch.no_grad():
        expected = network(real)
    return _summed(
        [(a.float() - b.float()).abs().mean() for a, b in zip(network(rendered), expected, strict=True)]
    )


def laplacian(luma: Tensor) -> Tensor:
    """Sum of the four neighbours less four times the middle, (B, 1, h - 2, w - 2) of (B, 1, h, w)."""
    kernel = luma.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return functional.conv2d(luma, kernel[None, None])


def sharpness(image: ImageU8, inside: ArrayBool) -> float:
    """Return the variance of the Laplacian of the luma of (H, W, 3) over the pixels ``inside`` (H, W)."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double()
    values = laplacian(luma(images=pixels))[0, 0].numpy()[inside[1:-1, 1:-1]]
    return float(values.var()) if values.size else 0.0


def luma(images: Tensor) -> Tensor:
    """Brightness (B, 1, h, w) of (B, 3, h, w), ITU-R BT.601."""
    return functional.conv2d(images, images.new_tensor(LUMA)[None, :, None, None])


def detail_loss(rendered: Tensor, real: Tensor) -> Tensor:
    """L1 between local root mean squares of the Laplacian, which measure fine detail; a scalar."""
    return (_detail(rendered) - _detail(real)).abs().mean()


def _detail(images: Tensor) -> Tensor:
    squared = laplacian(luma(images)).pow(2)
    return functional.avg_pool2d(squared, _AROUND, stride=_EVERY).clamp_min(_LEAST).sqrt()


def _summed(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum()
