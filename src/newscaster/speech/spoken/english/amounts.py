"""Money, percentages, temperatures, measures, ranges, scores and fractions."""

from __future__ import annotations

import re

from newscaster.speech.spoken.english.numbers import (
    NUMBER,
    VULGAR_FRACTIONS,
    cardinal,
    digits,
    fraction,
    is_one,
    number_words,
    ordinal,
    plural,
)
from newscaster.speech.spoken.english.rule import (
    Rule,
    between,
    is_attribute,
    rule,
    text_around,
    word_after,
    word_before,
    words,
)
from newscaster.speech.spoken.english.units import SCALES, UNIT_NAMES, UNITS

_TO = r"\s?[-–—]\s?"
_LENGTHS = words(
    """above ahead away back behind below butterfly backstroke breaststroke clear dash deep final freestyle
    from heats high hurdles long medley off race rowing runner semi-final sprint swim tall thick wide
    relay"""
)
"""Words after "100m" that make it metres."""
_BEFORE_LENGTHS = words("""cleared hurled jumped leapt threw vaulted""")
_DIMENSIONS = re.compile(r"-(?:deep|high|long|old|range|strong|tall|thick|wide)\b")
_GUNS = words(
    """ammunition bullet bullets cannon film gun guns handgun lens pistol pistols rifle round rounds shells"""
)
"""Nouns that a calibre describes."""
_DISTANCES = words("""50 60 100 110 200 400 800 1500 1,500 3000 3,000 5000 5,000 10,000""")
_BEFORE_DISTANCES = words("""the men's women's men’s women’s ran run runs running swam swum over indoor""")
_SCORES = re.compile(
    r"""\b(?:aggregate|beat|beaten|beats|champions|cup|deuce|defeat|defeated|draw|drawn|drew|goal|goals|
    half-time|lead|leading|leads|league|led|lose|loses|losing|loss|lost|match|penalties|scored?|series|set|
    sets|thrashed|tie|tied|tie-?break|trail|trailed|trailing|victory|win|winning|wins|won|v)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_VOTES = re.compile(
    r"\b(?:bill|court|house|judges|justices|majority|motion|MPs|passed|senate|vote[ds]?|voting)\b",
    re.IGNORECASE,
)
_WICKETS = re.compile(
    r"\b(?:all out|batted|batting|bowled|chasing|dec|declared|innings|overs|stumps|tea|wickets?)\b",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"\b(?:call|called|calling|dial|dialled|dialed|ring|rang|phone)\s(?:[0-9 ,]{1,40}\sor\s)?$", re.IGNORECASE
)
"""Before the number that is called; another one may stand between."""
_ODDS = re.compile(r"\b(?:bookies|bookmakers?|odds|priced)\b", re.IGNORECASE)
_AFTER_ODDS = words("""chance favourite favourites favorite favorites outsider outsiders shot""")
_WORK = words("""grind hours job jobs life office shift shifts work worker workers""")
"""Words after "9-5"."""
_AFTER_METRES = re.compile(r"\s(?:in\s[0-9]{1,2}[:.][0-9]{2}|(?:per|a)\ssecond\b)")
"""A time, or the second that a speed is per."""
_SCALES = words("""bn m million mn billion thousand tn trillion hundred""")
_FRACTION_DENOMINATORS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100})


def _spread(match: re.Match[str]) -> tuple[str, bool]:
    """Return the words of an amount or a range of two, and whether it takes the singular."""
    low, high = match["amount"], match["to"]
    words = _mixed(low)
    if high is None:
        return words, is_one(low)
    minus = "minus " if match["minus"] else ""
    return f"{words} {between(match)} {minus}{_mixed(high)}", False


def _mixed(written: str) -> str:
    """Return a number that may end with a fraction, such as "2½"."""
    if written[-1] not in VULGAR_FRACTIONS:
        return number_words(written)
    part = fraction(*VULGAR_FRACTIONS[written[-1]])
    whole = written[:-1].strip()
    return f"{number_words(whole)} and {part}" if whole else part


def _percentage(match: re.Match[str]) -> str:
    words, single = _spread(match)
    unit = match["unit"]
    if unit in ("pp", "ppt", "ppts"):
        return f"{words} percentage point{'' if single else 's'}"
    if unit in ("bp", "bps"):
        return f"{words} basis point{'' if single or is_attribute(match) else 's'}"
    return f"{words} {'per mille' if unit == '‰' else 'per cent'}"


def _temperature(match: re.Match[str]) -> str:
    words, single = _spread(match)
    scale = {"C": " Celsius", "F": " Fahrenheit", None: ""}[match["scale"]]
    return f"{words} degree{'' if single else 's'}{scale}"


_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _coordinate(match: re.Match[str]) -> str:
    """Read "51.5°N" and "51°30′N"."""
    words = f"{number_words(match['degrees'])} degree{'' if is_one(match['degrees']) else 's'}"
    for name in ("minutes", "seconds"):
        if match[name]:
            count = str(int(match[name]))
            words += f" {cardinal(int(count))} {name[:-1] if is_one(count) else name}"
    return f"{words} {_DIRECTIONS[match['direction']]}"


def _measure(match: re.Match[str]) -> str | None:
    """Read "5km", "10-15 mph", "6ft", "2m"."""
    unit = match["unit"]
    before = match.string[match.start() - 1 : match.start()]
    is_plural = (before in "-‑" and before) or "," in match["amount"] or _is_plural(match)
    if unit == "s" and is_plural:
        return None
    words, single = _spread(match)
    if unit in ("in", "t") and match["gap"]:
        return None
    if unit == "m" and not match["gap"] and not _is_metres(match):
        return f"{words} million"
    if unit in ("K", "k", "bn", "tn", "mn"):
        is_distance = unit in "Kk" and word_after(match) in ("run", "race", "runs", "races", "runner")
        return f"{words} {'K' if unit == 'K' or is_distance else SCALES[unit]}"
    if unit == "m" and words == "one thousand five hundred":
        words = "fifteen hundred"
    one, many = UNITS[unit]
    is_calibre = unit == "mm" and word_after(match) in _GUNS
    is_single = single or is_calibre or match["gap"] == "-" or is_attribute(match)
    is_single = is_single or _DIMENSIONS.match(match.string, match.end()) is not None
    return f"{words} {one if is_single else many}"


def _is_plural(match: re.Match[str]) -> bool:
    """Return whether "s" makes a plural, not seconds: "10s of thousands", "737 Max 9s", "the 00s"."""
    amount = match["amount"]
    if match["gap"] or not amount.isdecimal():
        return False
    is_many = amount in ("10", "100", "1000") and word_after(match) == "of"
    return is_many or amount == "00" or word_before(match) in ("Max", "MAX")


def _is_metres(match: re.Match[str]) -> bool:
    """Return whether "m" without a space is metres; otherwise it is million."""
    if word_after(match) in _LENGTHS or _is_converted(match):
        return True
    before = word_before(match).lower()
    if "," in match["amount"]:
        return True
    if (before in ("above", "below") and not word_after(match)) or before in _BEFORE_LENGTHS:
        return True
    if _AFTER_METRES.match(match.string, match.end()):
        return True
    if match["amount"] in _DISTANCES and word_before(match).lower() in _BEFORE_DISTANCES:
        return True
    return is_attribute(match) and word_after(match) in (
        [
            "barrier",
            "drop",
            "fall",
            "fence",
            "gap",
            "hole",
            "pool",
            "rise",
            "statue",
            "tower",
            "trench",
            "tsunami",
            "wall",
            "wave",
            "waves",
            "yacht",
        ]
    )


def _is_converted(match: re.Match[str]) -> bool:
    """Return whether feet are given beside an amount, as in "40ft (12m)"."""
    before = match.string[max(0, match.start() - 12) : match.start()]
    after = match.string[match.end() : match.end() + 12]
    return bool(
        re.search(r"(?:ft|feet|foot)\s\($", before) or re.match(r"\s\([0-9.,]+\s?-?(?:ft|feet)", after)
    )


def _per(match: re.Match[str]) -> str:
    """Read a measure per another one: "9.8 m/s", "10 µg/m³"."""
    words, single = _spread(match)
    one, many = UNITS[match["unit"]]
    return f"{words} {one if single else many} per {UNITS[match['per']][0]}"


def _feet_inches(match: re.Match[str]) -> str:
    words = f"{number_words(match['feet'])} foot {number_words(match['inches'])}"
    if match["unit"] not in ("in", "ins"):
        return words
    return words + (" inch" if is_attribute(match) or is_one(match["inches"]) else " inches")


def _times(match: re.Match[str]) -> str:
    """Read "4x100m", "4 × 4" and "3x"."""
    if match["to"] is None:
        return f"{number_words(match['amount'])} times"
    words = f"{number_words(match['amount'])} by {number_words(match['to'])}"
    return f"{words} {UNITS[match['unit']][1]}" if match["unit"] else words


def _slash(match: re.Match[str]) -> str | None:
    """Read fractions, marks and pairs: "3/4", "7/8ths", "4/5 stars", "24/7", "9/11"."""
    top, bottom = int(match["top"]), int(match["bottom"])
    after = word_after(match)
    if after in ("star", "stars"):
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if match["whole"] is None and (top, bottom) in ((24, 7), (9, 11), (7, 7), (50, 50), (20, 20)):
        return f"{cardinal(top)} {cardinal(bottom)}"
    if match["whole"] is None and _are_percentages(match, top, bottom):
        return f"{cardinal(top)} {cardinal(bottom)}"
    if match["whole"] is None and _are_odds(match):
        return f"{cardinal(top)} to {cardinal(bottom)}"
    if not 0 < top < bottom or not (match["suffix"] or bottom in _FRACTION_DENOMINATORS):
        return None if match["whole"] else f"{cardinal(top)} {cardinal(bottom)}"
    words = fraction(top, bottom)
    return f"{number_words(match['whole'])} and {words}" if match["whole"] else words


def _are_percentages(match: re.Match[str], first: int, second: int) -> bool:
    """Return whether two numbers are the parts of a hundred: "a 60-40 split", "the 80/20 rule"."""
    return first + second == 100 and word_after(match) in ("rule", "split", "share", "chance")


def _pressure(match: re.Match[str]) -> str | None:
    """Read the "120/80" of a blood pressure."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    if not re.search(r"\b(?:BP|[Bb]lood pressure)\b", before):
        return None
    return f"{number_words(match['top'])} over {number_words(match['bottom'])}"


def _inches(match: re.Match[str]) -> str:
    """Read the inches of a screen, written with a quotation mark."""
    return f"{number_words(match['amount'])} inch"


def _are_odds(match: re.Match[str]) -> bool:
    return word_after(match) in _AFTER_ODDS or _ODDS.search(text_around(match)) is not None


def _mark(match: re.Match[str]) -> str:
    """Read "9.5/10"."""
    return f"{number_words(match['top'])} out of {number_words(match['bottom'])}"


def _odds(match: re.Match[str]) -> str:
    """Read "100/1"."""
    return f"{number_words(match['top'])} to one"


def _formation(match: re.Match[str]) -> str:
    """Read "4-4-2"."""
    return digits(match[0])


def _vulgar(match: re.Match[str]) -> str:
    return _mixed(match[0])


def _pair(match: re.Match[str]) -> str:
    """Read two numbers with a hyphen: a score, a vote or a range."""
    first, second = match["first"], match["second"]
    as_range = f"{number_words(first)} {between(match)} {number_words(second)}"
    if "." in first + second or _are_odds(match):
        return as_range
    around = text_around(match)
    low, high = int(first.replace(",", "")), int(second.replace(",", ""))
    if _are_percentages(match, low, high):
        return f"{cardinal(low)} {cardinal(high)}"
    if (low, high) == (9, 5) and word_after(match) in _WORK:
        return as_range
    is_score = max(low, high) < 1000 and "," not in first + second
    is_score = is_score and (low >= high or re.fullmatch(r"[a-z]{3,}s", word_after(match)) is None)
    if is_score and low > high and high < 10 and _WICKETS.search(around):
        return f"{cardinal(low)} for {cardinal(high)}"
    if is_score and _VOTES.search(around):
        return f"{cardinal(low)} to {cardinal(high)}"
    if is_score and (low >= high or _SCORES.search(around)):
        return f"{_goals(low, match)} {_goals(high, match)}"
    return as_range


def _goals(count: int, match: re.Match[str]) -> str:
    is_tennis = re.search(r"\bsets?\b|[0-7][-–][0-7],? [0-7][-–][0-7]", text_around(match))
    return "nil" if count == 0 and not is_tennis else "love" if count == 0 else cardinal(count)


def _ordinal(match: re.Match[str]) -> str | None:
    """Read "21st"; "10st" is ten stone."""
    number = int(match["number"].replace(",", ""))
    is_teen = number // 10 % 10 == 1
    if match["suffix"] != ("th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")):
        return None
    return ordinal(number)


