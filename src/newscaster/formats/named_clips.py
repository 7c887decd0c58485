"""Named clips: parts of a target video that are shown on cue, such as a nod.

Defines their values and the syntax in which users give them. `anchor_info` stores them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from newscaster.errors import InputError
from newscaster.texts import quoted

IDLE = "idle"
"""Name of the clip that loops while no one speaks."""
LISTENING = "listening"
"""Name of the clip that loops while the user speaks."""
MIN_SECONDS = 0.4
"""Shorter clips are refused."""
MAX_SECONDS = 30.0
MAX_CLIPS = 64
_NAME = re.compile(r"[\w-]{1,40}")
_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,6})?)")
_EXPECTED = "expected NAME=START-STOP, in seconds, MM:SS or HH:MM:SS, such as nod=00:12-00:14"


@dataclass(frozen=True, kw_only=True)
class NamedClip:
    """Frames `start` to `stop` (exclusive) of the target, and their name."""

    name: str
    """Letters, digits, `_` and `-`; at most 40."""
    start: int
    stop: int
    from_footage: bool = False
    """Whether its frames were appended to the target from other footage, and leave it with the clip."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start

    def to_json(self) -> dict[str, object]:
        """Return plain values, for `clips_from_json`."""
        values: dict[str, object] = {"name": self.name, "start": self.start, "stop": self.stop}
        return {**values, "from_footage": True} if self.from_footage else values


@dataclass(frozen=True, kw_only=True)
class ClipTimes:
    """A clip as a user names it: a part of a video, in seconds."""

    name: str
    start_seconds: float
    stop_seconds: float

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"the name of a clip is {quoted(self.name)}; expected 1 to 40 letters, digits, _ and -"
            )
        seconds = self.stop_seconds - self.start_seconds
        if not MIN_SECONDS - 1e-6 <= seconds <= MAX_SECONDS:
            raise InputError(
                f"the clip {quoted(self.name)} lasts {seconds:g} s, from {self.start_seconds:g} to "
                f"{self.stop_seconds:g} s; expected {MIN_SECONDS:g} to {MAX_SECONDS:g} s"
            )

    @staticmethod
    def parse(text: str) -> ClipTimes:
        """Parse `nod=00:12-00:14`.

        Raises:
            InputError: it is not such a text; the name cannot be used; the clip is too short or too long.
        """
        name, _, times = text.partition("=")
        ends = [_seconds(part) for part in times.split("-")]
        if len(ends) != 2 or ends[0] is None or ends[1] is None:
            raise InputError(f"the clip is {quoted(text)}; {_EXPECTED}")
        return ClipTimes(name=name, start_seconds=ends[0], stop_seconds=ends[1])


def _seconds(text: str) -> float | None:
    matched = _TIME.fullmatch(text.strip())
    if matched is None:
        return None
    hours, minutes, seconds = matched.groups()
    if (minutes and float(seconds) >= 60) or (hours and int(minutes) >= 60):
        return None
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


def check_names(clips: Iterable[ClipTimes], existing: Sequence[NamedClip] = ()) -> None:
    """Check that no two clips have one name.

    Raises:
        InputError: two have.
    """
    names = [clip.name for clip in existing]
    for clip in clips:
        if clip.name in names:
            raise InputError(
                f"two clips have the name {quoted(clip.name)}; expected a name for each. Give another name, "
                "or remove the first clip"
            )
        names.append(clip.name)


def overlapping(clips: Iterable[NamedClip]) -> tuple[NamedClip, NamedClip] | None:
    """Return two clips that share a frame; None: there are none."""
    ordered = sorted(clips, key=lambda clip: clip.start)
    for first, second in itertools.pairwise(ordered):
        if second.start < first.stop:
            return first, second
    return None


def names_text(clips: Iterable[NamedClip]) -> str:
    """Return the names for a message."""
    return ", ".join(sorted(clip.name for clip in clips)) or "none"


def clips_from_json(values: Sequence[object]) -> tuple[NamedClip, ...]:
    """Parse a list of `NamedClip.to_json`.

    Raises:
        InputError: an entry is none.
    """
    clips = []
    for value in values:
        if (
            not isinstance(value, Mapping)
            or not isinstance(value.get("name"), str)
            or type(value.get("start")) is not int
            or type(value.get("stop")) is not int
            or type(value.get("from_footage", False)) is not bool
        ):
            raise InputError(f"clips has {value!r:.100}; expected name, start and stop")
        clips.append(
            NamedClip(
                name=value["name"],
                start=value["start"],
                stop=value["stop"],
                from_footage=value.get("from_footage", False),
            )
        )
    return tuple(clips)


def valid_clips(clips: Sequence[NamedClip], frames: int) -> bool:
    """Whether clips can be those of a target of so many frames: named, within it, apart."""
    return (
        len(clips) <= MAX_CLIPS
        and len({clip.name for clip in clips}) == len(clips)
        and all(_NAME.fullmatch(clip.name) and 0 <= clip.start < clip.stop <= frames for clip in clips)
        and overlapping(clips) is None
    )
