"""A drawn inner mouth: teeth, tongue and the dark between them, for a person whose own were never seen.

Upper teeth are fixed to the head, lower teeth and tongue to the jaw, so that they move as real ones do, and
every frame has the same teeth. Sizes are those of adults (Nelson, *Wheeler's Dental Anatomy*, 2014), with
9 cm between the outer eye corners. Lengths are in inter-ocular distances (IOD) unless noted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import ImageFilter

from newscaster.face.landmark_map import fill_polygon
from newscaster.face.topology import INNER_RING, JAW, JAW_LINE, RING
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ImageU8

_CHIN = JAW_LINE.start + len(JAW) // 2
_LOWER_LIP = INNER_RING.start + 3 * RING // 4
"""The middle of its inner border."""
_OVERSAMPLING = 3


@dataclass(frozen=True)
class _Teeth:
    """One half of a row, from the middle outwards, as seen from the front."""

    ends: tuple[float, ...]
    """Where each tooth ends."""
    edges: tuple[float, ...]
    """How far the edge of each tooth reaches beyond that of the first, negative: less far."""
    reach: float
    """Where the edge of the first tooth lies below the line between closed lips; negative: above."""
    height: float
    """Of a crown."""


_UPPER = _Teeth(
    ends=(0.092, 0.160, 0.218, 0.260, 0.292, 0.315),
    edges=(0.0, -0.010, -0.002, -0.014, -0.028, -0.040),
    reach=0.022,
    height=0.115,
)
_LOWER = _Teeth(
    ends=(0.056, 0.114, 0.172, 0.218, 0.252, 0.280),
    edges=(0.0, 0.0, 0.003, -0.008, -0.020, -0.032),
    reach=0.032,
    height=0.1,
)
ENAMEL = np.array([1.1, 0.94, 0.88])
"""Values in ordinary light, before the shadow of the lips: the mean chromaticity of teeth in videos of large
faces."""
_GUM = np.array([0.62, 0.36, 0.34])
_TONGUE = np.array([0.60, 0.34, 0.34])
_DARK = np.array([0.17, 0.075, 0.075])
_SHADE = 0.7 * ENAMEL
"""Between teeth that nearly meet."""
_DARK_GAP = 0.045
"""Distance between the rows of teeth from which on it is dark between them."""
_DEEP = 0.07
"""Depth of the shadow below the upper lip."""
_SLIT_DEPTH, _MIN_LIGHT, _MAX_LIGHT = 0.11, 0.09, 1.12
"""What lies behind a slit of height h in lips of this depth gets h / hypot(h, depth) of the light between
the limits. Some comes through the lips. Teeth of wide mouths are brighter than the skin's highlights tell."""
_TINT = np.array([-0.54, 0.36, 0.18])
_TINTED_BELOW, _DIMMEST = 0.7, 0.1
"""Light below this limit comes from the red lips and tongue more and more: f times dimmer, it is coloured by
f to these powers. In ten videos, the logarithms of the chromaticity of teeth beside that of skin are about
(-0.11, 0.00, 0.10) in wide mouths, and (0.12, -0.15, 0.03) in narrow ones, which have half of the light."""
_LOWER_SHOWN = 0.036
"""What the lower lip shows of the lower teeth at most."""


