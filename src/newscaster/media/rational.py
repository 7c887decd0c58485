"""Rational numbers of files: PyAV 18 has Fraction for them, PyAV 19 a type of its own."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def as_fraction(value: Any) -> Fraction | None:
    """Return a rational number of PyAV; None if the file does not have it: None, 0 or n/0."""
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)
