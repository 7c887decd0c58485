"""The kernel face: what a closed-form regression makes of the face map and of what is around the mask.

The network that paints a mouth starts from it and adds what it lacks. A person's lower face is a smooth
function of how their mouth stands and of how head and light show in what is around the mask; nearly a linear
one, as active appearance models have it (Cootes, Edwards and Taylor, 1998). Kernel ridge regression on chosen
centres (Williams and Seeger, *Using the Nystroem method to speed up kernel machines*, 2001) takes the bends
along, too. On GRID speaker 1 it is fitted in half a minute of one core and paints unseen frames with 36 dB,
where a linear face has 34.6, the mean face 25, and gradient descent needs more than ten minutes for the same.

::

    face map ─► pooled ─► principal components ─┬─► themselves, products, 1 ─────┐
    region around the mask ─► pooled ─► components ─┴─► likeness to some frames ─┴─► mixed from pictures

Fitted once, before training, and not trained further. It knows the frames that it was fitted to better than
others; a network trained on top would come to trust it too much. So it is fitted three times, and what
training sees of a frame comes of a fit to the other half of the frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.training.seeds import seeded

FOLDS = 2
"""Parts of the frames, each painted in training by a fit to the others."""
_MIN_SEEN = 1 / 8
"""Cells of the surroundings of which less is visible are left out."""
_RIDGES = (5.0, 50.0, 500.0)
_KERNEL_RIDGES = (0.1, 1.0)
_CHECKED_FRACTION = 5
_FRAMES_PER_FEATURE = 4
_FRAMES_PER_CENTRE = 2
_EPS = 1e-3
_WORTH_IT = 0.97
"""An error above this share of the mean face's is chance."""
_WIDTH = 0.5
"""Of the kernel, over the median distance from a frame to a centre."""
_FLATTENED = 0.25
"""Power of a component's share of the variance that it counts with in distances."""
_AROUND_COUNTS = 2.0
"""Weight in distances of what is around the mask, beside the mouth's."""
_FRAME_FRAMES = 2000
_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class KernelShape:
    """How many numbers the regression works with; fewer where there are few frames."""

    map_components: int = 96
    """Principal components of the face map."""
    context_components: int = 96
    """Principal components of what is seen around the mask."""
    products: int = 8
    """Of the first so many components of the map, all products enter, too."""
    centres: int = 2000
    """Frames that every frame is compared with."""
    compared: int = 60
    """Components of either kind, the first ones, that frames are compared by."""
    rank: int = 128
    """Pictures that the result is mixed from."""

    @property
    def plain(self) -> int:
        """Numbers that a picture is made from, without likenesses: components, products and 1."""
        pairs = self.products * (self.products + 1) // 2
        return self.map_components + self.context_components + pairs + 1

    @property
    def features(self) -> int:
        """Numbers that a picture is made from."""
        return self.plain + self.centres


class _Choice(NamedTuple):
    """What does best on frames left out."""

    error: float
    parts: int
    """One so-manieth of the components is used, and without products where it is not all."""
    kernel: bool
    ridge: float