def draw_inner_mouth(
    crop: ImageU8,
    mouth: ArrayFloat,
    rest: ArrayFloat,
    *,
    pixels_per_unit: float,
    light: ArrayF64,
    monochrome: bool = False,
) -> ImageU8:
    """Return a crop (S, S, 3) with an inner mouth between its lips.

    Args:
        crop: with lips that are open.
        mouth: (57, 2), their mouth in pixels.
        rest: (57, 2), that mouth at rest in the same pose, in pixels.
        pixels_per_unit: pixels of the crop per IOD.
        light: (3,), values there of a thing that reflects all of ordinary light, 0 to some 255.
        monochrome: whether all things have the colour of the light.
    """
    inner = np.asarray(mouth, np.float64)[INNER_RING]
    left, top = np.floor(inner.min(axis=0)).astype(int) - 4
    right, bottom = np.ceil(inner.max(axis=0)).astype(int) + 4
    side = len(crop)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, side), min(bottom, side)
    if right - left < 2 or bottom - top < 2:
        return crop
    corner = np.array([left, top])
    size = (right - left, bottom - top)
    drawn = _drawn(inner - corner, np.asarray(mouth), np.asarray(rest), corner, size, pixels_per_unit)
    if monochrome:
        drawn = drawn.mean(axis=-1, keepdims=True)
    inside = _coverage(inner - corner, size, blur=max(0.5, 0.006 * pixels_per_unit))[..., None]
    part = crop[top:bottom, left:right]
    result = crop.copy()
    result[top:bottom, left:right] = np.clip(part + (drawn * light - part) * inside + 0.5, 0, 255)
    return result


def _drawn(
    inner: ArrayF64, mouth: ArrayF64, rest: ArrayF64, corner: ArrayF64, size: tuple[int, int], unit: float
) -> ArrayF64:
    """Return reflectances (h, w, 3) of the box around the inner lips."""
    width, height = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    still = rest[INNER_RING] - corner
    middle = still[:, 0].mean()
    line = still[:, 1].mean()
    x = ((np.arange(width) + 0.5) / _OVERSAMPLING - middle)[None] / unit
    y = ((np.arange(height) + 0.5) / _OVERSAMPLING - line)[:, None] / unit
    chin, lip = (float(mouth[point, 1] - rest[point, 1]) / unit for point in (_CHIN, _LOWER_LIP))
    drop = max(0.0, chin, lip - _LOWER_SHOWN + _LOWER.reach)
    shade = np.clip(1.04 - (np.abs(x) / 0.34) ** 2, 0.2, 1)
    image = np.broadcast_to(_behind_teeth(np.abs(x[0]), drop), (height, width, 3)).copy()
    _over(image, _TONGUE * 0.8, shade + 0 * y, tooth=_tongue(x, y, drop))
    lower, lower_light = _row(x, -(y - drop), _LOWER)
    _over(image, _GUM * 0.5, _gum(x, -(y - drop), _LOWER) * shade)
    _over(image, ENAMEL * 0.86, lower * lower_light * shade, tooth=lower)
    upper, upper_light = _row(x, y, _UPPER)
    _over(image, _GUM * 0.8, _gum(x, y, _UPPER) * shade)
    _over(image, ENAMEL * 1.06, upper * upper_light * shade, tooth=upper)
    # The lips shade what is behind them, the upper lip most.
    edge = _distance_below(inner, width, height)
    shadow = 0.75 + 0.25 * np.clip(edge / (_DEEP * unit * _OVERSAMPLING), 0, 1) ** 0.6
    light = shadow * _light_between(inner / unit)
    dimmer = np.clip(light * shade / _TINTED_BELOW, _DIMMEST, 1)
    image *= light[..., None] * dimmer[..., None] ** _TINT
    shape = (size[1], _OVERSAMPLING, size[0], _OVERSAMPLING, 3)
    return np.asarray(image.reshape(shape).mean(axis=(1, 3)))


def _behind_teeth(away: ArrayF64, drop: float) -> ArrayF64:
    """Return the reflectance (w, 3) of what is seen between both rows, by the distance from the middle.

    Where they nearly meet, that is the shade of the teeth: with the dark of an open mouth, the corners of the
    teeth would be black specks.
    """
    upper, lower = (
        teeth.reach + np.interp(away, (np.array((0.0, *teeth.ends[:-1])) + teeth.ends) / 2, teeth.edges)
        for teeth in (_UPPER, _LOWER)
    )
    open_ = np.clip((drop - lower - upper) / _DARK_GAP, 0, 1)[:, None]
    return np.asarray(_SHADE + (_DARK - _SHADE) * open_)


