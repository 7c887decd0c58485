"""The reference renderer: a new lower face from other frames of the same person, warped into place.

::

    references ──coarse flow──► warped ─► U-Net ─► low band: weighted mean of all, plus a correction
                                            └────► finer flow ──► the first one: its low and its high band

The low band, what a grid of 64 cells to a side of the crop can hold, may be mixed from several frames without
harm, and the network may correct it: light, shadows, an opening that no frame has. The high band, pores,
hairs and edges of teeth, would be blurred by mixing, so it is copied. Weights that add up to 1, a flow that
is bounded and a correction without high frequencies leave the network no way to invent a face: it fits people
that it never saw. Related work: DINet (arXiv 2303.03988) and IP-LAP (arXiv 2305.08293) warp
reference features or frames; Synthesizing Obama (Suwajanakorn et al. 2017) mixes the bands of frames.

Its grid is the same for crops of every side, and what it computes lies in a box of any size: one set of
weights fits all people and all crops. `graph` writes it as ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.hidden_box import Box, cell_box
from newscaster.face.landmark_map import CHANNELS
from newscaster.face.reference_flow import GRID
from newscaster.face.references import CELLS, COUNT
from newscaster.models.blocks import convolution, residuals, through_levels
from newscaster.models.renderer.contract import CropNetwork
from newscaster.types import ArrayBool

_SHARPNESS = 0.95
"""Sharpness asked of rendered lips; real ones have 1. More costs fidelity where copies are misplaced."""
_GAIN_RANGE = (0.7, 1.5)
CORRECTION, CONTRAST, TEMPERATURE, FAR = 0.3, 2.0, 2.0, 0.2
"""Scales of the correction, of references less their mean, of the logits of weights, and of distances."""
MIN_PRIOR = 1e-4
MAX_FLOW = 0.04
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

    @property
    def multiple(self) -> int:
        """What the sides of a box are multiples of, in cells."""
        return 1 << (len(self.channels) - 1)

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON; :meth:`from_json` reads it."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ReferenceConfig:
        """Parse a config; raise ``TypeError`` or ``ValueError`` if the data are not a config's."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return ReferenceConfig(**fields)


def seen_channels(references: int) -> int:
    """Return the channels of the U-Net's input, for so many references."""
    return 2 * 3 + 1 + 3 * references + len(CHANNELS) + references


class Sight(NamedTuple):
    """What the network is given of B frames, in a box of h x w cells; pixels are 0 to 1 unless noted."""

    context: Tensor
    """(B, 3, h, w): the sum of each cell's visible pixels over the number of all its pixels."""
    hidden: Tensor
    """(B or 1, 1, h, w): the share of each cell that is hidden."""
    landmark_map: Tensor
    """(B, 4, h, w)."""
    flow: Tensor
    """(B, K, 2, h / 2, w / 2): from `face.reference_flow`."""
    distance: Tensor
    """(B, K): from `face.references`."""
    small: Tensor
    """(B, K, CELLS, CELLS, 3) of 0 to 255: the whole references, reduced."""
    large: Tensor
    """(B, S, S, 3) of 0 to 255: the first of them at full size."""
    corner: Tensor
    """(2,): left and top of the box, in cells."""


class Rendering(NamedTuple):
    """What the network makes of a box of h x w cells of `cell` pixels."""

    image: Tensor
    """(B, 3, h cell, w cell)."""
    low: Tensor
    """(B, 3, h, w): its low band."""
    correction: Tensor
    """(B, 3, h, w): the part of it that is not copied."""
    refinement: Tensor
    """(B, 2, h, w): what was added to the flow of the first reference, in crop widths."""


