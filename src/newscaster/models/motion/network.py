"""The generators of mouth motion: the temporal convolutional network, and its recurrent baselines.

They map features to mouth coefficients, one step per 40 ms of audio. Losses and the training loop are in
``models.motion.data`` and ``models.motion.task``.

- :class:`MotionNetwork`, a TCN: residual blocks of dilated convolutions after Bai, Kolter and Koltun, *An
  Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling* (arXiv
  1803.01271), but centred in time, because a mouth shape depends on the phonemes before and after it.
  ``causal`` gives the original.
- :class:`RecurrentMotion`, an LSTM with delayed output, as in *Synthesizing Obama* (Suwajanakorn et
  al. 2017) and *ObamaNet* (arXiv 1801.01442), or a bidirectional one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.training.processes import Dropout, Dropout1d
from newscaster.types import ArrayF32, ArrayFloat


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """The shape of a convolutional motion network."""

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
    """Fraction of channels dropped in training after every convolution."""
    input_dropout: float | None = None
    """Fraction of features dropped in training; None: ``dropout``. Few, correlated features need less."""
    causal: bool = False
    """Whether a step depends on the past alone."""
    smoothing: float = 0.0
    """Weight of either neighbour in a mean over three steps of the output; not applied in training."""

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError(f"the kernel is centred in time: its taps are odd in number, not {self.kernel}")
        _check_smoothing(self.smoothing)
        if self.causal and self.smoothing:
            raise ValueError("a causal network is not smoothed: the next step is not known to it")

    @property
    def context_steps(self) -> int:
        """Steps to the farther side that a step depends on: before it, and after it unless causal."""
        reach = (2 if self.causal else 1) * 2 * (self.kernel // 2) * sum(self.dilations)
        return reach + (1 if self.smoothing else 0)


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """The shape of a recurrent motion network."""

    inputs: int
    """Features per step, ``D``."""
    coefficients: int = 20
    """Mouth coefficients per step, ``K``."""
    hidden: int = 160
    """Units of the LSTM, in each direction."""
    layers: int = 1
    bidirectional: bool = False
    """Whether a second LSTM reads the audio backwards."""
    delay_steps: int = 0
    """Look-ahead in steps: the output lags the audio by so many."""
    dropout: float = 0.3
    """Fraction of the LSTM's outputs dropped in training."""
    input_dropout: float | None = None
    """Fraction of features dropped in training; None: ``dropout``."""
    smoothing: float = 0.0
    """As in :class:`MotionConfig`; it delays the output by one more step."""

    def __post_init__(self) -> None:
        if self.delay_steps < 0:
            raise ValueError(f"the delay is {self.delay_steps} steps; expected 0 or more")
        _check_smoothing(self.smoothing)


def _check_smoothing(fraction: float) -> None:
    if not 0 <= fraction <= 1 / 3:
        raise ValueError(f"the smoothing is {fraction}; expected 0 to 1/3, where three steps count alike")


class MotionModel(nn.Module):
    """Base class: features (B, T, D) to mouth coefficients (B, T, K), both float32."""

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, config: MotionConfig | RecurrentConfig) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(config.inputs))
        self.register_buffer("feature_deviation", torch.ones(config.inputs))
        dropped = config.dropout if config.input_dropout is None else config.input_dropout
        self.input_dropout = Dropout1d(dropped)
        self._smoothing = config.smoothing

    def normalise_with(self, features: Tensor) -> None:
        """Set the mean and standard deviation from the training features (T, D)."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_deviation.copy_(features.std(dim=0).clamp_min(1e-4))

    def entering(self, features: Tensor) -> Tensor:
        """Return the input (B, D, T) of the layers: features (B, T, D), normalised, dropout in training."""
        x = (features - self.feature_mean) / self.feature_deviation
        dropped: Tensor = self.input_dropout(x.transpose(1, 2))
        return dropped

    def leaving(self, motion: Tensor) -> Tensor:
        """Return the output coefficients (B, T, K): smoothed, but not in training.

        A network trained on few clips learns the landmarks' jitter as motion. If smoothing were part of
        training, the network would learn to compensate for it.
        """
        fraction = self._smoothing
        if self.training or not fraction:
            return motion
        around = torch.cat([motion[:, :1], motion, motion[:, -1:]], dim=1)
        return fraction * (around[:, :-2] + around[:, 2:]) + (1 - 2 * fraction) * motion


class _CausalConvolution(nn.Conv1d):
    """A convolution whose last tap is the step itself."""

    def forward(self, input: Tensor) -> Tensor:
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(functional.pad(input, (reach, 0)))


class _Block(nn.Module):
    """Two dilated convolutions with a way around them."""

    def __init__(self, config: MotionConfig, dilation: int) -> None:
        super().__init__()
        channels, kernel = config.channels, config.kernel
        self.layers = nn.Sequential()
        for _ in range(2):
            self.layers.append(
                _CausalConvolution(channels, channels, kernel, dilation=dilation)
                if config.causal
                else nn.Conv1d(
                    channels, channels, kernel, dilation=dilation, padding=dilation * (kernel // 2)
                )
            )
            self.layers.append(nn.ReLU())
            self.layers.append(Dropout1d(config.dropout))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class MotionNetwork(MotionModel):
    """The temporal convolutional network."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        self.config = config
        self.enter = nn.Conv1d(config.inputs, config.channels, 1)
        self.blocks = nn.Sequential(*(_Block(config, dilation) for dilation in config.dilations))
        self.leave = nn.Conv1d(config.channels, config.coefficients, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, D) to coefficients (B, T, K)."""
        out: Tensor = self.leave(self.blocks(self.enter(self.entering(features))))
        return self.leaving(out.transpose(1, 2))


class RecurrentMotion(MotionModel):
    """An LSTM that answers some steps late, or one in each direction."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.config = config
        self.lstm = nn.LSTM(
            config.inputs,
            config.hidden,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.dropout = Dropout(config.dropout)
        self.leave = nn.Linear(config.hidden * (2 if config.bidirectional else 1), config.coefficients)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, T, D) to coefficients (B, T, K); the input is zero-padded at the end."""
        late = self.config.delay_steps
        x = functional.pad(self.entering(features), (0, late)).transpose(1, 2)
        out: Tensor = self.leave(self.dropout(self.lstm(x)[0]))
        return self.leaving(out[:, late:])


AnyMotion = MotionNetwork | RecurrentMotion


@torch.no_grad()
def predict(network: AnyMotion, features: ArrayFloat) -> ArrayF32:
    """Return coefficients (T, K) for the features (T, D) of one recording."""
    coefficients: ArrayF32 = network(torch.from_numpy(features).float()[None])[0].numpy()
    return coefficients


def restored(values: Mapping[str, Any]) -> AnyMotion:
    """Return a network of the stored configuration, with new weights."""
    if "hidden" in values:
        return RecurrentMotion(RecurrentConfig(**values))
    return MotionNetwork(MotionConfig(**{**values, "dilations": tuple(values["dilations"])}))
