from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest

from newscaster.media.rational import as_fraction


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(30_000, 1001), Fraction(30_000, 1001)),
        (SimpleNamespace(numerator=25, denominator=1), Fraction(25)),
        (SimpleNamespace(numerator=1, denominator=0), None),
        (SimpleNamespace(numerator=0, denominator=1), None),
        (Fraction(0), None),
        (None, None),
    ],
)
def test_rational_numbers_of_files(value: object, expected: Fraction | None) -> None:
    assert as_fraction(value) == expected