def _ordinals(match: re.Match[str]) -> str:
    """Read "13th-15th"."""
    return f"{ordinal(int(match['first']))} to {ordinal(int(match['last']))}"


def _ordinary(match: re.Match[str]) -> str:
    return number_words(match[0])


def _emergency(match: re.Match[str]) -> str | None:
    """Read the telephone numbers of emergencies."""
    before = match.string[max(0, match.start() - 60) : match.start()]
    is_call = _CALLED.search(before) or word_after(match).lower() in ("call", "calls", "caller", "operator")
    return digits(match[0]) if is_call else None


def _ratio(match: re.Match[str]) -> str:
    if match[0] == "50:50":
        return "fifty fifty"
    return _spread(match)[0]


def _unit_after_a(match: re.Match[str]) -> str | None:
    """Read "£5 a kg", "per MWh" and "3bn km"."""
    unit, before = match["unit"], word_before(match).lower()
    if len(unit) == 1 or unit == "in":
        return None
    if before in ("a", "per"):
        return UNITS[unit][0]
    is_counted = before.lstrip("0123456789.,") in _SCALES
    is_counted = is_counted or re.search(r"[0-9]/[0-9]{1,2}\s$", match.string[: match.start()]) is not None
    return UNITS[unit][1] if is_counted else None