class ReferenceNetwork(CropNetwork):
    """The network for one mask.

    Args:
        config: its shape.
        hidden: (S, S), the pixels to replace.
    """

    def __init__(self, config: ReferenceConfig, hidden: ArrayBool) -> None:
        super().__init__(hidden, map_side=CELLS)
        if self.side % CELLS:
            raise ValueError(f"the side of the crop is {self.side}; expected a multiple of {CELLS}")
        self.config = config
        self.box = cell_box(hidden, cells=CELLS, multiple=config.multiple)
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
            self.unet.detail_gain.mul_(factor).clamp_(low, high)

    def weights_alone(self) -> Mapping[str, Tensor]:
        """See :class:`CropNetwork`: `graph` writes the graph."""
        return self.unet.state_dict()

    def example(self, crop: Tensor, landmark_map: Tensor) -> dict[str, Tensor]:
        """See :class:`CropNetwork`: the crop serves as its own reference, moved a little."""
        batch, count = len(crop), self.config.references
        generator = torch.Generator().manual_seed(1)
        reduced = functional.avg_pool2d(crop.permute(0, 3, 1, 2).float(), self.side // CELLS)
        small = reduced.round().to(torch.uint8).permute(0, 2, 3, 1)[:, None].repeat(1, count, 1, 1, 1)
        flow = 0.01 * torch.randn(batch, count, 2, GRID, GRID, generator=generator)
        distance = torch.rand(batch, count, generator=generator)
        shared = {"region": crop, "face_map": landmark_map}
        return {**shared, "flow": flow, "distance": distance, "small": small, "large": crop}

    def predict(self, sight: Sight) -> Rendering:
        """Render the box of crops."""
        rendering: Rendering = self.unet(sight)
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
        sight = box_sight(
            pixels(crop), self.hidden[None, None], landmark_map, flow, distance, small, large, box=self.box
        )
        t, b, l, r = self.box.scaled_up(self.side // CELLS)  # noqa: E741
        rendered = crop.clone()
        hidden = self.hidden[t:b, l:r, None]
        rendered[:, t:b, l:r] = torch.where(hidden, _levels(self.predict(sight).image), crop[:, t:b, l:r])
        return rendered


class BlendingUNet(nn.Module):
    """The trained part, which depends on no mask.

    Args:
        config: its shape.
    """

    detail_gain: Tensor

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("detail_gain", torch.tensor(config.detail_gain))
        channels, count = config.channels, config.references
        pairs = list(pairwise(channels))
        self.enter = convolution(seen_channels(count), channels[0], 3)
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

    def forward(self, sight: Sight) -> Rendering:
        """Render a box."""
        count = sight.distance.shape[1]
        cell = sight.large.shape[1] // CELLS
        coarse = _enlarged(sight.flow.flatten(0, 1), CELLS // GRID)
        warped = _by_reference(_warp(sight.small.flatten(0, 1), coarse, sight.corner), count)
        prior = torch.softmax(-sight.distance * self.trust.exp(), dim=1)[..., None, None]
        weights, refinement, correction = torch.split(
            self._convolved(_seen(sight, warped, prior)), self._leaving, dim=1
        )
        weights = torch.softmax(TEMPERATURE * weights + (prior + MIN_PRIOR).log(), dim=1)[:, :, None]
        refinement = MAX_FLOW * torch.tanh(refinement / 2)
        correction = CORRECTION * correction
        copied = _warp(sight.large, _by_reference(coarse, count)[:, 0] + refinement, sight.corner)
        reduced = functional.avg_pool2d(copied, cell)
        low = weights[:, 0] * reduced + (weights[:, 1:] * warped[:, 1:]).sum(1) + correction
        high = self.detail_gain * copied - _enlarged(self.detail_gain * reduced, cell)
        return Rendering(_enlarged(low, cell) + high, low, correction, refinement)

    def _convolved(self, x: Tensor) -> Tensor:
        x = functional.relu(self.enter(x))
        leaving: Tensor = self.leave(through_levels(x, self.encoder, self.down, self.up, self.decoder))
        return leaving


def _seen(sight: Sight, warped: Tensor, prior: Tensor) -> Tensor:
    """Return the input of the U-Net, (B, C, h, w)."""
    mean = (warped * prior[:, :, None]).sum(1)
    others = CONTRAST * (warped - mean[:, None]).flatten(1, 2)
    one = torch.ones_like(mean[:, :1])
    far = FAR * sight.distance[..., None, None] * one
    return torch.cat([sight.context, sight.hidden * one, mean, others, sight.landmark_map, far], dim=1)


def box_sight(
    image: Tensor,
    hidden: Tensor,
    landmark_map: Tensor,
    flow: Tensor,
    distance: Tensor,
    small: Tensor,
    large: Tensor,
    *,
    box: Box,
) -> Sight:
    """Return what the network is given of the box of whole crops.

    Args:
        image: (B, 3, S, S) of 0 to 1.
        hidden: (B or 1, 1, S, S), bool.
        landmark_map: (B, 4, CELLS, CELLS) uint8.
        flow: (B, K, 2, GRID, GRID).
        distance: as in :class:`Sight`, like the arguments that follow.
        small: likewise.
        large: likewise.
        box: in cells.
    """
    cell = image.shape[-1] // CELLS
    covered = hidden.to(image.dtype)
    return Sight(
        context=_cut(_pooled(image * (1 - covered), cell), box),
        hidden=_cut(_pooled(covered, cell), box),
        landmark_map=_cut(landmark_map, box).float() * (1 / 255),
        flow=_cut(flow, box.scaled(CELLS // GRID)),
        distance=distance,
        small=small,
        large=large,
        corner=torch.tensor([box.left, box.top], device=image.device),
    )


def pixels(images: Tensor) -> Tensor:
    """Return images (..., h, w, 3) of 0 to 255 as (..., 3, h, w) of 0 to 1."""
    return images.movedim(-1, -3).float() * (1 / 255)


def _levels(image: Tensor) -> Tensor:
    """Return images (B, 3, h, w) of 0 to 1 as uint8 (B, h, w, 3)."""
    return (image.clamp(0, 1) * 255 + 0.5).permute(0, 2, 3, 1).to(torch.uint8)


def _by_reference(x: Tensor, count: int) -> Tensor:
    """Return (B K, ...) as (B, K, ...)."""
    return x.reshape(-1, count, *x.shape[1:])


def _cut(x: Tensor, box: Box) -> Tensor:
    return x[..., box.top : box.bottom, box.left : box.right]


def _pooled(x: Tensor, factor: int) -> Tensor:
    return functional.avg_pool2d(x, factor) if factor > 1 else x


def _enlarged(x: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return x
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def _warp(crops: Tensor, flow: Tensor, corner: Tensor) -> Tensor:
    """Sample crops (N, S, S, 3) where the flow (N, 2, h, w) of a box of cells leads: (N, 3, h cell, w cell).

    Bilinear; outside, the border is repeated. `grid_sample` does the same, but on a CPU it takes ONNX Runtime
    twice as long as to gather rows of four neighbours.
    """
    count, side = crops.shape[:2]
    cell = side // CELLS
    shift = side * _enlarged(flow, cell)
    height, width = shift.shape[-2:]
    first = (corner * cell).to(flow.dtype)
    columns = first[0] + torch.arange(width, device=flow.device, dtype=flow.dtype)
    rows = first[1] + torch.arange(height, device=flow.device, dtype=flow.dtype)
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
        planes.reshape(count, 12, height, width), 3, dim=1
    )
    across, along = (x - left)[:, None], (y - top)[:, None]
    upper = upper_left + (upper_right - upper_left) * across
    lower = lower_left + (lower_right - lower_left) * across
    sampled: Tensor = upper + (lower - upper) * along
    return sampled
