"""English numbers in words: cardinals, ordinals, decimals, years, digits, and numbers in names.

British "and": one hundred and five.
"""

from __future__ import annotations

import re

_INDIAN = r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9]|,[0-9])"
NUMBER = rf"(?:{_INDIAN}|[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
"""Pattern of a number: with or without commas between groups, also Indian ones ("1,20,000"), and decimals."""
MAX_DIGITS = 36
"""Longer numbers have no name here, and are read digit by digit."""

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen""".split()  # noqa: SIM905
_TENS = """_ _ twenty thirty forty fifty sixty seventy eighty ninety""".split()  # noqa: SIM905
_SCALES = """_ thousand million billion trillion quadrillion quintillion sextillion septillion octillion
nonillion decillion""".split()  # noqa: SIM905
_ORDINALS = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"},
    **{"nine": "ninth", "twelve": "twelfth"},
}
_DENOMINATORS = {2: "half", 4: "quarter"}
VULGAR_FRACTIONS = {
    **{"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5)},
    **{
        "⅗": (3, 5),
        "⅘": (4, 5),
        "⅙": (1, 6),
        "⅚": (5, 6),
        "⅛": (1, 8),
        "⅜": (3, 8),
        "⅝": (5, 8),
        "⅞": (7, 8),
    },
}
"""Characters that are fractions: numerator and denominator."""


def cardinal(number: int) -> str:
    """Return a number in words.

    Args:
        number: 0 and more, of at most MAX_DIGITS digits.
    """
    if number < 100:
        return _below_hundred(number)
    groups: list[str] = []
    scale, rest = 0, number
    while rest:
        rest, group = divmod(rest, 1000)
        if group:
            words = _below_thousand(group)
            if scale == 0 and group < 100 and rest:
                words = f"and {words}"
            groups.append(f"{words} {_SCALES[scale]}" if scale else words)
        scale += 1
    return " ".join(reversed(groups))


def _lakhs(number: int) -> str:
    """Return a number in words as in India: crores, lakhs and the rest."""
    crores, rest = divmod(number, 10_000_000)
    lakhs, rest = divmod(rest, 100_000)
    words = [f"{cardinal(crores)} crore"] if crores else []
    words += [f"{cardinal(lakhs)} lakh"] if lakhs else []
    if rest:
        words.append(f"and {cardinal(rest)}" if rest < 100 else cardinal(rest))
    return " ".join(words)


def _below_hundred(number: int) -> str:
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest)
    words = f"{_ONES[hundreds]} hundred"
    return f"{words} and {_below_hundred(rest)}" if rest else words


def digits(written: str) -> str:
    """Return digits one by one; other characters are skipped."""
    return " ".join(_ONES[int(digit)] for digit in written if digit in "0123456789")


def number_words(written: str) -> str:
    """Return a number as it is written, such as "1,250", "0.05" or "007", in words."""
    whole, _, decimals = written.replace(",", "").partition(".")
    if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits(whole)
    elif re.match(_INDIAN, written):
        words = _lakhs(int(whole))
    else:
        words = cardinal(int(whole or "0"))
    return f"{words} point {digits(decimals)}" if decimals else words


def ordinal(number: int) -> str:
    """Return an ordinal in words, such as "twenty-first"."""
    words = cardinal(number)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in _ORDINALS:
        return words[:cut] + _ORDINALS[last]
    return words[:cut] + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def year(number: int) -> str:
    """Return a year in words: "nineteen oh five", "two thousand and five", "twenty twenty-six"."""
    century, rest = divmod(number, 100)
    if not 11 <= century <= 99 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def plural(words: str) -> str:
    """Return the plural of a number in words: "nineties", "sixes", "hundreds"."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def name_number(written: str) -> str:
    """Return a number in a name: "380" is "three eighty", "1549" "fifteen forty-nine"."""
    if len(written) not in (3, 4) or written[0] == "0":
        return number_words(written)
    if written.endswith("00") and (len(written) == 3 or written[1] == "0"):
        return cardinal(int(written))
    first, last = written[:-2], int(written[-2:])
    if last == 0:
        return f"{cardinal(int(first))} hundred"
    return f"{cardinal(int(first))} {'oh ' if last < 10 else ''}{cardinal(last)}"


def fraction(numerator: int, denominator: int) -> str:
    """Return a fraction in words, such as "three quarters".

    Args:
        numerator: above 0.
        denominator: above 1.
    """
    name = _DENOMINATORS.get(denominator) or ordinal(denominator).removeprefix("one ")
    if numerator == 1:
        return f"{'a' if denominator in (2, 4) else 'one'} {name}"
    return f"{cardinal(numerator)} {'halves' if denominator == 2 else name + 's'}"


def is_one(written: str) -> bool:
    """Return whether a number takes the singular."""
    return written in ("1", "1.0")
