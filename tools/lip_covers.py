"""Covers drawn over parts of the lips, in batches, for ``train_mouth_occlusion.py``.

Those of ``drawn_occluders`` lie anywhere near a mouth. These are placed by the lips: over both, over one half
in any direction, or as a single finger across. Many resemble a mouth or the skin around it: skin of the
person or of others, lip red, shaded fingers, mosaic, blur, other faces. Some are translucent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_DARK_SKIN, _PALE_SKIN = (62.0, 40.0, 30.0), (252.0, 222.0, 203.0)
_FILLS = {
    "grey": 0.10,
    "colour": 0.16,
    "texture": 0.14,
    "own skin": 0.18,
    "other skin": 0.12,
    "lip red": 0.08,
    "mosaic": 0.09,
    "blur": 0.05,
    "other face": 0.08,
}
"""Surfaces of covers, and how often each is drawn."""
_FINGER_FILLS = {"own skin": 0.6, "other skin": 0.4}


@dataclass(frozen=True)
class _Place:
    """Where the covers of n crops lie, in pixels from the middle of the lips."""

    along: Tensor
    """Coordinate of each pixel along the cover, (n, S, S)."""
    across: Tensor
    first: Tensor
    """Where the cover starts along itself, (n, 1, 1)."""
    last: Tensor
    low: Tensor
    """Where it starts across."""
    high: Tensor
    finger: Tensor
    """Whether the cover is fingers, which lie along it, (n, 1, 1)."""
    width: Tensor
    """The width of a finger, (n, 1, 1)."""

    @property
    def x(self) -> Tensor:
        """-1 to 1 along the cover, (n, S, S)."""
        return (2 * self.along - self.first - self.last) / (self.last - self.first).clamp(min=1)

    @property
    def y(self) -> Tensor:
        """-1 to 1 across the cover, (n, S, S)."""
        return (2 * self.across - self.low - self.high) / (self.high - self.low).clamp(min=1)

    @property
    def ridge(self) -> Tensor:
        """-1 to 1 across each finger, (n, S, S)."""
        phase = (self.across - self.low) / self.width
        return 2 * (phase - phase.floor()) - 1


def cover_lips(
    images: Tensor, skin: Tensor, lips: Tensor, textures: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one cover over or beside the lips of each crop.

    Args:
        images: crops (n, 3, S, S), 0 to 255.
        skin: the colours of the cheeks, (n, 3).
        lips: points of the lips in pixels, (n, k, 2).
        textures: surfaces to draw from, (m, 3, S, S) uint8.

    Returns:
        The crops, and how much of each pixel is covered, (n, 1, S, S).
    """
    n = len(images)

    def chance(probability: float) -> Tensor:
        return torch.rand(n, 1, 1, generator=generator) < probability

    place = _place(lips, images.shape[-1], generator)
    round_tip = place.width / 2 * (1 - (1 - place.ridge**2).clamp(min=0).sqrt())
    start = place.first + torch.where(place.finger, round_tip, torch.zeros_like(round_tip))
    cover = _ramp(place.along - start) * _ramp(place.last - place.along)
    cover = cover * _ramp(place.across - place.low) * _ramp(place.high - place.across)
    ellipse = place.x**2 + place.y**2 < 1
    cover = torch.where(chance(0.2) & ~place.finger, cover * ellipse, cover)
    cover = torch.where(chance(0.3), functional.avg_pool2d(cover, 3, stride=1, padding=1), cover)
    drawn = _surface(images, skin, lips, textures, place, generator).clamp(0, 255)
    opacity = 0.4 + 0.5 * torch.rand(n, 1, 1, generator=generator)
    cover = (cover * torch.where(chance(0.2), opacity, torch.ones_like(opacity)))[:, None]
    return images * (1 - cover) + drawn * cover, cover


def _ramp(distance: Tensor) -> Tensor:
    """1 inside of an edge, 0 outside, over one pixel."""
    return (distance + 0.5).clamp(0, 1)


