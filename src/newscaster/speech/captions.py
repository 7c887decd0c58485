"""Captions of a text that is read aloud: which words stand on the screen when, and in which lines.

A sentence is shown from its first sound to its last. One that is too long for two lines becomes several
captions, which share its time by how long they take to say, as far as letters and digits tell.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from newscaster.media import Cue

LINE_CHARACTERS = 42
"""The most that a line holds: what broadcasters and streaming services allow."""
LINES = 2
_SAID = dict.fromkeys("0123456789", 5) | dict.fromkeys("$€£%&+=", 7)
"""Letters of what a character is said as, where that is more than one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedSentence:
    """A sentence, and where it is heard."""

    text: str
    start_seconds: float
    stop_seconds: float
    """Where its last sound ends; the pause comes after."""


def caption_cues(sentences: Iterable[TimedSentence]) -> list[Cue]:
    """Captions of sentences that follow each other in time; none overlaps the next.

    Raises:
        ValueError: a sentence begins before the last one ends.
    """
    cues: list[Cue] = []
    for sentence in sentences:
        start, stop = round(sentence.start_seconds * 1000), round(sentence.stop_seconds * 1000)
        if stop < start or (cues and start < cues[-1].stop_ms):
            raise ValueError(
                f"a sentence is heard from {start} to {stop} ms, and the last one ends later than it begins"
            )
        cues.extend(_cues(sentence.text, start, stop))
    return cues


def caption_lines(text: str) -> list[str]:
    """A sentence in lines of at most LINE_CHARACTERS, as few as possible and as even as possible."""
    lines = _wrapped(text, LINE_CHARACTERS)
    longest_word = max(map(len, text.split()), default=1)
    for width in range(longest_word, LINE_CHARACTERS):
        narrower = _wrapped(text, width)
        if len(narrower) == len(lines):
            return narrower
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _letters_said(line: str) -> int:
    """About how many letters a line would have if its figures and signs were written as they are said."""
    return sum(_SAID.get(character, 1) for character in line)


def _cues(text: str, start_ms: int, stop_ms: int) -> list[Cue]:
    lines = caption_lines(text)
    shown = [tuple(lines[first : first + LINES]) for first in range(0, len(lines), LINES)]
    lengths = [sum(map(_letters_said, some)) for some in shown]
    cues, begin, read = [], start_ms, 0
    for some, length in zip(shown, lengths, strict=True):
        read += length
        end = start_ms + round((stop_ms - start_ms) * read / sum(lengths))
        if end > begin:  # players would drop one that takes no time
            cues.append(Cue(start_ms=begin, stop_ms=end, lines=some))
        begin = end
    return cues
