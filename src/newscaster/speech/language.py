"""The language of a text, by its commonest words; used for a warning alone.

A voice reads every word by the rules of its own language. It skips nothing of another language in the same
script, but the result is hard to understand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MIN_FRACTION = 0.15
_MIN_DIFFERENT = 3
_TIMES_THE_NEXT = 1.5
_MAX_CHARACTERS = 100_000


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COMMON: Mapping[str, frozenset[str]] = {
    "en": _words(
        """the of and to in is that it for was on are with as at be this have from or by not but what all were
        when we there can an your which their said if will has had its new about who after says"""
    ),
    "de": _words(
        """der die das und ist nicht ein eine einen einem zu den mit sich auf für im dem des von auch es an
        werden wird aus er hat dass sie nach bei noch wie über zum zur hier sind heute wir ich guten haben"""
    ),
    "fr": _words(
        """le la les de des et est un une du en que qui dans pour pas au aux sur avec ce cette il elle par ne
        se sont plus nous vous mais voici ont était être fait hier ses son leur"""
    ),
    "es": _words(
        """el la los las de del y que en un una es por con para no se su al lo como más pero este esta ha han
        sus son fue hoy está ayer también muy hay sobre"""
    ),
    "it": _words(
        """il la le lo gli di del della dei e è che in un una per non con si sono da al alla nel nella ha
        hanno questo questa più ma anche come ieri oggi dal dalla buona"""
    ),
    "pt": _words(
        """o a os as de do da dos das e é que em um uma por com para não se no na nos nas ao mais mas foi são
        seu sua como também hoje ontem está já pelo pela"""
    ),
    "nl": _words(
        """de het een en van is dat niet in op te zijn voor met die aan er maar om ook als bij naar uit door
        over wordt hebben heeft werd dit deze nog geen wij vandaag"""
    ),
    "sv": _words("och att är av för inte till ett jag från också efter ska idag här vid eller nu mycket"),
    "da": _words("og at er af for ikke til et jeg fra også etter efter skal i dag her blev ble være å nå"),
    "pl": _words(
        """w i na z nie się jest że do to jak po od za przez dla są ale o był było być tym oraz także już
        dzisiaj roku który która które"""
    ),
    "cs": _words(
        """a v na je že se to s z do o i ve pro ale jak za by si byl byla jsou podle od po které který také
        dnes až ze"""
    ),
    "tr": _words(
        """ve bir bu için da de ile çok olarak daha gibi olan ne var sonra kadar ancak en dedi değil bugün ama
        her o göre"""
    ),
    "hu": _words(
        """a az és hogy nem egy is ez meg de volt van ki csak már még mint el ezt szerint ma után lesz vagy
        azt"""
    ),
    "fi": _words(
        """ja on ei se että oli hän ovat mutta kun myös joka niin tai kuin sen ole mukaan jo nyt tänään
        vuonna ovat olla"""
    ),
    "ro": _words(
        """și de la în a un o pe cu nu este care din să mai se pentru au că fost sunt prin sau după lui ce
        astăzi"""
    ),
}
NAMES: Mapping[str, str] = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "sv": "Swedish",
    "da": "Danish or Norwegian",
    "pl": "Polish",
    "cs": "Czech or Slovak",
    "tr": "Turkish",
    "hu": "Hungarian",
    "fi": "Finnish",
    "ro": "Romanian",
}
"""The distinguished languages, by their codes of ISO 639-1."""
_KIN = {"no": "da", "nb": "da", "nn": "da", "sk": "cs"}
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """Return the code of a text's language, one of NAMES; None if the text is short, mixed, or another."""
    words = [word.lower() for word in _WORD.findall(text[:_MAX_CHARACTERS])]
    if not words:
        return None
    counts = {code: [word for word in words if word in common] for code, common in _COMMON.items()}
    best, second = sorted(counts, key=lambda code: len(counts[code]), reverse=True)[:2]
    hits = counts[best]
    is_clear = (
        len(set(hits)) >= _MIN_DIFFERENT
        and len(hits) >= _MIN_FRACTION * len(words)
        and len(hits) >= _TIMES_THE_NEXT * len(counts[second])
    )
    return best if is_clear else None


def another_language(text: str, voice: str) -> tuple[str, str] | None:
    """Return the names of a text's language and of a voice's, if both are known and differ, else None.

    Args:
        text: any.
        voice: the code of the voice's language, such as "en" or "en-us"; "" if unknown.
    """
    code = re.split("[-_]", voice.lower())[0]
    code = _KIN.get(code, code)
    if code not in NAMES:
        return None
    language = language_of(text)
    return None if language is None or language == code else (NAMES[language], NAMES[code])
