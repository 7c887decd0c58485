"""The full-frame network: a full-face map and a head pose to the whole frame.

A U-Net (Ronneberger et al., arXiv 1505.04597) like those of ``models.renderer``, for one person in front of
one fixed camera. It learns images beside its weights, so that convolutions need not reconstruct fine detail
in every frame. There are a few *appearance codes*, each of

* a *backdrop*, which is fixed in the frame, and
* a *texture*, which moves with the head: a neural texture (Thies et al., *Deferred Neural Rendering*,
  arXiv 1904.12356) on the plane of the face, warped into the frame by the head pose. Its first three
  channels are colours, the fourth is its coverage of the backdrop, the rest are features for the network.

Footage comes from several sessions: hair, collar, light and the position of the chair change between them,
and averaging over sessions blurs the frame. The distances of the head from the usual position of each
appearance give the blend weights (a mixture of experts, Jacobs et al. 1991). The output of the network is
added to the texture over the backdrop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.full_face_map import CHANNELS
from newscaster.models.blocks import convolution, residuals, through_levels, unshuffle

TEXTURE_BOX = (-1.6, -1.9, 1.6, 2.1)
"""Extent of the texture: left, top, right and bottom in head coordinates, in inter-ocular distances."""
_COLOURS = 3
_POSE = 6
_FADE = 0.2
Layer = TypeVar("Layer", bound=nn.Module)


# Names in files of training runs, which outlive the names in the code.
_STORED_NAMES = {"appearances": "looks"}
_STORED_LAYER = "to_looks"


@dataclass(frozen=True, kw_only=True)
class FullFrameConfig:
    """The shape of a full-frame network."""

    size: tuple[int, int]
    """Width and height of the frame in pixels."""
    eye_distance_px: float
    """Inter-ocular distance in the frame, in pixels; determines the resolution of the texture."""
    channels: tuple[int, ...] = (24, 48, 96, 160)
    """Channels per level, the finest first; every level halves the resolution."""
    encoder_blocks: tuple[int, ...] = (1, 1, 2, 2)
    decoder_blocks: tuple[int, ...] = (1, 1, 1)
    cell: int = 2
    """Side of a cell of the finest grid in pixels."""
    texture_channels: int = 8
    appearances: int = 24
    code: int = 64
    """Width of the pose code, a further input of the network."""

    @property
    def coarsest_cell(self) -> int:
        """Side of a cell of the coarsest grid in pixels."""
        return self.cell << (len(self.channels) - 1)

    @property
    def padded(self) -> tuple[int, int]:
        """Computed width and height: the frame, rounded up to multiples of the coarsest cell."""
        width, height = (-(-side // self.coarsest_cell) * self.coarsest_cell for side in self.size)
        return width, height

    @property
    def texture_size(self) -> tuple[int, int]:
        """Width and height of the texture, whose pixels are as large as those of the frame."""
        left, top, right, bottom = TEXTURE_BOX
        return round((right - left) * self.eye_distance_px), round((bottom - top) * self.eye_distance_px)

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for JSON; :meth:`from_json` reads it."""
        fields = asdict(self)
        return {_STORED_NAMES.get(name, name): value for name, value in fields.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FullFrameConfig:
        """Parse a config; raise ``TypeError`` or ``ValueError`` if the data are not valid."""
        names = {stored: name for name, stored in _STORED_NAMES.items()}
        fields: dict[str, Any] = {
            names.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        return FullFrameConfig(**fields)


class FullFrame(nn.Module):
    """Full-face maps (B, C, h, w) uint8 and planes (B, 2, 3) to frames (B, 3, H, W) of about 0 to 1.

    Maps are drawn at the padded size, ``h = H' / cell``. A plane maps head units (x, y) on the plane of the
    face to pixels of the frame.
    """

    corners: Tensor
    edge: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, config: FullFrameConfig) -> None:
        super().__init__()
        self.config = config
        width, height = config.padded
        across, down = config.texture_size
        appearances = config.appearances
        self.backdrops = nn.Parameter(torch.full((appearances, _COLOURS, height, width), 0.5))
        self.textures = nn.Parameter(torch.zeros(appearances, config.texture_channels, down, across))
        ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        self.register_buffer("corners", torch.stack([xs, ys, torch.ones_like(xs)]), persistent=False)
        self.register_buffer("edge", _faded(down, across), persistent=False)
        self.register_buffer("usual", torch.zeros(_POSE))
        self.register_buffer("spread", torch.ones(_POSE))
        self.centres = nn.Parameter(torch.randn(appearances, _POSE))
        self.gate = nn.Sequential(
            nn.Linear(_POSE, config.code), nn.SiLU(), nn.Linear(config.code, config.code), nn.SiLU()
        )
        self.add_module(_STORED_LAYER, _zeroed(nn.Linear(config.code, appearances)))
        self._build(height // config.cell, width // config.cell)

    def _build(self, rows: int, columns: int) -> None:
        channels, config = self.config.channels, self.config
        entering = config.texture_channels * config.cell**2 + len(CHANNELS)
        pairs = list(pairwise(channels))
        self.enter = convolution(entering, channels[0], 3)
        self.place = nn.Parameter(torch.zeros(1, channels[0], rows, columns))
        self.encoder = nn.ModuleList(map(residuals, channels, config.encoder_blocks))
        self.down = nn.ModuleList(convolution(a, b, 3, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(convolution(b, a, 1) for a, b in pairs)
        self.decoder = nn.ModuleList(map(residuals, channels, config.decoder_blocks))
        self.tints = nn.ModuleList(_zeroed(nn.Linear(config.code, c)) for c in channels)
        self.leave = _zeroed(nn.Conv2d(channels[0], _COLOURS * config.cell**2, 3, padding=1))

    def look(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the blend weights of the appearances (B, appearances) and a code (B, code) of the pose."""
        pose = (planes.flatten(1) - self.usual) / self.spread
        code = self.gate(pose)
        distance = ((pose[:, None] - self.centres) ** 2).sum(-1)
        return torch.softmax(self.get_submodule(_STORED_LAYER)(code) - distance, dim=1), code

    def _warped(self, planes: Tensor, fractions: Tensor, window: Window) -> Tensor:
        """Warp the texture into windows of the frame, (B, C, h, w); zero outside the texture."""
        left, top, right, bottom = TEXTURE_BOX
        back = torch.linalg.inv(planes[:, :, :2])
        back = torch.cat([back, -back @ planes[:, :, 2:]], dim=2)
        scale = planes.new_tensor([[2 / (right - left)], [2 / (bottom - top)]])
        shift = planes.new_tensor([(right + left) / (right - left), (bottom + top) / (bottom - top)])
        sampling_grid = torch.einsum("bkhw,bck->bhwc", window.cut(self.corners), back * scale) - shift
        textures = torch.einsum("bn,nchw->bchw", fractions, self.textures)
        # The coverage fades out at the edge, so that no border is visible.
        cover = torch.sigmoid(textures[:, _COLOURS : _COLOURS + 1]) * self.edge
        textures = torch.cat([textures[:, :_COLOURS], cover, textures[:, _COLOURS + 1 :] * self.edge], dim=1)
        return functional.grid_sample(textures, sampling_grid, align_corners=False)

    def forward(
        self, maps: Tensor, planes: Tensor, look_at: Tensor | None = None, window: Window | None = None
    ) -> Tensor:
        """Render frames, or windows of them.

        Args:
            maps: (B, C, h, w), of the window.
            planes: (B, 2, 3)
            look_at: (B, 2, 3), planes that select the appearance, which would change with the head otherwise;
                by default ``planes``.
            window: part of each padded frame to render; by default all of it, cropped to the frame size.
        """
        whole = window is None
        if window is None:
            window = Window(((0, 0),) * len(maps), self.config.padded)
        with torch.autocast(maps.device.type, enabled=False):
            fractions, code = self.look(planes if look_at is None else look_at)
            resample = self._warped(planes, fractions, window)
            backdrop = torch.einsum("bn,nchw->bchw", fractions, self.backdrops)
            backdrop = torch.stack([window.part(image, index) for index, image in enumerate(backdrop)])
            place = window.scaled(self.config.cell).cut(self.place[0])
        x = torch.cat([unshuffle(resample, self.config.cell), maps.float() * (1 / 255)], dim=1)
        x = functional.relu(self.enter(x) + place)
        tints = [tint(code)[:, :, None, None] for tint in self.tints]
        x = through_levels(x, self.encoder, self.down, self.up, self.decoder, shifts=tints)
        cover = resample[:, _COLOURS : _COLOURS + 1]
        rendered = backdrop + cover * (resample[:, :_COLOURS] - backdrop)
        rendered = rendered + functional.pixel_shuffle(self.leave(x), self.config.cell)
        width, height = self.config.size
        return rendered[:, :, :height, :width] if whole else rendered


@dataclass(frozen=True)
class Window:
    """A part of each of B frames; all parts have one size."""

    corners: tuple[tuple[int, int], ...]
    """Left and top of each."""
    size: tuple[int, int]
    """Width and height."""

    def scaled(self, cell: int) -> Window:
        """Return the same windows in cells of ``cell`` pixels."""
        corners = tuple((x // cell, y // cell) for x, y in self.corners)
        return Window(corners, (self.size[0] // cell, self.size[1] // cell))

    def part(self, image: Tensor, index: int) -> Tensor:
        """Return the window with this index of its image (C, H, W), as (C, h, w)."""
        (x, y), (width, height) = self.corners[index], self.size
        return image[:, y : y + height, x : x + width]

    def cut(self, image: Tensor) -> Tensor:
        """Return all windows of one image (C, H, W), as (B, C, h, w)."""
        return torch.stack([self.part(image, index) for index in range(len(self.corners))])


def _zeroed(layer: Layer) -> Layer:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _faded(rows: int, columns: int) -> Tensor:
    """Return 1 inside, falling to 0 over the last tenth at the left, top and right edges."""
    across = (1 - (torch.arange(columns) + 0.5) / columns * 2).abs()
    down = 1 - (torch.arange(rows) + 0.5) / rows * 2
    fade_x, fade_y = (((1 - distance) / _FADE).clamp(0, 1) for distance in (across, down))
    return fade_y[:, None] * fade_x[None, :]
