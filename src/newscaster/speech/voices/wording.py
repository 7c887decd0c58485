"""The words that a voice gets for a sentence: common letters, and figures and abbreviations as words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from newscaster.speech.language import language_of
from newscaster.speech.spoken import Pronunciations, SpokenForm, spoken_form
from newscaster.texts import one_line

_FOLDED = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff\ufb00-\ufb06]")
"""Full-width and mathematical letters and ligatures, which few voices read."""
_CODES = {"eng": "en"}
"""Languages with rules, by the codes of ISO 639-2."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How the sentences of a text are worded for a voice."""

    language: str
    """Whose rules apply; "" for none."""
    pronunciations: Pronunciations

    @classmethod
    def of_text(
        cls, text: str, *, voice: str, language: str, pronunciations: Pronunciations | None
    ) -> Wording:
        """Return the wording of a text.

        Rules of a language read no text that is clearly in another one.

        Args:
            text: the whole text.
            voice: code of the voice's language; "" if unknown.
            language: the text's language as in `Reading`, used if that of the voice is unknown.
            pronunciations: exceptions; None: the user's own.

        Raises:
            InputError: the user's own file cannot be read.
        """
        code = re.split("[-_]", voice.lower())[0] or _CODES.get(language, "")
        if language_of(text) not in (None, code):
            code = ""
        exceptions = Pronunciations.of_user() if pronunciations is None else pronunciations
        return cls(code, exceptions)

    def spoken(self, sentence: str) -> SpokenForm:
        """Return the words for a sentence."""
        folded = _FOLDED.sub(lambda letter: unicodedata.normalize("NFKC", letter[0]), one_line(sentence))
        digits = re.sub(r"[^\W0-9]", _as_digit, folded)
        return spoken_form(digits, language=self.language, pronunciations=self.pronunciations)


def without_words(text: str, unread: Sequence[tuple[str, str]]) -> str:
    """Return spoken words without those that a voice does not read."""
    for word, _ in unread:
        text = text.replace(word, " ", 1)
    return one_line(text)


def _as_digit(character: re.Match[str]) -> str:
    """Return the digit of another script as 0 to 9; any other character unchanged."""
    value = unicodedata.decimal(character[0], None)
    return character[0] if value is None else str(value)
