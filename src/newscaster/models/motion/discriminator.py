"""The discriminator of mouth motion: whether a course of mouth shapes is real, and goes with its sound.

A TCN over the coefficients, their steps and the steps of those, since what gives a made motion away are its
fine movements; heard beside the speech features, at several resolutions in time. Knows the network alone;
what it teaches the generator is in ``training.adversarial``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEARD = 32
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
        seen = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), _SLOPE)
            seen.append(x)
        return [*seen, self.verdict(x)]


class MotionDiscriminator(nn.Module):
    """Coefficients (B, T, K) and features (B, T, D) to activations, one list for every scale.

    Each list ends with the verdicts (B, 1, T'), of any size; the others are (B, C, T').

    Args:
        coefficients: mouth coefficients per step, K.
        inputs: features per step, D.
        channels: C.
        scales: by how much time is pooled before each of the scales.
    """

    motion_deviation: Tensor

    def __init__(
        self, *, coefficients: int, inputs: int, channels: int = 64, scales: Sequence[int] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.register_buffer("motion_deviation", torch.ones(3 * coefficients))
        self.hear = nn.Conv1d(inputs, _HEARD, 1)
        self.pooled = tuple(scales)
        self.scales = nn.ModuleList(_Scale(3 * coefficients + _HEARD, channels) for _ in scales)

    def normalise_with(self, motion: Sequence[Tensor]) -> None:
        """Take the deviations of real courses (T, K), of their steps, and of the steps of those."""
        courses = torch.cat([_with_steps(course.T[None])[0] for course in motion], dim=1)
        self.motion_deviation.copy_(courses.std(dim=1).clamp_min(1e-4))

    def forward(self, motion: Tensor, features: Tensor) -> list[list[Tensor]]:
        """Motion (B, T, K) and normalised features (B, T, D), T at least the coarsest scale."""
        moved = _with_steps(motion.transpose(1, 2)) / self.motion_deviation[:, None]
        x = torch.cat([moved, self.hear(features.transpose(1, 2))], dim=1)
        return [
            scale(functional.avg_pool1d(x, pooled) if pooled > 1 else x)
            for scale, pooled in zip(self.scales, self.pooled, strict=True)
        ]


def _with_steps(course: Tensor) -> Tensor:
    """(B, K, T) to (B, 3K, T): the course, its differences, and theirs; 0 at the begin."""
    steps = functional.pad(course[..., 1:] - course[..., :-1], (1, 0))
    curve = functional.pad(steps[..., 1:] - steps[..., :-1], (1, 0))
    return torch.cat([course, steps, curve], dim=1)
