"""The discriminator of frames and face crops."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_COLOURS = 3
_BLUR, _DETAIL_GAIN = 5, 12.0
_MIN_SIDE = 16
"""Coarser scales of crops smaller than this are skipped: too little is left of them."""


class PatchDiscriminator(nn.Module):
    """A patch discriminator (pix2pix, arXiv 1611.07004) at two scales (arXiv 1711.11585).

    It maps images (B, 3, H, W) of 0 to 1 and maps (B, M, H, W) to activations per scale. The last of each
    scale are the logits, (B, 1, h, w). Amplified fine detail is part of the input: without it, the
    discriminator needed many hundred steps to detect blur.
    """

    def __init__(self, maps: int, *, channels: tuple[int, ...] = (32, 64, 128), scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_scale(2 * _COLOURS + maps, channels) for _ in range(scales))

    def forward(self, images: Tensor, maps: Tensor) -> list[list[Tensor]]:
        around = functional.pad(images, (_BLUR // 2,) * 4, mode="reflect")
        detail = (images - functional.avg_pool2d(around, _BLUR, stride=1)) * _DETAIL_GAIN
        images = torch.cat([images * 2 - 1, detail, maps], dim=1)
        seen = []
        for index, layers in enumerate(self.scales):
            images = functional.avg_pool2d(images, 2) if index else images
            if index and min(images.shape[-2:]) < _MIN_SIDE:
                break
            activations = [images]
            for layer in layers:  # type: ignore[attr-defined]
                activations.append(layer(activations[-1]))
            seen.append(activations[1:])
        return seen


def _scale(entering: int, channels: tuple[int, ...]) -> nn.ModuleList:
    layers = [nn.Sequential(nn.Conv2d(entering, channels[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2))]
    for before, after in pairwise(channels):
        convolved = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
        layers.append(nn.Sequential(convolved, nn.InstanceNorm2d(after, affine=True), nn.LeakyReLU(0.2)))
    layers.append(nn.Sequential(nn.Conv2d(channels[-1], 1, 3, padding=1)))
    return nn.ModuleList(layers)
