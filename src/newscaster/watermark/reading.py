"""Finding the mark in a file, as far as pieces of five seconds show it.

The frames of a piece are averaged, without what is coarser than the mark, and with edges cut: what moves
goes, and the mark stays. The average is folded onto the torus. Of its spectrum only the phases are kept, and
correlated with the pattern's (Kuglin and Hines, "The phase correlation image alignment method", 1975).

How sure is it? Without a mark, phases are as good as random, and a correlation at one place is the sum of
some thousand terms: normal, of variance 1 as it is scaled here, beyond `t` with the chance Q(t). What is
asked for is the `t` that any of all places tried is beyond in one of a million pieces::

    as the picture was made: 9 places, and as many of its mirror image      Q(5.43) * 18      = 0.5e-6
    cropped, shifted, padded: 128 x 128 places, 65 scales, mirrored, too    Q(7.23) * 2.1e6   = 0.5e-6
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
from newscaster.watermark.pattern import (
    CELLS,
    CELLS_ACROSS,
    ID_PARTS,
    SMALLER_SIDE_PX,
    Array,
    Floats,
    blurred,
    id_at,
    part_signs,
    sync_signs,
    weights,
)

PIECE_SECONDS = 5.0
"""Length of a piece in which the mark is looked for."""
MAX_PIECES = 6
"""Pieces looked at, spread over the file."""
FALSE_ALARMS = 1e-6
"""Share of pieces without the mark in which it is found."""
_ID_ERRORS = 1e-3
"""Share of the parts of ids that are read where there is only noise."""
_FRAMES_PER_SECOND = 5
_SAMPLES = 2 * CELLS
"""Of the torus along each side: two for a cell, or shifts by half a cell would be missed."""
SCALES = tuple(np.exp(-0.008 * np.arange(65)).tolist())
"""Smaller side of what is left of a picture, over the whole: 1 to 0.6."""
PLACES = (3 * 3 * 2, _SAMPLES**2 * 2 * len(SCALES))
"""Places that are tried, in pictures as they were made and in others."""
_EDGE_LEVELS = 1.0
"""More than that above or below its surroundings, a pixel counts no more."""
_FAINT_SQUARE = 0.05
"""What is fainter than its root, in levels, is not raised to the strength of the rest."""
_COARSEST = 0.06
"""Cycles per cell below which pictures hide everything."""

_CYCLES = np.arange(-(CELLS // 2 - 1), CELLS // 2)
"""Frequencies that are looked at, in cycles per torus; they are their indices, too."""

Spectrum = npt.NDArray[np.complex128]


@dataclass(frozen=True, kw_only=True)
class FoundMark:
    """The mark, as it was found in a file."""

    id: str | None
    """The first digits of the anchor's identity; None where too little is left to read them."""
    pieces: int
    """Pieces of 5 s that were looked at."""
    marked: int
    """Pieces in which it was found."""
    scale: float
    """How much is left of the picture's smaller side; 1: it was not cropped."""
    mirrored: bool


@dataclass(frozen=True)
class Lock:
    """Where the pattern lies in a piece."""

    score: float
    scale: float
    mirrored: bool
    place: tuple[int, int]
    """Down and across, in samples of the torus."""


def find_mark(path: str | Path) -> FoundMark | None:
    """Look for newscaster's mark in a video; None: it is not found.

    Only up to six pieces of it are decoded, so that long files take no longer than short ones.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    return mark_of(seen_pieces(path))


def seen_pieces(path: str | Path) -> list[Floats]:
    """The pieces of a video that are looked at, each averaged.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    pieces = media.read_luma_pieces(
        Path(path),
        pieces=MAX_PIECES,
        seconds=PIECE_SECONDS,
        frames_per_second=_FRAMES_PER_SECOND,
        smaller_side_px=SMALLER_SIDE_PX,
    )
    return [averaged(frames) for frames in pieces]


def mark_of(pieces: list[Floats]) -> FoundMark | None:
    """The mark of pieces that are averaged already; see `averaged`."""
    locks = [aligned(piece) for piece in pieces]
    if not any(locks):
        locks = _searched_all(pieces)
    found = [(piece, lock) for piece, lock in zip(pieces, locks, strict=True) if lock is not None]
    if not found:
        return None
    best = max((lock for _, lock in found), key=lambda lock: lock.score)
    return FoundMark(
        id=_id_of([_at_origin(piece, lock) for piece, lock in found]),
        pieces=len(pieces),
        marked=len(found),
        scale=round(best.scale, 3),
        mirrored=best.mirrored,
    )


def _searched_all(pieces: list[Floats]) -> list[Lock | None]:
    """Searching takes long: where the first is found, others are."""
    locks: list[Lock | None] = []
    scales = SCALES
    for piece in pieces:
        lock = searched(piece, scales=scales)
        if lock is not None:
            scales = (lock.scale,)
        locks.append(lock)
    return locks


