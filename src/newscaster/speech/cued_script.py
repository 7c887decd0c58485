"""Captions as a script with times: SubRip (.srt) and WebVTT (.vtt).

Reads cues strictly: a cue that is damaged, out of order or overlaps the next one is an error that names it.
For captions that are read as a plain text, without their times, see `cue_text`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from newscaster.errors import InputError
from newscaster.texts import quoted

MAX_CUES = 10_000
_TIMES = re.compile(
    r"^\s*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s+-->\s+(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})(?:\s.*)?$"
)
_MARKS = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|\{\\[^{}]{0,200}\}|<(?:\d{1,3}:)?\d{2}:\d{2}\.\d{3}>")
_NOT_CUES = ("WEBVTT", "NOTE", "STYLE", "REGION")


@dataclass(frozen=True, kw_only=True)
class ScriptCue:
    """A text, and when it is to be spoken."""

    number: int
    """Its place in the file, from 1."""
    start_ms: int
    stop_ms: int
    text: str

    @property
    def seconds(self) -> float:
        """How long the cue is shown."""
        return (self.stop_ms - self.start_ms) / 1000


def parse_cues(text: str, *, name: str) -> list[ScriptCue]:
    """Return the cues of a SubRip or WebVTT text, in order; cues without words are skipped.

    Args:
        text: of the file.
        name: of the file, for messages.

    Raises:
        InputError: there are none; one ends before it starts, or starts before the last one ends.
    """
    cues: list[ScriptCue] = []
    blocks = re.split(r"\n[^\S\n]*\n", text.replace("\r\n", "\n").replace("\r", "\n").strip())
    number = 0
    for block in blocks:
        lines = block.strip("\n").split("\n")
        at = next((k for k, line in enumerate(lines[:2]) if _TIMES.match(line)), None)
        if at is None:
            if lines[0].startswith(_NOT_CUES) or not block.strip():
                continue
            raise InputError(
                f"'{name}' has {quoted(lines[0][:60])} where a caption with its time is expected, such as: "
                "00:00:01,000 --> 00:00:03,500"
            )
        number += 1
        match = _TIMES.match(lines[at])
        assert match is not None
        start, stop = _milliseconds(match.groups()[:4]), _milliseconds(match.groups()[4:])
        words = " ".join(_MARKS.sub("", " ".join(lines[at + 1 :])).split())
        if stop <= start:
            raise InputError(
                f"caption {number} of '{name}' ends at {clock(stop)}, and it starts at {clock(start)}; "
                "expected an end after its start"
            )
        if not any(character.isalnum() for character in words):
            continue
        if cues and start < cues[-1].stop_ms:
            raise InputError(
                f"caption {number} of '{name}' starts at {clock(start)}, before caption {cues[-1].number} "
                f"ends at {clock(cues[-1].stop_ms)}; expected captions that follow each other. Change one of "
                "the times"
            )
        cues.append(ScriptCue(number=number, start_ms=start, stop_ms=stop, text=words))
    if not cues:
        raise InputError(
            f"'{name}' has no caption with words; expected SubRip (.srt) or WebVTT (.vtt) captions"
        )
    if len(cues) > MAX_CUES:
        raise InputError(f"'{name}' has {len(cues)} captions; expected {MAX_CUES} or fewer. Dub it in parts")
    return cues


def clock(ms: int) -> str:
    """Return a time as captions have it.

    >>> clock(3723004)
    '1:02:03.004'
    """
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}.{ms:03}"


def _milliseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = parts
    assert minutes is not None
    assert seconds is not None
    assert fraction is not None
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int(fraction.ljust(3, "0"))
