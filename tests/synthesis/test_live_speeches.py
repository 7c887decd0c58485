"""The numbers of speeches on live frames: what a program must know to follow what was heard."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from fake_voices import voice_command
from newscaster import media
from newscaster.errors import InputError
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.live_voice import TextSpeech
from newscaster.synthesis.options import Style
from tiny_anchor import speech_like
from virtual_clock import VirtualClock


@pytest.fixture
def voice(tmp_path: Path) -> Reading:
    """A program that says 0.5 s of speech for each sentence."""
    media.write_wav(tmp_path / "voice.wav", speech_like(0.5), 16_000)
    return Reading(command=voice_command(tmp_path / "voice.wav"))


def taken(live: Live, count: int) -> list[LiveFrame]:
    return list(itertools.islice(live.frames(paced=False), count))


def ends(frames: list[LiveFrame]) -> list[tuple[int, tuple[int, ...]]]:
    """Return number and speeches of each frame that ends some."""
    return [(frame.number, frame.ended) for frame in frames if frame.ended]


def test_every_speech_has_a_number_and_an_end(anchor: Anchor, voice: Reading) -> None:
    with anchor.live(style=Style(reading=voice)) as live:
        first = [live.push(speech_like(0.2)), live.push(speech_like(0.2))]
        live.flush()
        second = live.push(speech_like(0.4))
        live.flush()
        text = live.say("Good evening. This is the news.")
        text.result(10)
        frames = taken(live, 80)
    assert first == [1, 1]
    assert (second, text.utterance) == (2, 3)
    numbers = [frame.utterance for frame in frames if frame.utterance is not None]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3}
    assert [ended for _, ended in ends(frames)] == [(1,), (2,), (3,)]
    for number, (ended,) in ends(frames):
        assert [frame.number for frame in frames if frame.utterance == ended][-1] == number


def test_an_underrun_is_no_end(anchor: Anchor) -> None:
    clock = VirtualClock()
    with anchor.live(clock=clock) as live:
        pushed = [live.push(speech_like(0.5))]
        clock.at(2.0, lambda: pushed.append(live.push(speech_like(0.5))))
        clock.at(4.0, live.flush)
        frames = list(itertools.islice(live, 120))
        assert live.counts.underrun == 2
    assert pushed == [1, 1]
    spoken = [frame.number for frame in frames if frame.utterance == 1]
    assert len(spoken) == 26  # twice 12.5
    ((number, ended),) = ends(frames)
    assert ended == (1,)
    assert number == pytest.approx(100, abs=1)  # the flush says that there is no more


def test_a_flush_without_speech_ends_nothing(anchor: Anchor) -> None:
    with anchor.live() as live:
        assert live.push(np.zeros(0, np.float32)) is None
        live.flush()
        live.flush()
        assert not ends(taken(live, 10))


def test_an_interruption_says_how_much_was_shown(anchor: Anchor) -> None:
    with anchor.live() as live:
        nothing = live.interrupt()
        assert (nothing, nothing.utterance) == (0.0, None)
        taken(live, 1)
        live.push(speech_like(0.2))
        live.flush()
        live.push(speech_like(2.0))
        live.flush()
        frames = taken(live, 5 + 10)
        assert ends(frames) == [(5, (1,))]
        ended = live.interrupt()
        assert ended == pytest.approx(10 / 25)
        assert ended.utterance == frames[-1].utterance is not None
        assert live.interrupt() == 0.0
        after = taken(live, 60)
        assert not ends(after)
        assert live.push(speech_like(0.2)) == 3
        live.flush()
        assert [ended for _, ended in ends(taken(live, 10))] == [(3,)]
        assert live.interrupt() == 0.0


def test_an_interruption_while_speech_waits_drops_its_number(anchor: Anchor) -> None:
    with anchor.live() as live:
        live.push(speech_like(0.3))
        live.interrupt()
        assert live.push(speech_like(0.3)) == 2
        live.flush()
        assert [ended for _, ended in ends(taken(live, 20))] == [(2,)]


def test_sixteen_bits_sound_like_floats(anchor: Anchor) -> None:
    speech = speech_like(0.4)
    images = []
    for samples in (speech, (speech * 32768).clip(-32768, 32767).astype(np.int16)):
        with anchor.live() as live:
            live.push(samples)
            live.flush()
            frames = taken(live, 10)
            images.append([frame.image.rgb() for frame in frames if frame.image is not None])
            audio = np.concatenate([frame.audio for frame in frames])
    assert np.abs(audio).max() > 0.05
    difference = np.abs(np.array(images[0], float) - np.array(images[1], float))
    assert difference.mean() < 0.1


def test_what_is_known_before_the_first_frame(anchor: Anchor) -> None:
    with anchor.live() as live:
        assert live.size == anchor.info.size
        still = live.first_image()
        frame = next(live.frames(paced=False))
    assert frame.number == 0
    assert frame.image is not None
    assert (still.rgb() == frame.image.rgb()).all()


def test_a_consumer_may_set_the_pace(anchor: Anchor) -> None:
    async def run() -> list[int]:
        async with anchor.live() as live:
            live.push(speech_like(2.0))
            live.flush()
            numbers = []
            async for frame in live.frames_async(paced=False):
                numbers.append(frame.number)
                if frame.ended:
                    break
            assert live.counts.dropped == 0
            return numbers

    assert asyncio.run(asyncio.wait_for(run(), 60)) == list(range(50))


def test_a_text_ends_as_its_synthesis_does() -> None:
    done, failed, cancelled = (Future[None]() for _ in range(3))
    speeches = [TextSpeech(future, number) for number, future in enumerate((done, failed, cancelled))]
    done.set_result(None)
    failed.set_exception(OSError("no voice"))
    cancelled.cancel()
    assert speeches[0].result(1) is None
    with pytest.raises(OSError, match="no voice"):
        speeches[1].result(1)
    assert speeches[2].cancelled()
    assert [speech.utterance for speech in speeches] == [0, 1, 2]


def mouths(live: Live, anchor: Anchor) -> np.ndarray:
    """Mouths (F, 57, 2) of the frames until no speech is left, from the renderer's input."""
    shapes: list[np.ndarray] = []
    image = live._live_renderer.image

    def noted(index: int, shape: np.ndarray, *, number: int = 0) -> media.YuvFrame:
        shapes.append(shape)
        return image(index, shape, number=number)

    live._live_renderer.image = noted  # type: ignore[method-assign]
    for _ in live.frames(paced=False):
        if not live.busy:
            break
    del live._live_renderer.image
    return np.array(shapes)


