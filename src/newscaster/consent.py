"""Consent: who agreed to an anchor being made of them, when, for what, and until when.

Knows the record, how it is written down, and whether it still holds. An anchor stores it and every video made
with it carries it. Its hash tells a record that was changed later.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from newscaster.errors import ConsentError, InputError
from newscaster.safety.readers import is_plain_text, read_json
from newscaster.texts import is_unicode, quoted

_REFUSALS = frozenset({"", "no", "n", "none", "nobody"})
_KEYS = ("who", "for", "when", "until")
_SURE_KEYS = frozenset({"who", "when", "until"})
"""Names of lines that no statement in words begins with."""
_NAMED = re.compile(r"([^:\uff1a]*)[:\uff1a](.*)")
"""A line with a name: colons of Chinese and Japanese keyboards, too."""
_BYTE_ORDER_MARK = "\ufeff"
MAX_TEXT = 10_000
"""Characters of a text in an anchor."""
_EXAMPLE = "'who: Ada Byron', 'for: news videos on our own channels', 'when: 2026-11-02', 'until: 2027-11-02'"


@dataclass(frozen=True, kw_only=True)
class Consent:
    """A record of consent; of the short form, only the statement is known.

    Raises:
        InputError: nobody agreed, or a date cannot be.
    """

    statement: str
    """What was agreed to, in words."""
    who: str = ""
    when: date | None = None
    """The day it was given."""
    until: date | None = None
    """The last day that it holds; None: until it is withdrawn."""
    recorded: str = ""
    """When it was put into the anchor, in ISO 8601."""
    withdrawn: str = ""
    """When it was withdrawn, in ISO 8601; empty: it was not."""
    reason: str = ""
    """Why it was withdrawn."""

    def __post_init__(self) -> None:
        for name in ("statement", "who", "recorded", "withdrawn", "reason"):
            if not is_unicode(getattr(self, name)):
                raise InputError(f"{name} of the consent is not valid UTF-8. Write it anew, in UTF-8")
            check_text(getattr(self, name), f"{name} of the consent")
        if is_refusal(self.statement):
            raise InputError(
                f"consent is {quoted(self.statement.strip())}: without the person's consent no anchor "
                f"is made. Say who agreed, and for what"
            )
        if self.when is not None and self.until is not None and self.until < self.when:
            raise InputError(f"consent is given on {self.when} and ends on {self.until}, before that")

    @staticmethod
    def of(text: str) -> Consent:
        """What somebody has written: lines such as `who: Ada Byron`, the same as JSON, or words.

        A text is a record if it is JSON, or has a line `who`, `when` or `until`. A record has `who` and
        `for`, and optionally the dates `when` and `until`.

        Raises:
            InputError: it says that nobody agreed, or the record is incomplete or ambiguous.
        """
        text = "\n".join(text.removeprefix(_BYTE_ORDER_MARK).strip().splitlines())
        values = _record(text)
        if values is None:
            return Consent(statement=text)
        if odd := sorted(values.keys() - set(_KEYS)):
            raise InputError(
                f"the consent record holds {_some(odd)}; it has the lines {', '.join(_KEYS)}, "
                f"such as {_EXAMPLE}"
            )
        if is_refusal(values["who"]):
            raise InputError(f"the consent record does not say who agreed. Write it as {_EXAMPLE}")
        return Consent(
            statement=values["for"].strip(),
            who=values["who"].strip(),
            when=_date("when", values.get("when", "")),
            until=_date("until", values.get("until", "")),
        )

    def to_json(self) -> dict[str, object]:
        """As plain values, with their hash; what is not known is left out."""
        values = {
            "who": self.who,
            "statement": self.statement,
            "when": "" if self.when is None else self.when.isoformat(),
            "until": "" if self.until is None else self.until.isoformat(),
            "recorded": self.recorded,
        }
        record: dict[str, object] = {name: value for name, value in values.items() if value}
        record["sha256"] = _hash(record)
        for name, value in (("withdrawn", self.withdrawn), ("reason", self.reason)):
            if value:
                record[name] = value
        return record

    @staticmethod
    def from_json(values: Mapping[str, object]) -> Consent | None:
        """What to_json wrote, or the statement that older anchors hold; None where nothing is said.

        Raises:
            InputError: the record was changed after it was made, or is not one.
        """
        if not values:
            return None
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        if "statement" not in texts:
            raise InputError(f"consent is {dict(values)!r:.200}; expected a statement")
        hashed = {
            name: value for name, value in values.items() if name not in ("sha256", "withdrawn", "reason")
        }
        if "sha256" in values and values["sha256"] != _hash(hashed):
            raise InputError("the record of consent was changed after it was made: its sha256 is another")
        if values.keys() != texts.keys():
            raise InputError(f"consent is {dict(values)!r:.200}; expected texts")
        return Consent(
            statement=texts["statement"],
            who=texts.get("who", ""),
            when=_date("when", texts.get("when", "")),
            until=_date("until", texts.get("until", "")),
            recorded=texts.get("recorded", ""),
            withdrawn=texts.get("withdrawn", ""),
            reason=texts.get("reason", ""),
        )

    def record(self) -> Consent:
        """This consent as it goes into an anchor, now."""
        return replace(self, recorded=_now())

    def check_today(self) -> None:
        """Make sure that an anchor may be made today.

        Raises:
            InputError: it is not given yet, or has ended.
        """
        today = date.today()
        if self.when is not None and self.when > today:
            raise InputError(
                f"consent is given on {self.when}, and today is {today}. Give the day it was given"
            )
        if self.until is not None and self.until < today:
            raise InputError(f"consent ended on {self.until}, and today is {today}. Ask for it again")

    def withdraw(self, reason: str = "") -> Consent:
        """This consent, withdrawn now."""
        return replace(self, withdrawn=_now(), reason=reason.strip())

    @property
    def ended(self) -> str:
        """Why it does not hold any more; empty: it holds."""
        if self.withdrawn:
            why = f" ({self.reason})" if self.reason else ""
            return f"was withdrawn on {self.withdrawn[:10]}{why}"
        if self.until is not None and self.until < date.today():
            return f"ended on {self.until}"
        return ""

    def check(self, anchor: str) -> None:
        """Make sure that it still holds.

        Args:
            anchor: what the anchor is called.

        Raises:
            ConsentError: it ended, or was withdrawn.
        """
        if self.ended:
            of = f" of {self.who}" if self.who else ""
            raise ConsentError(
                f"the consent{of} to the anchor '{anchor}' {self.ended}: nothing is made with it any more. "
                "Ask for consent again, and train the anchor anew with it"
            )


def check_text(text: str, name: str, *, most: int = MAX_TEXT) -> None:
    """Make sure that an anchor can hold a text, before any work.

    Args:
        text: as it was given.
        name: the option or field that it was given for.
        most: how many characters are accepted.

    Raises:
        InputError: it is too long, or has characters that steer a terminal.
    """
    if len(text) > most:
        raise InputError(f"{name} has {len(text)} characters; accepted are {most}. Shorten it")
    if not is_plain_text(text, most=most):
        raise InputError(f"{name} is {quoted(text):.200}; control characters are not accepted. Remove them")


def is_refusal(text: str) -> bool:
    """Whether somebody says no, or nothing."""
    return text.strip().lower().rstrip(".!") in _REFUSALS


def _some(names: list[str]) -> str:
    return f"{', '.join(map(repr, names))!s:.200}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(record: Mapping[str, object]) -> str:
    return hashlib.sha256(
        json.dumps(record, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    ).hexdigest()


def _date(name: str, text: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(
            f"{name} of the consent is {quoted(text.strip()):.60}; expected a day as YEAR-MONTH-DAY, such as "
            "2027-11-02"
        ) from error


def _record(text: str) -> dict[str, str] | None:
    """The values of a record; None if the text is a statement in words.

    Raises:
        InputError: it is a record in part, and some of it would be lost as words.
    """
    if text.startswith("{"):
        return _json_record(text)
    lines = [_NAMED.fullmatch(line) for line in text.splitlines() if line.strip()]
    names = [line[1].strip().lower() for line in lines if line]
    if not (_SURE_KEYS.intersection(names) or {"who", "for"} <= set(names)):
        return None
    if missing := {"who", "for"} - set(names):
        raise InputError(
            f"the consent record lacks the line {_some(sorted(missing))}. Write it as {_EXAMPLE}"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"the consent record has the line {_some(twice)} twice. Keep one of them")
    for line, match in zip((one for one in text.splitlines() if one.strip()), lines, strict=True):
        if match is None:
            raise InputError(
                f"the consent record has the line {quoted(line.strip()):.80}, which has no name. Write "
                f"each of {', '.join(_KEYS)} on one line, such as {_EXAMPLE}"
            )
    return {name: line[2].strip() for name, line in zip(names, filter(None, lines), strict=True)}


def _json_record(text: str) -> dict[str, str]:
    try:
        found = read_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InputError(
            f"the consent record is not valid JSON ({error}). Mend it, or write it as {_EXAMPLE}"
        ) from error
    if missing := {"who", "for"} - found.keys():
        raise InputError(f"the consent record lacks {_some(sorted(missing))}. Write it as {_EXAMPLE}")
    if odd := sorted(name for name, value in found.items() if not isinstance(value, str | None)):
        raise InputError(f"{_some(odd)} of the consent record is not text. Write it as {_EXAMPLE}")
    return {name: value or "" for name, value in found.items()}