def _members(match: re.Match[str]) -> str:
    """Read "49ers" and "76ers"."""
    return number_words(match["amount"]).removesuffix("e") + "ers"


def _plural_number(match: re.Match[str]) -> str:
    """Read "65s" and "20s" as "sixty-fives" and "twenties", and "4's" in "Channel 4's" as it is."""
    if match["mark"] and word_before(match)[:1].isupper():
        return f"{number_words(match['amount'])}'s"
    return plural(number_words(match["amount"]))


_AMOUNT = (
    rf"(?P<amount>{NUMBER}[½⅓⅔¼¾⅛⅜⅝⅞]?)"
    rf"(?:(?:%(?=[-–][0-9.,]+%))?{_TO}(?P<minus>[-−])?(?P<to>{NUMBER}[½⅓⅔¼¾]?))?"
)

AMOUNTS: tuple[Rule, ...] = (
    rule(
        "d",
        r"(?P<first>[0-9]{1,4})(?:st|nd|rd|th)[-–](?P<last>[0-9]{1,4})(?:st|nd|rd|th)(?![\w-])",
        _ordinals,
    ),
    rule("d", r"(?P<number>[0-9]{1,3}(?:,[0-9]{3})*|[0-9]{1,9})(?P<suffix>st|nd|rd|th)(?![\w])", _ordinal),
    rule("d", rf"{_AMOUNT}\s?(?P<unit>%|‰|(?:pc|pct|per[ ]?cent|ppts?|pp|bps?)\b)", _percentage),
    rule(
        "d",
        r"""(?P<degrees>[0-9]{1,3}(?:\.[0-9]+)?)\s?°\s?(?:(?P<minutes>[0-9]{1,2})[′'’]\s?)?
        (?:(?P<seconds>[0-9]{1,2})(?:″|"|′′|'')\s?)?(?P<direction>[NSEW])(?![A-Za-z])""",
        _coordinate,
    ),
    rule("d", rf"{_AMOUNT}\s?(?:°\s?)?(?P<scale>[CF])(?![\w'’&-])", _temperature),
    rule("d", rf"{_AMOUNT}\s?°(?P<scale>(?!))?", _temperature),
    rule(
        "d",
        r"(?P<feet>[0-9]{1,2})\s?(?:ft\s?(?P<inches>[0-9]{1,2})\s?(?P<unit>ins?|\")?)(?![\w.])",
        _feet_inches,
    ),
    rule("d", r"(?P<amount>[0-9]{1,3}\.[0-9]{1,2})\s?[\"″](?![\w])", _inches),
    rule("d", r"(?P<feet>[0-9])['′’](?P<inches>[0-9]{1,2})(?P<unit>[\"″])", _feet_inches),
    rule(
        "d",
        rf"(?P<amount>{NUMBER})\s?[x×]\s?(?:(?P<to>{NUMBER})(?:[ ]?(?P<unit>km|m|cm|mm|ft)\b)?|(?!\w))"
        r"(?<![ ])(?![\w]|\.[0-9])",
        _times,
    ),
    rule("d", rf"{_AMOUNT}\s?(?P<unit>{UNIT_NAMES})/(?P<per>{UNIT_NAMES})(?![\w²³])", _per),
    rule(
        "d",
        rf"{_AMOUNT}(?P<gap>[\s-])?(?P<unit>{UNIT_NAMES}|[Kk]|bn|tn|mn)(?![\w²³'’]|\.[0-9]|\.[a-z]\.)",
        _measure,
    ),
    rule("ds", rf"(?:[0-9]{{1,9}}\s?)?[{''.join(VULGAR_FRACTIONS)}]", _vulgar),
    rule("d", r"(?P<amount>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,4})(?P<mark>['’])?s(?![\w])", _plural_number),
    rule("d", r"(?P<amount>[0-9]{1,4})ers(?![\w])", _members),
    rule("s", r"(?<![\w.])\.(?P<part>[0-9]{1,6})(?![\w])", lambda match: f"point {digits(match['part'])}"),
)
PAIRS: tuple[Rule, ...] = (
    rule("d", r"(?P<amount>[0-9]{1,4}):(?P<minus>(?!))?(?P<to>[0-9]{1,4})(?![\w:]|\.[0-9])", _ratio),
    rule("l", rf"(?P<unit>{UNIT_NAMES})(?![\w/²³])", _unit_after_a),
    rule(
        "d",
        r"""(?:(?P<whole>[0-9]{1,4})\s)?(?P<top>[0-9]{1,2})[/⁄](?P<bottom>[0-9]{1,3})(?P<suffix>ths?|rds?|nds?)?
        (?![\w/]|[.,][0-9])""",
        _slash,
    ),
    rule("d", r"(?P<top>[0-9]{2,3})/(?P<bottom>[0-9]{2,3})(?![\w/]|[.,][0-9])", _pressure),
    rule("d", r"(?P<top>[0-9]{1,3}\.[0-9]{1,2})/(?P<bottom>[0-9]{1,3})(?![\w/]|[.,][0-9])", _mark),
    rule("d", r"(?P<top>[0-9]{3,4})/1(?![\w/]|[.,][0-9])", _odds),
    rule("d", r"[1-9](?:-[1-9]){2,3}(?![\w-]|[.,][0-9])", _formation),
    rule("d", rf"(?P<first>{NUMBER})[-–](?P<second>{NUMBER})(?![\w]|[-–][0-9]|[.,][0-9])", _pair),
    rule("d", r"(?:999|911|112|101|111|988)(?![\w]|[.,][0-9])", _emergency),
)
NUMBERS: tuple[Rule, ...] = (rule("d", NUMBER, _ordinary),)
