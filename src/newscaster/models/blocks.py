"""What the renderers are built of: convolutions with batch normalisation, and residual blocks of them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def convolution(entering: int, leaving: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution and batch normalisation, which is folded into it on export: it costs nothing there."""
    convolved = nn.Conv2d(entering, leaving, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolved, nn.BatchNorm2d(leaving))


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


def unshuffle(x: Tensor, cell: int) -> Tensor:
    """Pixels (B, C, H, W) into channels, (B, C cell², H / cell, W / cell)."""
    return functional.pixel_unshuffle(x, cell) if cell > 1 else x
