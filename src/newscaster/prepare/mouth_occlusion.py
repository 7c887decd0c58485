"""Detection of occluders of the mouth in single frames: hands, microphones, boxes, captions, masks.

A small network marks the cells of a face crop that show something other than the face. It was trained on
footage of many people with drawn occluders (``tools/train_mouth_occlusion.py``). It works on single frames: a
mouth that is covered in all frames is found as well as one that is covered briefly.

::

    frame, landmarks ─► crop 64 x 64, upright ─► network ─► cells 16 x 16 ─► fractions of lips, of lower face

``measures`` (the report) and ``occlusion`` (the prepared dataset) use the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw

from newscaster.errors import InputError
from newscaster.face.geometry import Similarity, runs
from newscaster.face.topology import LEFT_EYE_OUTER, OUTER_LIPS, RIGHT_EYE_OUTER
from newscaster.formats.dataset import Clip
from newscaster.inference import Session
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat, ImageU8

SIDE = 64
"""Side of the network's input, in pixels."""
EXTENT = 1.7
"""Side of the crop in IOD: the smallest face crop contains all of it."""
CENTRE_Y = 0.9
"""Height of the crop's centre below the eyes: between nose and chin."""
CELLS = 16
"""Side of the network's output."""

MIN_EYES_PX = 24.0
"""Minimum IOD of a mouth that can be judged: its lips are 3 pixels high."""
_DARK, _BRIGHT = 24, 248
"""8-bit pixel values below and above which nothing is visible."""
_MIN_VISIBLE = 0.05
"""Minimum fraction of a crop's pixels within each of these limits."""
MIN_FREE_SECONDS = 10.0
"""Minimum time with a free mouth in footage of which more than ``_MANY_COVERED`` is covered."""
_MANY_COVERED = 0.05

_BATCH = 32
_DOUBT, _CLEAR = 0.7, 0.95
"""Output of the network up to which a cell counts as free, and from which it counts as fully covered. Blurred
and turned faces and moustaches leave many cells in doubt; an occluder is clear in some."""
_LIPS_COVERED = 0.2
"""Minimum covered fraction of the lips of a covered mouth. For 196 people outside the training set, 0.5 % of
the clean frames exceed this threshold or the next."""
_FACE_COVERED = 0.43
"""The same for the lower face, lips included."""
_NEAR = 0.6
"""Fraction of the thresholds above that is enough next to a covered frame, where an occluder moves in or
out."""
_EDGE_SECONDS = 0.12
"""Maximum length of such an edge."""
_MEDIAN_SECONDS = 0.16
"""Fractions are smoothed by a running median: at 25 fps, one or two odd frames are an error of the
landmarks."""
_CERTAIN = 4.0
"""Multiple of the thresholds above at which even a single frame counts as covered."""
_SEGMENTS_NAMED = 3

_ABOVE_LIPS, _BESIDE_LIPS, _BELOW_LIPS = 0.1, 0.08, 0.3
"""Extent of the lower face beyond the lips, in IOD: from the nose to the chin."""


def crop_window(landmarks: ArrayFloat, *, extent: float = EXTENT, side: int = SIDE) -> Similarity:
    """Map image pixels to crop pixels, for landmarks (478, >=2): upright, from the eyes to below the chin."""
    left, right = (landmarks[i, :2].astype(np.float64) for i in (LEFT_EYE_OUTER, RIGHT_EYE_OUTER))
    distance = max(float(np.linalg.norm(right - left)), 1e-3)
    x, y = (right - left) / distance
    scale = side / (extent * distance)
    linear = scale * np.array([[x, y], [-y, x]])
    middle = np.array([side / 2, side / 2 - CENTRE_Y * side / extent])
    shift = middle - linear @ (left + right) / 2
    return Similarity(np.concatenate([linear, shift[:, None]], axis=1))


