"""Addresses of pages and e-mail, handles, hashtags, telephone numbers and versions."""

from __future__ import annotations

import re

from newscaster.speech.spoken.english.numbers import cardinal, digits, name_number, number_words
from newscaster.speech.spoken.english.rule import Rule, rule, word_after, word_before, words
from newscaster.speech.spoken.english.words import ACRONYMS, INITIALISMS

_DOMAINS = """com org net info gov edu mil int biz news app dev blog tv io ai co uk us eu fr de es it nl ie ca
au nz in jp cn ru ch at be se no dk ly fi pl pt br mx za ke ng scot wales london me""".split()  # noqa: SIM905
_SPOKEN_DOMAINS = words("""com org net info gov biz news app dev blog co int scot wales london me mil""")
"""Ends of addresses that are read as words; others are spelled."""
_SIGNS = {
    **{".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "?": "question mark"},
    **{"=": "equals", "&": "and", "#": "hash", "%": "per cent", "+": "plus", "~": "tilde", ":": "colon"},
}
_PART = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+|.")
_CAMEL = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z'’]+|[0-9]+|[A-Z]+|[^\W\d_]+")
_BEFORE_PHONES = re.compile(
    r"\b(?:call|dial|phone|ring|text|(?:call|text|phone)(?:ing)?(?:\s[A-Za-z]+){1,5}\s(?:on|to)|(?:help|hot)line(?:\son|:)?)\s$",
    re.IGNORECASE,
)
_AFTER_PHONES = words("""and anytime at between for free from in now on or to today tonight with""")
_EXCHANGES = {
    **{"NASDAQ": "Nasdaq", "Nasdaq": "Nasdaq", "NYSE": "N.Y.S.E", "AMEX": "Amex", "LSE": "L.S.E"},
    **{"ASX": "A.S.X", "TSX": "T.S.X", "HKEX": "H.K.E.X"},
}
"""Stock exchanges before a colon and a symbol."""
_VERSIONED = words("""android chrome debian firefox fedora ios java macos python ubuntu version windows""")
"""Words before a number whose parts after the full stop are numbers, not decimals."""


def _parts(address: str, *, spelled: frozenset[str] = frozenset()) -> str:
    """Return the words of an address."""
    words: list[str] = []
    for part in _PART.findall(address):
        if part[0] in "0123456789":
            words.append(digits(part) if len(part) > 4 or part[0] == "0" else name_number(part))
        elif part in _SIGNS:
            words.append(_SIGNS[part])
        elif part.isalpha():
            upper = part.upper()
            words.append(".".join(upper) if part in spelled or upper in INITIALISMS else part)
    return " ".join(words)


def _host_parts(host: str) -> str:
    labels = host.split(".")
    end = labels[-1].lower()
    spelled = frozenset() if end in _SPOKEN_DOMAINS else frozenset({labels[-1]})
    if labels[-2:-1] == ["ac"]:
        spelled |= {"ac"}
    return _parts(host, spelled=spelled)


def _page(match: re.Match[str]) -> str | None:
    """Read an address of a page, without protocol and "www."."""
    host, path = match["host"], match["path"] or ""
    if not match["protocol"] and host.rpartition(".")[2].lower() not in _DOMAINS:
        return None
    words = _host_parts(re.sub(r"^www\.", "", host))
    return f"{words} {_parts(path)}" if path.strip("/") else words


def _mail(match: re.Match[str]) -> str:
    return f"{_parts(match['name'])} at {_host_parts(match['host'])}"


def _split(name: str) -> str:
    """Return the words of a name in camel case."""
    words: list[str] = []
    for part in _CAMEL.findall(name):
        if part[0] in "0123456789":
            words.append(name_number(part) if len(part) <= 4 else digits(part))
        else:
            is_spelled = part.isupper() and 1 < len(part) <= 3 and part not in ("COP", *ACRONYMS)
            words.append(".".join(part) if is_spelled or part in INITIALISMS else part)
    return " ".join(words)


def _ticker(match: re.Match[str]) -> str:
    """Read "NYSE: BRK.B", "$TSLA" and "(AAPL.O)"."""
    exchange = match["exchange"]
    symbol = ".".join(match["symbol"].replace(".", ""))
    return f"{_EXCHANGES[exchange]}, {symbol}" if exchange else symbol


def _hashtag(match: re.Match[str]) -> str:
    return f"hashtag {_split(match['name'])}"


def _handle(match: re.Match[str]) -> str:
    return f"at {_split(match['name'])}"


def _number_sign(match: re.Match[str]) -> str:
    return f"number {number_words(match['number'])}"


def _phone(match: re.Match[str]) -> str:
    """Read digits in their groups; American numbers without a charge are "one eight hundred"."""
    groups = [digits(group) for group in re.findall(r"[0-9]+", match[0])]
    if match[0].startswith("1-800"):
        groups[:2] = ["one eight hundred"]
    words = ", ".join(groups)
    return f"plus {words}" if match[0].startswith("+") else words


def _short_phone(match: re.Match[str]) -> str | None:
    """Read "call 116 123" and "text 85258"."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    after = word_after(match)
    if not _BEFORE_PHONES.search(before) or (after and after not in _AFTER_PHONES):
        return None
    return ", ".join(digits(group) for group in match[0].split())


def _book_number(match: re.Match[str]) -> str | None:
    """Read "ISBN 978-3-16-148410-0" digit by digit."""
    if word_before(match) not in ("ISBN", "ISSN"):
        return None
    groups = [
        " ".join((digits(group.rstrip("X")), *group[len(group.rstrip("X")) :]))
        for group in match[0].split("-")
    ]
    return ", ".join(group.strip() for group in groups)


def _version(match: re.Match[str]) -> str:
    words = " point ".join(number_words(part) for part in match["number"].split("."))
    return f"version {words}" if match["v"] else words


def _named_version(match: re.Match[str]) -> str | None:
    if word_before(match).lower() not in _VERSIONED:
        return None
    return " point ".join(cardinal(int(part)) for part in match["number"].split("."))


_HOST = r"(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,12})"
ADDRESSES: tuple[Rule, ...] = (
    rule("ld", rf"(?P<name>[A-Za-z0-9][\w.+-]{{0,63}})@{_HOST}(?![\w-])", _mail),
    rule(
        "ld",
        rf"(?P<protocol>https?://|www\.(?=\w))?{_HOST}(?::[0-9]{{1,5}})?(?![\w@-])(?P<path>/[\w./?=&#%+~@-]{{0,200}}(?<=[\w/]))?",
        _page,
    ),
    rule("s", r"(?<![\w&])\#(?P<number>[0-9]{1,9})(?![\w])", _number_sign),
    rule("s", r"(?<![\w&])\#(?P<name>[^\W_0-9]\w{0,80})", _hashtag),
    rule("s", r"(?<![\w.])@(?P<name>[A-Za-z0-9]\w{0,40})", _handle),
)
TICKERS: tuple[Rule, ...] = (
    rule(
        "l",
        rf"(?P<exchange>{'|'.join(_EXCHANGES)}):\s?"
        r"(?P<symbol>[A-Z]{1,5}(?:\.[A-Z]{1,2})?(?=\))|[A-Z]{2,5}(?:\.[A-Z]{1,2})?(?=[.,;]?(?:\s[a-z(]|$)))",
        _ticker,
    ),
    rule("s", r"(?P<exchange>(?!))?\$(?P<symbol>[A-Z]{1,5}(?:\.[A-Z]{1,2})?)(?![\w])", _ticker),
    rule("l", r"(?P<exchange>(?!))?(?<=\()(?P<symbol>[A-Z]{1,5}\.[A-Z]{1,2})(?=\))(?<!U\.S)", _ticker),
)
PHONES: tuple[Rule, ...] = (
    rule("d", r"[0-9](?:-?[0-9]){6,12}(?:-?X)?(?![\w-])", _book_number),
    rule(
        "s",
        r"""(?<![\w])\+(?=(?:[\s()-]{0,2}[0-9]){8})[1-9][0-9]{0,3}(?:[\s-]?\(?[0-9]{1,5}\)?){2,6}
        (?![\w]|[.,][0-9])""",
        _phone,
    ),
    rule("s", r"\([0-9]{3,5}\)[ ][0-9]{3,4}[ -][0-9]{3,4}(?![\w])", _phone),
    rule("d", r"0[0-9]{2,4}[ -][0-9]{3,4}[ -]?[0-9]{3,4}(?![\w]|[.,][0-9])", _phone),
    rule("d", r"0[38][0-9]{2}[ ][0-9]{4,7}(?![\w]|[.,][0-9])", _phone),
    rule("d", r"(?:1-)?[0-9]{3}-[0-9]{3}-[0-9]{4}(?![\w-])", _phone),
    rule("d", r"[0-9]{3}-[0-9]{4}(?![\w-])", _phone),
    rule("d", r"(?:[0-9]{3}[ ][0-9]{3}|[0-9]{5,6})(?![\w]|[.,][0-9])", _short_phone),
)
VERSIONS: tuple[Rule, ...] = (
    rule("ld", r"(?P<v>v\.?\s?)?(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9}){2,5})(?![\w]|[.,][0-9])", _version),
    rule("l", r"(?P<v>v\s?)(?P<number>[0-9]{1,4}(?:\.[0-9]{1,9})?)(?![\w]|[.,][0-9])", _version),
    rule("d", r"(?P<number>[0-9]{1,4}\.[0-9]{1,4})(?![\w]|[.,][0-9])", _named_version),
)
