"""The example of a conversation: turns of the user, answers, and what an interruption leaves of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import newscaster
from fake_voices import FakeVoice, use_voice
from newscaster.synthesis.options import LiveLimits, Style
from tiny_anchor import speech_like, write_tiny_anchor
from virtual_clock import VirtualClock

EXAMPLE = Path(__file__).parents[1] / "examples" / "assistant"
RATE, STEP = 16_000, 640
LINES = ("Here is the news.", "The bridge opens.", "Ferries go on.")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    import assistant

    yield assistant
    for name in ("assistant", "parts"):
        del sys.modules[name]


def user(*parts: float) -> np.ndarray:
    """Room noise, with speech in every second part; lengths in seconds."""
    pieces = [
        speech_like(seconds) if number % 2 else np.zeros(round(seconds * RATE), np.float32)
        for number, seconds in enumerate(parts)
    ]
    audio = np.concatenate(pieces)
    return audio + np.random.default_rng(0).normal(0, 1e-3, len(audio)).astype(np.float32)


def steps(audio: np.ndarray) -> list[np.ndarray]:
    return [audio[first : first + STEP] for first in range(0, len(audio) - STEP + 1, STEP)]


def test_turns_are_cut_at_pauses(example: ModuleType) -> None:
    found = [*example.turns(steps(user(1.0, 1.5, 0.3, 1.0, 1.5, 0.8, 1.5)))]
    assert [turn is None for turn in found] == [True, False, True, False]
    first, second = found[1], found[3]
    assert 2.8 <= len(first) / RATE <= 4.0  # with the pause of 0.3 s, and what is around it
    assert 0.8 <= len(second) / RATE <= 2.0


def test_a_turn_is_announced_when_it_starts(example: ModuleType) -> None:
    taken = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal taken
        for step in steps(user(1.0, 2.0, 1.5)):
            taken += 1
            yield step

    assert next(example.turns(counted())) is None
    assert 1.0 <= taken * STEP / RATE <= 1.4


def test_noise_is_no_turn_and_a_long_one_is_cut(example: ModuleType) -> None:
    breath = np.random.default_rng(1).normal(0, 0.02, 10 * RATE).astype(np.float32)
    assert [*example.turns(steps(breath))] == []
    whole = [turn for turn in example.turns(steps(user(0.5, 40.0, 1.0))) if turn is not None]
    assert len(whole) >= 2
    assert max(map(len, whole)) <= 15.1 * RATE


class Inline:
    """An executor that works at once, so that a test is in order."""

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def shutdown(self, wait: bool) -> None:
        pass


class Script:
    """Answers with these sentences, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[dict[str, str]]] = []
        self.stopped = 0

    def answer(self, conversation: list[dict[str, str]]) -> Iterator[str]:
        self.asked.append(conversation)
        yield from LINES

    def stop(self) -> None:
        self.stopped += 1


class Stage:
    """An assistant on a virtual clock: each step of the microphone takes a frame of the anchor."""

    def __init__(self, example: ModuleType, live: newscaster.Live, words: list[str]) -> None:
        self.live, self.script = live, Script()
        questions = iter(words)
        self.assistant = example.Assistant(
            live, lambda audio: next(questions), self.script, lambda line: None
        )
        self.assistant._worker = Inline()
        self.loudness: list[float] = []
        say = live.say
        live.say = lambda text: (speech := say(text), speech.result(20))[0]  # type: ignore[method-assign]

    def talk(self, audio: np.ndarray) -> None:
        frames = self.assistant.frames(threading.current_thread())

        def heard() -> Iterator[np.ndarray]:
            for step in steps(audio):
                _, sound = next(frames)
                self.loudness.append(float(np.abs(sound).max()))
                yield step

        self.assistant.listen(heard())


@pytest.fixture
def stage(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[str]], Stage]]:
    use_voice(monkeypatch, FakeVoice(lambda sentence, speed: speech_like(1.2, 24_000)))
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor"), workers=1)
    limits = LiveLimits(prefetch_seconds=60.0)
    style = Style(reading=newscaster.Reading(), label="", watermark=False)
    with anchor.live(clock=VirtualClock(), limits=limits, style=style) as live:
        yield lambda words: Stage(example, live, words)


def test_an_answer_is_spoken_to_its_end(stage: Any) -> None:
    s = stage(["the news"])
    s.talk(user(0.5, 1.0, 6.0))
    assert s.script.asked == [[{"role": "user", "content": "the news"}]]
    said = [{"role": "assistant", "content": line} for line in LINES]
    assert s.assistant.conversation == [{"role": "user", "content": "the news"}, *said]
    assert s.assistant._speeches == {}
    loud = np.array(s.loudness) > 0.01
    assert loud[: round(1.5 * 25)].sum() == 0
    assert loud.sum() / 25 == pytest.approx(3.6, abs=0.4)


