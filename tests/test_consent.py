from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from newscaster.consent import Consent
from newscaster.errors import ConsentError, InputError

RECORD = "who: Ada Byron\nfor: news videos\nWhen: 2026-01-02\nuntil: 2027-11-02\n"


def test_a_record_as_lines_and_as_json() -> None:
    wanted = Consent(who="Ada Byron", statement="news videos", when=date(2026, 1, 2), until=date(2027, 11, 2))
    assert Consent.of(RECORD) == wanted
    values = {"who": "Ada Byron", "for": "news videos", "when": "2026-01-02", "until": "2027-11-02"}
    assert Consent.of(json.dumps(values)) == wanted
    del values["until"], values["when"]
    assert Consent.of(json.dumps(values)) == Consent(who="Ada Byron", statement="news videos")
    assert Consent.of("who: Ada\nfor: news\nuntil:\n").until is None


@pytest.mark.parametrize("text", ["Ada agreed.", "Ada, 2026-11-02: news", "For: news\nby Ada", "[1]", "12"])
def test_the_short_form(text: str) -> None:
    assert Consent.of(f" {text}\n") == Consent(statement=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("No!", "'No!': nothing is made without the person's consent"),
        ("who: Ada\nfor: no", "without the person's consent"),
        ("who: nobody\nfor: news", "does not name the person"),
        ("who: Ada\nfor: news\nuntil: soon", "until of the consent is 'soon'; expected a day"),
        ("who: Ada\nfor: news\nphone: 12", "has 'phone'; expected only who, for, when, until"),
        ("who: Ada\nfor: news\nwhen: 2026-02-02\nuntil: 2026-02-01", "ends on 2026-02-01, before that"),
    ],
)
def test_records_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Consent.of(text)


def test_consent_in_an_anchor() -> None:
    consent = Consent.of(RECORD).record()
    stored = json.loads(json.dumps(consent.to_json()))
    assert Consent.from_json(stored) == consent
    assert list(stored) == ["who", "statement", "when", "until", "recorded", "sha256"]
    withdrawn = consent.withdraw("asked to")
    assert withdrawn.to_json()["sha256"] == stored["sha256"]
    assert Consent.from_json(withdrawn.to_json()) == withdrawn
    assert Consent.from_json({}) is None
    assert Consent.from_json({"statement": "as of old", "recorded": "2026-01-01"}) is not None
    for changed in ({**stored, "until": "2999-01-01"}, {**stored, "anything": 1}):
        with pytest.raises(InputError, match="was changed after it was made"):
            Consent.from_json(changed)


def test_when_consent_holds() -> None:
    today = date.today()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    Consent(statement="news", when=today, until=today).check_today()
    Consent(statement="news", until=today).check("Ada")
    with pytest.raises(InputError, match=f"given on {tomorrow}, and today is {today}"):
        Consent(statement="news", when=tomorrow).check_today()
    with pytest.raises(InputError, match=f"ended on {yesterday}"):
        Consent(statement="news", until=yesterday).check_today()
    with pytest.raises(
        ConsentError, match=rf"of Ada to the anchor 'A' ended on {yesterday}: it cannot be used"
    ):
        Consent(who="Ada", statement="news", until=yesterday).check("A")
    with pytest.raises(ConsentError, match=r"to the anchor 'A' was withdrawn on \d+-\d+-\d+ \(asked to\)"):
        Consent(statement="news").withdraw(" asked to ").check("A")


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{RECORD}",
        RECORD.replace("\n", "\r\n"),
        RECORD.replace(": ", "\uff1a"),
        '\ufeff{"who": "Ada Byron", "for": "news videos", "when": "2026-01-02", "until": "2027-11-02"}',
    ],
    ids=["byte order mark", "line ends of Windows", "full-width colons", "JSON with a byte order mark"],
)
def test_records_of_other_editors(text: str) -> None:
    assert Consent.of(text) == Consent.of(RECORD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who: Ada\nfor: news\n  but no advertising\n", "line 'but no advertising', which has no name"),
        ("who: Ada\nfor: news\nuntil: 2020-01-01\nuntil: 2999-01-01", "the line 'until' twice"),
        ("who: Ada\nuntil: 2020-01-01", "lacks the line 'for'"),
        ("for: news\nuntil: 2020-01-01", "lacks the line 'who'"),
        ("who: Ada; for: news; until: 2020-01-01", "lacks the line 'for'"),
        ('{"who": "Ada", "for": "news", "until": "2020-01-01",}', "is not valid JSON"),
        ('{"who": "Ada", "for": "news", "until": "2020-01-01", "until": "2999-01-01"}', "twice"),
        ('{"for": "news", "until": "2020-01-01"}', "lacks 'who'"),
        ('{"who": "Ada", "for": ["news"]}', "'for' of the consent record is not text"),
    ],
)
def test_no_part_of_a_record_is_lost(text: str, message: str) -> None:
    """Taken as words, or in part, it would be a consent without an end or a condition."""
    with pytest.raises(InputError, match=message):
        Consent.of(text)


@pytest.mark.parametrize("text", ["Ada\x1b[31m agreed", "Ada " + "agreed " * 2000, "Ada\u202e agreed"])
def test_texts_that_no_anchor_can_hold(text: str) -> None:
    with pytest.raises(InputError, match=r"statement of the consent .*(Shorten it|Remove them)"):
        Consent.of(text)
    with pytest.raises(InputError, match="reason of the consent"):
        Consent(statement="news").withdraw(text)
