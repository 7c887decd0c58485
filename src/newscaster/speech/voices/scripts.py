"""Words of a sentence in scripts that a voice does not read.

Engines skip such words, or spell them as "Chinese letter, Chinese letter". Contains the scripts of characters
and of languages. All voices are assumed to read Latin letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
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
"""Languages that are written in a script, by the codes of the voices."""
_MAX_CHARACTERS = 100_000
_WORD = re.compile(r"\S+")


def scripts_of_language(language: str) -> frozenset[str] | None:
    """Return the scripts that a voice reads.

    Args:
        language: of the voice, such as "en-us" or "ru".

    Returns:
        Names as in Unicode, "Chinese" for Han; None if the language is unknown.
    """
    code = language.lower().replace("_", "-").partition("-")[0]
    own = {script for script, languages in _LANGUAGES.items() if code in languages.split()}
    return LATIN | own if own else None


def foreign_words(sentence: str, scripts: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield words with letters of other scripts, and the script of the first such letter.

    A single Greek letter is a symbol, such as π or µ, not a foreign word.

    Args:
        sentence: on one line. Without spaces, runs of such letters are the words.
        scripts: those that are read.
    """
    for word in _WORD.findall(sentence):
        start: int | None = None
        first_script = ""
        for position, character in enumerate(word + " "):
            script = script_of(character) if character.isalpha() else ""
            if start is None and script and script not in scripts:
                start, first_script = position, script
            elif start is not None and (script in scripts or character in ' .,;:!?…。！？،؛।()[]"“”«»'):
                if not (first_script == "Greek" and position - start == 1):
                    yield word[start:position], first_script
                start = None


def is_japanese(text: str) -> bool:
    """Return whether most letters of a text are Japanese, some of them kana, which Chinese does not have."""
    scripts = Counter(script_of(character) for character in text[:_MAX_CHARACTERS] if character.isalpha())
    kana = scripts["Hiragana"] + scripts["Katakana"]
    return kana > 0.1 * scripts.total() and kana + scripts["Chinese"] > 0.5 * scripts.total()


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """Return the Unicode name of a letter's script; "Chinese" for Han, "" for no script."""
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
    first = name.partition(" ")[0]
    if first.startswith(_HAN):
        return "Chinese"
    if first == "KATAKANA-HIRAGANA":  # the mark of long vowels
        return "Katakana"
    if first in ("FEMININE", "MASCULINE", "MODIFIER", "SUPERSCRIPT", "SUBSCRIPT", "DOUBLE-STRUCK", ""):
        return ""
    return first.capitalize()