def test_speech_of_the_user_interrupts_the_answer(stage: Any) -> None:
    s = stage(["the news", "the time"])
    s.talk(user(0.5, 1.0, 2.5, 1.0, 0.5))
    kept = [message["content"] for message in s.script.asked[1]]
    assert kept == ["the news", LINES[0], f"{LINES[1]} [interrupted]", "the time"]
    assert s.script.stopped == 2
    barge_in = round(4.0 * 25)  # the user starts to speak
    loud = np.array(s.loudness) > 0.01
    assert loud[barge_in - 25 : barge_in].mean() > 0.5
    assert loud[barge_in + 8 :].sum() == 0  # three steps, the detector's delay, and the fade-out


def test_a_turn_without_words_is_not_answered(stage: Any) -> None:
    s = stage([""])
    s.talk(user(0.5, 1.0, 2.0))
    assert s.script.asked == []
    assert s.assistant.conversation == []


def test_a_late_answer_is_not_spoken(stage: Any) -> None:
    """The user goes on while the recogniser works: its result is of an earlier turn."""
    s = stage([])

    def recognise(audio: np.ndarray) -> str:
        s.assistant.interrupt()
        return "too late"

    s.assistant.recognise = recognise
    s.talk(user(0.5, 1.0, 2.0))
    assert s.script.asked == []
    assert not any(np.array(s.loudness) > 0.01)


def test_a_program_answers_line_by_line(example: ModuleType, tmp_path: Path) -> None:
    from parts import Program  # type: ignore[import-not-found]

    script = tmp_path / "program.py"
    script.write_text(
        "import json, sys, time\n"
        "print(json.load(sys.stdin)[-1]['content'], flush=True)\n"
        "print()\n"
        "print('second', flush=True)\n"
        "time.sleep(600)\n"
    )
    program = Program(f"{sys.executable} {script}")
    lines = program.answer([{"role": "user", "content": "first"}])
    assert [next(lines), next(lines)] == ["first", "second"]
    threading.Timer(0.2, program.stop).start()
    assert [*lines] == []  # it was killed while the next line was waited for
    assert program._process.poll() is not None


def test_a_program_may_ignore_the_conversation(example: ModuleType) -> None:
    from parts import Program

    program = Program(f"{sys.executable} -c \"import os; os.close(0); print('hello')\"")
    long = [{"role": "user", "content": "x" * 1_000_000}]
    assert [*program.answer(long)] in (["hello"], [])  # its pipe may break before it prints


@pytest.mark.parametrize(("question", "word"), [("the news please", "bridge"), ("well", "You said: well.")])
def test_the_program_of_the_example(question: str, word: str) -> None:
    conversation = json.dumps([{"role": "user", "content": question}])
    answered = subprocess.run(
        [sys.executable, EXAMPLE / "answer.py"],
        input=conversation,
        capture_output=True,
        text=True,
        check=True,
    )
    assert word in answered.stdout


@pytest.mark.slow
def test_the_whole_conversation_from_a_file(example: ModuleType, tmp_path: Path) -> None:
    """With the real recogniser and voice, and a WAV file as microphone."""
    pytest.importorskip("pocketsphinx", reason="the recogniser of the example is not installed")
    pytest.importorskip("hibari", reason="the voice is not installed")
    from newscaster.speech.voices import Reading, synthesize

    questions = [
        synthesize(text, reading=Reading(voice="hibari"), rate=RATE)[0]
        for text in ("Tell me the news.", "What time is it?")
    ]
    quiet = np.zeros(RATE, np.float32)
    audio = np.concatenate([quiet, questions[0], *[quiet] * 8, questions[1], *[quiet] * 8])
    with wave.open(str(tmp_path / "microphone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((audio * 32767).astype("<i2").tobytes())
    out = tmp_path / "conversation.mp4"
    command = [sys.executable, EXAMPLE / "assistant.py", "--anchor", "grid-s1", "--to", out]
    command += ["--microphone", tmp_path / "microphone.wav"]
    start = time.monotonic()
    talked = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert talked.returncode == 0, talked.stderr
    lines = talked.stdout.splitlines()
    assert "news" in lines[0]
    assert "anchor: Here is the news." in lines[1]
    assert any("(interrupted" in line for line in lines), talked.stdout
    assert "anchor: It is" in lines[-1]
    assert time.monotonic() - start > len(audio) / RATE
    video = newscaster.media.probe(out).video  # type: ignore[attr-defined]
    assert video.duration_seconds > len(audio) / RATE
