"""Tone mapping of HDR footage in PQ or HLG (ITU-R BT.2100) to SDR, and back.

White is at 203 cd/m², as in ITU-R BT.2408. Light below the knee stays unchanged; brighter light, of lamps and
reflections, is compressed. Colours outside BT.709 are clipped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import ImageFilter

from newscaster.types import ArrayF32, ArrayF64, ImageU8

_PQ, _HLG = 16, 18  # transfer codes of ITU-T H.273
_WHITE_NITS, _PQ_NITS, _HLG_NITS = 203.0, 10_000.0, 1000.0
_KNEE = 0.8
_GAMMA = 2.4  # of an SDR display: ITU-R BT.1886
_DECODED = ((np.arange(256) / 255) ** _GAMMA).astype(np.float32)
_MIN_LEFT = float((1 - (254.5 / 255) ** _GAMMA) / (1 - _KNEE))
_WHITE_LEVEL = round(255 * (_KNEE + (1 - _KNEE) * (1 - np.exp(-1.0))) ** (1 / _GAMMA))
"""8-bit pixel value to which `to_sdr` maps reference white."""
_STEPS = 65  # on each side of the table
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_TO_709 = np.array(  # linear light, BT.2020's primaries to BT.709's (ITU-R BT.2407)
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


@cache
def to_sdr(transfer: int) -> ImageFilter.Color3DLUT | None:
    """Return a filter from RGB of this transfer (a code of H.273) to BT.709; None if it is not HDR."""
    if transfer not in (_PQ, _HLG):
        return None
    steps = np.linspace(0, 1, _STEPS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")  # red changes fastest
    coded = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    light = _light_of_pq(coded) if transfer == _PQ else _light_of_hlg(coded)
    narrow = np.clip(light @ _TO_709.T, 0, None)
    brightest = np.maximum(narrow.max(axis=1, keepdims=True), 1e-6)
    shown = np.clip(narrow * _roll_off(brightest) / brightest, 0, 1) ** (1 / _GAMMA)
    table: Any = shown.astype(np.float32).ravel()
    return ImageFilter.Color3DLUT(_STEPS, table)


def from_sdr(image: ImageU8, transfer: int) -> ArrayF32:
    """Return the HDR pixels, 0 to 1 float32, that `to_sdr` maps to these SDR pixels (..., 3).

    Light that `to_sdr` compressed is expanded again; colours that it clipped stay clipped.

    Raises:
        ValueError: the transfer is not HDR.
    """
    if transfer not in (_PQ, _HLG):
        raise ValueError(f"transfer {transfer} is not HDR; expected {_PQ} (PQ) or {_HLG} (HLG)")
    shown = _DECODED[image]
    brightest = np.maximum(shown.max(axis=-1, keepdims=True), 1e-6)
    narrow = shown * (_roll_on(brightest) / brightest)
    light = np.maximum(narrow @ np.linalg.inv(_TO_709).T.astype(np.float32), 0)
    return _code_of_pq(light) if transfer == _PQ else _code_of_hlg(light)


def white_code(transfer: int) -> float:
    """Return the place of white between black, 0, and the top of the range, 1; it is 1 unless HDR."""
    if transfer not in (_PQ, _HLG):
        return 1.0
    return float(from_sdr(np.full((1, 3), _WHITE_LEVEL, np.uint8), transfer).mean())


def _light_of_pq(coded: ArrayF64) -> ArrayF64:
    """Apply the EOTF of SMPTE ST 2084: (n, 3) of 0 to 1 to linear light, 1 = white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = coded ** (1 / m2)
    light: ArrayF64 = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * _PQ_NITS / _WHITE_NITS
    return light


def _code_of_pq(light: ArrayF32) -> ArrayF32:
    """Invert `_light_of_pq`."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.minimum(light * np.float32(_WHITE_NITS / _PQ_NITS), 1) ** np.float32(m1)
    coded: ArrayF32 = ((c1 + c2 * power) / (1 + c3 * power)) ** np.float32(m2)
    return coded


def _light_of_hlg(coded: ArrayF64) -> ArrayF64:
    """Apply the inverse OETF of ARIB STD-B67, then the OOTF of BT.2100 for a display of 1000 cd/m².

    Shapes and units are those of `_light_of_pq`.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    light: ArrayF64 = scene * (scene @ _LUMA_2020)[:, None] ** 0.2 * _HLG_NITS / _WHITE_NITS
    return light


def _code_of_hlg(light: ArrayF32) -> ArrayF32:
    """Invert `_light_of_hlg`."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    display = light * np.float32(_WHITE_NITS / _HLG_NITS)
    luma = np.maximum(display @ _LUMA_2020.astype(np.float32), 1e-9)[..., None]
    scene = display * luma ** np.float32(1 / 1.2 - 1)
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    coded: ArrayF32 = np.clip(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high), 0, 1).astype(np.float32)
    return coded


def _roll_on(shown: ArrayF32) -> ArrayF32:
    """Invert `_roll_off`, up to the light of the brightest 8-bit value below white."""
    left = np.maximum((1 - shown) / (1 - _KNEE), _MIN_LEFT)
    return np.where(shown <= _KNEE, shown, _KNEE - (1 - _KNEE) * np.log(left)).astype(np.float32)


def _roll_off(light: ArrayF64) -> ArrayF64:
    """Compress light above the knee towards 1; the slope is continuous."""
    over = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    rolled: ArrayF64 = np.where(light <= _KNEE, light, 1 - (1 - _KNEE) * np.exp(-over))
    return rolled
