"""The reference renderer: a new lower face from other frames of the same person, warped into place.

::

    references ──coarse flow──► warped ─► U-Net ─► low band: weighted mean of all, plus a correction
                                            └────► finer flow ──► high band: of the first one, as it is

The low band, what a grid of 64 cells to a side of the crop can hold, may be mixed from several frames without
harm, and the network may correct it: light, shadows, an opening that no frame has. The high band, pores,
hairs and edges of teeth, would be blurred by mixing, so it is copied. Weights that add up to 1, a flow that
is bounded and a correction without high frequencies leave the network no way to invent a face: it fits people
that it never saw. Related work: DINet (arXiv 2303.03988) and IP-LAP (arXiv 2305.08293) warp
reference features or frames; Synthesizing Obama (Suwajanakorn et al. 2017) mixes the bands of frames.

Its grid is the same for crops of every side, so one set of weights fits all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.landmark_map import CHANNELS
from newscaster.face.reference_flow import GRID
from newscaster.face.references import COUNT, SMALL_SIDE
from newscaster.models.blocks import convolution, residuals, through_levels
from newscaster.models.renderer.contract import CropNetwork
from newscaster.models.renderer.network import Box, box_of
from newscaster.types import ArrayBool

CELLS = 64
"""Cells of the network's grid to a side of the crop."""
_SHARPNESS = 0.95
"""Sharpness asked of rendered lips; real ones have 1. More costs fidelity where copies are misplaced."""
_GAIN_RANGE = (0.7, 1.5)
_MAX_FLOW = 0.04
"""Maximum length of the refinement of the flow along each axis, in crop widths."""


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """The shape of a reference renderer; it fits crops of any side."""

    channels: tuple[int, ...] = (24, 48, 72, 96)
    """Channels per level, the finest first; every level halves the grid."""
    references: int = COUNT
    """References for one frame, K."""
    detail_gain: float = 1.2
    """Factor of the high band, which bilinear sampling weakens; refined by `ReferenceNetwork.calibrate`."""

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON; :meth:`from_json` reads it."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ReferenceConfig:
        """Parse a config; raise ``TypeError`` or ``ValueError`` if the data are not a config's."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return ReferenceConfig(**fields)


class Sight(NamedTuple):
    """What the network is given for B frames, in whole crops; pixels are 0 to 1 unless noted."""

    context: Tensor
    """(B, 3, S, S), hidden pixels 0."""
    hidden: Tensor
    """(B or 1, 1, S, S): 1 where a pixel is hidden, else 0."""
    landmark_map: Tensor
    """(B, 4, CELLS, CELLS)."""
    flow: Tensor
    """(B, K, 2, GRID, GRID): from `face.reference_flow`."""
    distance: Tensor
    """(B, K): from `face.references`."""
    small: Tensor
    """(B, K, SMALL_SIDE, SMALL_SIDE, 3) of 0 to 255: the references, reduced."""
    large: Tensor
    """(B, S, S, 3) of 0 to 255: the first of them at full size."""


class Rendering(NamedTuple):
    """What the network makes of the box of a crop, h x w pixels or h' x w' cells."""

    image: Tensor
    """(B, 3, h, w)."""
    low: Tensor
    """(B, 3, h', w'): its low band."""
    correction: Tensor
    """(B, 3, h', w'): the part of it that is not copied."""
    refinement: Tensor
    """(B, 2, h', w'): what was added to the flow of the first reference, in crop widths."""


class ReferenceNetwork(CropNetwork):
    """The network for one mask.

    Args:
        config: its shape.
        hidden: (S, S), the pixels to replace.
    """

    any_batch = False

    def __init__(self, config: ReferenceConfig, hidden: ArrayBool) -> None:
        super().__init__(hidden, map_side=CELLS)
        if self.side % SMALL_SIDE:
            raise ValueError(f"the side of the crop is {self.side}; expected a multiple of {SMALL_SIDE}")
        self.config = config
        self.cell = self.side // CELLS
        self.box = cell_box(hidden, levels=len(config.channels))
        self.unet = BlendingUNet(config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], hidden: ArrayBool) -> ReferenceNetwork:
        """See :class:`CropNetwork`."""
        return cls(ReferenceConfig.from_json(config), hidden)

    def config_json(self) -> dict[str, Any]:
        """See :class:`CropNetwork`."""
        return self.config.to_json()

    def calibrate(self, metrics: Mapping[str, Any]) -> None:
        """See :class:`CropNetwork`: the high band is scaled until held-out lips are as sharp as real ones."""
        super().calibrate(metrics)
        if sharpness := metrics.get("sharpness"):
            factor = (_SHARPNESS / float(sharpness)) ** 0.5
            low, high = _GAIN_RANGE
            self.unet.detail_gain = min(max(self.unet.detail_gain * factor, low), high)

    def example(self, crop: Tensor, landmark_map: Tensor) -> dict[str, Tensor]:
        """See :class:`CropNetwork`: the crop serves as its own reference, moved a little."""
        batch, count = len(crop), self.config.references
        generator = torch.Generator().manual_seed(1)
        reduced = functional.avg_pool2d(crop.permute(0, 3, 1, 2).float(), self.side // SMALL_SIDE)
        small = reduced.round().to(torch.uint8).permute(0, 2, 3, 1)[:, None].repeat(1, count, 1, 1, 1)
        flow = 0.01 * torch.randn(batch, count, 2, GRID, GRID, generator=generator)
        distance = torch.rand(batch, count, generator=generator)
        shared = {"region": crop, "face_map": landmark_map}
        return {**shared, "flow": flow, "distance": distance, "small": small, "large": crop}

    def predict(self, sight: Sight) -> Rendering:
        """Render the box of crops."""
        rendering: Rendering = self.unet(sight, self.box)
        return rendering

    def forward(
        self,
        crop: Tensor,
        landmark_map: Tensor,
        flow: Tensor,
        distance: Tensor,
        small: Tensor,
        large: Tensor,
    ) -> Tensor:
        hidden = self.hidden[None, None].to(flow.dtype)
        pixels = _pixels(crop)
        sight = Sight(
            context=pixels * (1 - hidden),
            hidden=hidden,
            landmark_map=landmark_map.float() * (1 / 255),
            flow=flow,
            distance=distance,
            small=small,
            large=large,
        )
        t, b, l, r = self.box.scaled_up(self.cell)  # noqa: E741
        rendered = torch.where(
            self.hidden[None, None, t:b, l:r], self.predict(sight).image, pixels[:, :, t:b, l:r]
        )
        levels = (rendered.clamp(0, 1) * 255 + 0.5).permute(0, 2, 3, 1).to(torch.uint8)
        middle = torch.cat([crop[:, t:b, :l], levels, crop[:, t:b, r:]], dim=2)
        return torch.cat([crop[:, :t], middle, crop[:, b:]], dim=1)


class BlendingUNet(nn.Module):
    """The trained part, which depends on no mask.

    Args:
        config: its shape.
    """

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        self.config = config
        self.detail_gain = config.detail_gain
        channels, count = config.channels, config.references
        pairs = list(pairwise(channels))
        entering = 4 * (2 * 3 + 1 + 3 * count) + len(CHANNELS) + count
        self.enter = convolution(entering, channels[0], 3)
        self.encoder = nn.ModuleList(residuals(c, 1) for c in channels)
        self.down = nn.ModuleList(convolution(a, b, 3, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(convolution(b, a, 1) for a, b in pairs)
        self.decoder = nn.ModuleList(residuals(c, 1) for c in channels[:-1])
        self._leaving = [count, 2, 3]
        self.leave = nn.Conv2d(channels[0], sum(self._leaving), 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.zeros(()))
        """How fast the weight of a reference falls with its distance, log."""

    def forward(self, sight: Sight, box: Box) -> Rendering:
        """Render the box, in cells, of crops."""
        count = sight.distance.shape[1]
        cell = sight.context.shape[-1] // CELLS
        coarse = _cut(_enlarged(sight.flow.flatten(0, 1), CELLS // GRID), box)
        warped = _by_reference(_warp(sight.small.flatten(0, 1), coarse, box), count)
        prior = torch.softmax(-sight.distance * self.trust.exp(), dim=1)[..., None, None]
        mean = (warped * prior[:, :, None]).sum(1)
        seen = self._seen(sight, warped, mean, box, cell)
        weights, refinement, correction = torch.split(self._convolved(seen), self._leaving, dim=1)
        weights = torch.softmax(2 * weights + (prior + 1e-4).log(), dim=1)
        refinement = _MAX_FLOW * torch.tanh(refinement / 2)
        correction = 0.3 * correction
        reduced = _by_reference(functional.avg_pool2d(warped.flatten(0, 1), 2), count)
        low = (reduced * weights[:, :, None]).sum(1) + correction
        flow = _by_reference(coarse, count)[:, 0] + refinement
        copied = _warp(sight.large, flow, box)
        high = copied - _enlarged(functional.avg_pool2d(copied, cell), cell)
        return Rendering(_enlarged(low, cell) + self.detail_gain * high, low, correction, refinement)

    def _seen(self, sight: Sight, warped: Tensor, mean: Tensor, box: Box, cell: int) -> Tensor:
        """Return the input of the U-Net, (B, C, h', w')."""
        pool = cell * CELLS // SMALL_SIDE
        twice = box.scaled_up(SMALL_SIDE // CELLS)
        context, hidden = (
            _cut(functional.avg_pool2d(x, pool) if pool > 1 else x, twice)
            for x in (sight.context, sight.hidden)
        )
        # Products, not `expand`: anchors accept no sizes that depend on the input.
        hidden = hidden * torch.ones_like(context[:, :1])
        others = 2 * (warped - mean[:, None]).flatten(1, 2)
        fine = functional.pixel_unshuffle(torch.cat([context, hidden, mean, others], dim=1), 2)
        maps = _cut(sight.landmark_map, box)
        far = 0.2 * sight.distance[..., None, None] * torch.ones_like(maps[:, :1])
        return torch.cat([fine, maps, far], dim=1)

    def _convolved(self, x: Tensor) -> Tensor:
        x = functional.relu(self.enter(x))
        leaving: Tensor = self.leave(through_levels(x, self.encoder, self.down, self.up, self.decoder))
        return leaving


def cell_box(hidden: ArrayBool, *, levels: int) -> Box:
    """Return the part of a crop that is computed, in cells, for a network of so many levels."""
    cell, deepest = hidden.shape[0] // CELLS, 1 << (levels - 1)
    return box_of(hidden, size_multiple=deepest * cell, place_multiple=cell).scaled(cell)


def _pixels(images: Tensor) -> Tensor:
    """Return images (..., h, w, 3) of 0 to 255 as (..., 3, h, w) of 0 to 1."""
    return images.movedim(-1, -3).float() * (1 / 255)


def _by_reference(x: Tensor, count: int) -> Tensor:
    """Return (B K, ...) as (B, K, ...)."""
    return x.reshape(-1, count, *x.shape[1:])


def _cut(x: Tensor, box: Box) -> Tensor:
    return x[..., box.top : box.bottom, box.left : box.right]


def _enlarged(x: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return x
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _warp(crops: Tensor, flow: Tensor, box: Box) -> Tensor:
    """Sample crops (N, S, S, 3) where the flow (N, 2, h', w') of a box of cells leads: (N, 3, h, w).

    Bilinear; outside, the border is repeated. `grid_sample` does the same, but on a CPU it takes ONNX Runtime
    twice as long as to gather rows of four neighbours.
    """
    count, side = crops.shape[:2]
    t, b, l, r = box.scaled_up(side // CELLS)  # noqa: E741
    shift = side * _enlarged(flow, side // CELLS)
    columns, rows = (
        torch.arange(first, last, device=flow.device, dtype=flow.dtype) for first, last in ((l, r), (t, b))
    )
    x = (shift[:, 0] + columns).clamp(0.0, side - 1.001)
    y = (shift[:, 1] + rows[:, None]).clamp(0.0, side - 1.001)
    left, top = x.floor(), y.floor()
    starts = side**2 * torch.arange(count, device=flow.device)
    places = (top * side + left).long().flatten(1) + starts[:, None]
    pairs = torch.cat([crops, torch.cat([crops[:, :, 1:], crops[:, :, :1]], dim=2)], dim=3)
    fours = torch.cat([pairs, torch.cat([pairs[:, 1:], pairs[:, :1]], dim=1)], dim=3)
    taken = fours.reshape(-1, 12).index_select(0, places.flatten())
    planes = taken.reshape(count, -1, 12).transpose(1, 2).float() * (1 / 255)
    upper_left, upper_right, lower_left, lower_right = torch.split(
        planes.reshape(count, 12, b - t, r - l), 3, dim=1
    )
    across, along = (x - left)[:, None], (y - top)[:, None]
    upper = upper_left + (upper_right - upper_left) * across
    lower = lower_left + (lower_right - lower_left) * across
    sampled: Tensor = upper + (lower - upper) * along
    return sampled
