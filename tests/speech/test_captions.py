from __future__ import annotations

import itertools

import pytest

from newscaster.media import Cue
from newscaster.speech.captions import (
    LINE_CHARACTERS,
    LINES,
    TimedSentence,
    caption_cues,
    caption_lines,
)

LONG = (
    "The council met for the first time since the flood, heard eleven speakers, most of whom had lost their "
    "homes, and put off until Thursday what it had been called together to decide on that very evening."
)


def timed(text: str, start: float, stop: float) -> TimedSentence:
    return TimedSentence(text=text, start_seconds=start, stop_seconds=stop)


def test_a_short_sentence_is_one_caption() -> None:
    cues = caption_cues([timed("Good evening.", 0.0, 1.0004), timed("Here is the news.", 1.35, 2.5)])
    assert cues == [
        Cue(start_ms=0, stop_ms=1000, lines=("Good evening.",)),
        Cue(start_ms=1350, stop_ms=2500, lines=("Here is the news.",)),
    ]


def test_a_long_sentence_becomes_several() -> None:
    cues = caption_cues([timed(LONG, 2.0, 14.0)])
    assert len(cues) == 3
    assert (cues[0].start_ms, cues[-1].stop_ms) == (2000, 14_000)
    assert all(a.stop_ms == b.start_ms for a, b in itertools.pairwise(cues))
    assert all(len(cue.lines) <= LINES for cue in cues)
    assert all(len(line) <= LINE_CHARACTERS for cue in cues for line in cue.lines)
    assert " ".join(line for cue in cues for line in cue.lines) == LONG
    letters = [sum(map(len, cue.lines)) for cue in cues]
    for cue, count in zip(cues, letters, strict=True):
        assert cue.stop_ms - cue.start_ms == pytest.approx(12_000 * count / sum(letters), abs=1)


def test_digits_last_longer_than_letters() -> None:
    text = (
        "It rose to $1,250,399.75 and to 87,344,212 in all, as had been said, "
        "and then it fell and fell and fell."
    )
    first, second = caption_cues([timed(text, 0.0, 10.0)])
    assert any("$" in line for line in first.lines)
    written, rest = (sum(map(len, cue.lines)) for cue in (first, second))
    assert first.stop_ms > 10_000 * written / (written + rest) + 1000


def test_lines_are_even() -> None:
    assert caption_lines("The weather stays fine until Sunday or Monday.") == [
        "The weather stays fine",
        "until Sunday or Monday.",
    ]
    assert caption_lines("x" * 100) == ["x" * 42, "x" * 42, "x" * 16]


def test_captions_without_duration_are_dropped() -> None:
    cues = caption_cues([timed(LONG, 1.0, 1.001)])
    assert [cue.stop_ms - cue.start_ms for cue in cues] == [1]


def test_sentences_follow_each_other() -> None:
    with pytest.raises(ValueError, match="from 500 to 2000 ms"):
        caption_cues([timed("One.", 0.0, 1.0), timed("Two.", 0.5, 2.0)])


def test_long_sentences_divide_their_time_by_the_letters_that_are_spoken() -> None:
    text = " ".join(["word"] * 30)
    letters = (9.0,) * 60 + (1.0,) * 60
    cues = caption_cues([TimedSentence(text=text, start_seconds=0, stop_seconds=10, letters=letters)])
    written = [len("".join(cue.lines).replace(" ", "")) for cue in cues]
    assert sum(written) == 120
    shares = [sum(letters[: sum(written[: k + 1])]) / sum(letters) for k in range(len(cues))]
    assert [cue.stop_ms for cue in cues] == [round(10_000 * share) for share in shares]
