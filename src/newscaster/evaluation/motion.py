"""Metrics of mouth motion against the real mouth.

Works on arrays alone. Predictions of any model and landmarks detected in a video are measured alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newscaster.types import ArrayBool, ArrayFloat

_MIN_STEPS = 20


@dataclass(frozen=True)
class Agreement:
    """Correlation and lag of two series of mouth openings."""

    correlation: float
    """Pearson's r at the best lag."""
    lag: float
    """Steps by which the predicted series lags behind the real one."""


def opening_agreement(
    predicted: ArrayFloat, seen: ArrayFloat, present: ArrayBool, *, reach: int = 8
) -> Agreement:
    """Correlate two openings (T,) at the best lag within ``reach`` steps, over steps with a face.

    The measure ignores the size of the mouth and a constant offset between audio and video, which is common
    in footage.
    """
    best = Agreement(-1.0, 0)
    for lag in range(-reach, reach + 1):
        ours, theirs = shifted(predicted, lag), shifted(seen, -lag)
        use = shifted(present, -lag)
        if np.count_nonzero(use) < _MIN_STEPS or ours[use].std() < 1e-9 or theirs[use].std() < 1e-9:
            continue
        r = float(np.corrcoef(ours[use], theirs[use])[0, 1])
        if r > best.correlation:
            best = Agreement(r, lag)
    return best


def shifted(values: npt.NDArray[np.generic], lag: int) -> npt.NDArray[np.generic]:
    """Return ``values`` without the first ``lag`` steps, or without the last ``-lag``.

    ::

        lag  2     a a A A A A        `a` is 2 steps late: dropping its first 2 …
        lag -2         B B B B b b    … and the last 2 of `b` aligns them
    """
    return values[lag:] if lag >= 0 else values[:lag]


def best_lag(late: Sequence[ArrayFloat], early: Sequence[ArrayFloat], *, reach: int = 8) -> Agreement:
    """Return the lag within ``reach`` steps at which series (T,) of all clips together correlate best.

    Each clip is centred on its own mean. A parabola through three lags gives fractions of a step. Steps that
    are NaN in either series are ignored. Both values are NaN if too few steps remain.

    Args:
        late: series that are expected to lag, such as those of rendered mouths.
        early: series that they follow.
        reach: maximum lag, in steps.
    """
    correlations = np.array([correlation_at(late, early, lag) for lag in range(-reach, reach + 1)])
    if not np.isfinite(correlations).all():
        return Agreement(float("nan"), float("nan"))
    best = int(np.clip(correlations.argmax(), 1, len(correlations) - 2))
    before, here, after = correlations[best - 1 : best + 2]
    curvature = before - 2 * here + after
    fraction = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return Agreement(float(correlations.max()), float(best - reach + fraction))


def correlation_at(late: Sequence[ArrayFloat], early: Sequence[ArrayFloat], lag: int) -> float:
    """Return Pearson's r of ``late`` with ``early`` shifted by ``lag`` steps, each clip about its mean."""
    pairs = [np.zeros((2, 0))]
    for ours, theirs in zip(late, early, strict=True):
        steps = min(len(ours), len(theirs))
        both = np.stack(
            [ours[max(0, lag) : steps + min(0, lag)], theirs[max(0, -lag) : steps + min(0, -lag)]]
        )
        both = both[:, np.isfinite(both).all(axis=0)]
        if both.shape[1]:
            pairs.append(both - both.mean(axis=1, keepdims=True))
    joined = np.concatenate(pairs, axis=1)
    if joined.shape[1] < _MIN_STEPS or (joined.std(axis=1) < 1e-9).any():
        return float("nan")
    return float(np.corrcoef(joined[0], joined[1])[0, 1])
