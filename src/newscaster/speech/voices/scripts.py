"""Which words of a sentence are written in a script that a voice does not read.

Engines skip such words, or spell them as "Chinese letter, Chinese letter". Knows the script of a character
and the scripts of languages. Latin letters are taken to be read by every voice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

LATIN = frozenset({"Latin"})
_HAN = ("CJK", "IDEOGRAPHIC", "KANGXI")
_LANGUAGES = {
    "Arabic": "ar fa ps sd ug ur",
    "Armenian": "hy hyw",
    "Bengali": "as bn bpy",
    "Chinese": "cmn hak ja ko yue zh",
    "Cyrillic": "ba be bg bs cv kk ky mk mn os ru sr tt uk",
    "Devanagari": "bho hi kok mr ne sa",
    "Ethiopic": "am ti",
    "Georgian": "ka",
    "Greek": "el grc",
    "Gujarati": "gu",
    "Gurmukhi": "pa",
    "Hangul": "ko",
    "Hebrew": "he",
    "Hiragana": "ja",
    "Kannada": "kn",
    "Katakana": "ja",
    "Khmer": "km",
    "Lao": "lo",
    "Latin": "af an az ca cs cy da de en eo es et eu fi fr ga gd gl hr ht hu id is it ku la lb lt lv mi ms "
    "mt nb nl nn no pl pt ro sk sl sq sv sw tr uz vi",
    "Malayalam": "ml",
    "Myanmar": "my",
    "Oriya": "or",
    "Sinhala": "si",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
    "Tibetan": "bo",
}
"""Languages that are written in a script, by the codes that voices have."""
_WORD = re.compile(r"\S+")


def scripts_of_language(language: str) -> frozenset[str] | None:
    """The scripts that a voice reads.

    Args:
        language: of the voice, such as "en-us" or "ru".

    Returns:
        Names as in Unicode, "Chinese" for Han; None if the language is not known here.
    """
    code = language.lower().replace("_", "-").partition("-")[0]
    own = {script for script, languages in _LANGUAGES.items() if code in languages.split()}
    return LATIN | own if own else None


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
            elif begin is not None and (script in scripts or character in ' .,;:!?…。！？،؛।()[]"“”«»'):
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
