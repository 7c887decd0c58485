from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.activity import speech_activity
from newscaster.speech.voices import resample, speak_sentences, split_paragraphs, synthesize

needs_voice = pytest.mark.skipif(
    importlib.util.find_spec("hibari") is None, reason="hibari-tts is not installed"
)


@needs_voice
def test_sentences_and_pauses() -> None:
    text = "Good evening.\nHere is the news.\n\nIt rains."
    pieces = list(speak_sentences(text, rate=16000))
    assert len(pieces) == 3
    for (samples, rate), pause in zip(pieces, (0.35, 0.8, 0.35), strict=True):
        assert rate == 16000
        assert samples.dtype == np.float32
        assert np.abs(samples).max() <= 1.0
        quiet = round(pause * rate)
        assert not samples[-quiet:].any()
        assert np.abs(samples[-quiet - 800 : -quiet]).max() > 0.002
        assert speech_activity(samples).mean() > 0.4
    whole, rate = synthesize(text, rate=16000)
    np.testing.assert_array_equal(whole, np.concatenate([samples for samples, _ in pieces]))


@needs_voice
def test_own_rate_and_speed() -> None:
    normal, rate = synthesize("The weather stays fine until Sunday.")
    fast, _ = synthesize("The weather stays fine until Sunday.", speed=1.5)
    assert rate == 24000
    assert len(fast) < 0.85 * len(normal)


@needs_voice
@pytest.mark.parametrize("text", ["", "  \n\n ", "... !?", "你好"])
def test_text_that_says_nothing(text: str) -> None:
    with pytest.raises(SpeechError, match=r"text|speak"):
        synthesize(text)


def test_arguments() -> None:
    for wrong in ({"voice": "nobody"}, {"speed": 0.1}, {"speed": float("nan")}, {"rate": 10}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            speak_sentences("Hello.", **wrong)  # type: ignore[arg-type]


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[tts\]"):
        speak_sentences("Hello.")


def test_paragraphs() -> None:
    assert split_paragraphs("One\r\ntwo.\r\n \r\nThree.\n\n\n---\n") == ["One two.", "Three."]


@pytest.mark.parametrize("wanted", [16000, 22050, 44100])
def test_resample_keeps_a_tone(wanted: int) -> None:
    def tone(rate: int) -> np.ndarray:
        time = np.arange(rate) / rate
        return (np.sin(np.pi * time) ** 2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)

    found = resample(tone(24000), 24000, wanted)
    assert len(found) == wanted
    np.testing.assert_allclose(found, tone(wanted), atol=2e-3)
    assert resample(tone(24000), 24000, 24000) is not None