def _place(lips: Tensor, side: int, generator: torch.Generator) -> _Place:
    n = len(lips)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    def normal(scale: float) -> Tensor:
        return torch.randn(n, generator=generator) * scale

    kind = uniform(0, 1)
    whole, single = kind < 0.25, kind > 0.85  # the rest covers a half
    # Up and down more often than sideways; a third at any angle. A single finger is mostly upright.
    quarter = torch.tensor([1, 1, 3, 3, 0, 2])[torch.randint(0, 6, (n,), generator=generator)]
    angle = torch.where(uniform(0, 1) < 0.35, uniform(0, 2 * math.pi), quarter * math.pi / 2 + normal(0.05))
    angle = torch.where(single, math.pi / 2 + normal(0.3), angle)
    toward = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    sideways = torch.stack([-toward[:, 1], toward[:, 0]], 1)

    corner, opposite = lips.amin(1), lips.amax(1)
    middle, half = (corner + opposite) / 2, (opposite - corner) / 2
    reach, breadth = (toward.abs() * half).sum(1), (sideways.abs() * half).sum(1)
    tight = uniform(0, 1) < 0.6
    first = torch.where(whole, -1 - uniform(-0.05, 0.5), normal(0.18)) * reach
    last = (1 + torch.where(tight, uniform(-0.05, 0.5), uniform(0.3, 4))) * reach
    high = (1 + torch.where(tight, uniform(-0.05, 0.5), uniform(0.3, 2.5))) * breadth
    width = uniform(4, 9.5)
    centre = torch.where(single, normal(0.35) * breadth, torch.zeros(n))
    high = torch.where(single, width / 2, high)
    first = torch.where(single, -uniform(0.8, 3.5) * reach, first)
    last = torch.where(single, torch.full_like(last, 2.0 * side), last)
    low, high = centre - high, centre + high

    finger = single | (uniform(0, 1) < 0.35)
    turned = finger & ~single & (uniform(0, 1) < 0.5)  # fingers across the lips' half, not along
    axes = torch.where(turned[:, None], sideways, toward), torch.where(turned[:, None], toward, sideways)
    first, low = torch.where(turned, low, first), torch.where(turned, first, low)
    last, high = torch.where(turned, high, last), torch.where(turned, last, high)
    ticks = torch.arange(side) + 0.5
    dx, dy = ticks[None, None, :] - middle[:, 0, None, None], ticks[None, :, None] - middle[:, 1, None, None]
    along, across = (dx * axis[:, 0, None, None] + dy * axis[:, 1, None, None] for axis in axes)
    return _Place(along, across, *(v[:, None, None] for v in (first, last, low, high, finger, width)))


def _surface(
    images: Tensor,
    skin: Tensor,
    lips: Tensor,
    textures: Tensor,
    place: _Place,
    generator: torch.Generator,
) -> Tensor:
    """What covers show, (n, 3, S, S)."""
    n, size = len(images), images.shape[-2:]

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def pick(fills: dict[str, float]) -> Tensor:
        numbers = torch.tensor([list(_FILLS).index(name) for name in fills])
        return numbers[torch.multinomial(torch.tensor([*fills.values()]), n, True, generator=generator)]

    x, y = lips.mean(1).round().long().clamp(0, images.shape[-1] - 1).unbind(1)
    mouth = images[torch.arange(n), :, y, x]
    tone = torch.lerp(torch.tensor(_DARK_SKIN), torch.tensor(_PALE_SKIN), rand(n, 1))
    colours = {
        "grey": 255 * torch.randint(0, 3, (n, 1), generator=generator).expand(n, 3) / 2,
        "colour": 255 * rand(n, 3) * torch.where(rand(n, 1) < 0.3, 0.2, 1.0),
        "own skin": skin * (0.75 + 0.45 * rand(n, 1)) * (1 + 0.04 * (rand(n, 3) - 0.5)),
        "other skin": tone * (0.9 + 0.2 * rand(n, 3)),
        "lip red": mouth * (0.6 + 0.8 * rand(n, 3)),
    }
    block = int(torch.randint(3, 9, (1,), generator=generator))

    def pixels(name: str, rows: Tensor) -> Tensor:
        if name in colours:
            return colours[name][rows, :, None, None] * light[rows]
        if name == "texture":
            return textures[torch.randint(len(textures), (len(rows),), generator=generator)].float()
        if name == "other face":
            return images[(rows + 1) % n].roll(17, 2)
        means = functional.avg_pool2d(images[rows], block, ceil_mode=True)
        if name == "blur":
            return functional.interpolate(means, size=size, mode="bilinear")
        return functional.interpolate(means, scale_factor=float(block))[:, :, : size[0], : size[1]]

    light = _light(place, generator)
    chosen = torch.where(place.finger[:, 0, 0] & (rand(n) < 0.85), pick(_FINGER_FILLS), pick(_FILLS))
    out = torch.empty_like(images)
    for number, name in enumerate(_FILLS):
        rows = torch.nonzero(chosen == number)[:, 0]
        if len(rows):
            out[rows] = pixels(name, rows)
    return out


def _light(place: _Place, generator: torch.Generator) -> Tensor:
    """Light on covers, (n, 1, S, S): flat, graded, or round as on fingers."""
    n = len(place.width)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, generator=generator)

    x, y = place.x.clamp(-1.5, 1.5), place.y.clamp(-1.5, 1.5)
    slope = uniform(-0.2, 0.2) * x + uniform(-0.2, 0.2) * y
    graded = 1 + slope - uniform(0, 0.25) * torch.maximum(x**2, y**2)
    surface = torch.where(uniform(0, 1) < 0.5, torch.ones_like(x), graded)
    off_centre = (place.ridge - uniform(-0.4, 0.4)).abs()
    fingers = 1 - uniform(0.1, 0.5) * off_centre ** uniform(1.2, 4) + uniform(-0.1, 0.1) * x
    return torch.where(place.finger, fingers, surface)[:, None].clamp(0.2, 1.6)
