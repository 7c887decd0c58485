"""`newscaster read`: what a voice is given for a text, without speaking."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice
from newscaster import cli
from newscaster.speech.voices import Reading, speak_sentences

TEXT = "Good evening. The WHO has 1,200 staff.\n\nIt met on 5 May 2026 (Москва)."


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> FakeVoice:
    """An English voice that must not speak unless a test lets it."""
    voice = FakeVoice(lambda sentence, speed: np.full(2400, 0.1, np.float32))
    voice.language = "en"
    use_voice(monkeypatch, voice)
    return voice


def test_one_sentence_a_line_as_the_voice_is_given_it(
    voice: FakeVoice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, words = tmp_path / "script.txt", tmp_path / "words.txt"
    script.write_text(TEXT, encoding="utf-8")
    words.write_text("WHO = the World Health Organization\n", encoding="utf-8")
    assert cli.run(["read", str(script), "--pronunciations", str(words)]) == 0
    shown = capsys.readouterr()
    assert not voice.sentences  # nothing was spoken
    lines = shown.out.splitlines()
    assert lines[0] == "Good evening."
    assert "the World Health Organization" in lines[1]
    assert "1,200" not in lines[1]
    assert "Москва" not in lines[2]
    from newscaster.cli.shared_options import pronunciations_of

    reading = Reading(voice="hibari", pronunciations=pronunciations_of(words))
    list(speak_sentences(TEXT, reading=reading))
    assert voice.sentences == lines


def test_json_has_the_written_form_and_the_lines(
    voice: FakeVoice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["read", "--text", TEXT, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [each["line"] for each in values["sentences"]] == [1, 1, 3]
    assert values["sentences"][1]["written"] == "The WHO has 1,200 staff."
    assert values["sentences"][2]["unread"] == ["Москва"]
    assert values["notes"] == []


def test_sentences_that_are_skipped_are_noted(voice: FakeVoice, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["read", "--text", "Good evening. Good night. Добрый вечер."]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["Good evening.", "Good night."]
    assert "sentence 3, line 1, is skipped" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neither is given"),
        (["script.txt", "--text", "Hi."], "both are given"),
        (["speech.wav"], "expected a .txt file"),
        (["--text", "..."], "holds no word to speak"),
    ],
)
def test_what_cannot_be_read(
    voice: FakeVoice, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["read", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("error: ")
    assert len(shown.err.splitlines()) == 1
