"""Metrics of rendered frames against the real frames at the same times.

Works on arrays alone: crops or whole frames (F, H, W, 3), uint8 RGB, of successive frames, and a mask (H, W)
of the pixels to compare. Per-frame metrics return one value per frame, (F,). Long videos can therefore be
measured in parts. A second function combines the frames into one value.

The closest image is not the sharpest. A network that averages over possible mouths has a small error but a
soft image. Read errors together with `sharpness_ratio`, and both with `flicker_ratio`: sharp detail may
flicker.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from newscaster.face.topology import RING
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ImageU8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PEAK = 255.0
_WINDOW_SIDE, _WINDOW_SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03
_MIN_LIP_PIXELS = 12
_LIPS_INSET = 0.03
_MIN_INSET_PX = 2
_FINE = 4


def luma(images: npt.NDArray[np.integer[Any]]) -> ArrayF32:
    """Return the luma (..., H, W) of RGB images (..., H, W, 3), 0 to 255: ITU-R BT.601."""
    return np.asarray(images.astype(np.float32) @ _LUMA)


def squared_errors(made: ImageU8, real: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return the mean squared error of each frame, (F,), over the mask's pixels and three channels."""
    error = made[:, mask].astype(np.float32) - real[:, mask]
    return np.asarray((error**2).mean(axis=(1, 2), dtype=np.float64))


def psnr(errors: ArrayFloat) -> float:
    """Return the peak signal-to-noise ratio in dB from the frames' mean squared errors (F,).

    10 log10(255² / mean), with the mean over all pixels of all frames. If frames differ, this is less than
    the mean of the frames' own ratios. Equal images give infinity.
    """
    mean = float(np.mean(errors))
    return float(10 * np.log10(_PEAK**2 / mean)) if mean > 0 else float("inf")


def structural_similarities(made: ImageU8, real: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return the SSIM of each frame, (F,), at most 1: the mean of the SSIM map over the mask's pixels.

    Computed on luma, after Wang, Bovik, Sheikh and Simoncelli, *Image quality assessment: from error
    visibility to structural similarity* (2004): a Gaussian window of 11x11 pixels and sigma 1.5, K1 0.01, K2
    0.03. As in the paper, the map excludes pixels whose window extends beyond the image. The SSIM of many
    frames is their mean.

    Raises:
        ValueError: no pixel of the mask is that far from the border.
    """
    reach = _WINDOW_SIDE // 2
    inner = mask[reach:-reach, reach:-reach]
    if not inner.any():
        raise ValueError(f"the mask has no pixel that is {reach} pixels from the border of {mask.shape}")
    # Compute only the area that the windows of the mask's pixels cover.
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


def _box(mask: ArrayBool) -> tuple[slice, slice]:
    """Return the rows and columns of a mask's bounding box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _windowed(values: ArrayFloat) -> ArrayFloat:
    """Return Gaussian means (F, H - 10, W - 10) of values (F, H, W)."""
    offsets = np.arange(_WINDOW_SIDE) - _WINDOW_SIDE // 2
    weights = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        length = values.shape[axis] - _WINDOW_SIDE + 1
        moved = np.moveaxis(values, axis, -1)
        summed = np.zeros((*moved.shape[:-1], length))
        for k, weight in enumerate(weights):
            summed += weight * moved[..., k : k + length]
        values = np.moveaxis(summed, -1, axis)
    return values


def lip_masks(points: ArrayFloat, *, side: int, pixels_per_unit: float) -> ArrayBool:
    """Return masks (F, side, side) of the inside of the lips, from mouths (F, 57, 2) in crop pixels.

    The mask is the polygon of the outer lips, eroded by 0.03 IOD and at least 2 pixels. The edge between lip
    and skin is strong even in a soft image, and its exact position depends on the landmarks. Lips, teeth and
    tongue remain. Mouths that are not finite have no pixels.

    Args:
        points: mouths; the first 20 points are the outer lips.
        side: side of the crop in pixels.
        pixels_per_unit: crop pixels per IOD (`FaceCrop.pixels_per_unit`).
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


def detail(images: ImageU8, lips: ArrayBool) -> ArrayF64:
    """Return the variance of the Laplacian of luma, (F,), inside each frame's lips (F, H, W).

    The Laplacian is the sum of the four neighbours minus four times the pixel. NaN if fewer than 12 pixels
    are inside.
    """
    y = luma(images)
    laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
    inner = lips[:, 1:-1, 1:-1]
    return np.array(
        [
            values[mask].var(dtype=np.float64) if mask.sum() >= _MIN_LIP_PIXELS else np.nan
            for values, mask in zip(laplacian, inner, strict=True)
        ]
    )


def ratio(made: ArrayFloat, real: ArrayFloat) -> float:
    """Return the mean of one series (F,) over that of another, for the frames in which both are finite.

    NaN if there is no such frame, or if the real mean is 0.
    """
    both = np.isfinite(made) & np.isfinite(real)
    if not both.any() or not real[both].mean() > 0:
        return float("nan")
    return float(made[both].mean() / real[both].mean())


def sharpness_ratio(
    made: ImageU8, real: ImageU8, lips: ArrayBool, made_lips: ArrayBool | None = None
) -> float:
    """Return the fine detail inside the lips, rendered over real: 1 is as sharp, less is softer.

    The mean of :func:`detail` over the rendered frames divided by that over the real frames.

    Args:
        made, real: frames (F, H, W, 3).
        lips: masks (F, H, W) of the inside of the real lips; see :func:`lip_masks`.
        made_lips: the same of the rendered frames, if their mouths move differently; by default ``lips``.
    """
    return ratio(detail(made, lips if made_lips is None else made_lips), detail(real, lips))


def flicker(images: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return how much each frame differs from its two neighbours, (F,): NaN for the first and the last.

    The mean magnitude of before - 2 * frame + after, of luma over the mask's pixels, 0 to 255: the second
    difference in time. A mouth that moves evenly hardly changes it. Noise and unsteady textures do. Therefore
    a mouth that moves less than the real one does not count as steadier.
    """
    y = luma(images)[:, mask]
    out = np.full(len(y), np.nan)
    if len(y) > 2:
        out[1:-1] = np.abs(y[:-2] - 2 * y[1:-1] + y[2:]).mean(axis=1, dtype=np.float64)
    return out


def change(images: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return how much each frame differs from the previous one, (F,): NaN for the first.

    The mean absolute difference of luma over the mask's pixels, 0 to 255: motion and noise together.
    """
    y = luma(images)[:, mask]
    out = np.full(len(y), np.nan)
    out[1:] = np.abs(np.diff(y, axis=0)).mean(axis=1, dtype=np.float64)
    return out


def flicker_ratio(made: ImageU8, real: ImageU8, mask: ArrayBool) -> float:
    """Return the mean :func:`flicker` of rendered frames over that of the real ones.

    Above 1 the frames flicker. Below 1 they are steadier than the footage, for example without its noise.
    """
    return ratio(flicker(made, mask), flicker(real, mask))


def change_ratio(made: ImageU8, real: ImageU8, mask: ArrayBool) -> float:
    """Return the mean :func:`change` of rendered frames over that of the real ones."""
    return ratio(change(made, mask), change(real, mask))


def perceptual_distances(made: ImageU8, real: ImageU8, mask: ArrayBool) -> ArrayF64:
    """Return the distance of the frames in the features of an image classifier, (F,): 0 is the same.

    See :func:`newscaster.models.perceptual_distance.perceptual_distances`, which this imports with PyTorch.

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
