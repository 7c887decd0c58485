"""Kernel ridge regression that predicts the lower face from the landmark map and the mask's surroundings.

The rendering network adds a residual to this prediction. A person's lower face is a smooth function of the
mouth's shape, and of head pose and light, which show around the mask. The function is nearly linear, as in
active appearance models (Cootes, Edwards and Taylor, 1998). Kernel ridge regression on selected centres
(Williams and Seeger, *Using the Nystroem method to speed up kernel machines*, 2001) adds the nonlinear part.
On GRID speaker 1 the fit takes half a minute of one core and reaches 36 dB on unseen frames. A linear model
reaches 34.6 dB and the mean face 25 dB. Gradient descent needs more than ten minutes to reach 36 dB.

::

    landmark map ─► pooled ─► principal components ─┬─► components, products, 1 ──┐
    crop around the mask ─► pooled ─► components ───┴─► kernel at the centres ────┴─► mix of basis images

The regression is fitted once, before training, and then frozen. It is more accurate on the frames that it was
fitted to, so a network trained on these predictions would rely on it too much. Therefore it is fitted three
times: to all frames, and to each half of them. In training, a frame's prediction comes from the fit to the
other half.
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
"""Folds of the frames; in training, a frame of one fold is predicted by the fit to the others."""
_MIN_SEEN = 1 / 8
"""Minimum visible fraction of a cell of the surroundings; cells with less are dropped."""
_RIDGES = (5.0, 50.0, 500.0)
_KERNEL_RIDGES = (0.1, 1.0)
_CHECKED_FRACTION = 5
_FRAMES_PER_FEATURE = 4
_FRAMES_PER_CENTRE = 2
_EPS = 1e-3
_MAX_ERROR_RATIO = 0.97
"""Maximum ratio to the mean face's error; above it, the regression is not used."""
_WIDTH = 0.5
"""Kernel width, relative to the median distance from a frame to a centre."""
_VARIANCE_POWER = 0.25
"""A component's weight in distances is its relative variance to this power."""
_SURROUNDINGS_WEIGHT = 2.0
"""Weight of the surroundings in distances, relative to the mouth's."""
_BASIS_FRAMES = 2000
_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class KernelShape:
    """The size of the regression; it uses less if there are few frames."""

    map_components: int = 96
    """Principal components of the landmark map."""
    context_components: int = 96
    """Principal components of the surroundings of the mask."""
    products: int = 8
    """The first so many components of the map also enter as pairwise products."""
    centres: int = 2000
    """Centres of the kernel, each one frame."""
    compared: int = 60
    """Leading components of either kind that the kernel compares."""
    rank: int = 128
    """Basis images that the result is mixed from."""

    @property
    def plain(self) -> int:
        """Number of features without the kernel's: components, products and 1."""
        pairs = self.products * (self.products + 1) // 2
        return self.map_components + self.context_components + pairs + 1

    @property
    def features(self) -> int:
        """Number of features."""
        return self.plain + self.centres


class _Choice(NamedTuple):
    """The best setting on validation frames."""

    error: float
    parts: int
    """The regression uses 1 / ``parts`` of the components, and products only if this is 1."""
    kernel: bool
    ridge: float


