from __future__ import annotations

import threading

import numpy as np
import pytest

from newscaster.speech.voices import Reading
from newscaster.synthesis.live_voice import SharedVoices


class Slow:
    """A voice that notices when two speak with it at once."""

    def __init__(self) -> None:
        self.speaking = threading.Lock()
        self.sentences: list[str] = []

    language = ""

    def unread(self, sentence: str) -> tuple[tuple[str, str], ...]:
        return ()

    def say(self, sentence: str, *, speed: float) -> tuple[np.ndarray, int]:
        assert self.speaking.acquire(blocking=False)
        threading.Event().wait(0.01)
        self.sentences.append(sentence)
        self.speaking.release()
        return np.zeros(len(sentence), np.float32), 16_000


def test_a_voice_is_loaded_once_and_speaks_with_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Reading] = []

    def load(reading: Reading) -> Slow:
        loaded.append(reading)
        return Slow()

    monkeypatch.setattr(Reading, "load", load)
    voices, found = SharedVoices(), []

    def speak() -> None:
        found.append(voices.voice(Reading(speed=1.1)).say("Good evening.", speed=1.0))

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(loaded) == 1
    voices.voice(Reading(speed=0.9))  # a pace is not another voice
    assert len(loaded) == 1
    voices.voice(Reading(command="espeak-ng --stdin --stdout"))
    assert len(loaded) == 2


def test_a_voice_has_spoken_before_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are loaded with the first word."""
    slow = Slow()
    monkeypatch.setattr(Reading, "load", lambda reading: slow)
    voices = SharedVoices()
    voices.voice(Reading())
    assert len(slow.sentences) == 1
    voices.voice(Reading(speed=1.2)).say("Good evening.", speed=1.2)
    assert slow.sentences[1:] == ["Good evening."]
    slow.sentences.clear()
    SharedVoices().voice(Reading(command="espeak-ng --stdin --stdout"))
    assert not slow.sentences  # a program is started again for each sentence
