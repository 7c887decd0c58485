"""What one measure of footage is, and how measures are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "poor", "unusable"]
WORST_LAST: tuple[Verdict, ...] = ("good", "poor", "unusable")
FILES_NAMED = 5
"""How many files an advice names."""


@dataclass(frozen=True)
class Measure:
    """One thing measured on footage."""

    name: str
    """For programs: stays the same between versions."""
    title: str
    value: float | None
    """None where it cannot be measured."""
    unit: str
    text: str
    """The value as people read it, with its unit."""
    verdict: Verdict
    meaning: str
    """What the value tells about the anchor to come."""
    advice: str
    """What to do; empty where all is well."""


def worst(measures: Sequence[Measure]) -> Verdict:
    """The verdict on footage: that of its worst measure."""
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
    """A measure that gives its advice only where there is something to change."""
    return Measure(name, title, value, unit, text, verdict, meaning, "" if verdict == "good" else advice)


def good_or_poor(is_good: bool) -> Verdict:
    """Of what makes an anchor better or worse, and which training takes as it is: never unusable."""
    return "good" if is_good else "poor"


def not_measured(name: str, title: str, unit: str, reason: str, meaning: str, advice: str) -> Measure:
    """A measure without evidence, which is never good."""
    text = f"could not be measured: {reason}"
    return Measure(name, title, None, unit, text, "poor", meaning, advice)
