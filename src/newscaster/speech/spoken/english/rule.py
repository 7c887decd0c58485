"""The shape of a rule, and what rules see of the words around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_CONTEXT_CHARACTERS = 60
_LAST_WORD = re.compile(r"([^\W_][\w'’.-]*)[\s(“\"‘]*$")
_NEXT_WORD = re.compile(r"[\s-]*([^\W_][\w'’]*)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A written form and its reading."""

    starts: str
    """Kinds of first character: "d" for a digit, "l" for a letter, "s" for a sign."""
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], str | None]
    """Returns the reading; None: this is another form."""


def rule(starts: str, pattern: str, read: Callable[[re.Match[str]], str | None]) -> Rule:
    """Return a rule with a verbose pattern, whose own spaces do not count."""
    return Rule(starts, re.compile(pattern, re.VERBOSE), read)


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def word_before(match: re.Match[str]) -> str:
    """Return the word before a match; "" if there is none, or a sign between them."""
    start = match.start()
    words = _LAST_WORD.search(match.string, max(0, start - _CONTEXT_CHARACTERS), start)
    return words[1] if words else ""


def word_after(match: re.Match[str]) -> str:
    """Return the word after a match; "" if there is none, or another sign than a hyphen between them."""
    words = _NEXT_WORD.match(match.string, match.end(), match.end() + _CONTEXT_CHARACTERS)
    return words[1] if words else ""


def text_around(match: re.Match[str]) -> str:
    """Return the text around a match."""
    start = max(0, match.start() - _CONTEXT_CHARACTERS)
    return match.string[start : match.end() + _CONTEXT_CHARACTERS]


def between(match: re.Match[str]) -> str:
    """Return the word between the ends of a range: "between 5-10" is between five and ten."""
    return "and" if word_before(match).lower() == "between" else "to"


def is_attribute(match: re.Match[str]) -> bool:
    """Return whether an amount describes the noun after it, as in "a $5m fine", and so is singular."""
    following = match.string[match.end() : match.end() + _CONTEXT_CHARACTERS]
    word = re.match(r"(?:[ ]|-(?!a-))([A-Za-z]+)", following)
    if word is None or word[1].lower() in _NOT_NOUNS:
        return False
    return word_before(match).lower() in ("a", "an") or word[1] in _DESCRIBED


_DESCRIBED = words(
    """acquisition bailout bid bill bonus budget capsule capsules contract deal debt deposit donation dose
    doses fine fund grant gusts home house investment lawsuit loan mansion merger package payment payout
    pill pills plan prize programme program project ransom scheme settlement tablet tablets takeover
    valuation winds"""
)
"""Nouns that an amount before them describes, whatever stands before it."""
_NOT_NOUNS = words(
    """a above after against ago an and apart as at away because before below but by each every for from if
    in into is it less more of off on or over per since so than that the then to under until up was were
    when which while who with"""
)
