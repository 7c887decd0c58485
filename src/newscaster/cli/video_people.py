"""The options `--name` and `--consent` of `dub`: people who are known from the video alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from newscaster.cli.consent_option import ConsentPurpose, read_consent
from newscaster.errors import InputError

_NUMBERED = re.compile(r"\s*(\d{1,4})\s*=(.*)", re.DOTALL)


@dataclass(frozen=True)
class VideoPerson:
    """A person without an anchor."""

    name: str | None
    """None: by default that of the video."""
    consent: str
    """A statement or a record."""


def video_people(
    faces: Sequence[int | None], *, several: bool, names: Sequence[str], consents: Sequence[str]
) -> list[VideoPerson]:
    """Return the people without an anchor; prompt for a consent that is not given.

    Args:
        faces: numbers of their faces; None: the only person.
        several: whether the command names several people: each name and consent is then N=TEXT.
        names: values of --name.
        consents: values of --consent.

    Raises:
        InputError: a value has no person, a person has two values, or a consent is missing.
    """
    name_of = _by_face("--name", names, faces, several=several)
    consent_of = _by_face("--consent", consents, faces, several=several)
    return [
        VideoPerson(
            name_of.get(face), read_consent(consent_of.get(face), _purpose(face if several else None))
        )
        for face in faces
    ]


def _purpose(face: int | None) -> ConsentPurpose:
    who, number = ("the person shown", "") if face is None else (f"face {face}", f"{face}=")
    return ConsentPurpose(
        who=f"Who is {who}, and agrees to their lips being rewritten?",
        refusal=f"without an anchor, rewriting lips needs the consent of {who}",
        example=f"'{number}Ada Byron, 2026-11-02: dubbed interviews on our site'",
    )


def _by_face(
    option: str, values: Sequence[str], faces: Sequence[int | None], *, several: bool
) -> dict[int | None, str]:
    """Return the value of each face that has one."""
    if values and not faces:
        raise InputError(
            f"{option} is given, and everyone has an anchor, which has its own. Omit {option}, or the anchor"
        )
    by_face: dict[int | None, str] = {}
    for value in values:
        face, text = _numbered(option, value) if several else (faces[0], value)
        if face not in faces:
            listed = ", ".join(map(str, faces))
            raise InputError(f"{option} is given for face {face}; expected one without an anchor: {listed}")
        if face in by_face:
            person = f" for face {face}" if several else ""
            raise InputError(f"{option} is given twice{person}; expected one for each person")
        by_face[face] = text
    return by_face


def _numbered(option: str, value: str) -> tuple[int, str]:
    match = _NUMBERED.fullmatch(value)
    if match is None:
        raise InputError(
            f"{option} is {value!r:.80}, and several people are named; expected N=TEXT with the number of "
            "the face, such as 0=Ada"
        )
    return int(match[1]), match[2].strip()
