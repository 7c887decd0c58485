"""Measures of mouth motion against the mouth that was seen.

Works on arrays alone, so that predictions of any model, and landmarks detected again in a video, are measured
alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]
_LEAST_STEPS = 20


@dataclass(frozen=True)
class Agreement:
    """How two courses of the mouth's opening go together."""

    correlation: float
    """Pearson's r at the best lag."""
    lag: int
    """Steps by which the predicted course comes after the one that was seen."""


def opening_agreement(predicted: Floats, seen: Floats, present: Mask, *, reach: int = 8) -> Agreement:
    """Correlate two openings (T,) at the best lag within ``reach`` steps, over steps that were seen.

    Different people's mouths differ in size, and footage often has a constant offset between sound and
    picture: both are left out of the measure.
    """
    best = Agreement(-1.0, 0)
    for lag in range(-reach, reach + 1):
        ours, theirs = shifted(predicted, lag), shifted(seen, -lag)
        use = shifted(present, -lag)
        if use.sum() < _LEAST_STEPS or ours[use].std() < 1e-9 or theirs[use].std() < 1e-9:
            continue
        r = float(np.corrcoef(ours[use], theirs[use])[0, 1])
        if r > best.correlation:
            best = Agreement(r, lag)
    return best


def shifted(values: npt.NDArray[np.generic], lag: int) -> npt.NDArray[np.generic]:
    """``values`` without its first ``lag`` steps, or without its last ``-lag``.

    ::

        lag  2     a a A A A A        what comes 2 steps late in `a` …
        lag -2         B B B B b b    … lies beside `b` then
    """
    return values[lag:] if lag >= 0 else values[:lag]
