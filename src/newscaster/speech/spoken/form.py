"""The spoken form of a sentence: the words that a voice gets in place of figures and abbreviations.

One pass from left to right. At each word or sign, the user's pronunciations come first, then the rules of the
language; anything else is kept. So the result keeps track of which words stand for which part of the text.
Languages without rules pass unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newscaster.speech.spoken.english import RULES as ENGLISH
from newscaster.speech.spoken.english.rule import Rule
from newscaster.speech.spoken.pronunciations import Pronunciations

_LANGUAGES: Mapping[str, Sequence[Rule]] = {"en": ENGLISH}
"""Rules by code of ISO 639-1."""
_PLAIN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[^\W_]+|\s+|.", re.DOTALL)
"""A piece that no rule reads: a word, other characters up to the end of a word, spaces, or a sign."""
_NO_PRONUNCIATIONS = Pronunciations({})


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text and what is spoken for it."""

    start: int
    stop: int
    """Behind its last character."""
    words: str


@dataclass(frozen=True, slots=True)
class SpokenForm:
    """What a voice says for a text."""

    pieces: tuple[Piece, ...]
    """Adjacent parts, which together are the text."""

    @property
    def text(self) -> str:
        """The spoken words, on one line."""
        parts: list[str] = []
        last = ""
        for piece in self.pieces:
            if last.isalnum() and piece.words[:1].isalnum():
                parts.append(" ")
            parts.append(piece.words)
            last = piece.words[-1:] or last
        return " ".join("".join(parts).split())

    def letters(self, text: str) -> tuple[float, ...]:
        """Return the number of spoken letters of each character of the text, but spaces.

        Args:
            text: the text as it is written; () if it is of another length than that of the pieces.
        """
        if not self.pieces or self.pieces[-1].stop != len(text):
            return ()
        counts: list[float] = []
        for piece in self.pieces:
            written = sum(not character.isspace() for character in text[piece.start : piece.stop])
            spoken = sum(not character.isspace() for character in piece.words)
            counts.extend([spoken / written] * written if written else [])
        return tuple(counts)


def spoken_form(text: str, *, language: str, pronunciations: Pronunciations | None = None) -> SpokenForm:
    """Return the spoken form of a text, in time proportional to its length.

    Args:
        text: on one line.
        language: code of its language, such as "en" or "en-gb"; there are rules for English.
        pronunciations: the user's exceptions, which precede all rules.
    """
    rules = _by_start(language)
    exceptions = pronunciations or _NO_PRONUNCIATIONS
    pieces: list[Piece] = []
    position = 0
    while position < len(text):
        stop, words = _next(text, position, rules, exceptions)
        pieces.append(Piece(position, stop, words))
        position = stop
    return SpokenForm(tuple(pieces))


def _next(
    text: str, position: int, rules: Mapping[str, Sequence[Rule]], exceptions: Pronunciations
) -> tuple[int, str]:
    """Return the end of the next piece, and its words."""
    first = text[position]
    if not first.isspace():
        if (entry := exceptions.match(text, position)) is not None:
            return entry
        kind = "d" if first in "0123456789" else "l" if first.isalpha() else "s"
        for rule in rules.get(kind, ()):
            match = rule.pattern.match(text, position)
            if match is not None and match.end() > position and (words := rule.read(match)) is not None:
                return match.end(), words.strip()
    plain = _PLAIN.match(text, position)
    assert plain is not None
    return plain.end(), plain[0]


_RULES_BY_START = {
    code: {kind: tuple(rule for rule in rules if kind in rule.starts) for kind in "dls"}
    for code, rules in _LANGUAGES.items()
}


def _by_start(language: str) -> Mapping[str, Sequence[Rule]]:
    return _RULES_BY_START.get(re.split("[-_]", language.lower())[0], {})
