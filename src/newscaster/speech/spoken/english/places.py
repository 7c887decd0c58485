"""American states as agencies write them: "R-Texas", "Trenton, N.J."."""

from __future__ import annotations

import re

from newscaster.speech.spoken.english.rule import Rule, rule, words

_CLEAR = {
    **{"Ala": "Alabama", "Ariz": "Arizona", "Calif": "California", "Colo": "Colorado"},
    **{"Conn": "Connecticut", "Fla": "Florida", "Ga": "Georgia", "Ky": "Kentucky", "Mich": "Michigan"},
    **{"Minn": "Minnesota", "Neb": "Nebraska", "Okla": "Oklahoma", "Tenn": "Tennessee", "Va": "Virginia"},
    **{"Vt": "Vermont", "Wis": "Wisconsin", "W.Va": "West Virginia", "W. Va": "West Virginia"},
}
"""Read anywhere, if a full stop follows."""
_AFTER_A_PLACE = {
    **{"Ark": "Arkansas", "Md": "Maryland", "Mont": "Montana", "Nev": "Nevada", "Tex": "Texas"},
    **{"Del": "Delaware", "Ill": "Illinois", "Ind": "Indiana", "Kan": "Kansas", "La": "Louisiana"},
    **{"Mass": "Massachusetts", "Miss": "Mississippi", "Mo": "Missouri", "Ore": "Oregon"},
    **{"Pa": "Pennsylvania", "Wash": "Washington", "N.C": "North Carolina", "N.D": "North Dakota"},
    **{"N.H": "New Hampshire", "N.J": "New Jersey", "N.M": "New Mexico", "N.Y": "New York"},
    **{"R.I": "Rhode Island", "S.C": "South Carolina", "S.D": "South Dakota"},
}
"""Read behind the comma after a city, or the hyphen after a party: these are other words elsewhere."""
_POSTAL = {
    **{"AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California"},
    **{"CO": "Colorado", "CT": "Connecticut", "DE": "Delaware", "FL": "Florida", "GA": "Georgia"},
    **{"HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas"},
    **{"KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts"},
    **{"MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana"},
    **{"NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico"},
    **{"NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma"},
    **{"OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina"},
    **{"SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont"},
    **{"VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming"},
}
_WRITTEN_OUT = """Alaska Hawaii Idaho Iowa Maine Ohio Texas Utah""".split()  # noqa: SIM905
_PARTIES = {"D": "Democrat", "I": "Independent", "R": "Republican"}
_ABBREVIATED = {**_CLEAR, **_AFTER_A_PLACE}


def _names(names: object) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))  # type: ignore[call-overload]


def _stop(match: re.Match[str]) -> str:
    """Return a full stop if the one of the abbreviation also ends the text."""
    return "" if re.search(r"[^\W_]", match.string[match.end() : match.end() + 60]) else "."


def _party(match: re.Match[str]) -> str:
    """Read "R-Texas", "D-N.Y." and "R-TX"."""
    state = match["state"]
    name = _ABBREVIATED.get(state) or _POSTAL.get(state) or state
    end = _stop(match) if match[0].endswith(".") and not match.string[match.end() :].startswith(")") else ""
    return f"{_PARTIES[match['party']]} of {name}{end}"


def _state(match: re.Match[str]) -> str | None:
    """Read "Calif." anywhere, and "Mass." in "Boston, Mass."."""
    state = match["state"]
    before = match.string[max(0, match.start() - 40) : match.start()]
    if state in _AFTER_A_PLACE and not re.search(r"[A-Z][\w'’.-]*,\s$", before):
        return None
    return _ABBREVIATED[state] + _stop(match)


_UNCLEAR_AFTER_A_COMMA = words("MD OK ME IN OR HI PA MS")
"""Postal codes that are also degrees or words: "Jane Lee, MD"."""


def _postal(match: re.Match[str]) -> str | None:
    """Read the "MA" of "Boston, MA"."""
    before = match.string[max(0, match.start() - 40) : match.start()]
    if match["state"] == "WA" and before.endswith("Perth, "):
        return "Western Australia"
    is_state = match["state"] not in _UNCLEAR_AFTER_A_COMMA and re.search(r"[A-Z][a-z][\w'’.-]*,\s$", before)
    return _POSTAL[match["state"]] if is_state else None


PLACES: tuple[Rule, ...] = (
    rule(
        "l",
        rf"""(?P<party>[DIR])[-–](?P<state>(?:{_names(_ABBREVIATED)})(?=\.)|(?:{_names(_WRITTEN_OUT)}|{_names(_POSTAL)})(?!\w))
        \.?""",
        _party,
    ),
    rule("l", rf"(?P<state>{_names(_POSTAL)})(?![\w'’.-]*\w)", _postal),
    rule("l", rf"(?P<state>{_names(_ABBREVIATED)})\.(?![A-Za-z])", _state),
)
