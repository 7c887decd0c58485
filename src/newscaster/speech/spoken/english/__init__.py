"""How a newsreader reads English figures and abbreviations.

A rule is a pattern and a function that returns the words; the first rule in RULES that matches at a word or
sign reads it. Ambiguous forms have the reading that is commonest in news: "2m people" is two million, "3-1" a
score, "1-3" a range unless the sentence is about a match. British spelling and "and"; dates as they are
written: "5 March" is the fifth of March, "March 5" March fifth. Words are never changed.
"""

from __future__ import annotations

from newscaster.speech.spoken.english.addresses import ADDRESSES, PHONES, TICKERS, VERSIONS
from newscaster.speech.spoken.english.amounts import AMOUNTS, NUMBERS, PAIRS
from newscaster.speech.spoken.english.dates import DATES, TIMES, YEARS
from newscaster.speech.spoken.english.money import MONEY
from newscaster.speech.spoken.english.names import ABBREVIATED, NAMES, SIGNED
from newscaster.speech.spoken.english.places import PLACES
from newscaster.speech.spoken.english.rule import Rule

RULES: tuple[Rule, ...] = (
    *ADDRESSES,
    *MONEY,
    *TICKERS,
    *DATES,
    *TIMES,
    *PHONES,
    *VERSIONS,
    *YEARS,
    *PLACES,
    *ABBREVIATED,
    *AMOUNTS,
    *NAMES,
    *PAIRS,
    *SIGNED,
    *NUMBERS,
)
"""In order of precedence."""
