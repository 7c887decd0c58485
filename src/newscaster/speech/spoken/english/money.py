"""Amounts of money: signs, codes, ranges, and what they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newscaster.speech.spoken.english.numbers import NUMBER, cardinal, is_one, number_words
from newscaster.speech.spoken.english.rule import Rule, between, is_attribute, rule, text_around, word_before
from newscaster.speech.spoken.english.units import SCALES, UNIT_NAMES, UNITS

_TO = r"\s?[-–—]\s?"
_SIGNS = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "₽": ("rouble", "roubles", "", ""),
    "₺": ("lira", "lira", "", ""),
    "₪": ("shekel", "shekels", "", ""),
    "₿": ("bitcoin", "bitcoin", "", ""),
    "₦": ("naira", "naira", "", ""),
    "₱": ("peso", "pesos", "", ""),
    "₴": ("hryvnia", "hryvnias", "", ""),
    "฿": ("baht", "baht", "", ""),
    "₫": ("dong", "dong", "", ""),
}
"""One and many of each currency, and of its hundredth part."""
_COUNTRIES = {
    **{"US": "U.S", "A": "Australian", "AU": "Australian", "C": "Canadian", "CA": "Canadian"},
    **{"NZ": "New Zealand", "HK": "Hong Kong", "S": "Singapore", "NT": "Taiwan"},
    **{"USD": "U.S", "AUD": "Australian", "CAD": "Canadian"},
}
"""Before a sign."""
_SHORT = {
    **{"Rs": ("rupee", "rupees"), "R$": ("real", "reais")},
    **{"Kč": ("koruna", "korunas"), "Tk": ("taka", "taka")},
}
"""One and many of currencies that have short names of letters."""
_CODES = {
    **{"USD": ("U.S dollar", "U.S dollars"), "GBP": ("pound", "pounds"), "EUR": ("euro", "euros")},
    **{"JPY": ("yen", "yen"), "CNY": ("yuan", "yuan"), "RMB": ("yuan", "yuan"), "KRW": ("won", "won")},
    **{"CHF": ("Swiss franc", "Swiss francs"), "INR": ("rupee", "rupees"), "RUB": ("rouble", "roubles")},
    **{"AUD": ("Australian dollar", "Australian dollars"), "CAD": ("Canadian dollar", "Canadian dollars")},
    **{"HKD": ("Hong Kong dollar", "Hong Kong dollars"), "SEK": ("Swedish krona", "Swedish kronor")},
    **{"NZD": ("New Zealand dollar", "New Zealand dollars")},
    **{"SGD": ("Singapore dollar", "Singapore dollars")},
    **{"NOK": ("Norwegian krone", "Norwegian kroner"), "DKK": ("Danish krone", "Danish kroner")},
    **{"PLN": ("zloty", "zlotys"), "CZK": ("koruna", "korunas"), "HUF": ("forint", "forints")},
    **{"ZAR": ("rand", "rand"), "BRL": ("real", "reais"), "MXN": ("Mexican peso", "Mexican pesos")},
    **{"AED": ("dirham", "dirhams"), "ILS": ("shekel", "shekels")},
    **{"NGN": ("naira", "naira"), "KES": ("Kenyan shilling", "Kenyan shillings"), "THB": ("baht", "baht")},
    **{"UAH": ("hryvnia", "hryvnias"), "IDR": ("rupiah", "rupiah")},
}
"""One and many of the currencies of ISO 4217 that are in the news."""
_LINES = ("480", "720", "1080", "1440", "2160")
_SCREEN = re.compile(r"\b(?:[248]K|[0-9]+fps|display|HD|pixels?|resolution|screens?|streams?|videos?)\b")
"""Beside "1080p" that is a number of lines."""
_SCALES = "|".join(re.escape(scale) for scale in sorted(SCALES, key=len, reverse=True))
_SCALE = rf"(?:[\s-]?(?P<scale>{_SCALES})(?![A-Za-z0-9]))?"
_EACH = "barrel|day|gallon|hour|hr|litre|month|mth|night|person|pound|share|tonne|ton|week|wk|year|yr"
"""What a price or a rate is for, after a slash."""
_LONG = {"hr": "hour", "mth": "month", "wk": "week", "yr": "year"}
_MONEY_BEFORE = re.compile(rf"(?:[{''.join(_SIGNS)}](?:\s?{NUMBER}\s?(?:{_SCALES})?)?|[0-9](?:p|c|¢))$")


@dataclass(frozen=True, slots=True)
class _Currency:
    one: str
    many: str
    cent: str = ""
    cents: str = ""

    def read(self, amount: str) -> str:
        """Read an amount without a scale, such as "3.50"."""
        whole, _, part = amount.partition(".")
        if len(part) != 2 or not self.cents:
            return f"{number_words(amount)} {self.one if is_one(amount) else self.many}"
        count = int(part)
        small = f"{cardinal(count)} {self.cent if count == 1 else self.cents}"
        if whole.strip("0,") == "":
            return small
        words = f"{number_words(whole)} {self.one if is_one(whole) else self.many}"
        if count == 0:
            return words
        return f"{words} {cardinal(count)}" if count > 9 else f"{words} and {small}"


def _money(match: re.Match[str]) -> str:
    """Read "$1.2bn", "US$5", "£3.50", "€5-10m" and "$1.50-$2.25"."""
    one, many, cent, cents = _SIGNS[match["sign"]]
    country = f"{_COUNTRIES[match['country']]} " if match["country"] else ""
    one, many = country + one, country + many
    amount, to, scale = match["amount"], match["to"], match["scale"]
    each = _joined(match)
    is_single = is_attribute(match) or (each and word_before(match).lower() in ("a", "an"))
    currency = _Currency(one, one if is_single else many, cent, cents)
    if scale is None and (to is None or (match["first_scale"] is None and "." in amount + to)):
        return (
            f" {between(match)} ".join(currency.read(part) for part in (amount, to) if part is not None)
            + each
        )
    words = number_words(amount)
    if to is not None:
        first = match["first_scale"]
        if first is not None and (scale is None or SCALES[first] != SCALES[scale]):
            words += f" {SCALES[first]}"
        words = f"{words} {between(match)} {number_words(to)}"
    return f"{words} {SCALES[scale]} {currency.many}{each}" if scale else f"{words} {currency.many}{each}"


def _joined(match: re.Match[str]) -> str:
    """Return the words of the "-a-" in "£5m-a-year"."""
    return f" {match['each'].strip('-')} " if match["each"] else ""


def _amount_of(match: re.Match[str], one: str, many: str) -> str:
    scale = match["scale"]
    words = number_words(match["amount"]) + (f" {SCALES[scale]}" if scale else "")
    is_single = is_attribute(match) or (is_one(match["amount"]) and not scale)
    return f"{words} {one if is_single else many}"


def _code(match: re.Match[str]) -> str:
    """Read "USD 5m" and "5m USD"."""
    return _amount_of(match, *_CODES[match["code"]])


def _short(match: re.Match[str]) -> str:
    """Read "Rs 500 crore" and "R$2bn"."""
    return _amount_of(match, *_SHORT[match["short"].rstrip(".")])


def _rand(match: re.Match[str]) -> str:
    return _amount_of(match, "rand", "rand")


def _pence(match: re.Match[str]) -> str | None:
    if match["amount"] in _LINES and _SCREEN.search(text_around(match)):
        return f"{number_words(match['amount'])} P"
    count, sign = match["amount"], match["sign"]
    one, many = ("penny", "pence") if sign == "p" else ("cent", "cents")
    return f"{number_words(count)} {one if is_one(count) or is_attribute(match) else many}{_joined(match)}"


def _rate(match: re.Match[str]) -> str:
    """Read "£/$" and "EUR/USD"."""
    names = {**_SIGNS, **_CODES, "USD": ("dollar",)}
    return f"{names[match['first']][0]} {names[match['second']][0]}"


def _each(match: re.Match[str]) -> str:
    each = _LONG.get(match["each"], match["each"])
    return f"{'an' if each == 'hour' else 'a'} {each}"


def _each_unit(match: re.Match[str]) -> str | None:
    """Read the "/kg" of "£5/kg"."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    if not _MONEY_BEFORE.search(before):
        return None
    unit = UNITS[match["unit"]][0]
    return f"{'an' if unit.startswith(('hour', 'ounce')) else 'a'} {unit}"


