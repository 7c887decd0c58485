from __future__ import annotations

import threading

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice
from newscaster.speech.voices import Reading
from newscaster.synthesis.live_voice import SharedVoices


def slow_voice() -> FakeVoice:
    def silence(sentence: str, speed: float) -> np.ndarray:
        threading.Event().wait(0.01)
        return np.zeros(len(sentence), np.float32)

    return FakeVoice(silence)


def test_a_voice_is_loaded_once_and_speaks_with_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Reading] = []

    def load(reading: Reading) -> FakeVoice:
        loaded.append(reading)
        return slow_voice()

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
    slow = slow_voice()
    use_voice(monkeypatch, slow)
    voices = SharedVoices()
    voices.voice(Reading())
    assert len(slow.sentences) == 1
    voices.voice(Reading(speed=1.2)).say("Good evening.", speed=1.2)
    assert slow.sentences[1:] == ["Good evening."]
    slow.sentences.clear()
    SharedVoices().voice(Reading(command="espeak-ng --stdin --stdout"))
    assert not slow.sentences  # a program is started again for each sentence
