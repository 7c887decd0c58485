"""Captions read aloud, each in its own time: the pace is adapted to the time that a caption has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from newscaster.errors import InputError
from newscaster.speech.cued_script import ScriptCue, clock
from newscaster.speech.voices.reading import FASTEST, SLOWEST, Reading, speak_sentences
from newscaster.speech.voices.reading_notes import OnNote
from newscaster.types import ArrayF32

MIN_PACE, MAX_PACE = 0.8, 1.25
"""How far the pace of a caption may be from the voice's own."""
_CLOSE = 0.02
"""A length that is off by less is not spoken again."""
_FADE_SECONDS = 0.03
_ONSET = 0.01
"""Of the peak: speech starts at the first sample that is louder."""


@dataclass(frozen=True, kw_only=True)
class SpokenCue:
    """A spoken caption."""

    cue: ScriptCue
    samples: ArrayF32
    """(N,) float32 mono; the first one is played at the start of the caption."""
    rate: int
    pace: float
    """Of the voice's own."""
    overrun_seconds: float
    """How much longer the speech is than its caption; 0: it fits."""
    lost_seconds: float
    """How much of the end is cut off, since the next caption starts."""

    @property
    def line(self) -> str | None:
        """What a user should know; None: it fits."""
        if self.overrun_seconds <= 0:
            return None
        end = "its end is played after it"
        if self.lost_seconds > 0:
            end = f"the last {self.lost_seconds:.2f} s are cut off, since the next caption starts"
        return (
            f"caption {self.cue.number} at {clock(self.cue.start_ms)}: the speech is "
            f"{self.overrun_seconds:.2f} s longer than the caption, at {self.pace:.2f} of the pace; "
            f"{end}. Shorten the text, or give it more time"
        )


def speak_cues(
    cues: Sequence[ScriptCue], *, reading: Reading | None = None, rate: int, on_note: OnNote | None = None
) -> Iterator[SpokenCue]:
    """Yield captions as speech, in order.

    Args:
        cues: in order, without overlap.
        reading: the voice; its pace is the one that is adapted.
        rate: of the samples, in Hz.
        on_note: takes a line on what of a caption is not read as it is written.

    Raises:
        InputError: the voice is a program, whose pace cannot be set; it cannot be used.
        SpeechError: a caption cannot be spoken.
        MissingExtraError: the voice is not installed.
    """
    reading = reading or Reading()
    if reading.command is not None:
        raise InputError(
            "captions are spoken in their time, and a voice command goes at its own pace. Give a voice with "
            "--voice"
        )
    voice = reading.load()

    def spoken(cue: ScriptCue, pace: float) -> ArrayF32:
        paced = replace(reading, speed=min(max(reading.speed * pace, SLOWEST), FASTEST))
        sentences = list(speak_sentences(cue.text, reading=paced, rate=rate, voice=voice, on_note=on_note))
        last = sentences[-1]
        parts = [*(s.samples for s in sentences[:-1]), last.samples[: last.spoken_samples]]
        return _from_onset(np.concatenate(parts))

    for cue, following in zip(cues, [*cues[1:], None], strict=True):
        pace, samples = 1.0, spoken(cue, 1.0)
        wanted = len(samples) / rate / cue.seconds
        if abs(wanted - 1) > _CLOSE:
            pace = min(max(wanted, MIN_PACE), MAX_PACE)
            samples = spoken(cue, pace)
        seconds = len(samples) / rate
        room = float("inf") if following is None else (following.start_ms - cue.start_ms) / 1000
        lost = max(0.0, seconds - room)
        if lost > 0:
            samples = _cut(samples, round(room * rate), rate)
        yield SpokenCue(
            cue=cue,
            samples=samples,
            rate=rate,
            pace=pace,
            overrun_seconds=max(0.0, seconds - cue.seconds - _CLOSE * cue.seconds),
            lost_seconds=lost,
        )


def _from_onset(samples: ArrayF32) -> ArrayF32:
    """Return the samples without the quiet before the speech."""
    loud = np.flatnonzero(np.abs(samples) > _ONSET * np.abs(samples).max())
    return samples[loud[0] :] if len(loud) else samples


def _cut(samples: ArrayF32, count: int, rate: int) -> ArrayF32:
    """Return the first samples, faded out at their end."""
    kept = samples[:count].copy()
    fade = min(round(_FADE_SECONDS * rate), count)
    kept[count - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return kept
