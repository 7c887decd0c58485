"""Figures and abbreviations as words, before a text reaches a voice; captions keep the written form.

`english` has the rules of English, `pronunciations` the user's exceptions, and `form` applies both. Another
language is one more package of rules, and a line in `form`.
"""

from __future__ import annotations

from newscaster.speech.spoken.form import Piece, SpokenForm, spoken_form
from newscaster.speech.spoken.pronunciations import Pronunciations

__all__ = ["Piece", "Pronunciations", "SpokenForm", "spoken_form"]
