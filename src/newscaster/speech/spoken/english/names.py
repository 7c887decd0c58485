"""Abbreviations, initials, Roman numbers, and names with numbers."""

from __future__ import annotations

import re

from newscaster.speech.spoken.english.numbers import (
    cardinal,
    digits,
    name_number,
    number_words,
    ordinal,
    plural,
)
from newscaster.speech.spoken.english.rule import Rule, rule, word_after, word_before, words
from newscaster.speech.spoken.english.units import ALONE
from newscaster.speech.spoken.english.words import (
    ABBREVIATIONS,
    ACRONYMS,
    AFTER_NAMES,
    BEFORE_NUMBERS,
    CAPITALISED_WORDS,
    COUNTED_ONE_BY_ONE,
    INITIALISMS,
    NUMBERED,
    REGNAL,
    SIGNS,
    SPECIAL,
    TITLES,
)

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ROMAN_NUMBER = re.compile(r"(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_CLEAR_ROMAN = words("""II III VI VII VIII IX XI XII XIII XIV XV XVI XVII XVIII XIX XXI XXII XXIII XXIV""")
"""Numbers after any name: "Apollo XI". Others are also abbreviations: IV, XL, XX."""
_RULER = re.compile(
    r"\b(?:Duke|Emir|Emperor|Empress|King|Patriarch|Pharaoh|Pope|Queen|Shah|Sultan|Tsar)\s(?:[A-Z][\w'’-]*\s){1,3}$"
)
_AFTER_PRONOUN = words(
    """am asked believe call can could did do feel found guess had have heard hope just knew know like love
    mean met need never read really said saw say see should spoke still think thought told want wanted
    was will wish would"""
)
_MAX_SPELLED = 3
"""Unknown words in capitals are spelled up to this length, and read as words if they are longer."""


def _alternatives(words: object) -> str:
    return "|".join(re.escape(str(word)) for word in sorted(words, key=lambda w: (-len(w), w)))  # type: ignore[call-overload]


def letters(word: str) -> str:
    """Return the reading of spelled letters: full stops between them, which all voices understand."""
    return ".".join(word)


def inflected(word: str) -> str:
    """Return the reading of spelled letters before "'s".

    After full stops, engines read it as "dot" or as one more letter.
    """
    return word if word.startswith("A") else "-".join(word)


def alone(letter: str) -> str:
    """Return the reading of a letter before a number; "A" alone would be read as the article."""
    return "A-" if letter == "A" else letter


def _ends_text(match: re.Match[str]) -> bool:
    """Return whether a full stop at the end of a match also ends the sentence."""
    return match[0].endswith(".") and not re.search(r"[^\W_]", match.string[match.end() : match.end() + 60])


def _initials(match: re.Match[str]) -> str | None:
    """Read "U.S.", "J.K. Rowling" and "a.m."; the last full stop stays at the end of a sentence."""
    spelled = re.sub(r"[^A-Za-z]", "", match["letters"]).upper()
    if len(spelled) == 1:
        stop = "." if spelled == "A" or _ends_text(match) else ""
        return spelled + stop
    if match["end"]:
        return inflected(spelled) + match["end"]
    return letters(spelled) + ("." if _ends_text(match) else "")


def _title(match: re.Match[str]) -> str:
    return TITLES[match["title"]]


def _half_of_match(match: re.Match[str]) -> str:
    return "half-time" if match["half"] == "H" else "full-time"


_POINTS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_HALVES = words(
    """Africa African Africans Bank Carolina Dakota Germany Ireland Korea Korean Koreans Macedonia Sudan Timor
    Virginia Wales Yorkshire"""
)
"""Names after "N." and the like."""


def _compass(match: re.Match[str]) -> str:
    """Read "N. Korea" and "NW England"."""
    names = [_POINTS[point] for point in match["points"]]
    return "-".join(names) if len(names) > 1 else names[0].capitalize()


def _rank(match: re.Match[str]) -> str:
    """Read the "Maj.-" of "Maj.-Gen."."""
    return f"{TITLES[match['title']]} "


def _vitamins(match: re.Match[str]) -> str:
    word = "vitamins" if match["many"] else "vitamin"
    return word.capitalize() if match[0][0] == "V" else word


def _after_name(match: re.Match[str]) -> str | None:
    if not word_before(match)[:1].isupper() and not word_before(match)[:1].isdigit():
        return None
    return AFTER_NAMES[match["word"]] + ("." if _ends_text(match) else "")


def _abbreviation(match: re.Match[str]) -> str:
    return ABBREVIATIONS[match[0]] + ("." if _ends_text(match) else "")


def _versus(match: re.Match[str]) -> str | None:
    return "versus" if word_before(match)[:1].isupper() else None


def _pages(match: re.Match[str]) -> str:
    return "pages" if match[0] == "pp." else "page"


def _numbers(match: re.Match[str]) -> str | None:
    if match[0].startswith("no.") and word_before(match).lower() not in COUNTED_ONE_BY_ONE:
        return None
    return "numbers" if match[0].lower().startswith("nos") else "number"


def _docket(match: re.Match[str]) -> str:
    """Read the "No. 22-451" of a court."""
    return f"number {number_words(match['term'])} {name_number(match['number'])}"


def _before_number(match: re.Match[str]) -> str:
    return BEFORE_NUMBERS[match["word"]]


_UNITS_OF_ARMIES = {"Bn": "Battalion", "Bde": "Brigade", "Div": "Division"}


def _unit_of_army(match: re.Match[str]) -> str:
    """Read the "Bn." of "2nd Bn."."""
    return _UNITS_OF_ARMIES[match["word"]] + ("." if _ends_text(match) else "")


_AFTER_SCORES = {"pens": "penalties", "pen": "penalties", "agg": "aggregate"}


def _after_score(match: re.Match[str]) -> str | None:
    """Read "4-2 on pens" and "5-5 agg"."""
    before = match.string[max(0, match.start() - 12) : match.start()]
    return _AFTER_SCORES[match["word"]] if re.search(r"[0-9][-–][0-9]{1,2}\s(?:on\s)?$", before) else None


def _roman(match: re.Match[str]) -> str | None:
    """Read the number after a monarch's name as an ordinal, after "Chapter" and the like as a cardinal."""
    written, before = match["roman"], word_before(match)
    if not _ROMAN_NUMBER.fullmatch(written) or not written:
        return None
    values = [_ROMAN[letter] for letter in written]
    number = sum(-v if v < w else v for v, w in zip(values, [*values[1:], 0], strict=True))
    if before in REGNAL and (written != "I" or not _is_pronoun(match)):
        return f"the {ordinal(number)}"
    if len(written) > 1 and before.istitle() and written in _CLEAR_ROMAN:
        is_ruler = _RULER.search(match.string[max(0, match.start() - 60) : match.start()])
        return f"the {ordinal(number)}" if is_ruler else cardinal(number)
    if before in NUMBERED and (written != "I" or not _is_pronoun(match)):
        return cardinal(number)
    return None


def _is_pronoun(match: re.Match[str]) -> bool:
    return word_after(match).lower() in _AFTER_PRONOUN or match.string[match.end() : match.end() + 1] in (
        "'",
        "’",
    )


def _capitals(match: re.Match[str]) -> str | None:
    """Read a word in capitals, with its plural or possessive ending."""
    word, end = match["word"], match["end"] or ""
    if word in ACRONYMS:
        return word.capitalize() + end
    if word in SPECIAL:
        return SPECIAL[word] + end
    known = word in INITIALISMS
    if not known and (_is_shouted(match) or word in CAPITALISED_WORDS or not _is_spelled(word)):
        return None
    if known and word in ("US", "IT", "WHO", "OK", "LA") and _is_shouted(match):
        return None
    if end not in ("s", "'s", "’s"):
        return letters(word) + end
    return f"{inflected(word)}'s"


def _is_spelled(word: str) -> bool:
    return len(word) <= _MAX_SPELLED or not re.search("[AEIOUY]", word)


def _is_shouted(match: re.Match[str]) -> bool:
    """Return whether the words around are in capitals, too, as in a headline."""
    text = match.string
    around = f"{text[max(0, match.start() - 40) : match.start()]} {text[match.end() : match.end() + 40]}"
    words = [
        word
        for word in re.findall(r"[A-Za-z]{4,}", around)
        if word not in INITIALISMS | ACRONYMS and re.search("[AEIOUYaeiouy]", word)  # "HTTP" is no word
    ]
    return bool(words) and 2 * sum(word.isupper() for word in words) > len(words)


def _special(match: re.Match[str]) -> str:
    words = SPECIAL[match["word"]]
    if match["end"] is None:
        return words
    is_spelled = re.fullmatch(r"(?:[A-Z]\.)+[A-Z]", words)
    return (inflected(words.replace(".", "")) if is_spelled else words) + "'s"


def _series(match: re.Match[str]) -> str:
    """Read "A350-1000"."""
    return f"{_lettered(match)} {name_number(match['series'])}"


def _lettered(match: re.Match[str]) -> str | None:
    """Read names of letters and numbers: "A380", "H5N1", "G7", "F-16", "COP29", "Covid-19"."""
    words: list[str] = []
    parts = re.findall(r"[A-Za-z]+|[0-9]+(?:\.[0-9]+)?", match["name"])
    for position, part in enumerate(parts):
        if part[0] in "0123456789":
            words.append(number_words(part) if "." in part else name_number(part))
        elif part in ACRONYMS or part == "COP":
            words.append(part.capitalize())
        elif part.isupper() and (len(part) <= _MAX_SPELLED or part in INITIALISMS):
            follows = position + 1 < len(parts)
            words.append(alone(part) if len(part) == 1 and follows else letters(part))
        else:
            words.append(part)
    end = match["end"]
    if end == "s" and parts[-1][0] in "0123456789":
        return plural(" ".join(words).replace("- ", "-"))
    return " ".join(words).replace("- ", "-") + ("'s" if end else "")


def _variant(match: re.Match[str]) -> str:
    """Read names of variants: "XBB.1.5", "B.1.1.7"."""
    numbers = match["numbers"][1:].split(".")
    between = " point " if len(numbers) == 2 else " "
    return (
        f"{alone(match['letters']) if len(match['letters']) == 1 else letters(match['letters'])} "
        + between.join(cardinal(int(number)) for number in numbers)
    )


def _aircraft(match: re.Match[str]) -> str | None:
    """Read "737-800" after "Boeing", and flight numbers."""
    before = word_before(match)
    if before in ("Boeing", "Airbus", "Dreamliner") or word_after(match).upper() == "MAX":
        first = digits(match["type"]) if match["type"][0] == "7" else name_number(match["type"])
        series = f" {name_number(match['series'])}" if match["series"] else ""
        return first + series + ("s" if match["plural"] else "")
    return None


def _joined(match: re.Match[str]) -> str:
    """Read "S&P", "M&S" and "R&D"."""
    return " and ".join(letters(part) if part.isupper() else part for part in match[0].split("&"))


def _alone(match: re.Match[str]) -> str:
    return ALONE[match[0]]


def _sign(match: re.Match[str]) -> str:
    return SIGNS[match[0]]


def _either(match: re.Match[str]) -> str:
    return f"{match['first']} {match['second']}"


_AFTER = r"(?![\w])"
ABBREVIATED: tuple[Rule, ...] = (
    rule("d", r"(?P<type>7[0-9]7|[0-9]{3})(?:-(?P<series>[0-9]{1,4}))?(?P<plural>s)?(?![\w-])", _aircraft),
    rule("l", r"pp?\.(?=\s?[0-9])", _pages),
    rule("ld", rf"(?P<word>{_alternatives(SPECIAL)})(?P<end>['’]s)?{_AFTER}(?!['’-])", _special),
    rule("d", r"(?P<type>7[0-9]7)X(?![\w])", lambda match: f"{digits(match['type'])} X"),
    rule("l", r"(?P<name>[A-Z]{1,3}[0-9]{2,3})(?P<end>(?!))?-(?P<series>[0-9]{2,4})(?![\w-])", _series),
    rule("l", r"nr\.?(?=\s[A-Z])", lambda match: "near"),
    rule("l", r"est\.(?=\s?[-+−£$€0-9])(?!\s?[12][0-9]{3}(?![0-9,.]))", lambda match: "estimated"),
    rule("l", rf"(?:{_alternatives(ABBREVIATIONS)}){_AFTER}(?!['’])", _abbreviation),
    rule("l", rf"(?:{_alternatives(ALONE)}){_AFTER}", _alone),
    rule("l", rf"(?P<word>{_alternatives(BEFORE_NUMBERS)})\.(?=\s?[0-9])", _before_number),
    rule("l", rf"(?<=(?:st|nd|rd|th)\s)(?P<word>{'|'.join(_UNITS_OF_ARMIES)})\b\.?", _unit_of_army),
    rule("l", rf"(?P<word>{_alternatives(_AFTER_SCORES)})(?![\w])\.?", _after_score),
    rule("l", r"[Aa]gg\.?(?=[ ][0-9])", lambda match: "aggregate"),
    rule("l", r"KO(?=[ ][0-9]{1,2}[:.][0-9]{2})", lambda match: "kick-off"),
    rule("l", r"(?P<half>[HF])T(?=[ ][0-9]{1,2}[-–][0-9])", _half_of_match),
    rule("l", r"bt(?=\s[A-Z])", lambda match: "beat" if word_before(match)[:1].isupper() else None),
    rule("l", rf"(?P<points>[NSEW])\.(?=\s(?:{'|'.join(_HALVES)})\b)", _compass),
    rule("l", r"(?P<points>[NS][EW])(?=\s[A-Z][a-z]{2,})", _compass),
    rule("l", r"(?:Hwy|Rte)(?=\s[0-9])", lambda match: BEFORE_NUMBERS[match[0]]),
    rule("l", r"s\.(?=\s?[0-9]{1,3}\b.{0,30}\bAct\b)", lambda match: "section"),
    rule("l", r"No\.(?=\s[A-Z]{1,5}[-/ ]?[0-9])", lambda match: "number"),
    rule("l", r"No\.\s?(?P<term>[0-9]{2})-(?P<number>[0-9]{3,4})(?![\w-])", _docket),
    rule("l", r"[Vv]it(?P<many>s)?\.?(?=\s[A-EK]\b)", _vitamins),
    rule("l", r"Gen(?=\s[XYZ]\b(?!\.\s?[A-Z]))", lambda match: "Gen"),
    rule("l", rf"(?P<title>{_alternatives(TITLES)})\.?-(?=(?:Gen|Col|Cdr|Cmdr|Gov)\b)", _rank),
    rule("l", r"(?P<name>[AM][0-9]{1,3})(?P<end>(?!))?\(M\)", lambda match: f"{_lettered(match)} M"),
    rule("l", r"[Rr]et\.(?=\))", lambda match: "retired"),
    rule("l", r"(?:Nos?\.?|nos?\.)(?=\s?[0-9])(?!\.?\s?[0-9.,]{1,12}\s?(?:%|pc|per[ ]cent))", _numbers),
    rule(
        "l", rf"(?P<title>{_alternatives(TITLES)})(?:\.(?=\s?[A-Z])|\.?(?=\s(?:(?:and|&)\s)?[A-Z]))", _title
    ),
    rule("l", rf"(?P<word>{_alternatives(AFTER_NAMES)})(?:\.|(?![\w'’.]))", _after_name),
    rule("l", r"v\.?(?=\s[A-Z])", _versus),
    rule("l", r"(?P<roman>[IVXLC]{1,8})(?![\w]|['’](?!s))", _roman),
    rule("l", r"(?P<letters>[A-Z]{1,3})(?P<numbers>(?:\.[0-9]{1,3}){1,4})(?![\w]|[.,][0-9])", _variant),
    rule("l", rf"(?P<word>[A-Z]{{2,6}})(?P<end>s|['’]s?)?{_AFTER}(?!&[A-Za-z]|-[0-9])", _capitals),
    rule("l", r"(?P<letters>(?:[A-Za-z]\.){1,11}[A-Za-z])(?P<end>['’]?s)?(?![\w.])", _initials),
    rule("l", r"(?P<letters>[A-Za-z]\.(?:[ ]?[A-Za-z]\.){1,11})(?P<end>['’]s)?(?![\w])", _initials),
    rule("l", r"(?P<letters>[A-Z]\.)(?P<end>(?!))?(?=\s[A-Z])", _initials),
    rule("l", r"[A-Z][A-Za-z]{0,3}(?:&[A-Z][A-Za-z]{0,3}){1,2}(?![\w])", _joined),
)
NAMES: tuple[Rule, ...] = (
    rule(
        "ld",
        r"""(?P<name>(?:[A-Za-z]{1,20}[0-9]{1,4}|[A-Z]{1,5}-[0-9]{1,4}|[A-Z][a-z]{1,20}-[0-9]{1,3}(?!s)
        |[0-9]{1,4}[A-Za-z]{1,8})(?:(?!s\b)[A-Za-z]{1,8}|[0-9]{1,4}|(?<=[0-9])\.[0-9]){0,6})
        (?P<end>['’]?s)?(?![\w])""",
        _lettered,
    ),
)
SIGNED: tuple[Rule, ...] = (
    rule("s", r"[-−](?=[0-9$£€¥.])(?<![\w)\]][-−])", lambda match: "minus "),
    rule("s", r"\+(?=[0-9$£€¥])(?<![\w)]\+)", lambda match: "plus "),
    rule("s", r"(?<=[^\W\d_])/(?=[^\W\d_])", lambda match: " "),
    rule("s", r"(?<=T)/(?=[0-9]{1,2}(?:[.:][0-9]{2})?\s?[ap]\.?m)", lambda match: "or"),
    rule("s", r"/(?=100\s?km\b)", lambda match: " per "),
    rule("s", r"/(?<=[0-9][CF]/)(?=[0-9])", lambda match: " or "),
    rule("s", r"/(?<=[A-Z0-9]/)(?=[A-Z0-9])", lambda match: " "),
    rule("s", r"[-–](?<=[QH][1-4][-–])(?=[QH][1-4])", lambda match: " to "),
    rule("s", r"\*(?<=[IV0-9]\*)(?=\s[a-z]|[.,;:)]|$)", lambda match: " star"),
    rule("s", r"=(?<=\(=)(?=\))", lambda match: "unchanged"),
    rule("s", r"[~≈](?=\s?[0-9$£€])", lambda match: "about "),
    rule("s", r"<(?=\s?[0-9$£€])", lambda match: "less than "),
    rule("s", r">(?=\s?[0-9$£€])", lambda match: "more than "),
    rule("s", rf"[{''.join(re.escape(sign) for sign in SIGNS)}]", _sign),
)
