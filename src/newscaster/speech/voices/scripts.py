"""Which words of a sentence are written in a script that a voice does not read.

Engines skip such words, or spell them as "Chinese letter, Chinese letter". Knows the script of a character and
the scripts of languages. Latin letters are taken to be read by every voice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

LATIN = frozenset({"Latin"})
_HAN = ("CJK", "IDEOGRAPHIC", "KANGXI")
_CYRILLIC, _ARABIC, _DEVANAGARI = {"Cyrillic"}, {"Arabic"}, {"Devanagari"}
_OF_LANGUAGES: dict[str, set[str]] = {
    **dict.fromkeys(
        "ba be bg cv kk ky mk mn os ru sr tt uk".split(),
        _CYRILLIC,
    ),
    **dict.fromkeys("ar fa ps sd ug ur".split(), _ARABIC),
    **dict.fromkeys("bho hi kok mr ne sa".split(), _DEVANAGARI),
    **dict.fromkeys("cmn hak yue zh".split(), {"Chinese"}),
    **dict.fromkeys("as bn bpy".split(), {"Bengali"}),
    **dict.fromkeys("am ti".split(), {"Ethiopic"}),
    **dict.fromkeys("el grc".split(), {"Greek"}),
    **dict.fromkeys("hy hyw".split(), {"Armenian"}),
    "ja": {"Chinese", "Hiragana", "Katakana"},
    "ko": {"Chinese", "Hangul"},
    "gu": {"Gujarati"},
    "he": {"Hebrew"},
    "ka": {"Georgian"},
    "km": {"Khmer"},
    "kn": {"Kannada"},
    "lo": {"Lao"},
    "ml": {"Malayalam"},
    "my": {"Myanmar"},
    "or": {"Oriya"},
    "pa": {"Gurmukhi"},
    "si": {"Sinhala"},
    "ta": {"Tamil"},
    "te": {"Telugu"},
    "th": {"Thai"},
    "bo": {"Tibetan"},
    **dict.fromkeys(
        """af an az bs ca cs cy da de en eo es et eu fi fr ga gd gl hr ht hu id is it ku la lb lt lv mi ms mt nb
        nl nn no pl pt ro sk sl sq sv sw tr uz vi""".split(),
        set[str](),
    ),
}
_WORD = re.compile(r"\S+")


def scripts_of_language(language: str) -> frozenset[str] | None:
    """The scripts that a voice reads.

    Args:
        language: of the voice, such as "en-us" or "ru".

    Returns:
        Names as in Unicode, "Chinese" for Han; None if the language is not known here.
    """
    own = _OF_LANGUAGES.get(language.lower().replace("_", "-").partition("-")[0])
    return None if own is None else LATIN | own


def foreign_words(sentence: str, scripts: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Words with letters of other scripts, and the script of the first such letter.

    A Greek letter by itself is a symbol, such as π or µ, and no foreign word.

    Args:
        sentence: on one line. Where it has no spaces, runs of such letters are the words.
        scripts: those that are read.
    """
    for word in _WORD.findall(sentence):
        begin: int | None = None
        found = ""
        for position, character in enumerate(word + " "):
            script = script_of(character) if character.isalpha() else ""
            if begin is None and script and script not in scripts:
                begin, found = position, script
            elif begin is not None and (script in scripts or character in " .,;:!?…。！？،؛।()[]\"“”«»"):
                if not (found == "Greek" and position - begin == 1):
                    yield word[begin:position], found
                begin = None


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The script of a letter, as Unicode names it; "Chinese" for Han, "" for what belongs to none."""
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
    first = name.partition(" ")[0]
    if first.startswith(_HAN):
        return "Chinese"
    if first in ("FEMININE", "MASCULINE", "MODIFIER", "SUPERSCRIPT", "SUBSCRIPT", "DOUBLE-STRUCK", ""):
        return ""
    return first.capitalize()
