"""The discriminator of mouth motion: it classifies motion as real or generated, given the audio.

It is a TCN over the coefficients and their first and second differences, because fine movements distinguish
generated motion. The speech features are its condition. It works at several temporal resolutions. The
adversarial loss is in ``training.adversarial``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_AUDIO_CHANNELS = 32
_SLOPE = 0.2


class _Scale(nn.Module):
    """Convolutions over one resolution in time."""

    def __init__(self, entering: int, channels: int) -> None:
        super().__init__()
        widths = (entering, channels, channels, channels)
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv1d(a, b, 5, padding=2 * dilation, dilation=dilation))
            for a, b, dilation in zip(widths[:-1], widths[1:], (1, 2, 4), strict=True)
        )
        self.verdict = nn.Conv1d(channels, 1, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        activations = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            activations.append(x)
        return [*activations, self.verdict(x)]


class MotionDiscriminator(nn.Module):
    """Coefficients (B, T, K) and features (B, T, D) to activations, one list for every scale.

    Each list ends with the logits (B, 1, T'); the others are (B, C, T').

    Args:
        coefficients: mouth coefficients per step, K.
        inputs: features per step, D.
        channels: C.
        scales: temporal pooling factor of each scale.
    """

    motion_deviation: Tensor

    def __init__(
        self, *, coefficients: int, inputs: int, channels: int = 64, scales: Sequence[int] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.register_buffer("motion_deviation", torch.ones(3 * coefficients))
        self.hear = nn.Conv1d(inputs, _AUDIO_CHANNELS, 1)
        self.pooled = tuple(scales)
        self.scales = nn.ModuleList(_Scale(3 * coefficients + _AUDIO_CHANNELS, channels) for _ in scales)

    def normalise_with(self, motion: Sequence[Tensor]) -> None:
        """Set the standard deviations from real motion (T, K) and its first and second differences."""
        courses = torch.cat([_with_steps(course.T[None])[0] for course in motion], dim=1)
        self.motion_deviation.copy_(courses.std(dim=1).clamp_min(1e-4))

    def forward(self, motion: Tensor, features: Tensor) -> list[list[Tensor]]:
        """Compute activations of motion (B, T, K), normalised features (B, T, D), T >= the coarsest scale."""
        moved = _with_steps(motion.transpose(1, 2)) / self.motion_deviation[:, None]
        x = torch.cat([moved, self.hear(features.transpose(1, 2))], dim=1)
        return [
            scale(functional.avg_pool1d(x, pooled) if pooled > 1 else x)
            for scale, pooled in zip(self.scales, self.pooled, strict=True)
        ]


def _with_steps(course: Tensor) -> Tensor:
    """Map (B, K, T) to (B, 3K, T): values, first and second differences, which start with 0."""
    steps = functional.pad(course[..., 1:] - course[..., :-1], (1, 0))
    curve = functional.pad(steps[..., 1:] - steps[..., :-1], (1, 0))
    return torch.cat([course, steps, curve], dim=1)