MONEY: tuple[Rule, ...] = (
    rule(
        "sl",
        rf"""(?P<country>{"|".join(_COUNTRIES)})?(?P<sign>[{"".join(_SIGNS)}])\s?(?P<amount>{NUMBER})
        (?:(?:[\s-]?(?P<first_scale>{_SCALES}))?{_TO}[{"".join(_SIGNS)}]?(?P<to>{NUMBER}))?{_SCALE}(?P<each>-an?-)?""",
        _money,
    ),
    rule("s", rf"(?P<first>[{''.join(_SIGNS)}])/(?P<second>[{''.join(_SIGNS)}])(?!\s?[0-9])", _rate),
    rule("l", rf"(?P<first>{'|'.join(_CODES)})/?(?P<second>{'|'.join(_CODES)})(?![\w])", _rate),
    rule("l", rf"(?P<code>{'|'.join(_CODES)})\s?(?P<amount>{NUMBER}){_SCALE}", _code),
    rule("d", rf"(?P<amount>{NUMBER}){_SCALE}\s?(?P<code>{'|'.join(_CODES)})\b", _code),
    rule(
        "l",
        rf"(?P<short>{'|'.join(re.escape(name) for name in _SHORT)})\.?\s?(?P<amount>{NUMBER}){_SCALE}",
        _short,
    ),
    rule("l", rf"R\s?(?P<amount>{NUMBER})(?:[\s-]?(?P<scale>m|bn|tn|million|billion|trillion)(?!\w))", _rand),
    rule("d", rf"(?P<amount>{NUMBER})(?P<sign>p|c|¢)(?![\w°]|\.m)(?P<each>-an?-)?", _pence),
    rule("s", rf"/(?P<each>{_EACH})(?!\w)", _each),
    rule("s", rf"/(?P<unit>{UNIT_NAMES})(?![\w/²³])", _each_unit),
)
