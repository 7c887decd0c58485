"""What a painted picture is trained by: what it should be, how it should change, and whether it looks real.

Errors alone make a soft picture: the mean of all that might have been. Detail, a discriminator and a network
that has learnt to see ask for a sharp one, and come in when the picture is otherwise right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.training.networks.full_frame import PatchDiscriminator
from newscaster.training.networks.perceptual import Perceptual

_LUMA = (0.299, 0.587, 0.114)
_AROUND, _EVERY = 9, 4
_LEAST = 1e-7
Seen = list[list[Tensor]]
"""Activations of a discriminator, per scale."""


@dataclass(frozen=True, kw_only=True)
class FullFrameWeights:
    """How much every part of the loss counts, beside the error of pixels, which counts 1."""

    face: float = 2.0
    """Added weight of pixels inside the face."""
    gradient: float = 0.5
    """Of the error of differences between neighbours."""
    temporal: float = 0.5
    """Of the error of differences between successive frames: what flickers is seen, what is soft is not."""
    perceptual: float = 0.003
    """Of activations of a network that has learnt to see."""
    detail: float = 0.15
    """Of how much fine detail there is about every place, wherever exactly it is."""
    adversarial: float = 0.02
    """Of the discriminator's verdict."""
    matching: float = 0.2
    """Of its activations (Salimans et al., arXiv 1606.03498)."""
    sharpen_from: float = 0.35
    """The share of the budget from which on detail and the discriminator count,"""
    sharpen_over: float = 0.1
    """and over what share of it they come in."""

    def sharpening(self, used: float) -> float:
        """How much detail and the discriminator count, 0 to 1, when so much of the budget is spent."""
        return min(1.0, max(0.0, (used - self.sharpen_from) / self.sharpen_over))


def pixel_weights(oval: Tensor, weights: FullFrameWeights) -> Tensor:
    """Weight of every pixel, (B, 1, h, w), of mean 1; ``oval`` is the coverage by the face, 0 to 1."""
    pixels = 1 + weights.face * oval
    return pixels / pixels.mean()


def error_loss(painted: Tensor, real: Tensor, pixels: Tensor, weights: FullFrameWeights) -> Tensor:
    """Weighted L1 of pixels (B, 3, h, w), of their differences in space, and in time; a scalar.

    Pictures come in pairs of successive frames, the two of a pair next to each other.
    """
    error = painted - real
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = (across.abs() * pixels[..., 1:]).mean() + (down.abs() * pixels[..., 1:, :]).mean()
    change = ((error[1::2] - error[::2]).abs() * pixels[::2]).mean()
    return (error.abs() * pixels).mean() + weights.gradient * edges + weights.temporal * change


def perceptual_loss(network: Perceptual, painted: Tensor, real: Tensor) -> Tensor:
    """L1 between activations, summed over resolutions; a scalar."""
    with torch.no_grad():
        wanted = network(real)
    return _summed(
        [(a.float() - b.float()).abs().mean() for a, b in zip(network(painted), wanted, strict=True)]
    )


def laplacian(luma: Tensor) -> Tensor:
    """Sum of the four neighbours less four times the middle, (B, 1, h - 2, w - 2) of (B, 1, h, w)."""
    kernel = luma.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return functional.conv2d(luma, kernel[None, None])


def luma(pictures: Tensor) -> Tensor:
    """Brightness (B, 1, h, w) of (B, 3, h, w), ITU-R BT.601."""
    return functional.conv2d(pictures, pictures.new_tensor(_LUMA)[None, :, None, None])


def detail_loss(painted: Tensor, real: Tensor) -> Tensor:
    """L1 between root mean squares of the Laplacian about each place: how much detail is there; a scalar."""
    return (_detail(painted) - _detail(real)).abs().mean()


def _detail(pictures: Tensor) -> Tensor:
    squared = laplacian(luma(pictures)).pow(2)
    return functional.avg_pool2d(squared, _AROUND, stride=_EVERY).clamp_min(_LEAST).sqrt()


def discriminator_loss(seen: Seen) -> Tensor:
    """Hinge loss (arXiv 1705.02894) of a discriminator that saw real pictures, then as many painted ones."""
    verdicts = [scale[-1].float() for scale in seen]
    count = len(verdicts[0]) // 2
    return _summed(
        [functional.relu(1 - v[:count]).mean() + functional.relu(1 + v[count:]).mean() for v in verdicts]
    )


def adversarial_loss(
    discriminator: PatchDiscriminator, painted: Tensor, real: Tensor, maps: Tensor, weights: FullFrameWeights
) -> Tensor:
    """How real painted pictures look to a discriminator, which stays as it is, and how alike to real ones."""
    with torch.no_grad():
        wanted = discriminator(real, maps)
    with _frozen(discriminator):
        seen = discriminator(painted, maps)
    verdict = _summed([scale[-1].float().mean() for scale in seen])
    apart = [
        (a.float() - b.float()).abs().mean()
        for one, other in zip(seen, wanted, strict=True)
        for a, b in zip(one[:-1], other[:-1], strict=True)
    ]
    return weights.matching * _summed(apart) / len(apart) - weights.adversarial * verdict


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """A block in which a network's parameters get no gradient."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _summed(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum()
