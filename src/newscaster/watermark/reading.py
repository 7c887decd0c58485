"""Detection of the mark in a file, in pieces of five seconds, in the blue difference (U) and in luma.

The frames of a piece are high-pass filtered, clipped and averaged: motion cancels out, and the mark remains.
The average is folded onto the torus. The phases of its spectrum are correlated with the pattern's (Kuglin and
Hines, "The phase correlation image alignment method", 1975).

Significance: without a mark, the phases are practically random, and a correlation at one place is the sum of
about a thousand terms: normal, of variance 1 as scaled here, beyond `t` with the probability Q(t). The
threshold is the `t` that any of the tested places exceeds in one of a million pieces::

    unchanged frame: 9 places, and as many of its mirror image,            Q(5.55) * 36      = 0.5e-6
        in two planes
    cropped, shifted, padded: 128 x 128 places, 65 scales, mirrored, too,  Q(7.33) * 4.3e6   = 0.5e-6
        in two planes

The plane with the best score counts, since frames may already carry the mark of other footage in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.types import ArrayF32, ArrayF64, ImageU8
from newscaster.watermark.pattern import (
    BLUE,
    CELLS,
    CELLS_ACROSS,
    ID_PARTS,
    LUMA,
    SMALLER_SIDE_PX,
    blurred,
    id_at,
    part_signs,
    sync_signs,
    weights,
)

PIECE_SECONDS = 5.0
"""Length of an analysed piece."""
MAX_PIECES = 6
"""Largest number of analysed pieces, spread over the file."""
FALSE_ALARMS = 1e-6
"""False positive rate per piece."""
_ID_ERRORS = 1e-3
"""Rate of id parts that are read from pure noise."""
_SECOND_MARK = 0.6
"""Score of another id's part over that of the best one, from which on either may be the right one."""
_FRAMES_PER_SECOND = 5
_SAMPLES = 2 * CELLS
"""Samples of the torus along each side: two for a cell, or shifts by half a cell would be missed."""
SCALES = tuple(np.exp(-0.008 * np.arange(65)).tolist())
"""Smaller side of a cropped frame over that of the original: 1 to 0.6."""
_PLANES = 2
PLACES = (3 * 3 * 2 * _PLANES, _SAMPLES**2 * 2 * len(SCALES) * _PLANES)
"""Number of tested places, in unchanged frames and in others."""
_EDGE_LEVELS = 1.0
"""Clipping of a sample's difference from its surroundings, in 8-bit pixel values."""
_FAINT_SQUARE = 0.05
"""Square of the amplitude, in 8-bit pixel values, below which the strength is not normalised."""
_COARSEST = 0.06
"""Cycles per cell below which the frame's content hides the mark."""

