"""Comparison of a reconstructed clip with the clip itself: every metric, per frame and combined.

The metrics themselves are in `image_metrics` and `motion`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import MediaError
from newscaster.evaluation import image_metrics
from newscaster.evaluation.held_out import HeldOut
from newscaster.evaluation.motion import best_lag
from newscaster.evaluation.reconstruction import Condition, Remade
from newscaster.face.crop import cut_crop
from newscaster.face.geometry import eye_distance
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.face.topology import INNER_LIPS, OUTER_LIPS
from newscaster.media import read_frames
from newscaster.synthesis.anchor import Anchor
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ImageU8

_AT_ONCE = 24
_LIPS = [*OUTER_LIPS, *INNER_LIPS]


@dataclass(frozen=True)
class Compared:
    """Metrics of each of F frames of a reconstructed clip; NaN if there is nothing to measure."""

    clip: str
    condition: Condition
    rendered: ArrayBool
    """(F,): the frame got a new mouth."""
    seen: ArrayBool
    """(F,): the footage shows the face. In other frames all metrics are NaN."""
    error: ArrayF64
    """Mean squared error inside the mask (`image_metrics.squared_errors`)."""
    similarity: ArrayF64
    """`image_metrics.structural_similarities`."""
    distance: ArrayF64
    """`image_metrics.perceptual_distances`."""
    detail: ArrayF64
    """`image_metrics.detail` inside the lips of the video."""
    real_detail: ArrayF64
    """The same of the footage, inside its own lips."""
    flicker: ArrayF64
    """`image_metrics.flicker` of the video."""
    real_flicker: ArrayF64
    """The same of the footage."""
    landmarks: ArrayF64
    """`landmark_distances`; NaN also if no face was found in the video."""
    opening: ArrayF64
    """Mouth opening in the video, in IOD."""
    real_opening: ArrayF64
    """Mouth opening in the footage, in IOD."""


@dataclass(frozen=True)
class Figures:
    """Metrics of one condition, of one clip or of several together."""

    condition: Condition
    clips: int
    frames: int
    """Number of frames of all clips."""
    passed_through: int | None
    """Frames that kept the footage's own mouth, such as those without a face; None for the real video."""
    lost: int | None
    """Frames whose face is in the footage but was not found in the video; None without a video."""
    psnr: float
    """dB, inside the mask, all pixels together."""
    ssim: float
    sharpness: float
    """Rendered over real."""
    flicker: float
    """Rendered over real."""
    perceptual: float
    landmarks: float
    """Mean distance of the lips' landmarks, in IOD."""
    correlation: float
    """Correlation of the opening, at the best lag."""
    lag_ms: float
    """Delay of the rendered mouth."""

    @property
    def unmeasured(self) -> str:
        """Reason why landmarks, opening and lag could not be measured in the video; empty if they were."""
        if self.lost is None or np.isfinite([self.landmarks, self.correlation, self.lag_ms]).all():
            return ""
        if not np.isfinite(self.landmarks):
            return (
                f"no face was found in its video, in any of {self.lost} frames that show one in the footage"
            )
        return "the mouth does not move, or is visible for too short a time"

    def to_json(self) -> dict[str, object]:
        """Return values for JSON, with None for NaN and infinity, which JSON lacks."""
        return {
            "way" if name == "condition" else name: value
            if not isinstance(value, float) or np.isfinite(value)
            else None
            for name, value in asdict(self).items()
        }


def figures(clips: Sequence[Compared], *, fps: Fraction) -> Figures:
    """Return the metrics of clips reconstructed under one condition, all frames together."""
    joined = {
        field.name: np.concatenate([getattr(clip, field.name) for clip in clips])
        for field in fields(Compared)
        if field.name not in ("clip", "condition")
    }
    seen = joined["seen"]
    agreement = best_lag([clip.opening for clip in clips], [clip.real_opening for clip in clips])
    return Figures(
        condition=clips[0].condition,
        clips=len(clips),
        frames=len(seen),
        passed_through=None if clips[0].condition == "real" else int((~joined["rendered"]).sum()),
        lost=None if clips[0].condition == "rendered" else int((seen & np.isnan(joined["landmarks"])).sum()),
        psnr=image_metrics.psnr(joined["error"][seen]),
        ssim=_mean(joined["similarity"]),
        sharpness=image_metrics.ratio(joined["detail"], joined["real_detail"]),
        flicker=image_metrics.ratio(joined["flicker"], joined["real_flicker"]),
        perceptual=_mean(joined["distance"]),
        landmarks=_mean(joined["landmarks"]),
        correlation=agreement.correlation,
        lag_ms=float(agreement.lag * 1000 / fps),
    )