class KernelFace(nn.Module):
    """Face maps (B, C, h', w') and masked surroundings (B, 3, h, w), 0 to 1, to the deviation of the box.

    The result (B, 3, h, w) is to be added to the mean face; it is 0 until :meth:`fit` has been called.

    Args:
        shape: how many numbers it works with.
        covered: (1, 1, h, w) bool, the pixels that are hidden.
        channels: of the face map.
        map_size: h', w'.
        cell: pixels to a side of one element of the pictures that it mixes.
        pool: pixels to a side of one cell that maps and surroundings are pooled to; `cell` divides it, and it
            divides h and w.
    """

    seen: Tensor
    place: Tensor
    element: Tensor
    map_mean: Tensor
    map_basis: Tensor
    context_mean: Tensor
    context_basis: Tensor
    scale: Tensor
    centres: Tensor
    mixing: Tensor
    pictures: Tensor

    def __init__(
        self,
        shape: KernelShape,
        covered: Tensor,
        *,
        channels: int,
        map_size: tuple[int, int],
        cell: int,
        pool: int,
    ) -> None:
        super().__init__()
        height, width = covered.shape[-2:]
        self.shape, self.cell = shape, cell
        self._grid = (height // cell, width // cell)
        self._pixel_pool = pool
        self._map_pool = map_size[0] * pool // height
        cells = (height // pool) * (width // pool)
        fraction = functional.avg_pool2d((~covered).float(), pool)
        usable = (fraction > _MIN_SEEN).float() / fraction.clamp_min(_MIN_SEEN)
        self.register_buffer("seen", usable, persistent=False)
        # Pictures hold what is covered alone; every other element looks up a 0 behind the last one.
        rendered = functional.max_pool2d(covered.float(), cell).flatten() > 0
        element = rendered.nonzero()[:, 0]
        place = torch.full((rendered.numel(),), len(element)).masked_scatter(
            rendered, torch.arange(len(element))
        )
        self.register_buffer("element", element, persistent=False)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("map_mean", torch.zeros(channels * cells))
        self.register_buffer("map_basis", torch.zeros(channels * cells, shape.map_components))
        self.register_buffer("context_mean", torch.zeros(3 * cells))
        self.register_buffer("context_basis", torch.zeros(3 * cells, shape.context_components))
        self.register_buffer("scale", torch.zeros(2 * shape.compared))
        self.register_buffer("centres", torch.zeros(shape.centres, 2 * shape.compared))
        self.register_buffer("mixing", torch.zeros(1 + FOLDS, shape.features, shape.rank))
        self.register_buffer("pictures", torch.zeros(shape.rank, 3 * len(element), dtype=torch.float16))
        first, second = torch.triu_indices(shape.products, shape.products)
        self._first, self._second = first.tolist(), second.tolist()

    def forward(self, landmark_map: Tensor, surroundings: Tensor, fold: Tensor | None = None) -> Tensor:
        """The deviation of the box; where ``fold`` (B,) is given, of the fit without that part of frames."""
        features = self._features(*self.pooled(landmark_map, surroundings))
        if fold is None:
            mixed = features @ self.mixing[0]
        else:
            mixed = torch.einsum("bf,kfr->kbr", features, self.mixing[1:])[fold, torch.arange(len(fold))]
        rendered = torch.unflatten(mixed @ self.pictures.float(), 1, (3, -1))
        coarse = functional.pad(rendered, (0, 1))[:, :, self.place].view(-1, 3, *self._grid)
        if self.cell == 1:
            return coarse
        return functional.interpolate(coarse, scale_factor=float(self.cell), mode="bilinear")

    def pooled(self, landmark_map: Tensor, surroundings: Tensor) -> tuple[Tensor, Tensor]:
        """What the regression sees, (B, ·) each; ``surroundings`` are 0 where pixels are hidden."""
        maps = functional.avg_pool2d(landmark_map, self._map_pool).flatten(1)
        context = functional.avg_pool2d(surroundings, self._pixel_pool) * self.seen
        return maps, context.flatten(1)

    def elements(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, h, w) as the regression makes them, (B, ·): the elements that show something."""
        pooled = functional.avg_pool2d(pictures, self.cell) if self.cell > 1 else pictures
        return pooled.flatten(2)[:, :, self.element].flatten(1)

    def _features(self, maps: Tensor, context: Tensor) -> Tensor:
        plain = self._plain(maps, context)
        points = self._points(plain)
        # |p - c|² = |p|² + |c|² - 2 p·c
        squares = points.square().sum(dim=1, keepdim=True) + self.centres.square().sum(dim=1)
        likeness = torch.exp((2 * points @ self.centres.T - squares).clamp_max(0))
        return torch.cat([plain, likeness], dim=1)

    def _plain(self, maps: Tensor, context: Tensor) -> Tensor:
        mouth = (maps - self.map_mean) @ self.map_basis
        around = (context - self.context_mean) @ self.context_basis
        products = mouth[:, self._first] * mouth[:, self._second]
        return torch.cat([mouth, around, products, torch.ones_like(mouth[:, :1])], dim=1)

    def _points(self, plain: Tensor) -> Tensor:
        """Where frames lie for being compared, (B, 2 * compared)."""
        count, second = self.shape.compared, self.shape.map_components
        return torch.cat([plain[:, :count], plain[:, second : second + count]], dim=1) * self.scale

    # -- fitting ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, maps: Tensor, context: Tensor, wanted: Tensor, folds: Tensor) -> None:
        """Fit the regression to N frames, in the order of time.

        How strongly it is held back, whether frames are compared, and what share of its components it uses
        (all, with the products, or a half, a quarter or an eighth, without), is what does best on the last
        fifth of the frames when fitted on the others.

        Frames may come several times, varied, next to each other or not.

        Args:
            maps: pooled face maps, (N, ·).
            context: pooled surroundings, (N, ·).
            wanted: elements of the deviations from the mean face, (N, ·).
            folds: (N,) the part that each frame belongs to, 0 to FOLDS - 1.
        """
        every = max(1, len(wanted) // _FRAME_FRAMES)
        sample = wanted[::every].float()
        rank = min(self.shape.rank, len(sample) - 1)
        with seeded(0):
            *_, pictures = torch.svd_lowrank(sample, q=min(rank + 16, *sample.shape), niter=2)
        pictures = pictures[:, :rank]
        mixed = torch.cat([part.float() @ pictures for part in torch.split(wanted, _AT_ONCE)])
        choice = self._choose(maps, context, mixed)
        if choice is None:
            return
        self._select_components(maps, context, choice.parts, kernel=choice.kernel)
        features = self._used(maps, context, choice)
        sums = [_sums(features[folds == fold], mixed[folds == fold]) for fold in range(FOLDS)]
        for number in range(1 + FOLDS):
            grams, rights = zip(*(part for fold, part in enumerate(sums) if fold != number - 1), strict=True)
            weights = _weights(torch.stack(grams).sum(0), torch.stack(rights).sum(0), choice.ridge)
            self.mixing[number, : len(weights), :rank] = weights
        self.pictures[:rank] = pictures.T.half()

    def _choose(self, maps: Tensor, context: Tensor, mixed: Tensor) -> _Choice | None:
        """What does best; None where the mean face does as well."""
        cut = len(maps) - len(maps) // _CHECKED_FRACTION
        found: list[_Choice] = []
        for parts, kernel in self._ways(cut):
            self._select_components(maps[:cut], context[:cut], parts, kernel=kernel)
            features = self._used(maps, context, _Choice(0.0, parts, kernel, 0.0))
            gram, right = _sums(features[:cut], mixed[:cut])
            for ridge in _KERNEL_RIDGES if kernel else _RIDGES:
                error = (features[cut:] @ _weights(gram, right, ridge) - mixed[cut:]).square().mean()
                found.append(_Choice(float(error), parts, kernel, ridge))
        still = float(mixed[cut:].square().mean())
        best = min(found, default=None)
        return best if best is not None and best.error < _WORTH_IT * still else None

    def _ways(self, frames: int) -> Iterator[tuple[int, bool]]:
        """Shares of the components, and whether frames are compared, that so many frames allow."""
        if frames >= _FRAMES_PER_CENTRE * self.shape.centres > 0:
            yield 1, True
        for parts in (1, 2, 4, 8):
            if frames >= _FRAMES_PER_FEATURE * self.shape.plain // parts:
                yield parts, False

    def _select_components(self, maps: Tensor, context: Tensor, parts: int, *, kernel: bool) -> None:
        fractions = []
        for name, values in (("map", maps), ("context", context)):
            mean, basis = getattr(self, f"{name}_mean"), getattr(self, f"{name}_basis")
            mean.copy_(values.double().mean(dim=0))
            found, variances = _components(values.double(), basis.shape[1] // parts)
            basis.zero_()
            basis[:, : found.shape[1]] = found.float()
            fraction = torch.zeros(self.shape.compared)
            used = (variances[: self.shape.compared] / variances[:1]) ** _FLATTENED
            fraction[: len(used)] = used.float()
            fractions.append(fraction)
        self.scale.zero_()
        self.centres.zero_()
        if not kernel:
            return
        self.scale.copy_(torch.cat([fractions[0], _AROUND_COUNTS * fractions[1]]))
        points = self._points(self._plain(maps.float(), context.float()))
        # Evenly spread over time.
        chosen = torch.linspace(0, len(points) - 1, self.shape.centres).round().long()
        centres = points[chosen]
        width = _WIDTH * torch.cdist(points[:: max(1, len(points) // 500)], centres).median()
        self.scale.div_(width * 2**0.5)
        self.centres.copy_(centres / (width * 2**0.5))

    def _used(self, maps: Tensor, context: Tensor, choice: _Choice) -> Tensor:
        """Features (N, ·): the first ones, as many as the choice uses, or 0 where it leaves them out."""
        make = self._features if choice.kernel else self._plain
        parts = zip(torch.split(maps.float(), _AT_ONCE), torch.split(context.float(), _AT_ONCE), strict=True)
        features = torch.cat([make(m, c) for m, c in parts])
        if choice.parts > 1:
            features[:, self.shape.map_components + self.shape.context_components : -1] = 0.0
        return features


def _components(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first principal directions of values (N, D), each divided by its deviation, (D, at most count), and
    their variances.
    """
    centred = values - values.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    keep = min(count, int((variances > _EPS * variances.mean()).sum()))
    order = torch.arange(len(variances) - 1, len(variances) - 1 - keep, -1)
    return directions[:, order] / variances[order].sqrt(), variances[order]


def _sums(features: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Of features (N, D) and what is wanted (N, R), all that a regression needs: (D, D) and (D, R)."""
    gram = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    right = torch.zeros(features.shape[1], wanted.shape[1], dtype=torch.float64)
    for some, some_wanted in zip(torch.split(features, _AT_ONCE), torch.split(wanted, _AT_ONCE), strict=True):
        gram += some.T @ some
        right += some.T @ some_wanted
    return gram, right


def _weights(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Regression weights (D, R), held back by ``ridge``."""
    held = gram + ridge * torch.eye(len(gram), dtype=gram.dtype)
    weights: Tensor = torch.linalg.solve(held, right).float()
    return weights
