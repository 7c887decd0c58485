from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.activity import speech_activity
from newscaster.speech.voices import resample, synthesize
from newscaster.speech.voices.hibari import HIBARI_VOICES, HibariVoice


@pytest.fixture(scope="module")
def voice() -> HibariVoice:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    return HibariVoice("hibari")


def test_a_sentence(voice: HibariVoice) -> None:
    samples, rate = voice.say("The weather stays fine until Sunday.", speed=1.0)
    assert (samples.dtype, rate) == (np.float32, 24_000)
    assert speech_activity(resample(samples, rate, 16_000)).mean() > 0.4
    again, _ = voice.say("The weather stays fine until Sunday.", speed=1.0)
    np.testing.assert_array_equal(samples, again)
    fast, _ = voice.say("The weather stays fine until Sunday.", speed=1.5)
    assert len(fast) < 0.85 * len(samples)


def test_a_full_stop_inside_a_sentence_changes_nothing(voice: HibariVoice) -> None:
    """hibari reads "No. 5" as "number five", but only where it gets to see both."""
    short, _ = voice.say("See No. 5 on the list.", speed=1.0)
    spelled, _ = voice.say("See number 5 on the list.", speed=1.0)
    np.testing.assert_array_equal(short, spelled)


def test_nothing_to_say(voice: HibariVoice) -> None:
    assert len(voice.say("你好", speed=1.0)[0]) == 0
    with pytest.raises(SpeechError, match="voice for another language"):
        synthesize("你好")


def test_voices_that_have_not_been_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    for name in set(HIBARI_VOICES) - {"hibari"}:
        with pytest.raises(InputError, match=f"hibari 'Hello.' --voice {name} -o"):
            HibariVoice(name)
    assert not list(tmp_path.iterdir())


def test_an_older_hibari(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = pytest.importorskip("hibari.voices", reason="hibari-tts is not installed")

    def voice_path(name: str, **_: object) -> str:
        raise ValueError(f"unknown voice {name!r}")

    monkeypatch.setattr(voices, "voice_path", voice_path)
    with pytest.raises(InputError, match="pip install --upgrade hibari-tts"):
        HibariVoice("fable")


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[tts\]"):
        HibariVoice("hibari")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", ["1" * 37, "1" * 400, ",".join(["123"] * 30), "$" + "9" * 40, "1" * 40 + "%", "3." + "1" * 60]
)
def test_numbers_that_have_no_name_are_read_digit_by_digit(voice: HibariVoice, number: str) -> None:
    samples, rate = voice.say(f"The number is {number}.", speed=1.0)
    digits = sum(character.isdigit() for character in number)
    assert len(samples) / rate > 0.1 * digits
    assert voice.say("The number is 123,456.", speed=1.0)[0].size < rate * 6


def test_what_is_not_read(voice: HibariVoice) -> None:
    assert list(voice.unread("It costs €5, £6, ±7 or 8 µm × π.")) == []
    assert list(voice.unread("He said 你好, and x ≤ 5.")) == [("你好", "Chinese"), ("≤", "a sign")]
    assert list(voice.unread("Take ½ of it, not ⅔, at 5 ℃, I say.")) == [("⅔", "a sign"), ("℃", "a sign")]
    with pytest.raises(SpeechError, match="does not read Cyrillic"):
        synthesize("Добрый вечер.")
    assert len(synthesize("Good evening. Добрый вечер.")[0]) > 0
