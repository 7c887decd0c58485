"""The loss of the reference renderer.

There is no adversary: the high band is copied, so it is as sharp as the footage by construction. What the
network learns is where to copy from, how to mix the low band, and what to correct in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.losses import reconstruction_loss
from newscaster.models.reference.network import CELLS, Rendering, Sight
from newscaster.models.renderer.losses import LossWeights, pixel_weights
from newscaster.models.renderer.network import Box


@dataclass(frozen=True, kw_only=True)
class ReferenceWeights:
    """How much every part of the loss counts, relative to the pixel error."""

    pixels: LossWeights = field(
        default_factory=lambda: LossWeights(outside=0.0, inner_mouth=2.0, temporal=0.25, perceptual=0.0)
    )
    low: float = 1.0
    """Of the error of the low band alone."""
    correction: float = 0.02
    """Of the size of the correction: copying is preferred."""
    refinement: float = 20.0
    """Of the square of the flow's refinement, in crop widths."""


def reference_loss(
    rendering: Rendering, target: Tensor, sight: Sight, box: Box, weights: ReferenceWeights
) -> Tensor:
    """Return the loss of what the network made of the box of some crops; a scalar.

    Args:
        rendering: what the network made.
        target: the real crops (B, 3, S, S), in pairs of successive frames.
        sight: what the network saw.
        box: the computed part of the crops, in cells.
        weights: how much every part counts.
    """
    cell = target.shape[-1] // CELLS
    t, b, l, r = box.scaled_up(cell)  # noqa: E741
    real, covered = target[..., t:b, l:r], sight.hidden[..., t:b, l:r]
    made = torch.where(covered > 0, rendering.image, real)
    t, b, l, r = box  # noqa: E741
    pixels = pixel_weights(covered > 0, sight.landmark_map[:, :1, t:b, l:r], weights.pixels)
    loss = reconstruction_loss(
        made, real, pixels, gradient=weights.pixels.gradient, temporal=weights.pixels.temporal
    )
    cells = functional.avg_pool2d(covered, cell)
    low = (rendering.low - functional.avg_pool2d(real, cell)).abs() * cells
    return (
        loss
        + weights.low * low.sum() / (3 * cells.sum())
        + weights.correction * rendering.correction.abs().mean()
        + weights.refinement * rendering.refinement.square().mean()
    )
