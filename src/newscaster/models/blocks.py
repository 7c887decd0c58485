"""What the renderers are built of: convolutions with batch normalisation, residual blocks, U-Nets of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from newscaster.training.processes import BatchNorm2d


def convolution(entering: int, leaving: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution and batch normalisation, which is folded into it on export: it costs nothing there."""
    convolved = nn.Conv2d(entering, leaving, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolved, BatchNorm2d(leaving))


class Residual(nn.Module):
    """Two convolutions with a way around them; at first it changes nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3)
        self.second = convolution(channels, channels, 3)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def residuals(channels: int, count: int) -> nn.Sequential:
    """Some residual blocks in a row."""
    return nn.Sequential(*(Residual(channels) for _ in range(count)))


def through_levels(
    x: Tensor,
    encoder: nn.ModuleList,
    down: nn.ModuleList,
    up: nn.ModuleList,
    decoder: nn.ModuleList,
    *,
    shifts: Sequence[Tensor] = (),
) -> Tensor:
    """Run the levels of a U-Net, the finest first; skips are added rather than joined.

    Args:
        x: (B, C, h, w), input of the finest level.
        encoder: blocks of each level on the way down.
        down: convolutions that halve the grid, between the levels.
        up: convolutions to the channels of the next finer level.
        decoder: blocks of each level on the way up; the coarsest has none.
        shifts: added to the input of each level, (B, C, 1, 1); none: nothing is added.
    """
    skips: list[Tensor] = []
    for level, blocks in enumerate(encoder):
        x = blocks(x + shifts[level] if shifts else x)
        if level < len(down):
            skips.append(x)
            x = functional.relu(down[level](x))
    for level in reversed(range(len(skips))):
        x = functional.interpolate(up[level](x), scale_factor=2.0, mode="nearest")
        x = decoder[level](functional.relu(x + skips[level]))
    return x


def unshuffle(x: Tensor, cell: int) -> Tensor:
    """Pixels (B, C, H, W) into channels, (B, C cell², H / cell, W / cell)."""
    return functional.pixel_unshuffle(x, cell) if cell > 1 else x
