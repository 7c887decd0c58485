"""Dates, years, decades, and times of the day."""

from __future__ import annotations

import re

from newscaster.speech.spoken.english.numbers import (
    cardinal,
    digits,
    is_one,
    number_words,
    ordinal,
    plural,
    year,
)
from newscaster.speech.spoken.english.rule import Rule, rule, word_after, word_before, words

MONTHS = """January February March April May June July August September October November December""".split()  # noqa: SIM905
_SHORT_MONTHS = {name[:3]: name for name in MONTHS} | {"Sept": "September"}
_DAYS = {
    **{"Mon": "Monday", "Tues": "Tuesday", "Tue": "Tuesday", "Weds": "Wednesday", "Wed": "Wednesday"},
    **{"Thurs": "Thursday", "Thur": "Thursday", "Thu": "Thursday"},
    **{"Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday"},
}
_STOP = r"(?:\.(?!\W{0,60}$))?"
"""The full stop of an abbreviation, unless it ends the text."""
_WEEKDAYS = "|".join(_DAYS)
_MONTHS = rf"(?:{'|'.join(MONTHS)}|(?:{'|'.join(_SHORT_MONTHS)})\b{_STOP})"
_MONTH = rf"(?P<month>{_MONTHS})"
_YEAR = r"(?P<year>1[0-9]{3}|20[0-9]{2})(?![0-9]|[,.][0-9])"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_TO = r"\s?[-–—]\s?"
_LAST = rf"(?P<last>[0-9]{{1,2}})(?:st|nd|rd|th)?\s(?P<last_month>{_MONTHS})"
_LAST_MONTH = rf"(?P<last_month>{_MONTHS})\s(?P<last>[0-9]{{1,2}})(?:st|nd|rd|th)?"
_A_DATE = rf"(?:[0-9]{{1,2}}(?:(?:st|nd|rd|th)\b|\s(?:of\s)?{_MONTHS})|{_MONTHS}\s[0-9])"
_LAST_DAY = r"(?:\s?[-–]\s?(?P<last>[0-9]{1,2})(?:st|nd|rd|th)?)?"
_ZONES = """GMT BST UTC EST EDT CST CDT MST MDT PST PDT ET PT CET CEST AEST IST JST""".split()  # noqa: SIM905
_ZONE = rf"(?:\s?(?P<zone>{'|'.join(_ZONES)})\b)?"
_HALF = r"\s?(?P<half>[AaPp])\.?[Mm]\b(?:\.(?!\W{0,60}$))?"
_BEFORE_YEARS = words("""after before by from in of since until year""")
_BEFORE_SHORT_YEARS = (
    _BEFORE_YEARS | {"spring", "summer", "autumn", "winter"} | {name.lower() for name in _SHORT_MONTHS}
)
_BEFORE_SHORT_YEARS |= {name.lower() for name in MONTHS}
_BEFORE_MONTHS = words("""by early for from in last late mid next of since this to until""")
_BEFORE_TIMES = words("""after around at before between by from since to until till""")
_COUNTED = words(
    """buildings cases children civilians companies days deaths dollars employees families fans feet files
    flights guests homes hours houses jobs kilometres kilometers men members metres meters miles
    migrants minutes officers passengers patients people places pounds protesters pupils refugees
    residents schools seats soldiers staff students supporters tickets times tonnes tons troops victims
    visitors votes women workers words years"""
)
"""Words after a number of four digits that make it a count, not a year."""


def _month(written: str) -> str:
    written = written.rstrip(".")
    return _SHORT_MONTHS.get(written, written)


def _day_month(match: re.Match[str]) -> str | None:
    """Read "5 March 2026" and "5-7 March"."""
    day, last = int(match["day"]), match["last"]
    if not 1 <= day <= 31 or (last and not day < int(last) <= 31):
        return None
    words = ordinal(day)
    if last:
        words += f" to the {ordinal(int(last))}"
    if word_before(match).lower() != "the":
        words = f"the {words}"
    words += f" of {_month(match['month'])}"
    return f"{words} {year(int(match['year']))}" if match["year"] else words