def averaged(frames: Iterable[npt.NDArray[np.uint8]]) -> Floats:
    """What stands still in a piece's frames (H, W uint8), without what is coarse; evened to one strength."""
    total, count = np.zeros((2, 2), np.float32), 0
    for count, luma in enumerate(frames, 1):
        plane = luma.astype(np.float32)
        fine = np.clip(plane - blurred(plane), -_EDGE_LEVELS, _EDGE_LEVELS).astype(np.float32)
        total = fine if count == 1 else total + fine
    mean = total / np.float32(max(1, count))
    return np.asarray(mean / np.sqrt(blurred(mean * mean) + _FAINT_SQUARE), np.float32)


def aligned(piece: Floats, *, least: float | None = None) -> Lock | None:
    """The best place of the mark in a picture that is whole, or mirrored, if it is good enough.

    Args:
        piece: as `averaged` gives it.
        least: standard deviations that are good enough; None: by `FALSE_ALARMS`.
    """
    return _best(piece, [1.0], reach=1, least=threshold(PLACES[0]) if least is None else least)


def searched(piece: Floats, *, scales: Sequence[float] = SCALES, least: float | None = None) -> Lock | None:
    """The best place of the mark in a picture that is cropped, shifted or padded, if it is good enough.

    Args:
        piece: as `averaged` gives it.
        scales: what may be left of the picture's smaller side, as a share.
        least: standard deviations that are good enough; None: by `FALSE_ALARMS`.
    """
    return _best(piece, scales, reach=_SAMPLES, least=threshold(PLACES[1]) if least is None else least)


def threshold(places: int) -> float:
    """Standard deviations that the best of so many places exceeds once in two million pieces, by chance."""
    return -NormalDist().inv_cdf(FALSE_ALARMS / 2 / places)


def _best(piece: Floats, scales: Sequence[float], *, reach: int, least: float) -> Lock | None:
    """The best of the places that are so near to the middle."""
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


def _phases(piece: Floats, scale: float) -> Spectrum:
    """(63, 63): of the piece on the torus, the phases of all frequencies below half a cycle per cell."""
    height, width = piece.shape
    side_px = min(height, width) / CELLS_ACROSS / scale
    folded = weights(height, side_px, _SAMPLES).T @ piece @ weights(width, side_px, _SAMPLES)
    found: Spectrum = np.fft.fft2(folded)[np.ix_(_CYCLES, _CYCLES)]
    size = np.abs(found)
    found[size > 0] /= size[size > 0]
    return found


def _correlated(phases: Spectrum, pattern: Spectrum, samples: int) -> Array:
    """(samples, samples): how well a pattern fits at each place, in standard deviations of noise."""
    parts = phases * pattern.conj()
    spread = np.zeros((samples, samples), np.complex128)
    spread[np.ix_(_CYCLES, _CYCLES)] = parts
    norm = np.sqrt((np.abs(parts) ** 2).sum())
    scores: Array = np.fft.ifft2(spread, norm="forward").real / max(norm, 1e-9)
    return scores


@cache
def _sync(mirrored: bool) -> Spectrum:
    found = _spectrum(sync_signs())
    return found[:, ::-1] if mirrored else found


def _spectrum(pattern: Array) -> Spectrum:
    """(63, 63): of a pattern of the torus, weighed by what interpolation leaves of it."""
    cycles = _CYCLES / CELLS
    left = np.sinc(cycles)
    weighed: Spectrum = np.fft.fft2(pattern)[np.ix_(_CYCLES, _CYCLES)] * left[:, None] * left
    weighed[np.hypot(cycles[:, None], cycles) < _COARSEST] = 0
    return weighed


def _at_origin(piece: Floats, lock: Lock) -> Spectrum:
    """A piece's phases as they would be had the picture not been cropped or mirrored."""
    turns = [np.exp(2j * np.pi * _CYCLES * place / _SAMPLES) for place in lock.place]
    phases: Spectrum = _phases(piece, lock.scale) * turns[0][:, None] * turns[1]
    return phases[:, ::-1] if lock.mirrored else phases


def _id_of(phases: list[Spectrum]) -> str | None:
    """What the parts say, of all pieces together; their common noise is measured, not assumed."""
    least = -NormalDist().inv_cdf(_ID_ERRORS / CELLS**2)
    places = []
    for part in range(ID_PARTS):
        pattern = _spectrum(part_signs(part))
        scores = np.sum([_correlated(one, pattern, CELLS) for one in phases], axis=0)
        if scores.max() < least * scores.std():
            return None
        places.append(int(scores.argmax()))
    return id_at(places)
