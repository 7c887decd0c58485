"""Captions of a text that is read aloud: their times and lines.

A sentence is shown from its first sample to its last. A sentence that is too long for two lines becomes
several captions, which divide its time by their number of spoken letters.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from newscaster.media import Cue

LINE_CHARACTERS = 42
"""Largest length of a line: the limit of broadcasters and streaming services."""
LINES = 2
_SPOKEN_LETTERS = dict.fromkeys("0123456789", 5) | dict.fromkeys("$€£%&+=", 7)
"""Letters of a character's spoken form, if more than one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedSentence:
    """A sentence and its time in the audio."""

    text: str
    start_seconds: float
    stop_seconds: float
    """End of its speech; the pause comes after."""
    letters: tuple[float, ...] = ()
    """For each character of the text but spaces, the letters that are spoken for it; (): estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedWord:
    """A word and its time in the audio; spaces divide words."""

    text: str
    start_seconds: float
    stop_seconds: float


def timed_words(sentence: TimedSentence) -> list[TimedWord]:
    """Return the words of a sentence, which divide its time by their numbers of spoken letters."""
    words = sentence.text.split()
    counts = [len(word) for word in words]
    lengths: list[float] = [float(_count_spoken_letters(word)) for word in words]
    if len(sentence.letters) == sum(counts):
        ends = list(accumulate(counts, initial=0))
        lengths = [sum(sentence.letters[first:stop]) for first, stop in pairwise(ends)]
    seconds_per_letter = (sentence.stop_seconds - sentence.start_seconds) / (sum(lengths) or 1.0)
    times = [sentence.start_seconds + seconds_per_letter * read for read in accumulate(lengths, initial=0.0)]
    return [
        TimedWord(text=word, start_seconds=start, stop_seconds=stop)
        for word, (start, stop) in zip(words, pairwise(times), strict=True)
    ]


def caption_cues(sentences: Iterable[TimedSentence]) -> list[Cue]:
    """Return the captions of successive sentences; none overlaps the next.

    Raises:
        ValueError: a sentence starts before the previous one ends.
    """
    cues: list[Cue] = []
    for sentence in sentences:
        start, stop = round(sentence.start_seconds * 1000), round(sentence.stop_seconds * 1000)
        if stop < start or (cues and start < cues[-1].stop_ms):
            raise ValueError(
                f"a sentence lasts from {start} to {stop} ms, but must not start before the previous one ends"
            )
        cues.extend(_cues(sentence.text, start, stop, sentence.letters))
    return cues


def caption_lines(text: str) -> list[str]:
    """Wrap a sentence into lines of at most LINE_CHARACTERS, as few as possible and as even as possible."""
    lines = _wrapped(text, LINE_CHARACTERS)
    longest_word = max(map(len, text.split()), default=1)
    for width in range(longest_word, LINE_CHARACTERS):
        narrower = _wrapped(text, width)
        if len(narrower) == len(lines):
            return narrower
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _count_spoken_letters(line: str) -> int:
    """Estimate the letters of a line with its digits and signs spelt out."""
    return sum(_SPOKEN_LETTERS.get(character, 1) for character in line)


def _cues(text: str, start_ms: int, stop_ms: int, letters: tuple[float, ...]) -> list[Cue]:
    lines = caption_lines(text)
    captions = [tuple(lines[first : first + LINES]) for first in range(0, len(lines), LINES)]
    lengths: list[float] = [sum(map(_count_spoken_letters, caption)) for caption in captions]
    counts = [len("".join("".join(caption).split())) for caption in captions]
    if letters and len(letters) == sum(counts):
        ends = list(accumulate(counts, initial=0))
        lengths = [sum(letters[first:stop]) for first, stop in pairwise(ends)]
    cues, start, read = [], start_ms, 0.0
    for caption, length in zip(captions, lengths, strict=True):
        read += length
        end = start_ms + round((stop_ms - start_ms) * read / (sum(lengths) or 1.0))
        if end > start:  # players drop a cue without duration
            cues.append(Cue(start_ms=start, stop_ms=end, lines=caption))
        start = end
    return cues
