"""The linear face: what a closed-form regression makes of the face map and of what is around the mask.

The network that paints a mouth starts from it and adds what it lacks. A person's lower face is nearly a
linear function of how their mouth stands and of how light falls on what is around it, as active appearance
models have it (Cootes, Edwards and Taylor, 1998): on GRID speaker 1 such a regression, fitted in seconds,
paints unseen frames with 33 dB, where the mean face has 25, and gradient descent needs minutes for the same.

::

    face map ─► pooled ─► principal components ─┬─► themselves, products ─┐
    region around the mask ─► pooled ─► components ─┴─────────────────────┴─► coarse picture ─► enlarged

Fitted once, in double precision, before training, and not trained further.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST_SEEN = 1 / 8
"""Cells of the surroundings of which less is visible are left out."""
_RIDGES = (5.0, 50.0, 500.0)
_CHECKED_SHARE = 5
_FRAMES_PER_FEATURE = 4
_EPS = 1e-3
_WORTH_IT = 0.97
"""An error above this share of the mean face's is chance."""


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """How many numbers the regression works with; fewer where there are few frames."""

    map_components: int = 96
    """Principal components of the face map."""
    context_components: int = 96
    """Principal components of what is seen around the mask."""
    products: int = 8
    """Of the first so many components of the map, all products enter, too."""
    rank: int = 64
    """Pictures that the result is mixed from."""

    @property
    def features(self) -> int:
        """Numbers that a picture is made from."""
        pairs = self.products * (self.products + 1) // 2
        return self.map_components + self.context_components + pairs


