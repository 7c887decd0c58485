"""Example frames, real and reconstructed: the worst, the most flickering, and ordinary ones.

Chooses the frames and cuts out their mouths. `page` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from newscaster.evaluation.held_out import HeldOut
from newscaster.evaluation.metrics import Compared
from newscaster.evaluation.reconstruction import Condition, Remade
from newscaster.face.crop import cut_crop
from newscaster.media import read_frames
from newscaster.synthesis.anchor import Anchor
from newscaster.types import ArrayBool, ArrayF64, ArrayI64

_SHOWN = 8
_APART_FRAMES = 8
"""Minimum distance of two chosen frames of one clip: neighbours look the same."""
_PER_CLIP = 3
_SHOWN_WIDTH_PX = 264
_MARGIN = 0.02
"""Margin around the mask, as a fraction of the crop's side."""


@dataclass(frozen=True)
class Example:
    """One frame: the mouth in the footage and in each reconstruction."""

    clip: str
    frame: int
    seconds: float
    figure: float
    """Value by which the frame was chosen."""
    images: dict[Condition, PillowImage.Image]
    """`real` is the footage itself."""


@dataclass(frozen=True)
class Examples:
    """Frames chosen from all clips."""

    worst: tuple[Example, ...]
    """Largest root mean square error with the true mouth shapes, in 8-bit pixel values."""
    flickering: tuple[Example, ...]
    """Largest flicker beyond that of the footage, with the true mouth shapes."""
    median: tuple[Example, ...]
    """Errors closest to the median of all frames."""


def choose_examples(
    anchor: Anchor,
    clips: Sequence[HeldOut],
    made: Sequence[Sequence[Remade]],
    compared: Sequence[Sequence[Compared]],
) -> Examples:
    """Choose frames of reconstructed clips, and cut out their mouths."""
    mouths = [next(c for c in of_clip if c.condition == "mouth") for of_clip in compared]
    errors = [np.sqrt(c.error) for c in mouths]
    excess_flicker = [c.flicker - c.real_flicker for c in mouths]
    median = float(np.nanmedian(np.concatenate(errors)))

    def show(frames: Sequence[tuple[int, int]], series: Sequence[ArrayF64]) -> tuple[Example, ...]:
        return tuple(_example(anchor, clips[c], made[c], i, float(series[c][i])) for c, i in frames)

    return Examples(
        worst=show(_largest(errors), errors),
        flickering=show(_largest(excess_flicker), excess_flicker),
        median=show(_largest([-np.abs(e - median) for e in errors], per_clip=1), errors),
    )


def _largest(series: Sequence[ArrayF64], *, per_clip: int = _PER_CLIP) -> list[tuple[int, int]]:
    """Return (clip, frame) of the largest finite values, largest first, spread over clips and time."""
    ranked = sorted(
        ((float(values[i]), c, int(i)) for c, values in enumerate(series) for i in _finite(values)),
        reverse=True,
    )
    chosen: list[tuple[int, int]] = []
    max_per_clip = max(per_clip, -(-_SHOWN // max(1, len(series))))
    for _, clip, frame in ranked:
        of_clip = [i for c, i in chosen if c == clip]
        if len(of_clip) < max_per_clip and all(abs(frame - i) >= _APART_FRAMES for i in of_clip):
            chosen.append((clip, frame))
        if len(chosen) == _SHOWN:
            break
    return chosen


def _finite(values: ArrayF64) -> ArrayI64:
    return np.flatnonzero(np.isfinite(values))


def _example(anchor: Anchor, held: HeldOut, made: Sequence[Remade], frame: int, figure: float) -> Example:
    images = {"real": next(held.images(frame, frame + 1))}
    for video in made:
        if video.condition in ("mouth", "sound"):
            images[video.condition] = next(
                read_frames(video.path, fps=anchor.fps, start_frame=frame, stop_frame=frame + 1)
            )
    side, box = anchor.info.crop.side, _box(anchor.face.mask.hidden)
    mouths: dict[Condition, PillowImage.Image] = {}
    for condition, image in images.items():
        mouth = PillowImage.fromarray(cut_crop(image, held.transforms[frame], side)).crop(box)
        size = _SHOWN_WIDTH_PX, round(_SHOWN_WIDTH_PX * mouth.height / mouth.width)
        mouths[condition] = mouth.resize(size, PillowImage.Resampling.BICUBIC)  # type: ignore[index]
    return Example(held.name, frame, float(frame / anchor.fps), figure, mouths)


def _box(mask: ArrayBool) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a mask, with a margin."""
    side = len(mask)
    margin = round(_MARGIN * side)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]) - margin, int(rows[0]) - margin
    right, bottom = int(columns[-1]) + 1 + margin, int(rows[-1]) + 1 + margin
    return max(0, left), max(0, top), min(side, right), min(side, bottom)