def _month_day(match: re.Match[str]) -> str | None:
    """Read "March 5, 2026" and "March 5-7"."""
    day, last = int(match["day"]), match["last"]
    if not 1 <= day <= 31 or (last and not day < int(last) <= 31):
        return None
    words = f"{_month(match['month'])} {ordinal(day)}"
    if last:
        words += f" to {ordinal(int(last))}"
    return f"{words}, {year(int(match['year']))}" if match["year"] else words


def _between_months(match: re.Match[str]) -> str | None:
    """Read "28 Feb–3 March" and "Dec. 31-Jan. 2"."""
    days = [int(match["day"]), int(match["last"])]
    if not all(1 <= day <= 31 for day in days):
        return None
    months = [_month(match["month"]), _month(match["last_month"])]
    if match["month_first"]:
        ends = [f"{month} {ordinal(day)}" for day, month in zip(days, months, strict=True)]
    else:
        ends = [f"the {ordinal(day)} of {month}" for day, month in zip(days, months, strict=True)]
        if word_before(match).lower() == "the":
            ends[0] = ends[0].removeprefix("the ")
    return " to ".join(ends)


def _months(match: re.Match[str]) -> str:
    """Read "Jan.-March"."""
    return f"{_month(match['month'])} to {_month(match['last_month'])}"


def _month_year(match: re.Match[str]) -> str:
    return f"{_month(match['month'])} {year(int(match['year']))}"


def _short_month(match: re.Match[str]) -> str:
    return _SHORT_MONTHS[match["short"]]


def _bare_month(match: re.Match[str]) -> str | None:
    """Read the "Oct" of "in Oct" and of "(Oct: 3.2%)"."""
    is_month = word_before(match).lower() in _BEFORE_MONTHS or match.string[: match.start()].endswith("(")
    return _SHORT_MONTHS[match["short"]] if is_month else None


def _date(day: int, month: int, number: int) -> str | None:
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    return f"the {ordinal(day)} of {MONTHS[month - 1]} {year(number)}"


def _iso_date(match: re.Match[str]) -> str | None:
    return _date(int(match["day"]), int(match["month"]), int(match["year"]))


def _numeric_date(match: re.Match[str]) -> str | None:
    """Read "25/12/2026" and "12/25/2026"; one that could be either has the month first after slashes."""
    first, second, number = int(match["first"]), int(match["second"]), int(match["year"])
    if len(match["year"]) == 2:
        number += 2000 if number < 70 else 1900
    day, month = (first, second) if first > 12 or match["sign"] == "." else (second, first)
    return _date(day, month, number)


def _decade(match: re.Match[str]) -> str:
    """Read "1990s" and "'90s"."""
    number = match["year"]
    if number == "00":
        return "noughties"
    return plural(year(int(number)) if len(number) == 4 else cardinal(int(number)))


def _short_year(match: re.Match[str]) -> str | None:
    """Read "'89" in "the class of '89"."""
    number = match["year"]
    if word_before(match).lower().rstrip(".") not in _BEFORE_SHORT_YEARS:
        return None
    return f"oh {cardinal(int(number))}" if number[0] == "0" else cardinal(int(number))


def _years(match: re.Match[str]) -> str | None:
    """Read "2024-25", "1939-45" and "1914-1918"."""
    first, last = int(match["year"]), match["last"]
    end = int(last) if len(last) == 4 else first // 100 * 100 + int(last)
    if len(last) == 2 and end == first // 100 * 100:
        end += 100
    if not first < end <= 2199:
        return None
    if end == first + 1:
        return f"{year(first)} {year(end) if len(last) == 4 else cardinal(end % 100)}"
    if len(last) == 4:
        return f"{year(first)} to {year(end)}"
    return f"{year(first)} to {'oh ' if end % 100 < 10 else ''}{cardinal(end % 100)}"


def _financial_year(match: re.Match[str]) -> str:
    """Read "FY2025/26" and "FY24"."""
    written = match["year"]
    words = year(int(written)) if len(written) == 4 else number_words(written)
    return f"financial year {words}" + (f" {number_words(match['last'])}" if match["last"] else "")