class KernelFace(nn.Module):
    """Regression of residuals from landmark maps (B, C, h', w') and surroundings (B, 3, h, w), 0 to 1.

    The residual of the box (B, 3, h, w) is to be added to the mean face. It is 0 until :meth:`fit` is called.

    Args:
        shape: its size.
        covered: (1, 1, h, w) bool, the pixels that are hidden.
        channels: of the landmark map.
        map_size: h', w'.
        cell: pixels to a side of one element of the basis images.
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
        # Basis images hold covered elements alone; every other element looks up a 0 after the last one.
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
        """Return the residual of the box; ``fold`` (B,) selects the fit without that fold for each frame."""
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
        """Return the regression's inputs, (B, ·) each; hidden pixels of ``surroundings`` are 0."""
        maps = functional.avg_pool2d(landmark_map, self._map_pool).flatten(1)
        context = functional.avg_pool2d(surroundings, self._pixel_pool) * self.seen
        return maps, context.flatten(1)

    def elements(self, images: Tensor) -> Tensor:
        """Pool images (B, 3, h, w) to the elements that the regression predicts, (B, ·)."""
        pooled = functional.avg_pool2d(images, self.cell) if self.cell > 1 else images
        return pooled.flatten(2)[:, :, self.element].flatten(1)

    def _features(self, maps: Tensor, context: Tensor) -> Tensor:
        plain = self._plain(maps, context)
        points = self._points(plain)
        # |p - c|² = |p|² + |c|² - 2 p·c
        squares = points.square().sum(dim=1, keepdim=True) + self.centres.square().sum(dim=1)
        similarity = torch.exp((2 * points @ self.centres.T - squares).clamp_max(0))
        return torch.cat([plain, similarity], dim=1)

    def _plain(self, maps: Tensor, context: Tensor) -> Tensor:
        mouth = (maps - self.map_mean) @ self.map_basis
        around = (context - self.context_mean) @ self.context_basis
        products = mouth[:, self._first] * mouth[:, self._second]
        return torch.cat([mouth, around, products, torch.ones_like(mouth[:, :1])], dim=1)

    def _points(self, plain: Tensor) -> Tensor:
        """Return the positions of frames in the kernel's space, (B, 2 * compared)."""
        count, second = self.shape.compared, self.shape.map_components
        return torch.cat([plain[:, :count], plain[:, second : second + count]], dim=1) * self.scale

    # -- fitting ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, maps: Tensor, context: Tensor, residuals: Tensor, folds: Tensor) -> None:
        """Fit the regression to N frames, in the order of time.

        Validation selects the ridge, whether the kernel is used, and the fraction of components: all, with
        products; or a half, a quarter or an eighth, without. The last fifth of the frames is the validation
        set for fits to the others.

        Frames may occur several times, augmented, next to each other or not.

        Args:
            maps: pooled landmark maps, (N, ·).
            context: pooled surroundings, (N, ·).
            residuals: elements of the differences from the mean face, (N, ·).
            folds: (N,) the fold that each frame belongs to, 0 to FOLDS - 1.
        """
        every = max(1, len(residuals) // _BASIS_FRAMES)
        sample = residuals[::every].float()
        rank = min(self.shape.rank, len(sample) - 1)
        with seeded(0):
            *_, images = torch.svd_lowrank(sample, q=min(rank + 16, *sample.shape), niter=2)
        images = images[:, :rank]
        mixed = torch.cat([part.float() @ images for part in torch.split(residuals, _AT_ONCE)])
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
        self.pictures[:rank] = images.T.half()

    def _choose(self, maps: Tensor, context: Tensor, mixed: Tensor) -> _Choice | None:
        """Return the best setting; None if it does not beat the mean face."""
        cut = len(maps) - len(maps) // _CHECKED_FRACTION
        choices: list[_Choice] = []
        for parts, kernel in self._candidates(cut):
            self._select_components(maps[:cut], context[:cut], parts, kernel=kernel)
            features = self._used(maps, context, _Choice(0.0, parts, kernel, 0.0))
            gram, right = _sums(features[:cut], mixed[:cut])
            for ridge in _KERNEL_RIDGES if kernel else _RIDGES:
                error = (features[cut:] @ _weights(gram, right, ridge) - mixed[cut:]).square().mean()
                choices.append(_Choice(float(error), parts, kernel, ridge))
        mean_error = float(mixed[cut:].square().mean())
        best = min(choices, default=None)
        return best if best is not None and best.error < _MAX_ERROR_RATIO * mean_error else None

    def _candidates(self, frames: int) -> Iterator[tuple[int, bool]]:
        """Yield ``parts`` and ``kernel`` of the settings that so many frames can determine."""
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
            directions, variances = _components(values.double(), basis.shape[1] // parts)
            basis.zero_()
            basis[:, : directions.shape[1]] = directions.float()
            fraction = torch.zeros(self.shape.compared)
            used = (variances[: self.shape.compared] / variances[:1]) ** _VARIANCE_POWER
            fraction[: len(used)] = used.float()
            fractions.append(fraction)
        self.scale.zero_()
        self.centres.zero_()
        if not kernel:
            return
        self.scale.copy_(torch.cat([fractions[0], _SURROUNDINGS_WEIGHT * fractions[1]]))
        points = self._points(self._plain(maps.float(), context.float()))
        # Evenly spread over time.
        chosen = torch.linspace(0, len(points) - 1, self.shape.centres).round().long()
        centres = points[chosen]
        width = _WIDTH * torch.cdist(points[:: max(1, len(points) // 500)], centres).median()
        self.scale.div_(width * 2**0.5)
        self.centres.copy_(centres / (width * 2**0.5))

    def _used(self, maps: Tensor, context: Tensor, choice: _Choice) -> Tensor:
        """Return the features (N, ·) of a choice; products that it does not use are 0."""
        make = self._features if choice.kernel else self._plain
        parts = zip(torch.split(maps.float(), _AT_ONCE), torch.split(context.float(), _AT_ONCE), strict=True)
        features = torch.cat([make(m, c) for m, c in parts])
        if choice.parts > 1:
            features[:, self.shape.map_components + self.shape.context_components : -1] = 0.0
        return features


def _components(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the first principal directions of values (N, D), (D, at most count), and their variances.

    Each direction is divided by its standard deviation.
    """
    centred = values - values.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    keep = min(count, int((variances > _EPS * variances.mean()).sum()))
    order = torch.arange(len(variances) - 1, len(variances) - 1 - keep, -1)
    return directions[:, order] / variances[order].sqrt(), variances[order]


def _sums(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normal equations of features (N, D) and targets (N, R): (D, D) and (D, R)."""
    gram = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    right = torch.zeros(features.shape[1], targets.shape[1], dtype=torch.float64)
    for part, target in zip(torch.split(features, _AT_ONCE), torch.split(targets, _AT_ONCE), strict=True):
        gram += part.T @ part
        right += part.T @ target
    return gram, right


def _weights(gram: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Solve for the regression weights (D, R), regularised by ``ridge``."""
    regularised = gram + ridge * torch.eye(len(gram), dtype=gram.dtype)
    weights: Tensor = torch.linalg.solve(regularised, right).float()
    return weights
