"""Consent: who agreed to an anchor of themselves, when, for what, and until when.

Parses and checks the record. An anchor stores it, and the manifest of every video contains it: also that of a
video that is dubbed without an anchor. A hash detects
records that were changed later.
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
"""Names of lines that do not occur in a plain statement."""
_NAMED = re.compile(r"([^:\uff1a]*)[:\uff1a](.*)")
"""A line with a name. Full-width colons of Chinese and Japanese keyboards are accepted, too."""
_BYTE_ORDER_MARK = "\ufeff"
MAX_TEXT = 10_000
"""Maximum length of a text in an anchor, in characters."""
_EXAMPLE = "'who: Ada Byron', 'for: news videos on our own channels', 'when: 2026-11-02', 'until: 2027-11-02'"


@dataclass(frozen=True, kw_only=True)
class Consent:
    """A record of consent. A plain text has a statement only.

    Raises:
        InputError: the statement is a refusal, a date is impossible, or a text is invalid.
    """

    statement: str
    """What the person agreed to."""
    who: str = ""
    when: date | None = None
    """Day of the consent."""
    until: date | None = None
    """Last day of validity; None: until withdrawal."""
    recorded: str = ""
    """When it was stored in the anchor, in ISO 8601."""
    withdrawn: str = ""
    """When it was withdrawn, in ISO 8601; empty if it was not."""
    reason: str = ""
    """Why it was withdrawn."""

    def __post_init__(self) -> None:
        for name in ("statement", "who", "recorded", "withdrawn", "reason"):
            if not is_unicode(getattr(self, name)):
                raise InputError(f"{name} of the consent is not valid UTF-8. Save it as UTF-8")
            check_text(getattr(self, name), f"{name} of the consent")
        if is_refusal(self.statement):
            raise InputError(
                f"consent is {quoted(self.statement.strip())}: nothing is made without the person's "
                "consent. State who agreed, and to what"
            )
        if self.when is not None and self.until is not None and self.until < self.when:
            raise InputError(f"consent is given on {self.when} and ends on {self.until}, before that")

    @staticmethod
    def of(text: str) -> Consent:
        """Parse a text: lines such as `who: Ada Byron`, the same as JSON, or a plain statement.

        A text is a record if it is JSON, or has a line `who`, `when` or `until`. A record has `who` and
        `for`, and optionally the dates `when` and `until`.

        Raises:
            InputError: the text is a refusal, or the record is incomplete or ambiguous.
        """
        text = "\n".join(text.removeprefix(_BYTE_ORDER_MARK).strip().splitlines())
        values = _record(text)
        if values is None:
            return Consent(statement=text)
        if unknown := sorted(values.keys() - set(_KEYS)):
            raise InputError(
                f"the consent record has {_quote_names(unknown)}; expected only {', '.join(_KEYS)}, such "
                f"as {_EXAMPLE}"
            )
        if is_refusal(values["who"]):
            raise InputError(f"the consent record does not name the person. Write it as {_EXAMPLE}")
        return Consent(
            statement=values["for"].strip(),
            who=values["who"].strip(),
            when=_date("when", values.get("when", "")),
            until=_date("until", values.get("until", "")),
        )

    def to_json(self) -> dict[str, object]:
        """Return the record as JSON values, with their hash. Empty fields are omitted."""
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
        """Parse the output of `to_json`, or the statement of older anchors; None if there is neither.

        Raises:
            InputError: the record was changed later, or is malformed.
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
            raise InputError("the record of consent was changed after it was made: its sha256 differs")
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
        """Return this consent with the current time as the time of recording."""
        return replace(self, recorded=_now())

    def check_today(self) -> None:
        """Check that the consent is valid today.

        Raises:
            InputError: it starts later, or has ended.
        """
        today = date.today()
        if self.when is not None and self.when > today:
            raise InputError(
                f"consent is given on {self.when}, and today is {today}. Give the day it was given"
            )
        if self.until is not None and self.until < today:
            raise InputError(f"consent ended on {self.until}, and today is {today}. Ask for it again")

    def withdraw(self, reason: str = "") -> Consent:
        """Return this consent, withdrawn now."""
        return replace(self, withdrawn=_now(), reason=reason.strip())

    @property
    def ended(self) -> str:
        """Why it is not valid any more; empty if it is valid."""
        if self.withdrawn:
            why = f" ({self.reason})" if self.reason else ""
            return f"was withdrawn on {self.withdrawn[:10]}{why}"
        if self.until is not None and self.until < date.today():
            return f"ended on {self.until}"
        return ""

    def check(self, anchor: str) -> None:
        """Check that it is still valid.

        Args:
            anchor: name of the anchor, for the message.

        Raises:
            ConsentError: it has ended or was withdrawn.
        """
        if self.ended:
            person = f" of {self.who}" if self.who else ""
            raise ConsentError(
                f"the consent{person} to the anchor '{anchor}' {self.ended}: it cannot be used any more. "
                "Ask for consent again, and train the anchor again"
            )


