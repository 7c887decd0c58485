"""The renderer of *Synthesizing Obama*: no network, but the frames of the footage whose mouths are nearest.

Suwajanakorn, Seitz and Kemelmacher-Shlizerman (ACM Transactions on Graphics 36(4), 2017), section on mouth
texture synthesis: per pixel the weighted median of ``n`` candidate frames. Left out are the teeth proxy,
which wants a frame chosen by hand, retiming, and the frontal texture on a model of the head: textures lie in
the stabilised region, where poses differ by yaw and pitch alone. Their candidates are frames of the target
video itself; here they are frames of one sitting, which are those whose surroundings of the mask look most
like the target's: the mask holds a collar, too. Where they paste with a Laplacian pyramid, the colours around
the mask are matched here; the soft edge is the compositing's.

Knows the index and how one mouth is made from it. Needs no PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from newscaster.errors import InputError
from newscaster.models.renderer.data import RenderingData, frame_table
from newscaster.system.files import atomic_write, new_array

ImageArray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
_SHAPES, _PIXELS, _PLACES = "shapes.npy", "pixels.npy", "places.npy"
_AROUND, _INSIDE = 1, 2
_RING_FRACTION = 16
_SEEN_EVERY = 16
_HALVINGS = 40


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig:
    """How many frames a mouth is made of."""

    candidates: int = 30
    """``n``: the frames of the sitting whose mouth shapes are nearest. Fewer are sharper and flicker more."""
    sitting: int = 1000
    """Frames whose surroundings of the mask are nearest, among which candidates are looked for."""
    fraction: float = 0.9
    """``alpha``: of the sitting's weight, what the candidates hold. It sets the width of the weights anew for
    every mouth, so that rare mouths are made of distant frames too, and nothing flickers."""


def build_index(data: RenderingData, folder: Path) -> int:
    """Write the index of all frames to learn from; gives how many there are.

    Of each frame it holds the mouth shape and the pixels that are hidden, with a ring of S / 16 around them.

    Raises:
        OutputError: ``folder`` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = _places(data.hidden)
    table, kept = frame_table(data.clips), places > 0
    shapes = np.stack([data.clips[clip].points[frame] for clip, frame in table]).astype(np.float32)
    for name, array in ((_SHAPES, shapes), (_PLACES, places)):
        with atomic_write(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    with atomic_write(folder / _PIXELS) as temporary:
        shape = (len(table), int(kept.sum()), 3)
        pixels: Any = new_array(temporary, shape)
        for index, (clip, frame) in enumerate(table):
            pixels[index] = data.clips[clip].crops[frame][kept]
        pixels.flush()
    return len(table)


class Retrieval:
    """Mouths from the index in a folder.

    Raises:
        InputError: there is no index in the folder.
    """

    def __init__(self, folder: Path, config: RetrievalConfig | None = None) -> None:
        self.config = config or RetrievalConfig()
        try:
            shapes, places = np.load(folder / _SHAPES), np.load(folder / _PLACES)
            self._pixels = np.load(folder / _PIXELS, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise InputError(f"'{folder}' holds no index of frames ({error}). Build it first") from error
        self._shapes = shapes.reshape(len(shapes), -1)
        self.side = len(places)
        self.hidden: npt.NDArray[np.bool_] = places == _INSIDE
        self._kept = places > 0
        self._inside = places[self._kept] == _INSIDE
        rows, columns = np.nonzero(self._kept)
        plane = np.stack([np.ones(len(rows)), rows / self.side, columns / self.side], axis=1)
        self._plane = plane[self._inside]
        self._fit = np.linalg.pinv(plane[~self._inside])
        self._seen = np.flatnonzero(~self._inside)[::_SEEN_EVERY]
        around = self._pixels[:, self._seen].reshape(len(shapes), -1).astype(np.float32)
        self._around, self._around_squared = around, (around**2).sum(axis=1)

    def __len__(self) -> int:
        return len(self._shapes)

    def render_frames(self, crops: ImageArray, points: Floats) -> ImageArray:
        """Regions (B, S, S, 3) whose hidden pixels are made for the mouths (B, 57, 2) in region pixels."""
        rendered = [self._one(crop, mouth) for crop, mouth in zip(crops, points, strict=True)]
        return np.stack(rendered)

    def candidates(
        self, crop: ImageArray, mouth: Floats
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Numbers of the frames that a mouth (57, 2) of a region (S, S, 3) is made of, and their weights."""
        sitting = self._sitting(crop[self._kept])
        squared = ((self._shapes[sitting] - mouth.reshape(-1).astype(np.float32)) ** 2).sum(axis=1)
        nearest = _least(squared, self.config.candidates)
        return sitting[nearest], shape_weights(squared, squared[nearest], fraction=self.config.fraction)

    def _sitting(self, given: ImageArray) -> npt.NDArray[np.int64]:
        wanted = given[self._seen].reshape(-1).astype(np.float32)
        return _least(self._around_squared - 2 * (self._around @ wanted), self.config.sitting)

    def _one(self, crop: ImageArray, mouth: Floats) -> ImageArray:
        numbers, weights = self.candidates(crop, mouth)
        median = weighted_median(self._pixels[numbers], weights)
        rendered = crop.copy()
        rendered[self.hidden] = self._matched(median, crop[self._kept])
        return rendered

    def _matched(self, median: ImageArray, given: ImageArray) -> ImageArray:
        """The inside of the median, moved by the plane that is nearest to the differences in the ring."""
        ring = ~self._inside
        slopes = self._fit @ (given[ring].astype(np.float64) - median[ring])
        return np.asarray(np.clip(np.rint(median[self._inside] + self._plane @ slopes), 0, 255), np.uint8)


def shape_weights(
    squared: npt.NDArray[np.float32], nearest: npt.NDArray[np.float32], *, fraction: float
) -> npt.NDArray[np.float32]:
    """Weights exp(-d^2 / 2 sigma^2) of candidates, of sum 1.

    Sigma is such that the candidates hold ``share`` of the weight of all; it is found by halving, for
    the share falls as sigma grows.

    Args:
        squared: squared distances of all frames of the sitting.
        nearest: those of the candidates.
        fraction: 0 to 1.
    """
    least = float(squared.min())
    every, some = squared.astype(np.float64) - least, nearest.astype(np.float64) - least
    # Twice sigma squared, between so little that the nearest frame is alone and so much that all are equal.
    low, high = 1e-9 * max(float(every.max()), 1e-12), max(float(every.max()), 1e-12)
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        held = np.exp(-some / middle).sum() / np.exp(-every / middle).sum()
        low, high = (middle, high) if held > fraction else (low, middle)
    weights = np.exp(-some / low)
    return np.asarray(weights / weights.sum(), np.float32)


def weighted_median(values: ImageArray, weights: npt.NDArray[np.float32]) -> ImageArray:
    """Per place the least of the values (n, ...) below or at which half of the weights (n,) lies.

    Bit by bit from the highest: eight passes over the values, no sorting.
    """
    flat = values.reshape(len(values), -1)
    found = np.zeros(flat.shape[1], np.uint8)
    half = np.float32(0.5) * weights.sum()
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        below = weights @ (flat <= found + np.uint8(bit - 1)).astype(np.float32)
        found += np.where(below < half, np.uint8(bit), np.uint8(0))
    return found.reshape(values.shape[1:])


def _least(values: Floats, count: int) -> npt.NDArray[np.int64]:
    """Where the least ``count`` of the values (N,) are, in order of place."""
    if count >= len(values):
        return np.arange(len(values))
    return np.sort(np.argpartition(values, count - 1)[:count])


def _places(hidden: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """(S, S): 2 where pixels are hidden, 1 in a ring around them, 0 elsewhere."""
    reach = max(1, len(hidden) // _RING_FRACTION)
    mask = Image.fromarray(hidden.astype(np.uint8) * 255)
    grown = np.asarray(mask.filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0
    return np.where(hidden, np.uint8(_INSIDE), np.where(grown, np.uint8(_AROUND), np.uint8(0)))