def cut_crop(image: ImageU8, window: Similarity, *, side: int = SIDE) -> ImageU8:
    """Cut the crop (side, side, 3) out of an image (H, W, 3), whose border pixels are repeated outside."""
    inverse = np.linalg.inv(np.vstack([window.matrix, [0, 0, 1]]))[:2]
    corners = Similarity(inverse).apply(np.array([(0, 0), (side, 0), (0, side), (side, side)], np.float64))
    height, width = image.shape[:2]
    shrink = max(1, int(1 / float(window.scale)))
    first = np.clip(np.floor(corners.min(axis=0)).astype(int) - shrink, 0, [width - 1, height - 1])
    last = np.clip(np.ceil(corners.max(axis=0)).astype(int) + shrink, first + 1, [width, height])
    part = Image.fromarray(np.ascontiguousarray(image[first[1] : last[1], first[0] : last[0]]))
    if shrink > 1:
        part = part.reduce(shrink)  # the samples below would alias
    linear, shift = inverse[:, :2] / shrink, (inverse[:, 2] - first) / shrink
    corners = (corners - first) / shrink
    before = np.maximum(np.ceil(-corners.min(axis=0)), 0).astype(int) + 1
    after = np.maximum(np.ceil(corners.max(axis=0)) - [part.width, part.height], 0).astype(int) + 1
    if max(before.max(), after.max()) > 1:
        border = [(before[1], after[1]), (before[0], after[0]), (0, 0)]
        part, shift = Image.fromarray(np.pad(np.asarray(part), border, mode="edge")), shift + before
    coefficients = np.concatenate([linear, shift[:, None]], axis=1).reshape(-1).tolist()
    crop = part.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(crop)


def can_measure(crop: ImageU8, eyes_px: float) -> bool:
    """Return whether a crop of a face with this IOD is large and well exposed enough to find occluders.

    A crop of one colour is: it shows a board or a cloth.
    """
    if eyes_px < MIN_EYES_PX:
        return False
    pixels = crop[::2, ::2]
    lit, unlit = (pixels.max(axis=2) > _DARK).mean(), (pixels.min(axis=2) < _BRIGHT).mean()
    return bool(min(lit, unlit) > _MIN_VISIBLE)


class OcclusionNetwork:
    """The occlusion network.

    Args:
        session: `crops` (N, 64, 64, 3) uint8 to `covered` (N, 16, 16), 0 to 1.

    Raises:
        InputError: the session has other inputs or outputs.
    """

    def __init__(self, session: Session) -> None:
        expected = ((SIDE, SIDE, 3), (CELLS, CELLS))
        shapes = session.inputs.get("crops", ())[1:], session.outputs.get("covered", ())[1:]
        if shapes != expected:
            raise InputError(
                f"{session!r} is not an occlusion network; expected crops (N, {SIDE}, {SIDE}, 3) -> "
                f"covered (N, {CELLS}, {CELLS})"
            )
        self._session = session

    def cells(self, crops: ImageU8) -> ArrayF32:
        """Return the probability of an occluder in each cell, (n, 16, 16), of crops (n, 64, 64, 3)."""
        batches = [crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH)]
        covered = [self._session.run(crops=np.ascontiguousarray(batch))["covered"] for batch in batches]
        return np.concatenate(covered) if covered else np.zeros((0, CELLS, CELLS), np.float32)


@cache
def load_occlusion_network() -> OcclusionNetwork:
    """Load the packaged network, with one thread."""
    model = resources.files("newscaster").joinpath("data/mouth_occlusion.onnx").read_bytes()
    return OcclusionNetwork(Session(model, threads=1, name="the occlusion network", trusted=True))


def covered_fractions(cells: ArrayFloat, lips: ArrayFloat) -> ArrayF64:
    """Return the covered fractions of the lips and of the lower face: (n, 2), 0 to 1.

    Args:
        cells: output of the network, (n, 16, 16).
        lips: the outer lips in crop pixels, (n, 20, 2). Under an occluder they are a close guess.
    """
    clear = np.clip((cells - _DOUBT) / (_CLEAR - _DOUBT), 0, 1)
    out = np.zeros((len(cells), 2))
    for i, (cover, outline) in enumerate(zip(clear, lips, strict=True)):
        low, high = outline.min(axis=0), outline.max(axis=0)
        left, top = low - np.array([_BESIDE_LIPS, _ABOVE_LIPS]) * SIDE / EXTENT
        right, bottom = high + np.array([_BESIDE_LIPS, _BELOW_LIPS]) * SIDE / EXTENT
        around = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        for k, area in enumerate((outline, around)):
            weight = _inside(area)
            out[i, k] = float((cover * weight).sum() / weight.sum())
    return out


def _inside(outline: ArrayFloat) -> ArrayF64:
    """Return the fraction of each cell inside an outline in crop pixels, (16, 16)."""
    canvas = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(canvas).polygon(
        [(float(x) - 0.5, float(y) - 0.5) for x, y in outline], fill=255, outline=255
    )
    step = SIDE // CELLS
    cells = np.asarray(canvas, np.float64).reshape(CELLS, step, CELLS, step).mean(axis=(1, 3))
    return np.asarray(cells + 1e-9)


