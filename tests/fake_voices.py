"""Stand-ins for voices: one in this process, whose audio tests choose, and a program that plays a file."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from newscaster.speech.voices import Reading
from newscaster.speech.voices.scripts import LATIN, foreign_words
from newscaster.types import ArrayF32

MakeAudio = Callable[[str, float], ArrayF32]
"""Samples (N,) of a sentence at a speed."""


class FakeVoice:
    """A voice of the Latin script that keeps what it says, and fails if asked to say two things at once.

    Args:
        audio: makes the samples of a sentence; tests may replace it at any time.
        rate: of the samples, in Hz; likewise.
    """

    language = ""

    def __init__(self, audio: MakeAudio, *, rate: int = 24_000) -> None:
        self.audio = audio
        self.rate = rate
        self.sentences: list[str] = []
        self.speeds: list[float] = []
        self._speaking = threading.Lock()

    def unread(self, sentence: str) -> list[tuple[str, str]]:
        return list(foreign_words(sentence, LATIN))

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        assert self._speaking.acquire(blocking=False), "two sentences at once"
        try:
            self.sentences.append(sentence)
            self.speeds.append(speed)
            samples = self.audio(sentence, speed)
            return samples, self.rate
        finally:
            self._speaking.release()


def use_voice(patch: pytest.MonkeyPatch, voice: FakeVoice) -> None:
    """Let this voice read all texts, whichever voice is asked for."""
    patch.setattr(Reading, "load", lambda reading: voice)


def voice_command(wav: Path) -> str:
    """A voice command that plays this file for each sentence."""
    code = f"import sys; sys.stdout.buffer.write(open({str(wav)!r}, 'rb').read())"
    return shlex.join([sys.executable, "-c", code])
