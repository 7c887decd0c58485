"""The generator of mouth motion: a non-causal temporal convolutional network.

Features in, mouth coefficients out, one step each per 40 ms of sound. Knows the network alone; losses and
loops are in ``training.motion``. Residual blocks of dilated convolutions after Bai, Kolter and Koltun, *An
Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling* (arXiv
1803.01271), but centred in time: a mouth shape depends on the sounds before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """The shape of a motion network."""

    inputs: int
    """Features per step, ``D``."""
    coefficients: int = 20
    """Mouth coefficients per step, ``K``."""
    channels: int = 192
    """Channels of the residual blocks."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """One residual block each."""
    kernel: int = 3
    """Taps of every dilated convolution; odd."""
    dropout: float = 0.4
    """Share of channels dropped in training after every convolution."""
    input_dropout: float | None = None
    """Share of features dropped in training; None is ``dropout``. Few, and correlated, features want less."""

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError(f"the kernel is centred in time: its taps are odd in number, not {self.kernel}")

    @property
    def context_steps(self) -> int:
        """Steps to either side that a step depends on."""
        return 2 * (self.kernel // 2) * sum(self.dilations)


class _Block(nn.Module):
    """Two dilated convolutions with a way around them."""

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.layers = nn.Sequential()
        for _ in range(2):
            self.layers.append(nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation))
            self.layers.append(nn.ReLU())
            self.layers.append(nn.Dropout1d(dropout))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class MotionNetwork(nn.Module):
    """Features (B, T, D) to mouth coefficients (B, T, K), both float32."""

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.inputs))
        self.register_buffer("feature_deviation", torch.ones(config.inputs))
        dropped = config.dropout if config.input_dropout is None else config.input_dropout
        self.input_dropout = nn.Dropout1d(dropped)
        self.enter = nn.Conv1d(config.inputs, config.channels, 1)
        blocks = [_Block(config.channels, config.kernel, d, config.dropout) for d in config.dilations]
        self.blocks = nn.Sequential(*blocks)
        self.leave = nn.Conv1d(config.channels, config.coefficients, 1)

    def normalise_with(self, features: Tensor) -> None:
        """Take mean and deviation of the features (T, D) that training sees into the network."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_deviation.copy_(features.std(dim=0).clamp_min(1e-4))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, D) to coefficients (B, T, K)."""
        x = (features - self.feature_mean) / self.feature_deviation
        x = self.enter(self.input_dropout(x.transpose(1, 2)))
        out: Tensor = self.leave(self.blocks(x))
        return out.transpose(1, 2)
