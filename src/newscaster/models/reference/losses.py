"""The loss of the reference renderer.

There is no adversary: the high band is copied, so it is as sharp as the footage by construction. What the
network learns is where to copy from, how to mix the low band, and what to correct in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from newscaster.models.losses import Mean, alone, reconstruction_loss
from newscaster.models.reference.data import BoxBatch
from newscaster.models.reference.network import Rendering
from newscaster.models.renderer.losses import LossWeights, pixel_weights


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
    rendering: Rendering, batch: BoxBatch, weights: ReferenceWeights, mean: Mean = alone
) -> Tensor:
    """Return the loss of what the network made of a box; a scalar.

    Args:
        rendering: what the network made.
        batch: the real frames, in pairs of successive ones.
        weights: how much every part counts.
        mean: over the processes that train together.
    """
    cell = batch.target.shape[-1] // rendering.low.shape[-1]
    made = torch.where(batch.hidden, rendering.image, batch.target)
    pixels = pixel_weights(batch.hidden, batch.sight.landmark_map[:, :1], weights.pixels, mean)
    loss = reconstruction_loss(
        made, batch.target, pixels, gradient=weights.pixels.gradient, temporal=weights.pixels.temporal
    )
    cells = batch.sight.hidden
    low = (rendering.low - functional.avg_pool2d(batch.target, cell)).abs() * cells
    return (
        loss
        + weights.low * low.sum() / (3 * mean(cells.sum()))
        + weights.correction * rendering.correction.abs().mean()
        + weights.refinement * rendering.refinement.square().mean()
    )