def _light_between(inner: ArrayF64) -> float:
    """Return the part of the light that enters between inner lips (20, 2)."""
    half = RING // 2
    height = max(0.0, float((inner[:half:-1, 1] - inner[1:half, 1]).max()))
    return float(_MIN_LIGHT + (_MAX_LIGHT - _MIN_LIGHT) * height / np.hypot(height, _SLIT_DEPTH))


def _over(image: ArrayF64, colour: ArrayF64, strength: ArrayF64, *, tooth: ArrayF64 | None = None) -> None:
    """Lay a colour over the image; ``strength`` darkens it, and ``tooth`` is its coverage, if given."""
    cover = (strength if tooth is None else tooth)[..., None]
    lit = np.where(cover > 0, strength[..., None] / np.maximum(cover, 1e-6), 0)
    image += (colour * lit - image) * cover


def _row(x: ArrayF64, y: ArrayF64, teeth: _Teeth) -> tuple[ArrayF64, ArrayF64]:
    """Return coverage and light of a row of teeth, (h, w); ``y`` grows towards their edges."""
    away = np.abs(x)
    starts = np.array((0.0, *teeth.ends[:-1]))
    ends = np.array(teeth.ends)
    number = np.clip(np.searchsorted(ends, away[0]), 0, len(ends) - 1)
    begin, end = starts[number], ends[number]
    across = (away[0] - begin) / (end - begin)
    # Corners are rounded, and neighbours part in a thin shadow.
    rounding = 0.010 * np.abs(2 * across - 1) ** 3
    reach = teeth.reach + np.array(teeth.edges)[number] - rounding
    below = reach[None] - y
    cover = np.clip(below / 0.006 + 0.5, 0, 1) * (away[0] <= ends[-1])[None]
    cover = cover * np.clip((teeth.height - below) / 0.01 + 0.5, 0, 1)
    gap = np.minimum(across, 1 - across) * (end - begin)
    parting = 0.84 + 0.16 * np.clip(gap / 0.006, 0, 1)
    round_ = 0.93 + 0.07 * np.sin(np.pi * np.clip(across, 0, 1))
    # The edge is a little translucent, and crowns darken towards the gum.
    edge = 0.92 + 0.08 * np.clip(below / 0.02, 0, 1)
    towards_gum = 1 - 0.12 * np.clip(below / teeth.height, 0, 1)
    return cover, (parting * round_)[None] * edge * towards_gum


def _gum(x: ArrayF64, y: ArrayF64, teeth: _Teeth) -> ArrayF64:
    below = teeth.reach - y
    return np.asarray(
        np.clip((below - teeth.height + 0.02) / 0.02, 0, 1) * (np.abs(x) < teeth.ends[-1] + 0.02)
    )


def _tongue(x: ArrayF64, y: ArrayF64, drop: float) -> ArrayF64:
    """Return the coverage of the tongue, which lies behind the lower teeth, (h, w)."""
    top = 0.045 + 0.5 * drop + 0.06 * (x / 0.26) ** 2
    return np.asarray(np.clip((y - top) / 0.07 + 0.5, 0, 1) * np.clip(1 - (np.abs(x) / 0.28) ** 4, 0, 1))


def _distance_below(inner: ArrayF64, width: int, height: int) -> ArrayF64:
    """Return how far each element lies below the upper lip, (h, w), in elements."""
    half = RING // 2
    upper = inner[: half + 1]
    order = np.argsort(upper[:, 0])
    at = (np.arange(width) + 0.5) / _OVERSAMPLING
    line = np.interp(at, upper[order, 0], upper[order, 1]) * _OVERSAMPLING
    return np.asarray(np.maximum(np.arange(height)[:, None] + 0.5 - line, 0))


def _coverage(points: ArrayF64, size: tuple[int, int], *, blur: float) -> ArrayF32:
    large = (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING)
    filled = fill_polygon(points * _OVERSAMPLING, large)
    soft = filled.filter(ImageFilter.GaussianBlur(blur * _OVERSAMPLING)).reduce(_OVERSAMPLING)
    return np.asarray(np.asarray(soft, np.float32) / 255, np.float32)