def check_text(text: str, name: str, *, most: int = MAX_TEXT) -> None:
    """Check that an anchor can store a text.

    Args:
        text: value of an option or a field.
        name: name of the option or the field.
        most: maximum number of characters.

    Raises:
        InputError: the text is too long, or has control characters.
    """
    if len(text) > most:
        raise InputError(f"{name} has {len(text)} characters; accepted are {most}. Shorten it")
    if not is_plain_text(text, most=most):
        raise InputError(f"{name} is {quoted(text):.200}; control characters are not accepted. Remove them")


def valid_consent(consent: str | Consent) -> Consent:
    """Parse consent if it is a text; check that it is valid today.

    Raises:
        InputError: it is a refusal, malformed, starts later or has ended.
    """
    agreed = Consent.of(consent) if isinstance(consent, str) else consent
    agreed.check_today()
    return agreed


def is_refusal(text: str) -> bool:
    """Return whether a text is empty or a refusal."""
    return text.strip().lower().rstrip(".!") in _REFUSALS


def _quote_names(names: list[str]) -> str:
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
    """Parse the values of a record; None if the text is a plain statement.

    Raises:
        InputError: a part of the text is a record, and the rest is not.
    """
    if text.startswith("{"):
        return _json_record(text)
    lines = [_NAMED.fullmatch(line) for line in text.splitlines() if line.strip()]
    names = [line[1].strip().lower() for line in lines if line]
    if not (_SURE_KEYS.intersection(names) or {"who", "for"} <= set(names)):
        return None
    if missing := {"who", "for"} - set(names):
        raise InputError(
            f"the consent record lacks the line {_quote_names(sorted(missing))}. Write it as {_EXAMPLE}"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"the consent record has the line {_quote_names(repeated)} twice. Keep one of them")
    for line, match in zip((line for line in text.splitlines() if line.strip()), lines, strict=True):
        if match is None:
            raise InputError(
                f"the consent record has the line {quoted(line.strip()):.80}, which has no name. Write "
                f"each of {', '.join(_KEYS)} on one line, such as {_EXAMPLE}"
            )
    return {name: line[2].strip() for name, line in zip(names, filter(None, lines), strict=True)}


def _json_record(text: str) -> dict[str, str]:
    try:
        values = read_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InputError(
            f"the consent record is not valid JSON ({error}). Fix it, or write it as {_EXAMPLE}"
        ) from error
    if missing := {"who", "for"} - values.keys():
        raise InputError(f"the consent record lacks {_quote_names(sorted(missing))}. Write it as {_EXAMPLE}")
    if other := sorted(name for name, value in values.items() if not isinstance(value, str | None)):
        raise InputError(f"{_quote_names(other)} of the consent record is not text. Write it as {_EXAMPLE}")
    return {name: value or "" for name, value in values.items()}
