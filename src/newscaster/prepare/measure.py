"""One measure of footage, and functions that make measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "poor", "unusable"]
WORST_LAST: tuple[Verdict, ...] = ("good", "poor", "unusable")
FILES_NAMED = 5
"""Number of files that an advice names."""
NO_SPEECH = "no speech was found"
"""Reason why the audio could not be measured."""


@dataclass(frozen=True)
class Measure:
    """One measure of footage."""

    name: str
    """Stable identifier, the same in all versions."""
    title: str
    value: float | None
    """None if it cannot be measured."""
    unit: str
    text: str
    """The value for display, with its unit."""
    verdict: Verdict
    meaning: str
    """Effect of the value on the anchor."""
    advice: str
    """Recommended change; empty if there is none."""


def worst(measures: Sequence[Measure]) -> Verdict:
    """Return the verdict on footage: that of its worst measure."""
    return max((m.verdict for m in measures), key=WORST_LAST.index, default="unusable")


def graded(
    name: str,
    title: str,
    value: float | None,
    unit: str,
    text: str,
    verdict: Verdict,
    meaning: str,
    advice: str,
) -> Measure:
    """Return a measure, without the advice if the verdict is good."""
    return Measure(name, title, value, unit, text, verdict, meaning, "" if verdict == "good" else advice)


def good_or_poor(is_good: bool) -> Verdict:
    """Return the verdict of a measure that affects quality but never prevents training."""
    return "good" if is_good else "poor"


def not_measured(name: str, title: str, unit: str, reason: str, meaning: str, advice: str) -> Measure:
    """Return a measure without evidence, which is never good."""
    text = f"could not be measured: {reason}"
    return Measure(name, title, None, unit, text, "poor", meaning, advice)
