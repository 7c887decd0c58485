"""Errors of mouth shapes against the mouths that were seen, as the paper's tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Shapes = npt.NDArray[np.floating[Any]]


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
