"""Measures of mouth motion against the mouth that was seen.

Works on arrays alone, so that predictions of any model, and landmarks detected again in a video, are measured
alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]
_MIN_STEPS = 20


@dataclass(frozen=True)
class Agreement:
    """How two courses of the mouth's opening go together."""

    correlation: float
    """Pearson's r at the best lag."""
    lag: float
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
        if use.sum() < _MIN_STEPS or ours[use].std() < 1e-9 or theirs[use].std() < 1e-9:
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


def best_lag(late: Sequence[Floats], early: Sequence[Floats], *, reach: int = 8) -> Agreement:
    """How courses (T,) of many clips go together, each clip about its own mean.

    The lag within ``reach`` steps at which all clips together correlate best; parts of a step by a parabola
    through three lags. Steps that are NaN in either course do not count. NaN where there are too few.

    Args:
        late: courses that are thought to come later, such as those of made mouths,
        early: and those that they follow.
        reach: the longest lag looked at, in steps.
    """
    found = np.array([correlation_at(late, early, lag) for lag in range(-reach, reach + 1)])
    if not np.isfinite(found).all():
        return Agreement(float("nan"), float("nan"))
    best = int(np.clip(found.argmax(), 1, len(found) - 2))
    before, here, after = found[best - 1 : best + 2]
    bend = before - 2 * here + after
    part = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return Agreement(float(found.max()), float(best - reach + part))


def correlation_at(late: Sequence[Floats], early: Sequence[Floats], lag: int) -> float:
    """Pearson's r of each course with the other ``lag`` steps earlier, each clip about its own mean."""
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