def test_each_speech_starts_with_the_level_of_the_one_before(anchor: Anchor) -> None:
    """As if the user went on: otherwise its first sounds are raised like the quietest speech."""
    loud, soft = speech_like(1.0), 0.2 * speech_like(1.0, seed=1)
    stream = anchor.motion_stream(look_ahead_ms=200)
    stream.push(loud)
    continued, alone = (anchor.motion_stream(look_ahead_ms=200) for _ in range(2))
    continued.continue_level(stream)
    expected = np.concatenate([continued.push(soft), continued.flush()])
    without = np.concatenate([alone.push(soft), alone.flush()])
    assert np.abs(expected - without).max() > 1e-3
    with anchor.live() as live:
        live.push(loud)
        live.flush()
        mouths(live, anchor)
        live.push(soft)
        live.flush()
        np.testing.assert_allclose(mouths(live, anchor), expected, atol=1e-6)


def test_texts_and_pushed_audio_have_levels_of_their_own(anchor: Anchor, voice: Reading) -> None:
    with anchor.live(style=Style(reading=voice)) as live:
        live.say("Good evening.").result(10)
        mouths(live, anchor)
        live.push(0.2 * speech_like(1.0, seed=1))
        live.flush()
        stream = anchor.motion_stream(look_ahead_ms=200)
        stream.start_closed(at_rest=True)
        audio = (0.2 * speech_like(1.0, seed=1)).astype(np.float32)
        expected = np.concatenate([stream.push(audio), stream.flush()])
        np.testing.assert_allclose(mouths(live, anchor), expected, atol=1e-6)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_frames_are_made_ahead_by_a_bounded_number(anchor: Anchor, ahead: int) -> None:
    async def run() -> None:
        async with anchor.live() as live:
            numbers = []
            async for frame in live.frames_async(paced=False, ahead=ahead):
                numbers.append(frame.number)
                while live.counts.shown < frame.number + 1 + ahead:
                    await asyncio.sleep(0.001)
                for _ in range(10):  # no more of them
                    await asyncio.sleep(0.002)
                    assert live.counts.shown == frame.number + 1 + ahead
                if frame.number == 5:
                    break
            assert numbers == [*range(6)]

    asyncio.run(asyncio.wait_for(run(), 60))


def test_frames_ahead_end_with_the_stream(anchor: Anchor) -> None:
    async def run() -> list[int]:
        numbers = []
        async with anchor.live() as live:
            async for frame in live.frames_async(paced=False, ahead=2):
                numbers.append(frame.number)
                if frame.number == 3:
                    live.close()
        return numbers

    numbers = asyncio.run(asyncio.wait_for(run(), 60))
    assert numbers == [*range(len(numbers))]
    assert 4 <= len(numbers) <= 6


def test_frames_ahead_must_be_a_number(anchor: Anchor) -> None:
    async def run() -> None:
        async with anchor.live() as live:
            await anext(live.frames_async(ahead=-1))

    with pytest.raises(InputError, match="ahead is -1"):
        asyncio.run(run())
