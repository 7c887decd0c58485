"""Preview images of training: for fixed frames the network's input, its output and the real frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from newscaster.system.files import atomic_write
from newscaster.types import ArrayBool, ImageU8


def write_preview(
    path: Path,
    *,
    crops: ImageU8,
    landmark_maps: ImageU8,
    rendered: ImageU8,
    hidden: ArrayBool,
) -> None:
    """Write one column per frame: crop without its hidden pixels, landmark map, rendered, real.

    Args:
        path: a PNG file; an older one is replaced at once or not at all.
        crops: (B, S, S, 3), the real crops.
        landmark_maps: (B, 4, M, M).
        rendered: (B, S, S, 3).
        hidden: (S, S).

    Raises:
        OutputError: ``path`` cannot be written.
    """
    side = crops.shape[1]
    masked = np.where(hidden[..., None], np.uint8(0), crops)
    drawn = np.stack([_colours(landmark_map, side) for landmark_map in landmark_maps])
    rows = [np.concatenate(list(row), axis=1) for row in (masked, drawn, rendered, crops)]
    with atomic_write(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, format="PNG")


def write_comparison(path: Path, *, real: ImageU8, rendered: ImageU8) -> None:
    """Write one column per frame: real above rendered, both (B, H, W, 3).

    Raises:
        OutputError: ``path`` cannot be written.
    """
    rows = [np.concatenate(list(row), axis=1) for row in (real, rendered)]
    with atomic_write(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, format="PNG")


def _colours(landmark_map: ImageU8, side: int) -> ImageU8:
    """Inner mouth red, upper lip green, lower lip blue, face grey."""
    grey = landmark_map[3:].astype(np.uint16) // 3
    colours = np.minimum(grey + landmark_map[:3], 255).astype(np.uint8).transpose(1, 2, 0)
    return np.asarray(Image.fromarray(np.ascontiguousarray(colours)).resize((side, side)))
