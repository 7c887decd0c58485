from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from newscaster.errors import InputError
from newscaster.speech.cued_script import ScriptCue
from newscaster.speech.voices import Reading
from newscaster.speech.voices.cued import MAX_PACE, MIN_PACE, speak_cues

RATE = 16_000
SECONDS_PER_LETTER = 0.1


class Tone:
    """A voice that takes a tenth of a second for each letter."""

    language = "en"

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        return ()

    def say(self, sentence: str, *, speed: float) -> tuple[npt.NDArray[np.float32], int]:
        letters = sum(character.isalnum() for character in sentence)
        time = np.arange(round(SECONDS_PER_LETTER * letters / speed * RATE)) / RATE
        return (0.5 * np.sin(2 * np.pi * 220 * time)).astype(np.float32), RATE


@pytest.fixture(autouse=True)
def voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "load", lambda _: Tone())


def cue(number: int, start: float, stop: float, letters: int) -> ScriptCue:
    return ScriptCue(
        number=number, start_ms=round(1000 * start), stop_ms=round(1000 * stop), text="a" * letters + "."
    )


def test_the_pace_fits_the_caption_within_its_bounds() -> None:
    cues = [cue(1, 0, 2, 20), cue(2, 3, 5, 23), cue(3, 6, 8, 17), cue(4, 9, 11, 5), cue(5, 12, 14, 40)]
    paces = [(s.pace, len(s.samples) / s.rate) for s in speak_cues(cues, rate=RATE)]
    assert paces[0][0] == 1.0
    assert paces[1][0] == pytest.approx(1.15, abs=0.05)
    assert paces[1][1] == pytest.approx(2.0, abs=0.1)
    assert MIN_PACE < paces[2][0] < 1
    assert paces[2][1] == pytest.approx(2.0, abs=0.1)
    assert paces[3][0] == MIN_PACE
    assert paces[4][0] == MAX_PACE


def test_what_does_not_fit_is_reported_and_never_meets_the_next_caption() -> None:
    first, second, last = speak_cues([cue(1, 0, 1, 30), cue(2, 1.5, 2.5, 10), cue(3, 3, 4, 30)], rate=RATE)
    assert len(first.samples) == 1.5 * RATE
    assert first.lost_seconds == pytest.approx(30 * SECONDS_PER_LETTER / MAX_PACE - 1.5, abs=0.1)
    assert first.line is not None
    assert "caption 1" in first.line
    assert "cut off" in first.line
    assert np.abs(first.samples[-10:]).max() < 0.05  # faded
    assert second.line is None
    assert last.lost_seconds == 0
    assert last.line is not None
    assert "after it" in last.line


def test_a_program_has_no_pace() -> None:
    with pytest.raises(InputError, match="own pace"):
        list(speak_cues([cue(1, 0, 1, 5)], reading=Reading(command="cat"), rate=RATE))
