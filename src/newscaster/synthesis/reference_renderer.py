"""New mouths that are copied from other frames of the person.

`face.references` chooses the frames, `face.reference_flow` says where their parts go, and the network of
`models.reference` warps, mixes and corrects them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from PIL import Image, ImageFilter

from newscaster.errors import AnchorError
from newscaster.face.crop import Mask, Placement, as_image, reduced
from newscaster.face.hidden_box import Box, cell_box
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.reference_flow import GRID, coarse_flow
from newscaster.face.references import (
    CELLS,
    SMALL_SIDE,
    ReferencePath,
    References,
    nearest_references,
    relative_distances,
)
from newscaster.inference import ONNX_RUNTIME, Session
from newscaster.media import ColourTags, YuvFrame, to_planes, yuv_matrix
from newscaster.synthesis.compositing import composite_planes
from newscaster.synthesis.reference_network import KINDS, reference_session
from newscaster.synthesis.renderer import Job, Patch, Renderer, default_workers
from newscaster.synthesis.target import TargetFrame
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64, ImageU8

_BOX_MULTIPLE = 8
"""Of the sides of the box, in cells: the network has four levels."""
_LARGE_KEPT = 6
"""References whose rows of neighbours are kept at least, 3 MB each at a side of 512, 7 MB at 768."""
_LARGE_BYTES = 32 << 20
"""Memory in which more of them are kept, if they are small: 72 of a side of 256."""
_MAX_CONTEXTS = 2048
"""Frames of a target whose reduced pixels are kept, 3 to 12 kB each."""
_LIPS = 3
"""Channels of a landmark map that show lips and inner mouth."""
_RGB_BYTES, _PLANES_BYTES = 12, 6
"""Bytes of the neighbours of a pixel: four pixels of RGB, or of planes with chroma at half the size."""


def base_renderer(
    references: References, mask: Mask, *, workers: int | None = None, backend: str = ONNX_RUNTIME
) -> ReferenceRenderer:
    """Return a renderer with the weights of the package, which fit people whom they were not trained on."""
    return reference_renderer(
        None, references, hidden=mask.hidden, name="the base renderer", workers=workers, backend=backend
    )


def reference_renderer(
    weights: bytes | None,
    references: References,
    *,
    hidden: ArrayBool,
    name: str,
    workers: int | None = None,
    backend: str = ONNX_RUNTIME,
) -> ReferenceRenderer:
    """Return a renderer with weights of a training, a safetensors file; None: those of the package.

    Raises:
        AnchorError: the weights are damaged, or there are no references.
    """
    side, callers = hidden.shape[0], workers or default_workers()
    rgb, planes = (
        reference_session(weights, side=side, name=name, backend=backend, callers=callers, kind=kind)
        for kind in KINDS
    )
    return ReferenceRenderer(rgb, references, hidden=hidden, workers=workers, planes=planes)


class ReferenceRenderer(Renderer):
    """Renders crops from references.

    Args:
        session: the network, see `reference_network`. Called from several threads at a time.
        references: the frames to copy from; their crops have the side of the rendered ones.
        hidden: (S, S), the pixels to replace.
        workers: threads that render at a time; by default one per core, up to 8.
        planes: the same network for planes Y, U and V, used for frames of 8-bit 4:2:0; None: not used.

    Raises:
        AnchorError: there are no references.
    """

    def __init__(
        self,
        session: Session,
        references: References,
        *,
        hidden: ArrayBool,
        workers: int | None = None,
        planes: Session | None = None,
    ) -> None:
        super().__init__(workers=workers, batch=1)
        if not len(references):
            raise AnchorError("there are no references to copy from")
        self._session, self._planes, self.references = session, planes, references
        self._side = hidden.shape[0]
        self._box = _BoxOf(hidden)
        self.corner = self._box.corner
        self._contexts: dict[int, tuple[ref[ImageU8], ImageU8]] = {}
        # Successive frames often have the same first reference, and all references soon come again.
        in_rgb, in_planes = (
            max(_LARGE_KEPT, _LARGE_BYTES // (size * self._side**2)) for size in (_RGB_BYTES, _PLANES_BYTES)
        )
        self._large = lru_cache(in_rgb)(lambda number: neighbours(references.crops[number]))
        self._large_planes = lru_cache(in_planes)(
            lambda number, tags: plane_neighbours(references.crops[number], tags)
        )
        self._small = cache(lambda number: neighbours(reduced(references.crops[number], CELLS)))

    def planned(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """See :class:`Renderer`: the references are those of the cheapest path.

        A frame with another first reference than the frame before is the mean of both, apart from the lips,
        if the references are footage: half a step of the cheeks is not seen, and a mean of lips would be.
        """
        fades = self.references.angles is not None
        before: ArrayI64 | None = None
        for job, numbers in self._chosen(jobs):
            fading = before if fades and before is not None and before[0] != numbers[0] else None
            yield replace(job, references=numbers, fading=fading)
            before = numbers

    def _chosen(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, ArrayI64]]:
        path = ReferencePath(self.references.points, self.references.angles)
        waiting: deque[Job] = deque()
        for job in jobs:
            waiting.append(job)
            for numbers in path.push(job.points[None] / self._side, _rows(job.frame.angles)):
                yield waiting.popleft(), numbers
        for numbers in path.flush():
            yield waiting.popleft(), numbers

    def chooser(self) -> _LiveChooser:
        """See :class:`Renderer`: each frame is decided at once, from those before it."""
        return _LiveChooser(self.references, side=self._side)

    def crops(self, jobs: list[Job]) -> ImageU8:
        """See :class:`Renderer`: the box around the hidden pixels.

        The crops of the frames may have the side `SMALL_SIDE` instead of their own.
        """
        return np.stack([self._crop(job) for job in jobs])

    def _crop(self, job: Job) -> ImageU8:
        if job.fading is not None:
            new, old = (self._crop(each) for each in _both(job))
            return _mixed(new, old, self._box.lips(job.points)[..., None])
        inputs, numbers = self._inputs(job)
        pixels = self._box.pixels
        return self._session.run_one(
            "rendered", self._box.shape, **inputs, **pixels, large=self._large(int(numbers[0]))
        )

    def patch(self, job: Job) -> Patch:
        """See :class:`Renderer`: planes, if the frame has 8-bit 4:2:0."""
        if self._planes is None or not job.frame.image.is_plain:
            return super().patch(job)
        return self._planes_patch(self._planes, job)

    def _render_frames(self, batch: list[Job]) -> None:
        for job in batch:
            assert job.frame.placement is not None
            self.patch(job).put_on(job.frame.image, job.frame.placement, blend_weight=job.blend_weight)

    def _planes_patch(self, session: Session, job: Job) -> _PlanesPatch:
        placement, tags = job.frame.placement, job.frame.image.tags
        assert placement is not None
        if job.fading is not None:
            new, old = (self._planes_patch(session, each) for each in _both(job))
            (left, top), (height, width) = new.corner, new.luma.shape
            left, top = left - self.corner[0], top - self.corner[1]
            lips = self._box.lips(job.points)[top : top + height, left : left + width]
            luma = _mixed(new.luma, old.luma, lips)
            return replace(new, luma=luma, chroma=_mixed(new.chroma, old.chroma, lips[::2, ::2]))
        inputs, numbers = self._inputs(job)
        part = self._box.part(placement.used)
        luma, chroma = self._large_planes(int(numbers[0]), tags)
        rendered = session.run(**inputs, **part.inputs, **_colours(tags), luma=luma, chroma=chroma)
        return _PlanesPatch(rendered["luma_rendered"], rendered["chroma_rendered"], part.corner, self._side)

    def _inputs(self, job: Job) -> tuple[dict[str, npt.NDArray[Any]], ArrayI64]:
        """Return the inputs of both networks, and the numbers of the references."""
        mouth = np.asarray(job.points, np.float64) / self._side
        points = self.references.points
        numbers = nearest_references(mouth, points) if job.references is None else job.references
        chosen = points[numbers]
        box = self._box
        return {
            **box.inputs,
            "context": self._context(job.frame),
            "landmark_map": draw_landmark_map(job.points, side=self._side, map_side=CELLS, box=box.cells)[
                None
            ],
            "flow": coarse_flow(mouth, chosen, box=box.of_flow),
            "distance": relative_distances(mouth, chosen)[None],
            "small": np.concatenate([self._small(number) for number in numbers.tolist()]),
        }, numbers

    def _context(self, frame: TargetFrame) -> ImageU8:
        """Return the reduced visible pixels of a frame; they are kept if the target keeps its crop."""
        crop = frame.crop
        if not frame.is_kept:
            return self._box.context(crop)
        kept, context = self._contexts.get(frame.index, (None, None))
        if context is None or kept is None or kept() is not crop:
            context = self._box.context(crop)
            if len(self._contexts) < _MAX_CONTEXTS or frame.index in self._contexts:
                self._contexts[frame.index] = ref(crop), context
        return context


@dataclass(frozen=True, eq=False)
class _PlanesPatch:
    luma: ImageU8
    chroma: ImageU8
    """(2, h/2, w/2)."""
    corner: tuple[int, int]
    side: int

    @property
    def nbytes(self) -> int:
        return self.luma.nbytes + self.chroma.nbytes

    def put_on(self, image: YuvFrame, placement: Placement, *, blend_weight: float) -> None:
        composite_planes(
            image,
            self.luma,
            self.chroma,
            placement,
            side=self.side,
            corner=self.corner,
            blend_weight=blend_weight,
        )


class _BoxOf:
    """The box of a crop that the network computes, and its inputs that never change."""

    def __init__(self, hidden: ArrayBool) -> None:
        cell = hidden.shape[0] // CELLS
        self.cells = cell_box(hidden, cells=CELLS, multiple=_BOX_MULTIPLE)
        self._cell = cell
        self._pixels = self.cells.scaled_up(cell)
        self.of_flow = self.cells.scaled(CELLS // GRID)
        self._visible = {
            side: self._visible_fraction(hidden, side) for side in {hidden.shape[0], SMALL_SIDE, CELLS}
        }
        hidden_fraction = reduced_mean(_part(hidden, self._pixels)[..., None], cell)
        self.inputs: dict[str, npt.NDArray[Any]] = {
            "hidden": hidden_fraction.transpose(2, 0, 1)[None],
            "cell_columns": np.arange(self.cells.left, self.cells.right, dtype=np.float32),
            "cell_rows": np.arange(self.cells.top, self.cells.bottom, dtype=np.float32)[:, None],
        }
        self.pixels = _places("columns", "rows", self._pixels)
        self._parts: dict[tuple[int, ...], _UsedPart] = {}
        self.shape = (self._pixels.bottom - self._pixels.top, self._pixels.right - self._pixels.left, 3)
        self.corner = self._pixels.left, self._pixels.top

    def part(self, used: tuple[int, int, int, int]) -> _UsedPart:
        """Return the cells that hold the used pixels of the crop: left, top, right and bottom."""
        if used not in self._parts:
            left, top, right, bottom = used
            cell, whole = self._cell, self.cells
            cells = Box(
                max(top // cell, whole.top),
                min(-(-bottom // cell), whole.bottom),
                max(left // cell, whole.left),
                min(-(-right // cell), whole.right),
            )
            self._parts[used] = _UsedPart.of(cells, whole, cell)
        return self._parts[used]

    def _visible_fraction(self, hidden: ArrayBool, side: int) -> ArrayF32:
        """Return how much of each pixel of the box is visible, (h, w, 1), in a crop of ``side`` pixels."""
        fraction = reduced_mean(~hidden[..., None], hidden.shape[0] // side)
        return _part(fraction, self.cells.scaled_up(side // CELLS))

    def context(self, crop: ImageU8) -> ImageU8:
        """Return the reduced visible pixels, (1, h, w, 3), of a crop of any side that divides its own."""
        cell = len(crop) // CELLS
        visible = _part(crop, self.cells.scaled_up(cell)) * self._visible[len(crop)] + np.float32(0.5)
        return np.asarray(as_image(visible.astype(np.uint8)).reduce(cell))[None]

    def lips(self, points: ArrayF64) -> ImageU8:
        """Return how much each pixel of the box (h, w) belongs to lips and inner mouth, 0 to 255, soft."""
        side = CELLS * self._cell
        drawn = draw_landmark_map(points, side=side, map_side=CELLS)[:_LIPS].max(axis=0)
        box = self._pixels
        soft = (
            as_image(drawn)
            .filter(ImageFilter.GaussianBlur(1))
            .resize((side, side), Image.Resampling.BILINEAR)
        )
        return np.asarray(soft)[box.top : box.bottom, box.left : box.right]


def _both(job: Job) -> tuple[Job, Job]:
    """Return a job with its own references, and with those that fade away."""
    return replace(job, fading=None), replace(job, references=job.fading, fading=None)


def _mixed(new: ImageU8, old: ImageU8, lips: ImageU8) -> ImageU8:
    """Return the mean of two renderings, and the new one alone where lips (0 to 255) are."""
    weight = (lips >> 1).astype(np.uint16) + np.uint16(128)  # of 255, for the new one
    total = weight * new + (np.uint16(255) - weight) * old + np.uint16(127)
    return np.asarray(total // np.uint16(255), np.uint8)


@dataclass(frozen=True, eq=False)
class _UsedPart:
    """The part of the box that the mask shows."""

    corner: tuple[int, int]
    """Column and row of its first pixel in the crop."""
    inputs: dict[str, npt.NDArray[Any]]

    @staticmethod
    def of(cells: Box, whole: Box, cell: int) -> _UsedPart:
        pixels = cells.scaled_up(cell)
        inputs: dict[str, npt.NDArray[Any]] = {
            "first": np.array([cells.top - whole.top, cells.left - whole.left]),
            "last": np.array([cells.bottom - whole.top, cells.right - whole.left]),
            **_places("columns", "rows", pixels),
            **_places("half_columns", "half_rows", pixels.scaled(2)),
        }
        return _UsedPart((pixels.left, pixels.top), inputs)


def _places(columns: str, rows: str, box: Box) -> dict[str, npt.NDArray[Any]]:
    """Return the columns (W,) and the rows (H, 1) of a box, by these names."""
    return {
        columns: np.arange(box.left, box.right, dtype=np.float32),
        rows: np.arange(box.top, box.bottom, dtype=np.float32)[:, None],
    }


@cache
def _colours(tags: ColourTags) -> dict[str, npt.NDArray[Any]]:
    """Return Y, U and V of R, G and B as a network takes them."""
    rows = np.array(yuv_matrix(tags), np.float32).reshape(3, 4)
    return {"matrix": rows[:, :3, None, None].copy(), "offset": rows[None, :, 3, None, None].copy()}


def _part(image: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    return image[box.top : box.bottom, box.left : box.right]


def neighbours(image: ImageU8) -> ImageU8:
    """Return rows of each pixel of an image (S, S, C) and of those to its right, below, and both, (S^2, 4 C).

    The last column's right neighbours and the last row's lower ones are other pixels, which weigh nothing.
    """
    side, channels = len(image), image.shape[2]
    # A pixel and its right neighbour are successive bytes: copied as one item, in a fifth of the time.
    pair = f"V{2 * channels}"
    padded = np.concatenate([image.reshape(-1), image[-1].reshape(-1), np.zeros(channels, np.uint8)])
    pairs = as_strided(padded[: 2 * channels].view(pair), (side + 1, side), (channels * side, channels))
    rows = np.empty((side, side, 2), pair)
    rows[..., 0], rows[..., 1] = pairs[:-1], pairs[1:]
    return rows.view(np.uint8).reshape(-1, 4 * channels)


def plane_neighbours(crop: ImageU8, tags: ColourTags) -> tuple[ImageU8, ImageU8]:
    """Return :func:`neighbours` of a crop's luma, (S^2, 4), and of its chroma, U and V, (S^2 / 4, 8)."""
    luma, *chroma = (np.asarray(plane) for plane in to_planes(crop, tags))
    return neighbours(luma[..., None]), neighbours(np.stack(chroma, axis=-1))


def reduced_mean(values: npt.NDArray[Any], factor: int) -> ArrayF32:
    """Return the mean of each square of values (H, W, C), (H / factor, W / factor, C)."""
    height, width, channels = values.shape
    squares = values.reshape(height // factor, factor, width // factor, factor, channels)
    return np.asarray(squares.mean(axis=(1, 3)), np.float32)


class _LiveChooser:
    def __init__(self, references: References, *, side: int) -> None:
        self._path = ReferencePath(references.points, references.angles, look_ahead=0)
        self._side = side

    def choose(self, frame: TargetFrame, points: ArrayF64) -> ArrayI64 | None:
        """Return the references for the next mouth."""
        chosen: ArrayI64 = self._path.push(points[None] / self._side, _rows(frame.angles))[0]
        return chosen


def _rows(angles: ArrayF64 | None) -> ArrayF64 | None:
    return None if angles is None else angles[None]
