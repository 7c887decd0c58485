"""The renderer: a small U-Net that renders the lower face into a face crop.

Data, losses and the training task are in ``models.renderer.data`` and ``models.renderer.task``. The network
does image-to-image translation after Ronneberger et al., *U-Net* (arXiv 1505.04597) and Isola et al.,
*pix2pix* (arXiv 1611.07004), with three changes that make it fast on a CPU:

* It computes the mask's bounding box and a margin alone, about half of the crop.
* Pixels are unshuffled into channels at the input and shuffled back at the output (Shi et al., arXiv
  1609.05158), so that the network's grid is far coarser than the crop.
* A regression predicts the hidden pixels before the first layer (``ridge_init``), and the network adds a
  residual. Every cell of the grid has a learned bias: the crop is stabilised, and the person always the same.

All layers are 3x3 or 1x1 convolutions with ReLU, and skips are added rather than joined, which ONNX Runtime
fuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.hidden_box import box_of
from newscaster.face.landmark_map import CHANNELS
from newscaster.models.blocks import convolution, residuals, through_levels, unshuffle
from newscaster.models.renderer.contract import CropNetwork
from newscaster.models.renderer.ridge_init import KernelFace, KernelShape
from newscaster.types import ArrayBool

_UNSHUFFLE = {128: 2, 256: 4, 512: 8, 768: 12}
_LARGEST_MAP = 128
_BASIS_SIDE = 128
"""Elements to a side of a crop in the regression's basis images."""
_POOLED_CELLS = 4
"""Cells of the grid to a side of a cell of the regression's pooled input."""


