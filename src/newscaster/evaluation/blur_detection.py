"""How sharp an image looks: the cumulative probability of blur detection (CPBD).

After N. D. Narvekar and L. J. Karam, *A no-reference image blur metric based on the cumulative probability
of blur detection*, IEEE Transactions on Image Processing 20 (9), 2011, doi 10.1109/TIP.2011.2131660.
Edges are those of a Sobel filter. Their widths are measured along rows (Marziliano et al. 2002): from the
last minimum before an edge to the first maximum behind it. Works on arrays alone.
"""

from __future__ import annotations

import numpy as np

from newscaster.evaluation.image_metrics import luma
from newscaster.types import ArrayBool, ArrayF64, ImageU8

BLOCK = 64
"""Side of the blocks, in pixels. Rows and columns that fill no block are skipped."""
_MIN_EDGES = 0.002
"""Fraction of edge pixels beyond which a block has edges."""
_STEEPNESS = 3.6
_LOW_CONTRAST = 50
_JUST_NOTICEABLE_PX = (5.0, 3.0)
"""Width of an edge whose blur is just noticed, at contrasts up to 50 levels and above."""
_JUST_NOTICED = 1 - np.exp(-1.0)
"""The probability at that width: 63 %."""
_CUTOFF = 4.0
"""Edges have more than so many times the mean squared gradient."""
_MAX_SLANT = np.tan(np.radians(22.5))
"""Vertical over horizontal gradient, of edges that are measured along rows."""


def cpbd(image: ImageU8) -> float:
    """Return the CPBD of an image (H, W, 3) RGB: the fraction of edges without noticeable blur, 0 to 1.

    NaN if no block has edges.

    Raises:
        ValueError: the image is smaller than a block.
    """
    grey = np.rint(luma(image)).astype(np.float64)
    if min(grey.shape) < BLOCK:
        raise ValueError(f"the image has {grey.shape[1]}x{grey.shape[0]} pixels; expected {BLOCK} or more")
    edges, upright = _edges(grey)
    widths = _widths(grey)
    noticed = []
    for top in range(0, grey.shape[0] - BLOCK + 1, BLOCK):
        for left in range(0, grey.shape[1] - BLOCK + 1, BLOCK):
            block = slice(top, top + BLOCK), slice(left, left + BLOCK)
            if np.count_nonzero(edges[block]) <= _MIN_EDGES * BLOCK**2:
                continue
            contrast = np.ptp(grey[block])
            least = _JUST_NOTICEABLE_PX[int(contrast > _LOW_CONTRAST)]
            noticed.append(1 - np.exp(-((widths[block][upright[block]] / least) ** _STEEPNESS)))
    probabilities = np.concatenate(noticed) if noticed else np.zeros(0)
    return float((probabilities <= _JUST_NOTICED + 1e-9).mean()) if len(probabilities) else float("nan")


def _edges(grey: ArrayF64) -> tuple[ArrayBool, ArrayBool]:
    """Return the edges of an image (H, W), thinned, and those of them that are upright."""
    padded = np.pad(grey, 1, mode="edge")
    smooth = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    across = (smooth[:, 2:] - smooth[:, :-2]) / 8
    smooth = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    down = (smooth[2:] - smooth[:-2]) / 8
    squared = across**2 + down**2
    around = np.pad(squared, 1)
    ridge = (squared >= around[1:-1, :-2]) & (squared > around[1:-1, 2:])
    crest = (squared >= around[:-2, 1:-1]) & (squared > around[2:, 1:-1])
    is_steep = np.abs(across) >= np.abs(down)
    edges = (squared > _CUTOFF * squared.mean()) & np.where(is_steep, ridge, crest)
    return edges, edges & (np.abs(down) <= _MAX_SLANT * np.abs(across))


def _widths(grey: ArrayF64) -> ArrayF64:
    """Return the length of the slope in its row that each pixel of an image (H, W) lies on, in pixels."""
    rises = np.diff(grey, axis=1)
    widths = np.zeros(grey.shape)
    for sign in (1, -1):
        goes = np.pad(sign * rises > 0, ((0, 0), (1, 1)))
        before, after = np.zeros(grey.shape), np.zeros(grey.shape)
        for column in range(1, grey.shape[1]):
            before[:, column] = (before[:, column - 1] + 1) * goes[:, column]
            after[:, -1 - column] = (after[:, -column] + 1) * goes[:, -1 - column]
        widths = np.maximum(widths, before + after)
    return widths