class OcclusionMeter:
    """Collects the crops of a clip's frames as they are decoded, and measures them together.

    Args:
        network: by default the packaged one.
        every: one in so many frames is measured.
    """

    def __init__(self, network: OcclusionNetwork | None = None, *, every: int = 1) -> None:
        self._network = network or load_occlusion_network()
        self._every = every
        self._frames: list[int] = []
        self._skipped: list[int] = []
        self._crops: list[ImageU8] = []
        self._lips: list[ArrayF64] = []

    def add(self, index: int, image: ImageU8, landmarks: ArrayFloat) -> None:
        """Add a frame (H, W, 3) of the clip, and its landmarks (478, >=2) in the frame's pixels."""
        if index % self._every:
            self._skipped.append(index)
            return
        eyes_px = float(np.linalg.norm(landmarks[RIGHT_EYE_OUTER, :2] - landmarks[LEFT_EYE_OUTER, :2]))
        window = crop_window(landmarks)
        crop = cut_crop(image, window)
        if can_measure(crop, eyes_px):
            self._frames.append(index)
            self._crops.append(crop)
            self._lips.append(window.apply(landmarks[list(OUTER_LIPS), :2].astype(np.float64)))

    def fractions(self, frames: int) -> ArrayF64:
        """Return the covered fractions of lips and lower face, (F, 2), 0 to 1; NaN if not measurable.

        A skipped frame gets the mean of the measured frames before and after it.
        """
        out = np.full((frames, 2), np.nan)
        if not self._frames:
            return out
        cells = self._network.cells(np.stack(self._crops))
        out[self._frames] = covered_fractions(cells, np.stack(self._lips))
        for k in self._skipped:
            beside = [out[i] for i in (k - k % self._every, k - k % self._every + self._every) if i < frames]
            known = [fractions for fractions in beside if np.isfinite(fractions).all()]
            if known:
                out[k] = np.mean(known, axis=0)
        return out


def measure_face_crops(clip: Clip) -> ArrayF64:
    """Return :meth:`OcclusionMeter.fractions` of a clip of a prepared dataset, from its face crops."""
    meter = OcclusionMeter()
    for frame in map(int, np.flatnonzero(clip.present)):
        landmarks = clip.transforms[frame].apply(clip.landmarks[frame][:, :2].astype(np.float64))
        meter.add(frame, clip.crops[frame], landmarks)
    return meter.fractions(clip.frames)


def covered_frames(fractions: ArrayF64, present: ArrayBool, fps: float) -> ArrayBool:
    """Return the frames (F,) with a covered mouth, from covered fractions (F, 2).

    NaN are interpolated in time. A single odd frame is an error unless it is certain. An occluder that moves
    in slowly counts from its edge.
    """
    score = (fractions / [_LIPS_COVERED, _FACE_COVERED]).max(axis=1)
    measured = np.flatnonzero(np.isfinite(score))
    if not len(measured):
        return np.zeros(len(fractions), np.bool_)
    score = np.interp(np.arange(len(score)), measured, score[measured])
    around = 2 * round(_MEDIAN_SECONDS * fps / 2) + 1
    padded = np.pad(score, around // 2, mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, around), axis=1)
    core = (usual >= 1) | (score >= _CERTAIN)
    near = (usual >= _NEAR) | (score >= 1)
    for _ in range(round(_EDGE_SECONDS * fps)):
        beside = core.copy()
        beside[1:] |= core[:-1]
        beside[:-1] |= core[1:]
        core |= beside & near
    return np.asarray(core & present)


def leaves_too_little(covered_fraction: float, free_seconds: float) -> bool:
    """Return whether covered mouths, as a fraction of the frames with the face, leave too little footage."""
    return covered_fraction > _MANY_COVERED and free_seconds < MIN_FREE_SECONDS


def describe_times(covered: Sequence[tuple[str, ArrayBool, int, float]]) -> str:
    """Describe the longest covered segments, as ``'NAME' 5.0 to 9.0 s``.

    Args:
        covered: for each clip the file's name, its flags (F,), the number of its first frame in the file, and
            frames per second.
    """
    segments = [
        (stop - start, name, (first + start) / fps, (first + stop) / fps)
        for name, flags, first, fps in covered
        for start, stop in runs(flags)
    ]
    segments.sort(key=lambda segment: -segment[0])
    shown = sorted((name, start, stop) for _, name, start, stop in segments[:_SEGMENTS_NAMED])
    more = f" and {len(segments) - len(shown)} more" if len(segments) > len(shown) else ""
    return ", ".join(f"'{name}' {start:.1f} to {stop:.1f} s" for name, start, stop in shown) + more
