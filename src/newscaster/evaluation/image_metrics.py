"""Measures of made pictures against the real ones of the same moments.

Works on arrays alone: regions, or whole pictures, (F, H, W, 3) uint8 RGB of successive frames, and a mask
(H, W), the pixels that count. What belongs to single frames comes frame by frame, (F,), so that long videos
can be measured piece by piece and frames compared; beside it stands how the frames become one figure.

The closest and the sharpest picture are not the same one. A network that averages over what it does not know
has the least error and is soft; so errors are to be read beside `sharpness_ratio`, and both beside
`flicker_ratio`, since what is sharp may swim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from newscaster.face.topology import RING

Images = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PEAK = 255.0
_WINDOW_SIDE, _WINDOW_SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03
_MIN_LIP_PIXELS = 12
_LIPS_INSET = 0.03
_MIN_INSET_PX = 2
_FINE = 4


def luma(images: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
    """Brightness (..., H, W) of RGB pictures (..., H, W, 3), 0 to 255: ITU-R BT.601."""
    return np.asarray(images.astype(np.float32) @ _LUMA)


def squared_errors(made: Images, real: Images, mask: Mask) -> Array:
    """Mean squared error of each frame, (F,): over the pixels of the mask and their three colours."""
    off = made[:, mask].astype(np.float32) - real[:, mask]
    return np.asarray((off**2).mean(axis=(1, 2), dtype=np.float64))


def psnr(errors: Floats) -> float:
    """Peak signal-to-noise ratio in dB of frames of these mean squared errors (F,), all pixels together.

    10 log10(255² / mean), the mean being over all pixels of all frames. This is less than the mean of the
    frames' own ratios wherever frames differ. Pictures that are equal have infinity.
    """
    mean = float(np.mean(errors))
    return float(10 * np.log10(_PEAK**2 / mean)) if mean > 0 else float("inf")


def structural_similarities(made: Images, real: Images, mask: Mask) -> Array:
    """SSIM of each frame, (F,), at most 1: the mean of the SSIM map over the pixels of the mask.

    Of luma, after Wang, Bovik, Sheikh and Simoncelli, *Image quality assessment: from error visibility to
    structural similarity* (2004): a Gaussian window of 11x11 pixels and sigma 1.5, K1 0.01, K2 0.03. Where
    the window reaches beyond the picture there is no map, as in theirs; pixels there do not count. The
    figure of many frames is their mean.

    Raises:
        ValueError: no pixel of the mask is that far from the border.
    """
    reach = _WINDOW_SIDE // 2
    inner = mask[reach:-reach, reach:-reach]
    if not inner.any():
        raise ValueError(f"the mask has no pixel that is {reach} pixels from the border of {mask.shape}")
    # Only what the windows on the mask's pixels see is computed.
    box = _box(inner)
    down, across = (slice(part.start, part.stop + 2 * reach) for part in box)
    x, y = luma(made[:, down, across]), luma(real[:, down, across])
    mean_x, mean_y = _windowed(x), _windowed(y)
    var_x, var_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    both = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _PEAK) ** 2, (_K2 * _PEAK) ** 2
    of_means = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    of_structure = (2 * both + c2) / (var_x + var_y + c2)
    return np.asarray((of_means * of_structure)[:, inner[box]].mean(axis=1))


def _box(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns that a mask lies in."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _windowed(values: Floats) -> Floats:
    """Gaussian means (F, H - 10, W - 10) of values (F, H, W)."""
    place = np.arange(_WINDOW_SIDE) - _WINDOW_SIDE // 2
    weights = np.exp(-0.5 * (place / _WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        length = values.shape[axis] - _WINDOW_SIDE + 1
        moved = np.moveaxis(values, axis, -1)
        summed = np.zeros((*moved.shape[:-1], length))
        for k, weight in enumerate(weights):
            summed += weight * moved[..., k : k + length]
        values = np.moveaxis(summed, -1, axis)
    return values


def lip_masks(points: Floats, *, side: int, pixels_per_unit: float) -> Mask:
    """What lies well inside the lips, (F, side, side), of mouths (F, 57, 2) in region pixels.

    The polygon of the outer lips, less a rim of 0.03 outer-eye distances and at least 2 pixels: the edge
    between lip and skin is the strongest there is, even in a soft picture, and where exactly it lies is a
    matter of landmarks. What is left is lips, teeth and tongue. Mouths that are not finite have no pixels.

    Args:
        points: mouths; the first 20 points are the outer lips.
        side: of the region, in pixels.
        pixels_per_unit: region pixels per outer-eye distance (`FaceCrop.pixels_per_unit`).
    """
    inset = max(_MIN_INSET_PX, round(_LIPS_INSET * pixels_per_unit))
    masks = np.zeros((len(points), side, side), np.bool_)
    for mask, mouth in zip(masks, points, strict=True):
        if not np.isfinite(mouth[:RING]).all():
            continue
        outline = mouth[:RING] * _FINE - 0.5  # Pillow's pixel centres lie at integers when it draws
        drawn = Image.new("L", (side * _FINE,) * 2, 0)
        ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for x, y in outline], fill=255)
        inside = drawn.reduce(_FINE).filter(ImageFilter.MinFilter(2 * inset + 1))
        mask[:] = np.asarray(inside) > 127
    return masks


def detail(images: Images, lips: Mask) -> Array:
    """Variance of the Laplacian of luma inside each frame's lips (F, H, W): (F,).

    The Laplacian is the sum of the four neighbours less four times the pixel. NaN where fewer than 12 pixels
    are inside.
    """
    bright = luma(images)
    curved = (
        bright[:, :-2, 1:-1]
        + bright[:, 2:, 1:-1]
        + bright[:, 1:-1, :-2]
        + bright[:, 1:-1, 2:]
        - 4 * bright[:, 1:-1, 1:-1]
    )
    inner = lips[:, 1:-1, 1:-1]
    return np.array(
        [
            values[mask].var(dtype=np.float64) if mask.sum() >= _MIN_LIP_PIXELS else np.nan
            for values, mask in zip(curved, inner, strict=True)
        ]
    )


def ratio(made: Floats, real: Floats) -> float:
    """Mean of one series (F,) over the mean of another, over the frames where both are finite.

    NaN where there is no such frame, or the real mean is 0.
    """
    both = np.isfinite(made) & np.isfinite(real)
    if not both.any() or not real[both].mean() > 0:
        return float("nan")
    return float(made[both].mean() / real[both].mean())


def sharpness_ratio(made: Images, real: Images, lips: Mask, made_lips: Mask | None = None) -> float:
    """How much fine detail there is inside the lips, made over real: 1 is as sharp, below is soft.

    The mean over frames of :func:`detail` in the made pictures over that in the real ones.

    Args:
        made, real: pictures (F, H, W, 3).
        lips: what lies inside the real lips, (F, H, W); see :func:`lip_masks`.
        made_lips: the same of the made pictures, where their mouths move otherwise; by default the real ones.
    """
    return ratio(detail(made, lips if made_lips is None else made_lips), detail(real, lips))


def flicker(images: Images, mask: Mask) -> Array:
    """How much each frame stands out from its two neighbours, (F,): NaN for the first and the last.

    The mean magnitude of before - 2 * frame + after, of luma over the pixels of the mask, 0 to 255: second
    differences in time. A mouth that moves evenly changes frames, yet hardly this; noise, and
    textures that jump or swim, change both. So a mouth that moves less than the real one is not taken for a
    steady picture.
    """
    bright = luma(images)[:, mask]
    out = np.full(len(bright), np.nan)
    if len(bright) > 2:
        out[1:-1] = np.abs(bright[:-2] - 2 * bright[1:-1] + bright[2:]).mean(axis=1, dtype=np.float64)
    return out


def change(images: Images, mask: Mask) -> Array:
    """How much each frame differs from the one before, (F,): NaN for the first.

    The mean absolute difference of luma over the pixels of the mask, in steps of 0 to 255: motion and noise
    together.
    """
    bright = luma(images)[:, mask]
    out = np.full(len(bright), np.nan)
    out[1:] = np.abs(np.diff(bright, axis=0)).mean(axis=1, dtype=np.float64)
    return out


def flicker_ratio(made: Images, real: Images, mask: Mask) -> float:
    """Mean :func:`flicker` of made pictures over that of the real ones: above 1 they flicker.

    Below 1 they are stiller than the footage, as where its noise is missing.
    """
    return ratio(flicker(made, mask), flicker(real, mask))


def change_ratio(made: Images, real: Images, mask: Mask) -> float:
    """Mean :func:`change` of made pictures over that of the real ones."""
    return ratio(change(made, mask), change(real, mask))


def perceptual_distances(made: Images, real: Images, mask: Mask) -> Array:
    """How different the pictures look to a network that tells things apart, (F,): 0 is the same.

    See :func:`newscaster.models.perceptual_distance.perceptual_distances`; it is loaded here, with PyTorch.

    Raises:
        MissingExtraError: the extra ``train`` is not installed.
    """
    try:
        from newscaster.models.perceptual_distance import perceptual_distances as distances
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from newscaster.errors import MissingExtraError

        raise MissingExtraError(purpose="the perceptual distance", extra="train", package="torch") from error
    return distances(made, real, mask)
