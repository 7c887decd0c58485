"""Frames to look at: the worst, those that flicker most, and ordinary ones, real and made.

Knows which frames are chosen and how their mouths are cut out; the page they are shown on is
`page`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from newscaster.evaluation.held_out import HeldOut
from newscaster.evaluation.metrics import Compared
from newscaster.evaluation.reconstruction import Condition, Remade
from newscaster.face.crop import cut_crop
from newscaster.media import read_frames
from newscaster.synthesis.anchor import Anchor

Array = npt.NDArray[np.float64]

_SHOWN = 8
_APART_FRAMES = 8
"""Frames of one clip that are shown are at least so far apart: neighbours look the same."""
_PER_CLIP = 3
_SHOWN_WIDTH_PX = 264
_MARGIN = 0.02
"""Around the mask, in sides of the region."""


@dataclass(frozen=True)
class Example:
    """One frame: the mouth in the footage, and in each video made of it."""

    clip: str
    frame: int
    seconds: float
    figure: float
    """What it was chosen by."""
    images: dict[Condition, PillowImage.Image]
    """`real` is the footage itself."""


@dataclass(frozen=True)
class Examples:
    """Frames chosen from all clips."""

    worst: tuple[Example, ...]
    """With the largest error from true mouth shapes: root mean square, 0 to 255."""
    flickering: tuple[Example, ...]
    """Those that flicker most beyond the real ones, from true mouth shapes."""
    median: tuple[Example, ...]
    """With an error in the middle of all."""


def choose_examples(
    anchor: Anchor,
    clips: Sequence[HeldOut],
    made: Sequence[Sequence[Remade]],
    compared: Sequence[Sequence[Compared]],
) -> Examples:
    """Choose frames of clips made anew, and cut out their mouths."""
    mouths = [next(c for c in some if c.condition == "mouth") for some in compared]
    errors = [np.sqrt(c.error) for c in mouths]
    standing_out = [c.flicker - c.real_flicker for c in mouths]
    middle = float(np.nanmedian(np.concatenate(errors)))

    def show(places: Sequence[tuple[int, int]], series: Sequence[Array]) -> tuple[Example, ...]:
        return tuple(_example(anchor, clips[c], made[c], i, float(series[c][i])) for c, i in places)

    return Examples(
        worst=show(_largest(errors), errors),
        flickering=show(_largest(standing_out), standing_out),
        median=show(_largest([-np.abs(e - middle) for e in errors], per_clip=1), errors),
    )


def _largest(series: Sequence[Array], *, per_clip: int = _PER_CLIP) -> list[tuple[int, int]]:
    """Clips and frames of the largest finite values, the largest first; not all from one place."""
    ranked = sorted(
        ((float(values[i]), c, int(i)) for c, values in enumerate(series) for i in _finite(values)),
        reverse=True,
    )
    chosen: list[tuple[int, int]] = []
    most = max(per_clip, -(-_SHOWN // max(1, len(series))))
    for _, clip, frame in ranked:
        same = [i for c, i in chosen if c == clip]
        if len(same) < most and all(abs(frame - i) >= _APART_FRAMES for i in same):
            chosen.append((clip, frame))
        if len(chosen) == _SHOWN:
            break
    return chosen


def _finite(values: Array) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.isfinite(values))


def _example(anchor: Anchor, held: HeldOut, made: Sequence[Remade], frame: int, figure: float) -> Example:
    found = {"real": next(held.images(frame, frame + 1))}
    for video in made:
        if video.condition in ("mouth", "sound"):
            found[video.condition] = next(
                read_frames(video.path, fps=anchor.fps, start_frame=frame, stop_frame=frame + 1)
            )
    side, box = anchor.info.crop.side, _box(anchor.face.mask.hidden)
    shown: dict[Condition, PillowImage.Image] = {}
    for condition, image in found.items():
        cut = PillowImage.fromarray(cut_crop(image, held.transforms[frame], side)).crop(box)
        size = _SHOWN_WIDTH_PX, round(_SHOWN_WIDTH_PX * cut.height / cut.width)
        shown[condition] = cut.resize(size, PillowImage.Resampling.BICUBIC)  # type: ignore[index]
    return Example(held.name, frame, float(frame / anchor.fps), figure, shown)


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask, with a margin."""
    side = len(mask)
    margin = round(_MARGIN * side)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]) - margin, int(rows[0]) - margin
    right, bottom = int(columns[-1]) + 1 + margin, int(rows[-1]) + 1 + margin
    return max(0, left), max(0, top), min(side, right), min(side, bottom)
