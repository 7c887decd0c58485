"""How an anchor speaks is changed while it speaks: from the next sentence on, and nothing ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice
from making_media import tone
from newscaster.errors import InputError
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.live_voice import SharedVoices
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.options import LiveLimits, Style

TEXT = "One. Two. Three. Four. Five. Six."
NAMES = TEXT.split()
SENTENCE_SECONDS = 1.5


def pitched(sentence: str, speed: float) -> np.ndarray:
    """A tone of 400 Hz times the speed, as long for every sentence."""
    return 0.6 * tone(SENTENCE_SECONDS, rate=24_000, hz=400 * speed)


@pytest.fixture
def voice(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> FakeVoice:
    voice = FakeVoice(pitched)
    monkeypatch.setattr(anchor, "_voices", SharedVoices())
    use_voice(monkeypatch, voice)
    return voice


def until_spoken(live: Live, frames: Iterator[LiveFrame], seconds: float) -> list[LiveFrame]:
    """Frames until so much has been spoken."""
    given = []
    while sum(frame.speaking for frame in given) < seconds * 25:
        given.append(next(frames))
        assert len(given) < 60 * 25, "no speech"
    return given


def rest_of(live: Live, frames: Iterator[LiveFrame]) -> list[LiveFrame]:
    given = []
    for frame in frames:
        given.append(frame)
        if not live.busy:
            return given
    raise AssertionError("the stream has ended")


def pitches(frames: list[LiveFrame]) -> list[int]:
    """Return the tones in order, in Hz."""
    tones: list[int] = []
    sounding = False
    for frame in frames:
        loud = np.abs(frame.audio) > 0.1
        if loud.mean() < 0.5:
            sounding = False
        elif not sounding:
            sounding = True
            tones.append(-1)
        elif tones[-1] == -1:
            crossings = np.count_nonzero(np.diff(np.signbit(frame.audio)))
            tones[-1] = round(crossings / 2 * 25 / 50) * 50
    return tones


@pytest.mark.parametrize("ahead_seconds", [2.0, 4.0])
def test_a_change_of_pace_applies_to_what_is_not_made_yet(
    anchor: Anchor, voice: FakeVoice, ahead_seconds: float
) -> None:
    with anchor.live(
        style=Style(reading=Reading()), limits=LiveLimits(prefetch_seconds=ahead_seconds)
    ) as live:
        reading = live.say(TEXT)
        frames = live.frames(paced=False)
        before = until_spoken(live, frames, 0.5)
        delay = live.counts.delay_seconds
        live.change(reading=Reading(speed=1.5))
        after = rest_of(live, frames)
        reading.result()
        assert live.counts.delay_seconds == delay  # a sentence that goes on has not waited
    tones = pitches(before + after)
    assert len(tones) == len(NAMES)  # each once, and none is skipped
    assert tones == sorted(tones)
    at_first = tones.count(400)
    assert tones.count(600) == len(NAMES) - at_first
    assert 1 <= at_first <= 2 + ahead_seconds / SENTENCE_SECONDS


def test_a_sentence_in_synthesis_is_made_again_and_played_once(anchor: Anchor, voice: FakeVoice) -> None:
    with anchor.live(style=Style(reading=Reading()), limits=LiveLimits(prefetch_seconds=2.0)) as live:

        def changed(sentence: str, speed: float) -> np.ndarray:
            if sentence == "Three." and speed == 1.0:
                live.change(reading=Reading(speed=1.25))
            return pitched(sentence, speed)

        voice.audio = changed
        live.say(TEXT)
        tones = pitches(rest_of(live, live.frames(paced=False)))
    assert tones == [400, 400, 500, 500, 500, 500]
    assert voice.sentences[-7:] == ["One.", "Two.", "Three.", "Three.", "Four.", "Five.", "Six."]


def test_texts_that_wait_are_read_as_changed(anchor: Anchor, voice: FakeVoice) -> None:
    with anchor.live(style=Style(reading=Reading()), limits=LiveLimits(prefetch_seconds=2.0)) as live:
        frames = live.frames(paced=False)
        live.say("One. Two.")
        live.say("Three. Four.")
        until_spoken(live, frames, 0.3)
        live.change(reading=Reading(speed=2.0))
        assert pitches(rest_of(live, frames))[-1] == 800


def test_a_change_of_the_mouth_applies_within_a_text(anchor: Anchor, voice: FakeVoice) -> None:
    pushed_samples: list[int] = []

    def new_stream() -> MotionStream:
        stream = anchor.motion_stream(articulation=Articulation(openness=0.5), look_ahead_ms=320)
        push = stream.push
        stream.push = lambda samples, **how: pushed_samples.append(len(samples)) or push(samples, **how)  # type: ignore
        return stream

    with anchor.live(style=Style(reading=Reading()), limits=LiveLimits(prefetch_seconds=2.0)) as live:
        live.say(TEXT)
        frames = live.frames(paced=False)
        before = until_spoken(live, frames, 0.5)
        live.change(new_stream=new_stream)
        assert live.delay_seconds == new_stream().delay_seconds
        spoken = [frame for frame in before + rest_of(live, frames) if frame.speaking]
    # One sentence had been made, or up to three; the new stream gets all others.
    others = sum(pushed_samples) / 16_000 / (len(spoken) / 25)
    assert 0.4 < others < 0.9


def test_less_prefetch_than_the_look_ahead_is_refused(anchor: Anchor) -> None:
    with pytest.raises(InputError, match=r"prefetch_seconds is 0\.5; expected 2 or more"):
        anchor.live(limits=LiveLimits(prefetch_seconds=0.5))


def test_a_stream_that_is_closed_is_not_changed(anchor: Anchor) -> None:
    live = anchor.live()
    live.close()
    with pytest.raises(InputError, match="the stream is closed"):
        live.change(reading=Reading(speed=1.5))
