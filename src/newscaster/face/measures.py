"""Figures taken on faces: errors of mouth shapes, as in the paper's tables, and how far eyes are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.topology import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

Array = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.floating[Any]]

_LIDS = ((159, 145), (386, 374))
_EYES = ((LEFT_EYE_OUTER, 133), (362, RIGHT_EYE_OUTER))


@dataclass(frozen=True)
class ShapeErrors:
    """Errors in outer-eye distances, averaged over the 57 points, both axes and all frames that were seen."""

    mse: float
    mae: float
    int_mse: float
    """Mean squared error of the differences from frame to frame; the paper does not define its Int-MSE, this
    definition is ours."""
    still_mse: float
    """The MSE of a mouth that keeps its mean shape: what there is to be explained."""


def shape_errors(
    predicted: Sequence[Shapes], seen: Sequence[Shapes], present: Sequence[npt.NDArray[np.bool_]]
) -> ShapeErrors:
    """Errors over clips of shapes (F, 57, 2); frames that are not ``present`` (F,) do not count."""
    errors, steps, shown = [], [], []
    for ours, theirs, mask in zip(predicted, seen, present, strict=True):
        off = ours - theirs
        errors.append(off[mask].ravel())
        steps.append(np.diff(off, axis=0)[mask[1:] & mask[:-1]].ravel())
        shown.append(theirs[mask])
    error = np.concatenate(errors)
    return ShapeErrors(
        mse=float((error**2).mean()),
        mae=float(np.abs(error).mean()),
        int_mse=float((np.concatenate(steps) ** 2).mean()),
        still_mse=float(np.concatenate(shown).var(axis=0).mean()),
    )


def eyes_open(landmarks: npt.NDArray[np.floating[Any]]) -> Array:
    """How far the eyes are open, (F,): height over width, the mean of both."""
    points = landmarks[..., :2].astype(np.float64)

    def gap(pairs: tuple[tuple[int, int], ...]) -> Array:
        return np.stack([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs])

    return np.asarray((gap(_LIDS) / np.maximum(gap(_EYES), 1e-6)).mean(axis=0))
