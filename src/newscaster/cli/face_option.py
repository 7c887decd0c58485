"""The option `--face`: a face of a video, or several, each with an anchor or without, and a speech."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from newscaster.errors import InputError

_FORM = "N, N=ANCHOR:SPEECH, such as 0=left.anchor:left.wav, or N=:SPEECH without an anchor"
_CAPTIONS = (".srt", ".vtt")


@dataclass(frozen=True)
class FaceChoice:
    """One value of the option."""

    number: int | None
    """Of the face, from the left; None: it was not selected."""
    anchor: str | None = None
    """None: it is not named here."""
    speech: str | None = None
    """None: the person has no speech."""

    @property
    def script(self) -> Path | None:
        """The speech, if it is captions."""
        is_script = self.speech is not None and Path(self.speech).suffix.lower() in _CAPTIONS
        return Path(self.speech) if is_script and self.speech is not None else None


class _FaceType(click.ParamType[FaceChoice]):
    """N, N=ANCHOR, N=ANCHOR:SPEECH or N=:SPEECH."""

    name = "face"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FaceChoice:
        """Return the choice."""
        if isinstance(value, FaceChoice):
            return value
        match = re.fullmatch(r"\s*(\d{1,4})\s*(?:=(.*))?", str(value), re.DOTALL)
        if match is None:
            self.fail(f"{value!r} is no face; expected {_FORM}", param, ctx)
        number, rest = int(match[1]), match[2]
        if rest is None:
            return FaceChoice(number)
        if rest.startswith(":") and len(rest) > 1:
            return FaceChoice(number, None, rest[1:])
        try:
            anchor, speech = split_anchor(rest)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return FaceChoice(number, anchor, speech)


FACE = _FaceType()
"""Type of the option."""


def split_anchor(text: str) -> tuple[str, str | None]:
    """Split ANCHOR or ANCHOR:SPEECH, both of which may contain colons.

    ANCHOR is the name of a bundled anchor, a file, or ends in .anchor. If that leaves several ways to split,
    the one counts whose speech is a file.

    Raises:
        ValueError: the text can be split in no way, or in several.
    """
    if _is_anchor(text):
        return text, None
    splits = [
        (text[:place], text[place + 1 :])
        for place, character in enumerate(text)
        if character == ":" and _is_anchor(text[:place])
    ]
    if not splits:
        raise ValueError(
            f"{text!r} names no anchor; expected {_FORM}. The anchor is 'builtin' or NAME.anchor"
        )
    if len(splits) > 1:
        splits = [(anchor, speech) for anchor, speech in splits if Path(speech).is_file()] or splits
    if len(splits) > 1:
        raise ValueError(f"{text!r} can be split in {len(splits)} ways. Rename the files without colons")
    anchor, speech = splits[0]
    if not speech:
        raise ValueError("no speech stands after the colon. Name one, or omit the colon")
    return anchor, speech


def _is_anchor(text: str) -> bool:
    from newscaster.formats.bundled_anchors import bundled_name

    return (
        bundled_name(text) is not None
        or text.lower().endswith(".anchor")
        or (text != "" and Path(text).is_file())
    )


def check_faces(choices: Sequence[FaceChoice]) -> None:
    """Check that the values of the option fit each other.

    Raises:
        InputError: a number is given twice, or two people read standard input.
    """
    numbers = [choice.number for choice in choices]
    for number in numbers:
        if numbers.count(number) > 1:
            raise InputError(f"--face {number} is given {numbers.count(number)} times; expected one of each")
    if sum(choice.speech == "-" for choice in choices) > 1:
        raise InputError("two people read standard input (-); expected one, and files for the others")
