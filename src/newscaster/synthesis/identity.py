"""Who an anchor is, by the face: an anchor stores no descriptor, and its target video shows the person."""

from __future__ import annotations

import numpy as np

from newscaster.synthesis.target import Target
from newscaster.tracking.descriptor import describe_faces, mean_descriptor
from newscaster.types import ArrayF32, ArrayI64

DESCRIBED_FRAMES = 8
"""Of a clip or a target video, spread over it: a mean of so many is compared."""


def anchor_descriptor(target: Target) -> ArrayF32:
    """Return the descriptor (128,) of the person in an anchor's target video; NaN if not measurable."""
    chosen = spread(np.arange(len(target)))
    frames = []
    for index in chosen.tolist():
        frames.append(target.frame(index).rgb)
        target.release()  # each is in another group, which takes a dozen frames of memory
    return mean_descriptor(describe_faces(frames, target.landmarks[chosen]))


def spread(indices: ArrayI64) -> ArrayI64:
    """Return up to `DESCRIBED_FRAMES` of these, spread evenly."""
    places = np.linspace(0, len(indices) - 1, min(DESCRIBED_FRAMES, len(indices))).round().astype(int)
    return np.asarray(indices[places])