def _mean(values: ArrayF64) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def compare(
    held: HeldOut,
    made: Sequence[Remade],
    landmarks: Mapping[Path, ArrayF32],
    anchor: Anchor,
) -> list[Compared]:
    """Compare the reconstructions of a clip with the clip.

    Crops are cut from the footage and from the videos with the same transforms, those of the clip's poses.
    The metrics cover the pixels that the renderer does not see (the mask).

    Args:
        held: the clip.
        made: its reconstructions.
        landmarks: landmarks detected in the videos, by path.
        anchor: the anchor that made them.

    Raises:
        MediaError: a video does not have the clip's frames.
    """
    side, scale = anchor.info.crop.side, anchor.info.crop.pixels_per_unit
    real_lips = held.transforms.apply(held.clip.landmarks[:, _LIPS, :2].astype(np.float64))
    outlines = [real_lips, *(m.mouths for m in made)]
    columns = [_Column(held.frames) for _ in outlines]
    streams = [_cut(held.images(), held, side), *(_crops(m, held, anchor) for m in made)]
    mask = anchor.face.mask.hidden
    for start, blocks in _blocks(streams, held):
        real = blocks[0]
        for column, crops, outline in zip(columns, blocks, outlines, strict=True):
            part = slice(start, start + len(real))
            lips = image_metrics.lip_masks(outline[part], side=side, pixels_per_unit=scale)
            column.add(start, crops, real, lips, mask)
    return [
        _compared(held, m, column, columns[0], landmarks.get(m.path), anchor)
        for m, column in zip(made, columns[1:], strict=True)
    ]


class _Column:
    """Image metrics of one video, collected block by block."""

    def __init__(self, frames: int) -> None:
        names = ("error", "similarity", "distance", "detail", "flicker")
        self.values = {name: np.full(frames, np.nan) for name in names}
        self._last: ImageU8 | None = None

    def add(self, start: int, crops: ImageU8, real: ImageU8, lips: ArrayBool, mask: ArrayBool) -> None:
        part = slice(start, start + len(crops))
        self.values["detail"][part] = image_metrics.detail(crops, lips)
        if crops is not real:
            self.values["error"][part] = image_metrics.squared_errors(crops, real, mask)
            self.values["similarity"][part] = image_metrics.structural_similarities(crops, real, mask)
            self.values["distance"][part] = image_metrics.perceptual_distances(crops, real, mask)
        # A frame's flicker needs both neighbours: measure the last two frames of the previous block again.
        joined = crops if self._last is None else np.concatenate([self._last, crops])
        first = start - (len(joined) - len(crops))
        self.values["flicker"][first + 1 : first + len(joined) - 1] = image_metrics.flicker(joined, mask)[
            1:-1
        ]
        self._last = joined[-2:]


def _crops(made: Remade, held: HeldOut, anchor: Anchor) -> Iterator[ImageU8]:
    """Yield the crops (S, S, 3) of a reconstructed clip."""
    side = anchor.info.crop.side
    if made.condition == "rendered":
        return iter(np.memmap(made.path, np.uint8, "r").reshape(-1, side, side, 3))
    return _cut(read_frames(made.path, fps=anchor.fps), held, side)


def _cut(frames: Iterator[ImageU8], held: HeldOut, side: int) -> Iterator[ImageU8]:
    for i, frame in enumerate(itertools.islice(frames, held.frames)):
        yield cut_crop(frame, held.transforms[i], side)


def _blocks(streams: Sequence[Iterator[ImageU8]], held: HeldOut) -> Iterator[tuple[int, list[ImageU8]]]:
    """Yield blocks of successive frames: the number of the first, and (n, S, S, 3) of each stream."""
    for start in range(0, held.frames, _AT_ONCE):
        count = min(_AT_ONCE, held.frames - start)
        blocks = [list(itertools.islice(stream, count)) for stream in streams]
        if any(len(block) != count for block in blocks):
            raise MediaError(
                f"'{held.clip.record.source}' or its reconstruction has fewer than {held.frames} frames: the "
                "file changed during the evaluation. Try again, and do not change it meanwhile"
            )
        yield start, [np.stack(block) for block in blocks]


def _compared(
    held: HeldOut,
    made: Remade,
    column: _Column,
    real: _Column,
    detected: ArrayF32 | None,
    anchor: Anchor,
) -> Compared:
    seen, head = held.present, anchor.face.head
    real_landmarks = held.clip.landmarks
    made_landmarks = np.full_like(real_landmarks, np.nan)
    if detected is not None:
        made_landmarks[: len(detected)] = detected[: len(real_landmarks)]
    # Flicker needs a face in both neighbours.
    surrounded = seen & np.roll(seen, 1) & np.roll(seen, -1)
    values = {name: np.where(seen, series, np.nan) for name, series in column.values.items()}
    return Compared(
        clip=held.name,
        condition=made.condition,
        rendered=made.rendered,
        seen=seen,
        error=values["error"],
        similarity=values["similarity"],
        distance=values["distance"],
        detail=values["detail"],
        real_detail=np.where(seen, real.values["detail"], np.nan),
        flicker=np.where(surrounded, values["flicker"], np.nan),
        real_flicker=np.where(surrounded, real.values["flicker"], np.nan),
        landmarks=landmark_distances(made_landmarks, real_landmarks),
        opening=opening(mouth_shapes(made_landmarks, head)),
        real_opening=opening(mouth_shapes(real_landmarks, head)),
    )


def landmark_distances(made: ArrayFloat, real: ArrayFloat) -> ArrayF64:
    """Return the distance of the lips' landmarks from the real ones, (F,), in IOD of the real face.

    The mean distance of the 40 points of the lips in the frame. A misplaced mouth counts like a wrong shape.

    Args:
        made, real: landmarks (F, 478, >=2) in pixels of frames of one size; NaN gives NaN.
    """
    offset = (made[:, _LIPS, :2] - real[:, _LIPS, :2]).astype(np.float64)
    return np.asarray(np.linalg.norm(offset, axis=2).mean(axis=1) / eye_distance(real))