def _part_of_year(match: re.Match[str]) -> str:
    """Read "Q2'25"."""
    return f"{match['part']} {cardinal(int(match['number']))} {year(2000 + int(match['year']))}"


def _year(match: re.Match[str]) -> str | None:
    number = int(match["year"])
    if word_after(match).lower() in _COUNTED:
        return None
    if number < 1100 and word_before(match).lower() not in _BEFORE_YEARS:
        return None
    century, rest = divmod(number, 100)
    return f"{cardinal(century)} {cardinal(rest)}" if number < 1100 and rest > 9 else year(number)


def _circa(match: re.Match[str]) -> str:
    return f"circa {year(int(match['year']))}"


def _era(match: re.Match[str]) -> str:
    """Read "44BC" and "AD 43"."""
    number = int(match["number"])
    words = year(number) if 1000 < number < 2100 else cardinal(number)
    letters = ".".join(match["era"])
    return f"{letters} {words}" if match[0].startswith("AD") else f"{words} {letters}"


def _clock(hour: int, minute: int, *, half: str | None, military: bool) -> str:
    """Return a time in words.

    Args:
        hour: 0 to 24.
        minute: 0 to 59.
        half: "a" or "p" for a.m. or p.m.
        military: whether full hours are hundreds.
    """
    if half is None and hour % 24 == 0 and minute == 0:
        return "midnight"
    oh = "oh " if military and 0 < hour < 10 and half is None else ""
    words = oh + cardinal(hour)
    if minute:
        words += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half is None:
        words += " hundred" if military else " o'clock"
    return words if half is None else f"{words} {half.upper()}.M"


def _time(match: re.Match[str]) -> str | None:
    """Read "7:30pm", "14:30 GMT", "10:00"."""
    hour, minute, zone = int(match["hour"]), int(match["minute"]), match["zone"]
    half = match["half"]
    if hour > 24 or minute > 59 or (half and hour > 12):
        return None
    military = match["hour"][0] == "0" or hour > 12 or hour == 0 or (zone is not None and not half)
    words = _clock(hour, minute, half=half, military=military)
    return f"{words} {'.'.join(zone)}" if zone else words


def _hours(match: re.Match[str]) -> str | None:
    """Read "9am", "10-11am", "9am-5pm"."""
    hour = int(match["hour"])
    if not 1 <= hour <= 12:
        return None
    words = f"{cardinal(hour)} {match['half'].upper()}.M"
    if match["first"] is not None:
        first = _clock(int(match["first"]), int(match["first_minute"] or 0), half="a", military=False)
        own = f" {match['first_half'].upper()}.M" if match["first_half"] else ""
        words = f"{first.removesuffix(' A.M')}{own} to {words}"
    return f"{words} {'.'.join(match['zone'])}" if match["zone"] else words


def _zoned(match: re.Match[str]) -> str | None:
    """Read "0600 GMT"."""
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 24 or minute > 59:
        return None
    words = _clock(hour, minute, half=None, military=True)
    return f"{words} {'.'.join(match['zone'])}"


def _bare(match: re.Match[str]) -> str | None:
    """Read "0900" in "from 0900"."""
    if word_before(match).lower() not in _BEFORE_TIMES:
        return None
    return _clock(int(match["hour"]), int(match["minute"]), half=None, military=True)


def _hours_of_day(match: re.Match[str]) -> str | None:
    """Read "1520hrs" as a time, unless it counts: "2000hrs of flying"."""
    hour = int(match["hour"])
    if hour > 24 or word_after(match) == "of":
        return None
    return f"{_clock(hour, int(match['minute']), half=None, military=True)} hours"


def _duration(match: re.Match[str]) -> str | None:
    """Read "2:01:09" as hours, minutes and seconds, and "1:59.40" as a sports result."""
    hours, minutes, seconds, part = match["hours"], match["minutes"], match["seconds"], match["part"]
    if hours is None and part is None:
        return None
    names = [(hours, "hour"), (minutes, "minute")]
    words = [f"{cardinal(int(n))} {unit}{'' if int(n) == 1 else 's'}" for n, unit in names if n]
    decimals = f" point {digits(part)}" if part else ""
    words.append(f"{cardinal(int(seconds))}{decimals} second{'' if int(seconds) == 1 and not part else 's'}")
    return " ".join(words)