_CYCLES = np.arange(-(CELLS // 2 - 1), CELLS // 2)
"""Analysed frequencies in cycles per torus, which are also their indices."""


AveragedPlanes = tuple[ArrayF32, ArrayF32]
"""Luma and U of a piece, each averaged."""


@dataclass(frozen=True, kw_only=True)
class FoundMark:
    """The detected mark of a file."""

    id: str | None
    """The first digits of the anchor's identity; None if they are unreadable."""
    pieces: int
    """Analysed pieces of 5 s."""
    marked: int
    """Pieces with the mark."""
    scale: float
    """Remaining fraction of the frame's smaller side; 1: not cropped."""
    mirrored: bool


@dataclass(frozen=True)
class Lock:
    """The position of the pattern in a piece."""

    score: float
    scale: float
    mirrored: bool
    place: tuple[int, int]
    """Down and across, in samples of the torus."""


def find_mark(path: str | Path) -> FoundMark | None:
    """Detect newscaster's mark in a video; return None if there is none.

    At most six pieces are decoded, so that long files take no longer than short ones.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    return mark_of(seen_pieces(path))


def seen_pieces(path: str | Path) -> list[AveragedPlanes]:
    """Return the analysed pieces of a video, each averaged.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    pieces = media.read_pieces(
        Path(path),
        pieces=MAX_PIECES,
        seconds=PIECE_SECONDS,
        frames_per_second=_FRAMES_PER_SECOND,
        smaller_side_px=SMALLER_SIDE_PX,
    )
    return [averaged_planes(frames) for frames in pieces]


def averaged_planes(frames: Sequence[media.SampledPlanes]) -> AveragedPlanes:
    """Return the result of `averaged` for luma and for U of the frames of a piece."""
    return averaged(frame[LUMA] for frame in frames), averaged(frame[BLUE] for frame in frames)


def mark_of(pieces: Sequence[AveragedPlanes]) -> FoundMark | None:
    """Detect the mark in averaged pieces; see `averaged_planes`."""
    planes = [[piece[number] for piece in pieces] for number in (LUMA, BLUE)]
    locks = [[aligned(piece) for piece in plane] for plane in planes]
    if not any(map(any, locks)):
        locks = [_search_all(plane) for plane in planes]
    marks = [
        (max(lock.score for _, lock in marked), _mark(marked, pieces=len(pieces)))
        for plane, found in zip(planes, locks, strict=True)
        if (marked := [(piece, lock) for piece, lock in zip(plane, found, strict=True) if lock is not None])
    ]
    return max(marks, key=lambda mark: mark[0])[1] if marks else None


def _mark(marked: Sequence[tuple[ArrayF32, Lock]], *, pieces: int) -> FoundMark:
    """Return the mark of one plane, which was found in some of the pieces."""
    best = max((lock for _, lock in marked), key=lambda lock: lock.score)
    return FoundMark(
        id=_id_of([_at_origin(piece, lock) for piece, lock in marked]),
        pieces=pieces,
        marked=len(marked),
        scale=round(best.scale, 3),
        mirrored=best.mirrored,
    )


def _search_all(pieces: Sequence[ArrayF32]) -> list[Lock | None]:
    """Search a plane of all pieces. A search is slow, so the scale of the first lock is reused."""
    locks: list[Lock | None] = []
    scales = SCALES
    for piece in pieces:
        lock = searched(piece, scales=scales)
        if lock is not None:
            scales = (lock.scale,)
        locks.append(lock)
    return locks


def averaged(frames: Iterable[ImageU8]) -> ArrayF32:
    """Return the static, high-pass filtered content of planes (H, W uint8), normalised to one strength."""
    total, count = np.zeros((2, 2), np.float32), 0
    for count, luma in enumerate(frames, 1):
        plane = luma.astype(np.float32)
        fine = np.clip(plane - blurred(plane), -_EDGE_LEVELS, _EDGE_LEVELS).astype(np.float32)
        total = fine if count == 1 else total + fine
    mean = total / np.float32(max(1, count))
    return np.asarray(mean / np.sqrt(blurred(mean * mean) + _FAINT_SQUARE), np.float32)


def aligned(piece: ArrayF32, *, least: float | None = None) -> Lock | None:
    """Return the best place of the mark in an uncropped frame, mirrored or not, if it is significant.

    Args:
        piece: a result of `averaged`.
        least: threshold in standard deviations; None: by `FALSE_ALARMS`.
    """
    return _best(piece, [1.0], reach=1, least=threshold(PLACES[0]) if least is None else least)


def searched(piece: ArrayF32, *, scales: Sequence[float] = SCALES, least: float | None = None) -> Lock | None:
    """Return the best place of the mark in a cropped, shifted or padded frame, if it is significant.

    Args:
        piece: a result of `averaged`.
        scales: possible fractions of the frame's smaller side that remain.
        least: threshold in standard deviations; None: by `FALSE_ALARMS`.
    """
    return _best(piece, scales, reach=_SAMPLES, least=threshold(PLACES[1]) if least is None else least)


def threshold(places: int) -> float:
    """Return the score, in standard deviations, that noise exceeds at `places` in one of 2 million pieces."""
    return -NormalDist().inv_cdf(FALSE_ALARMS / 2 / places)


def _best(piece: ArrayF32, scales: Sequence[float], *, reach: int, least: float) -> Lock | None:
    """Return the best place within `reach` of the middle."""
    near = np.arange(-reach, reach + 1)[:_SAMPLES]
    best: Lock | None = None
    for scale in scales:
        phases = _phases(piece, scale)
        for mirrored in (False, True):
            scores = _correlated(phases, _sync(mirrored), _SAMPLES)[np.ix_(near, near)]
            down, across = np.unravel_index(scores.argmax(), scores.shape)
            score = float(scores[down, across])
            if score >= least and (best is None or score > best.score):
                best = Lock(score, scale, mirrored, (int(near[down]), int(near[across])))
    return best


def _phases(piece: ArrayF32, scale: float) -> npt.NDArray[np.complex128]:
    """Return (63, 63): phases of the piece on the torus, of all frequencies below half a cycle per cell."""
    height, width = piece.shape
    side_px = min(height, width) / CELLS_ACROSS / scale
    folded = weights(height, side_px, _SAMPLES).T @ piece @ weights(width, side_px, _SAMPLES)
    phases: npt.NDArray[np.complex128] = np.fft.fft2(folded)[np.ix_(_CYCLES, _CYCLES)]
    magnitude = np.abs(phases)
    phases[magnitude > 0] /= magnitude[magnitude > 0]
    return phases


def _correlated(
    phases: npt.NDArray[np.complex128], pattern: npt.NDArray[np.complex128], samples: int
) -> ArrayF64:
    """Return (samples, samples): correlation of a pattern at each place, in standard deviations of noise."""
    parts = phases * pattern.conj()
    spread = np.zeros((samples, samples), np.complex128)
    spread[np.ix_(_CYCLES, _CYCLES)] = parts
    norm = np.sqrt((np.abs(parts) ** 2).sum())
    scores: ArrayF64 = np.fft.ifft2(spread, norm="forward").real / max(norm, 1e-9)
    return scores


@cache
def _sync(mirrored: bool) -> npt.NDArray[np.complex128]:
    spectrum = _spectrum(sync_signs())
    return spectrum[:, ::-1] if mirrored else spectrum


def _spectrum(pattern: ArrayF64) -> npt.NDArray[np.complex128]:
    """Return (63, 63): the spectrum of a pattern of the torus, weighted by the loss of interpolation."""
    cycles = _CYCLES / CELLS
    gain = np.sinc(cycles)
    weighted: npt.NDArray[np.complex128] = (
        np.fft.fft2(pattern)[np.ix_(_CYCLES, _CYCLES)] * gain[:, None] * gain
    )
    weighted[np.hypot(cycles[:, None], cycles) < _COARSEST] = 0
    return weighted


def _at_origin(piece: ArrayF32, lock: Lock) -> npt.NDArray[np.complex128]:
    """Return a piece's phases, corrected for crop, shift and mirroring."""
    turns = [np.exp(2j * np.pi * _CYCLES * place / _SAMPLES) for place in lock.place]
    phases: npt.NDArray[np.complex128] = _phases(piece, lock.scale) * turns[0][:, None] * turns[1]
    return phases[:, ::-1] if lock.mirrored else phases


def _id_of(phases: list[npt.NDArray[np.complex128]]) -> str | None:
    """Read the parts of the id from all pieces; their common noise is measured, not assumed.

    None if they are unreadable, or if there is a second mark of like strength, as in a dub of a marked video:
    parts of both would give an id that is neither's.
    """
    threshold_sigmas = -NormalDist().inv_cdf(_ID_ERRORS / CELLS**2)
    places = []
    for part in range(ID_PARTS):
        pattern = _spectrum(part_signs(part))
        scores = np.sum([_correlated(piece_phases, pattern, CELLS) for piece_phases in phases], axis=0)
        least = threshold_sigmas * scores.std()
        first, second = _two_best(scores)
        if scores.flat[first] < least or second > max(least, _SECOND_MARK * scores.flat[first]):
            return None
        places.append(first)
    return id_at(places)


def _two_best(scores: ArrayF64) -> tuple[int, float]:
    """Return the place with the best score (CELLS, CELLS), and the best score that is not beside it."""
    first = int(scores.argmax())
    others = scores.copy()
    around = np.arange(-1, 2)
    down, across = np.unravel_index(first, scores.shape)
    others[np.ix_((down + around) % CELLS, (across + around) % CELLS)] = -np.inf
    return first, float(others.max())
