"""The in-painter of ObamaNet: pix2pix, which fills the hole of a region from an outline of the mouth.

Knows the two networks alone: the U-Net generator and the conditional PatchGAN discriminator of Isola et
al., *Image-to-Image Translation with Conditional Adversarial Networks* (arXiv 1611.07004), as Kumar et al.,
*ObamaNet* (arXiv 1801.01442) use them. A baseline for the renderer; its training is in
``baselines.inpainting``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

_COLOURS = 3
_KERNEL = 4
_SLOPE = 0.2
_DEVIATION = 0.02
_GROWTH = 8
_DROPPED_OUT = 3


@dataclass(frozen=True, kw_only=True)
class InpainterConfig:
    """The size of the two networks."""

    channels: int = 16
    """Of the finest level of either; they double from level to level, to eight times as many. 64 in
    pix2pix, whose pictures take sixteen times as long: a budget of minutes would show it a few hundred."""
    dropout: float = 0.5
    """Of the decoder's three coarsest levels, in training. Painting, pix2pix keeps it on, and flickers."""
    judge_layers: int = 3
    """Of stride 2 in the discriminator: 3 judge patches of 70 pixels to a side."""

    def to_json(self) -> dict[str, Any]:
        """For storing; the way back is :meth:`from_json`."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> InpainterConfig:
        """``TypeError`` where the data are not a config's."""
        return InpainterConfig(**data)


class Inpainter(nn.Module):
    """Region (B, S, S, 3) and outline (B, S, S), both uint8, to the region with its hole filled.

    ``hidden`` (S, S) says which pixels are replaced: they are black in what the network sees, but for the
    outline, which is drawn into them. All others come back as they were. Every level halves the picture, down
    to a single cell. The normalisation is by instance, which is what pix2pix's batches of one come to.
    """

    hidden: Tensor

    def __init__(self, config: InpainterConfig, hidden: npt.NDArray[np.bool_]) -> None:
        super().__init__()
        side = hidden.shape[0]
        levels = side.bit_length() - 1
        if hidden.shape != (side, side) or side != 1 << levels or levels < 2:
            raise ValueError(f"the mask is square and its side a power of two, not {hidden.shape}")
        self.config, self.side = config, side
        self.register_buffer("hidden", torch.from_numpy(hidden.copy()))
        widths = [config.channels * min(1 << level, _GROWTH) for level in range(levels)]
        pairs = list(pairwise([_COLOURS, *widths]))
        last = levels - 1
        self.down = nn.ModuleList(
            _down(before, after, normed=0 < level < last) for level, (before, after) in enumerate(pairs)
        )
        # Of what comes up, every level but the coarsest is joined with what went down.
        self.up = nn.ModuleList(
            _up(
                after if level == last else 2 * after,
                before,
                normed=level > 0,
                dropout=config.dropout if level and last - level < _DROPPED_OUT else 0.0,
            )
            for level, (before, after) in reversed(list(enumerate(pairs)))
        )
        self.apply(_start)

    def condition(self, crop: Tensor, outline: Tensor) -> Tensor:
        """What the network sees, (B, 3, S, S) of -1 to 1: the region with its hole, the outline in white."""
        given = crop.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        given = torch.where(self.hidden, -1.0, given)
        drawn = outline[:, None].float() * (1 / 255)
        return given + drawn * (1 - given)

    def predict(self, condition: Tensor) -> Tensor:
        """The whole region as the network paints it, (B, 3, S, S) of -1 to 1."""
        skips: list[Tensor] = []
        x = condition
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for index, layer in enumerate(self.up):
            skip = skips[-1 - index]
            x = layer(functional.relu(torch.cat([x, skip], dim=1) if index else skip))
        return torch.tanh(x)

    def forward(self, crop: Tensor, outline: Tensor) -> Tensor:
        rendered = self.predict(self.condition(crop, outline))
        levels = ((rendered + 1) * 127.5 + 0.5).clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)
        return torch.where(self.hidden[None, :, :, None], levels, crop)


class PatchDiscriminator(nn.Module):
    """How real each patch of a picture is beside its condition: pix2pix's PatchGAN.

    One scale with nothing but logits, (B, 1, h, w).
    """

    def __init__(self, config: InpainterConfig) -> None:
        super().__init__()
        widths = [config.channels * min(1 << level, _GROWTH) for level in range(config.judge_layers + 1)]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise([2 * _COLOURS, *widths])):
            stride = 2 if level < config.judge_layers else 1
            layers.append(nn.Conv2d(before, after, _KERNEL, stride=stride, padding=1))
            layers += [nn.InstanceNorm2d(after, affine=True)] if level else []
            layers.append(nn.LeakyReLU(_SLOPE))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, _KERNEL, padding=1))
        self.apply(_start)

    def forward(self, image: Tensor, condition: Tensor) -> list[list[Tensor]]:
        return [[self.layers(torch.cat([condition, image], dim=1))]]


def _down(before: int, after: int, *, normed: bool) -> nn.Sequential:
    # What is not the first layer sees activations; the picture itself goes in as it is.
    first = [nn.LeakyReLU(_SLOPE)] if before != _COLOURS else []
    norm = [nn.InstanceNorm2d(after, affine=True)] if normed else []
    return nn.Sequential(*first, nn.Conv2d(before, after, _KERNEL, stride=2, padding=1), *norm)


def _up(before: int, after: int, *, normed: bool, dropout: float) -> nn.Sequential:
    norm = [nn.InstanceNorm2d(after, affine=True)] if normed else []
    dropped = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.ConvTranspose2d(before, after, _KERNEL, stride=2, padding=1), *norm, *dropped)


def _start(module: nn.Module) -> None:
    # The first weights of pix2pix.
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.InstanceNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=_DEVIATION)
        nn.init.zeros_(module.bias)