@dataclass(frozen=True, kw_only=True)
class RendererConfig:
    """The shape of a renderer; it fits crops of any side."""

    channels: tuple[int, ...] = (24, 48, 72, 96)
    """Channels per level, the finest first; every level halves the grid."""
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 1)
    """Residual blocks per level on the way down."""
    decoder_blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks per level on the way up; the coarsest level has none."""
    unshuffle: int | None = None
    """Pixels to a side of one cell of the finest grid; None: as in `_UNSHUFFLE`, else 1."""
    map_side: int | None = None
    """Side of the landmark map, ``M``; None: half the crop's side, 128 at most. Maps are anti-aliased, so
    half the resolution keeps the landmarks' precision."""
    start: KernelShape | None = field(default_factory=KernelShape)
    """The regression that predicts the fill; None: the mean face."""

    def __post_init__(self) -> None:
        levels = len(self.channels)
        if levels < 1 or len(self.encoder_blocks) != levels or len(self.decoder_blocks) != levels - 1:
            raise ValueError(
                f"a renderer of {levels} levels takes {levels} encoder_blocks and {levels - 1} "
                f"decoder_blocks, not {self.encoder_blocks} and {self.decoder_blocks}"
            )

    def unshuffle_for(self, side: int) -> int:
        """Pixels to a side of one cell of the finest grid, for a crop of ``side``."""
        return self.unshuffle or _UNSHUFFLE.get(side, 1)

    def map_side_for(self, side: int) -> int:
        """Side of the landmark map for a crop of ``side``."""
        map_side = self.map_side or min(side // 2, _LARGEST_MAP)
        grid = side // self.unshuffle_for(side)
        if side % map_side or map_side % grid:
            raise ValueError(
                f"the side of the landmark map is {map_side}; expected a divisor of the crop's side, {side} "
                f"pixels, and a multiple of the grid's side, {grid} cells"
            )
        return map_side

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON; :meth:`from_json` reads it."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RendererConfig:
        """Parse a config; raise ``TypeError`` or ``ValueError`` if the data are not a config's."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        start = fields.pop("start", None)
        return RendererConfig(**fields, start=None if start is None else KernelShape(**start))


class Renderer(CropNetwork):
    """The U-Net. Hidden pixels are removed before anything is computed from the crop.

    Args:
        config: its shape.
        hidden: (S, S), the pixels to replace.
    """

    covered: Tensor
    fill: Tensor

    def __init__(self, config: RendererConfig, hidden: ArrayBool) -> None:
        side = hidden.shape[0]
        super().__init__(hidden, map_side=config.map_side_for(side))
        self.config = config
        self.cell = config.unshuffle_for(side)
        self.map_cell = self.map_side * self.cell // side
        self.map_ratio = side // self.map_side
        deepest = self.cell << (len(config.channels) - 1)
        if hidden.shape != (side, side) or side % deepest:
            raise ValueError(f"the mask is square and its side a multiple of {deepest}, not {hidden.shape}")
        self.box = box_of(hidden, size_multiple=deepest, place_multiple=self.cell)
        t, b, l, r = self.box  # noqa: E741
        self.register_buffer("covered", self.hidden[None, None, t:b, l:r].clone(), persistent=False)
        self.register_buffer("fill", torch.full((1, 3, b - t, r - l), 0.5))
        self._build((b - t) // self.cell, (r - l) // self.cell)
        self.kernel = (
            KernelFace(
                config.start,
                self.covered,
                channels=len(CHANNELS),
                map_size=((b - t) // self.map_ratio, (r - l) // self.map_ratio),
                cell=max(1, side // _BASIS_SIDE),
                pool=_POOLED_CELLS * self.cell,
            )
            if config.start is not None
            else None
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], hidden: ArrayBool) -> Renderer:
        """See :class:`CropNetwork`."""
        return cls(RendererConfig.from_json(config), hidden)

    def config_json(self) -> dict[str, Any]:
        """See :class:`CropNetwork`."""
        return self.config.to_json()

    def _build(self, rows: int, columns: int) -> None:
        channels, config = self.config.channels, self.config
        entering = 3 * self.cell**2 + len(CHANNELS) * self.map_cell**2
        pairs = list(pairwise(channels))
        self.enter = convolution(entering, channels[0], 3)
        self.place = nn.Parameter(torch.zeros(1, channels[0], rows, columns))
        self.encoder = nn.ModuleList(map(residuals, channels, config.encoder_blocks))
        self.down = nn.ModuleList(convolution(a, b, 3, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(convolution(b, a, 1) for a, b in pairs)
        self.decoder = nn.ModuleList(map(residuals, channels, config.decoder_blocks))
        self.leave = nn.Conv2d(channels[0], 3 * self.cell**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def fill_with(self, mean: Tensor) -> None:
        """Set the fill of hidden pixels from the mean (S, S, 3) of the training crops, 0 to 255."""
        self.fill.copy_(self.cut(mean[None])[0])

    def cut(self, crops: Tensor) -> Tensor:
        """Cut the box from crops (B, S, S, 3) of 0 to 255: (B, 3, h, w) of 0 to 1."""
        t, b, l, r = self.box  # noqa: E741
        return crops[:, t:b, l:r].float().permute(0, 3, 1, 2) * (1 / 255)

    def cut_map(self, landmark_map: Tensor) -> Tensor:
        """Cut the box from landmark maps (B, 4, M, M) of 0 to 255: (B, 4, h', w') of 0 to 1."""
        t, b, l, r = self.box.scaled(self.map_ratio)  # noqa: E741
        return landmark_map[:, :, t:b, l:r].float() * (1 / 255)

    def predict(self, context: Tensor, landmark_map: Tensor, fold: Tensor | None = None) -> Tensor:
        """Render the box, float of about 0 to 1, from the results of ``cut`` and ``cut_map``.

        In training, ``fold`` (B,) is the fold of each frame.
        """
        filled = torch.where(self.covered, self.start(context, landmark_map, fold), context)
        x = torch.cat([unshuffle(filled, self.cell), unshuffle(landmark_map, self.map_cell)], dim=1)
        x = functional.relu(self._placed(self.enter(x)))
        x = self.leave(through_levels(x, self.encoder, self.down, self.up, self.decoder))
        return filled + (functional.pixel_shuffle(x, self.cell) if self.cell > 1 else x)

    def start(self, context: Tensor, landmark_map: Tensor, fold: Tensor | None = None) -> Tensor:
        """Return the fill of hidden pixels: the mean face plus the residual that the regression predicts."""
        if self.kernel is None:
            return self.fill
        with torch.autocast(context.device.type, enabled=False):
            residual: Tensor = self.kernel(landmark_map.float(), self.surroundings(context), fold)
        return self.fill + residual

    def surroundings(self, context: Tensor) -> Tensor:
        """Return the box (B, 3, h, w) with hidden pixels set to 0."""
        return context.float() * ~self.covered

    def _placed(self, x: Tensor) -> Tensor:
        return x + self.place.to(x.dtype)

    def forward(self, crop: Tensor, landmark_map: Tensor) -> Tensor:
        t, b, l, r = self.box  # noqa: E741
        context = self.cut(crop)
        rendered = torch.where(
            self.covered, self.predict(context, self.cut_map(landmark_map)).float(), context
        )
        levels = (rendered.clamp(0, 1) * 255 + 0.5).permute(0, 2, 3, 1).to(torch.uint8)
        middle = torch.cat([crop[:, t:b, :l], levels, crop[:, t:b, r:]], dim=2)
        return torch.cat([crop[:, :t], middle, crop[:, b:]], dim=1)