class LinearFace(nn.Module):
    """Face maps (B, C, h', w') and masked surroundings (B, 3, h, w), 0 to 1, to the deviation of the box.

    The result (B, 3, h, w) is to be added to the mean face; it is 0 until :meth:`fit` has been called.

    Args:
        shape: how many numbers it works with.
        covered: (1, 1, h, w) bool, the pixels that are hidden.
        channels: of the face map.
        map_size: h', w'.
        cell: pixels to a side of one element of the coarse picture that it makes.
        pool: elements of the coarse picture to a side of one cell that maps and surroundings are pooled to.
    """

    seen: Tensor
    map_mean: Tensor
    map_basis: Tensor
    context_mean: Tensor
    context_basis: Tensor
    mixing: Tensor
    pictures: Tensor

    def __init__(
        self,
        shape: LinearShape,
        covered: Tensor,
        *,
        channels: int,
        map_size: tuple[int, int],
        cell: int,
        pool: int = 4,
    ) -> None:
        super().__init__()
        height, width = covered.shape[-2:]
        self.shape, self.cell = shape, cell
        self._grid = (height // cell, width // cell)
        self._pixel_pool = cell * pool
        self._map_pool = map_size[0] * pool // self._grid[0]
        cells = (self._grid[0] // pool) * (self._grid[1] // pool)
        share = functional.avg_pool2d((~covered).float(), self._pixel_pool)
        usable = (share > _LEAST_SEEN).float() / share.clamp_min(_LEAST_SEEN)
        self.register_buffer("seen", usable, persistent=False)
        self.register_buffer("map_mean", torch.zeros(channels * cells))
        self.register_buffer("map_basis", torch.zeros(channels * cells, shape.map_components))
        self.register_buffer("context_mean", torch.zeros(3 * cells))
        self.register_buffer("context_basis", torch.zeros(3 * cells, shape.context_components))
        self.register_buffer("mixing", torch.zeros(shape.features, shape.rank))
        self.register_buffer("pictures", torch.zeros(shape.rank, 3 * self._grid[0] * self._grid[1]))
        first, second = torch.triu_indices(shape.products, shape.products)
        self._first, self._second = first.tolist(), second.tolist()

    def forward(self, face_map: Tensor, surroundings: Tensor) -> Tensor:
        maps, context = self.pooled(face_map, surroundings)
        mixed = self._features(maps, context) @ self.mixing @ self.pictures
        coarse = mixed.view(-1, 3, *self._grid)
        if self.cell == 1:
            return coarse
        return functional.interpolate(coarse, scale_factor=float(self.cell), mode="bilinear")

    def pooled(self, face_map: Tensor, surroundings: Tensor) -> tuple[Tensor, Tensor]:
        """What the regression sees, (B, ·) each; ``surroundings`` are 0 where pixels are hidden."""
        maps = functional.avg_pool2d(face_map, self._map_pool).flatten(1)
        context = functional.avg_pool2d(surroundings, self._pixel_pool) * self.seen
        return maps, context.flatten(1)

    def _features(self, maps: Tensor, context: Tensor) -> Tensor:
        mouth = (maps - self.map_mean) @ self.map_basis
        around = (context - self.context_mean) @ self.context_basis
        products = mouth[:, self._first] * mouth[:, self._second]
        return torch.cat([mouth, around, products], dim=1)

    def coarse(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, h, w) as the regression makes them, (B, 3 h w / cell²)."""
        pooled = functional.avg_pool2d(pictures, self.cell) if self.cell > 1 else pictures
        return pooled.flatten(1)

    @torch.no_grad()
    def fit(self, maps: Tensor, context: Tensor, wanted: Tensor) -> None:
        """Fit the regression to N frames, in the order of time.

        How strongly it is held back, and what share of its components it uses (all, with the products, or a
        half, a quarter or an eighth, without), is what does best on the last fifth of the frames when fitted
        on the others.

        Args:
            maps: pooled face maps, (N, ·).
            context: pooled surroundings, (N, ·).
            wanted: coarse deviations from the mean face, (N, ·).
        """
        maps, context, wanted = maps.double(), context.double(), wanted.double()
        cut = len(maps) - len(maps) // _CHECKED_SHARE
        found: list[tuple[float, int, float]] = []
        for used in (1, 2, 4, 8):
            if cut < _FRAMES_PER_FEATURE * self.shape.features // used:
                continue
            self._take_components(maps[:cut], context[:cut], used)
            features = self._used_features(maps, context, used)
            for ridge in _RIDGES:
                weights = _ridge(features[:cut], wanted[:cut], ridge)
                error = (features[cut:] @ weights - wanted[cut:]).square().mean()
                found.append((float(error), used, ridge))
        still = wanted[cut:].square().mean()
        if not found or min(found)[0] > _WORTH_IT * float(still):
            return  # too few frames: the mean face does as well
        _, used, ridge = min(found)
        self._take_components(maps, context, used)
        weights = _ridge(self._used_features(maps, context, used), wanted, ridge)
        u, s, v = torch.linalg.svd(weights, full_matrices=False)
        rank = min(self.shape.rank, len(s))
        self.mixing[:, :rank] = (u[:, :rank] * s[:rank]).float()
        self.pictures[:rank] = v[:rank].float()

    def _take_components(self, maps: Tensor, context: Tensor, used: int) -> None:
        for name, values in (("map", maps), ("context", context)):
            mean, basis = getattr(self, f"{name}_mean"), getattr(self, f"{name}_basis")
            mean.copy_(values.mean(dim=0))
            basis.zero_()
            found = _components(values, basis.shape[1] // used)
            basis[:, : found.shape[1]] = found.float()

    def _used_features(self, maps: Tensor, context: Tensor, used: int) -> Tensor:
        features = self._features(maps.float(), context.float()).double()
        if used > 1:
            features[:, self.shape.map_components + self.shape.context_components :] = 0.0
        return features


def _components(values: Tensor, count: int) -> Tensor:
    """The first principal directions of values (N, D), each divided by its deviation: (D, at most count)."""
    centred = values - values.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    keep = min(count, int((variances > _EPS * variances.mean()).sum()))
    order = torch.arange(len(variances) - 1, len(variances) - 1 - keep, -1)
    scaled: Tensor = directions[:, order] / variances[order].sqrt()
    return scaled


def _ridge(features: Tensor, wanted: Tensor, ridge: float) -> Tensor:
    """Regression weights, held back by ``ridge``; features are of unit variance."""
    gram = features.T @ features
    gram.diagonal().add_(ridge)
    weights: Tensor = torch.linalg.solve(gram, features.T @ wanted)
    return weights