def _short_duration(match: re.Match[str]) -> str:
    """Read "7h 12m", "1hr 5m" and "3m 20s"."""
    names = (("hours", "hour"), ("minutes", "minute"), ("seconds", "second"))
    parts = [(match[name], unit) for name, unit in names if match[name] is not None]
    return " ".join(f"{number_words(n)} {unit}{'' if is_one(n) else 's'}" for n, unit in parts)


def _bare_weekday(match: re.Match[str]) -> str | None:
    """Read the "Mon" of "on Mon"."""
    return _DAYS[match["day"]] if word_before(match).lower() in ("on", "last", "next") else None


def _two_weekdays(match: re.Match[str]) -> str:
    """Read "Sat & Sun"."""
    return f"{_DAYS[match['day']]} and {_DAYS[match['last']]}"


def _weekday(match: re.Match[str]) -> str:
    last = match["last"]
    return f"{_DAYS[match['day']]} to {_DAYS[last]}" if last else _DAYS[match["day"]]


DATES: tuple[Rule, ...] = (
    rule("d", r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})(?![\w]|-[0-9])", _iso_date),
    rule(
        "d",
        r"(?P<first>[0-9]{1,2})(?P<sign>[/.])(?P<second>[0-9]{1,2})(?P=sign)(?P<year>(?:19|20)[0-9]{2}|(?<=/)[0-9]{2})(?![\w/]|\.[0-9])",
        _numeric_date,
    ),
    rule("d", rf"{_DAY}\s{_MONTH}{_TO}{_LAST}(?P<month_first>(?!))?(?![a-z])", _between_months),
    rule("l", rf"(?P<month_first>){_MONTH}\s{_DAY}{_TO}{_LAST_MONTH}(?![\w%:°/]|[.,][0-9])", _between_months),
    rule("d", rf"{_DAY}{_LAST_DAY}\s(?:of\s)?{_MONTH}(?![a-z])(?:,?\s{_YEAR})?", _day_month),
    rule(
        "l",
        rf"{_MONTH}\s{_DAY}{_LAST_DAY}(?![\w%:°/]|[.,][0-9]|-[0-9a-z]|\s?(?:am|pm|per|bn|million)\b)(?:,?\s{_YEAR})?",
        _month_day,
    ),
    rule("l", rf"{_MONTH}{_TO}(?P<last_month>{_MONTHS})(?![\w])", _months),
    rule("l", rf"{_MONTH}\s{_YEAR}(?![\w-])", _month_year),
    rule("l", rf"(?P<short>{'|'.join(set(_SHORT_MONTHS) - {'May'})})(?:\.(?=\s)|(?=\.$))", _short_month),
    rule(
        "l",
        r"(?P<short>Feb|Apr|Aug|Sept|Oct|Nov|Dec)(?![\w'’.-])",
        _bare_month,
    ),
    rule("l", rf"(?P<day>{_WEEKDAYS})\s?(?P<and>&|and)\s?(?P<last>{_WEEKDAYS})(?!\w|\.\w)", _two_weekdays),
    rule("l", rf"(?P<day>{_WEEKDAYS})(?P<last>(?!))?(?=\s(?:morning|afternoon|evening|night)\b)", _weekday),
    rule("l", rf"(?P<day>{_WEEKDAYS})\.?{_TO}(?P<last>{_WEEKDAYS})\b(?:\.(?=\s[a-z0-9]))?", _weekday),
    rule("l", rf"(?P<day>{_WEEKDAYS})(?P<last>(?!))?(?:\.(?=\s[A-Z0-9]|,)|(?=,?\s{_A_DATE}))", _weekday),
    rule("l", rf"(?P<day>{_WEEKDAYS})(?![\w'’-]|\s[A-Z])", _bare_weekday),
    rule("ds", r"['’‘]?(?P<year>[2-9]0|00)s(?![\w])", _decade),
    rule("s", r"['’‘](?P<year>[0-9]{2})(?![\w])", _short_year),
    rule("d", r"(?P<year>[12][0-9]{2}0)['’]?s(?![\w])", _decade),
    rule("l", rf"c\.?\s?{_YEAR}(?![\w])", _circa),
    rule("l", r"[Cc]a?\.\s?(?=[£$€¥]?[0-9])", lambda match: "circa "),
    rule("d", r"(?P<number>[0-9]{1,4})\s?(?P<era>BCE|BC|AD|CE)\b", _era),
    rule("l", r"(?P<era>AD)\s?(?P<number>[0-9]{1,4})(?![\w])", _era),
)
_MINUTES = r"(?P<minutes>[0-9]{1,2})\s?(?:m|mins?)(?![\w])"
TIMES: tuple[Rule, ...] = (
    rule(
        "d", rf"(?P<hours>[0-9]{{1,3}})\s?(?:h|hrs?)\s?{_MINUTES}(?:\s?(?P<seconds>(?!)))?", _short_duration
    ),
    rule(
        "d",
        r"(?P<hours>(?!))?(?P<minutes>[0-9]{1,2})\s?(?:m|mins?)\s?(?P<seconds>[0-9]{1,2}(?:\.[0-9]{1,3})?)\s?(?:s|secs?)(?![\w])",
        _short_duration,
    ),
    rule(
        "d",
        r"(?:(?P<hours>[0-9]{1,2}):)?(?P<minutes>[0-9]{1,2}):(?P<seconds>[0-9]{2})(?:\.(?P<part>[0-9]{1,3}))?(?![\w:])",
        _duration,
    ),
    rule("d", rf"(?P<hour>[0-9]{{1,2}})[:.](?P<minute>[0-9]{{2}}){_HALF}{_ZONE}(?![\w])", _time),
    rule(
        "d", rf"(?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9]{{2}})(?P<half>(?!))?{_ZONE}(?![\w:]|\.[0-9])", _time
    ),
    rule("d", r"(?P<hour>0[0-9])(?P<minute>[0-5][0-9])(?![\w]|[-–.,:/][0-9])", _bare),
    rule("d", r"(?P<hour>[0-2][0-9])(?P<minute>[0-5][0-9])hrs(?![\w])", _hours_of_day),
    rule("d", r"(?P<hour>[0-9]{1,2})h(?P<minute>[0-9]{2})(?P<half>(?!))?(?P<zone>(?!))?(?![\w])", _time),
    rule("s", r"(?<=[Mm.0-9])\s?[-–]\s?(?=(?:noon|midnight)\b)", lambda match: " to "),
    rule("l", r"(?P<word>noon|midnight)\s?[-–]\s?(?=[0-9])", lambda match: f"{match['word']} to "),
    rule("d", rf"(?P<hour>[0-9]{{2}}):?(?P<minute>[0-9]{{2}})\s?(?P<zone>{'|'.join(_ZONES)})\b", _zoned),
    rule(
        "d",
        rf"""(?:(?P<first>[0-9]{{1,2}})(?:[.:](?P<first_minute>[0-9]{{2}}))?(?:\s?(?P<first_half>[AaPp])\.?[Mm]\.?)?
        \s?[-–]\s?)?(?P<hour>[0-9]{{1,2}}){_HALF}{_ZONE}(?![\w])""",
        _hours,
    ),
)
YEARS: tuple[Rule, ...] = (
    rule(
        "l", r"FY\s?['’]?(?P<year>20[0-9]{2}|[0-9]{2})(?:[-/](?P<last>[0-9]{2}))?(?![\w/-])", _financial_year
    ),
    rule("l", r"(?P<part>[QH])(?P<number>[1-4])\s?['’](?P<year>[0-9]{2})(?![\w])", _part_of_year),
    rule(
        "d",
        r"(?P<year>1[1-9][0-9]{2}|20[0-9]{2})[-–/](?P<last>[0-9]{4}|[0-9]{2})(?![\w]|[-–/.,][0-9])",
        _years,
    ),
    rule("d", r"(?P<year>1[0-9]{3}|20[0-9]{2})(?![\w]|[.,][0-9]|[-–][0-9])", _year),
)
