"""Measures of faces: errors of mouth shapes, as in the paper's tables, and the openness of the eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.face.topology import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from newscaster.types import ArrayBool, ArrayF64, ArrayFloat

_LIDS = ((159, 145), (386, 374))
_EYES = ((LEFT_EYE_OUTER, 133), (362, RIGHT_EYE_OUTER))


@dataclass(frozen=True)
class ShapeErrors:
    """Errors in inter-ocular distances (IOD), averaged over the 57 points, both axes and present frames."""

    mse: float
    mae: float
    int_mse: float
    """Mean squared error of the differences from frame to frame. The paper does not define its Int-MSE; this
    definition is ours."""
    still_mse: float
    """The MSE of a mouth that keeps its mean shape: the variance to be explained."""


def shape_errors(
    predicted: Sequence[ArrayFloat], seen: Sequence[ArrayFloat], present: Sequence[ArrayBool]
) -> ShapeErrors:
    """Return the errors over clips of shapes (F, 57, 2). Frames that are not ``present`` (F,) are skipped."""
    errors, steps, references = [], [], []
    for prediction, reference, mask in zip(predicted, seen, present, strict=True):
        difference = prediction - reference
        errors.append(difference[mask].ravel())
        steps.append(np.diff(difference, axis=0)[mask[1:] & mask[:-1]].ravel())
        references.append(reference[mask])
    error = np.concatenate(errors)
    return ShapeErrors(
        mse=float((error**2).mean()),
        mae=float(np.abs(error).mean()),
        int_mse=float((np.concatenate(steps) ** 2).mean()),
        still_mse=float(np.concatenate(references).var(axis=0).mean()),
    )


def eyes_open(landmarks: ArrayFloat) -> ArrayF64:
    """Return the openness of the eyes, (F,): height over width, the mean of both eyes."""
    points = landmarks[..., :2].astype(np.float64)

    def gap(pairs: tuple[tuple[int, int], ...]) -> ArrayF64:
        return np.stack([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs])

    return np.asarray((gap(_LIDS) / np.maximum(gap(_EYES), 1e-6)).mean(axis=0))
