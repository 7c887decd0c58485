"""Audio and images in step, text when it is heard, and what an interruption drops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipelines import run, scene, tts

import newscaster

FRAME = 1 / 25


def word(text: str) -> TTSTextFrame:
    return TTSTextFrame(text, "word")


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_audio_of_any_rate_is_heard_whole(anchor: newscaster.Anchor, rate: int) -> None:
    async def test() -> None:
        async with scene(anchor, rate=24_000) as s:
            await s.send(TTSStartedFrame(), tts(0.5, rate), tts(0.5, rate), TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.sink.heard() == pytest.approx(1.0, abs=0.002)
            assert {(f.sample_rate, f.num_channels) for f in s.sink.of(TTSAudioRawFrame)} == {(24_000, 1)}
            assert {f.context_id for f in s.sink.of(TTSAudioRawFrame)} == {"a"}
            (stopped,) = s.sink.of(TTSStoppedFrame)
            assert s.sink.heard(stopped) == s.sink.heard()

    run(test())


def test_channels_are_mixed(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(tts(0.4, channels=2), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.sink.heard() == pytest.approx(0.4, abs=0.002)

    run(test())


def test_each_image_is_before_its_audio(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(TTSStartedFrame(), tts(1.0), TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            media = s.sink.of(OutputImageRawFrame, TTSAudioRawFrame)
            for before, frame in itertools.pairwise(media):
                if isinstance(frame, TTSAudioRawFrame):
                    assert isinstance(before, OutputImageRawFrame)
            image = s.sink.of(OutputImageRawFrame)[0]
            assert (image.size, image.format) == (anchor.info.size, "RGB")
            assert len(image.image) == anchor.info.size[0] * anchor.info.size[1] * 3

    run(test())


def test_nothing_is_shown_before_the_transport_is_ready(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(LLMFullResponseEndFrame())
            await s.sink.wait(lambda: s.sink.count(LLMFullResponseEndFrame))
            assert not s.sink.count(OutputImageRawFrame)
            await s.send(OutputTransportReadyFrame())
            await s.images(5)
            assert not s.sink.count(TTSAudioRawFrame)

    run(test())


def test_text_passes_when_it_is_heard(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(TTSStartedFrame(), tts(0.4), word("good"), tts(0.4), word("evening"), tts(0.4))
            await s.send(TTSStoppedFrame(), LLMFullResponseEndFrame())
            await s.sink.wait(lambda: s.sink.count(LLMFullResponseEndFrame))
            order = s.sink.of(TTSStartedFrame, TTSTextFrame, TTSStoppedFrame, LLMFullResponseEndFrame)
            heard = [s.sink.heard(frame) for frame in order]
            assert heard == pytest.approx([0, 0.4, 0.8, 1.2, 1.2], abs=FRAME)
            assert [frame.text for frame in s.sink.of(TTSTextFrame)] == ["good", "evening"]

    run(test())


def test_words_with_time_stamps_pass_when_they_are_heard(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(TTSStartedFrame(), tts(2.0))
            speeches = s.service._speeches
            await s.sink.wait(lambda: speeches)
            (speech,) = speeches.values()
            words = [word(text) for text in ("here", "is", "it")]
            for one, seconds in zip(words, (0.2, 1.0, 1.8), strict=True):
                one.pts = speech.arrived + round(seconds * 1e9)
            await s.send(*words, TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert [s.sink.heard(one) for one in words] == pytest.approx([0.2, 1.0, 1.8], abs=FRAME)

    run(test())


def test_an_interruption_drops_audio_and_the_words_that_were_not_heard(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(
                TTSStartedFrame(), tts(0.4), word("heard"), tts(2.0), word("dropped"), TTSStoppedFrame()
            )
            await s.sink.wait(lambda: s.sink.heard() >= 0.6)
            await s.send(InterruptionFrame())
            await s.sink.wait(lambda: s.sink.count(InterruptionFrame))
            heard = s.sink.heard()
            await s.images(15)
            assert s.sink.heard() == heard < 2.0
            assert [frame.text for frame in s.sink.of(TTSTextFrame)] == ["heard"]
            assert not s.sink.count(TTSStoppedFrame)
            await s.send(TTSStartedFrame(), tts(0.4), word("again"), TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.sink.heard() - heard == pytest.approx(0.4, abs=0.002)
            assert s.sink.count(TTSStoppedFrame) == 1

    run(test())


def test_speech_that_may_not_be_interrupted_goes_on(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            audio = tts(1.0)
            audio.interruptible = False
            stopped = TTSStoppedFrame()
            stopped.interruptible = False
            await s.send(audio, stopped)
            await s.sink.wait(lambda: s.sink.heard() > 0)
            await s.send(InterruptionFrame())
            await s.sink.wait(lambda: s.sink.count(TTSStoppedFrame))
            assert s.sink.heard(stopped) == pytest.approx(1.0, abs=0.002)

    run(test())


def test_silence_between_segments_and_segments_without_audio(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            for turn in range(3):
                await s.send(TTSStartedFrame(), tts(0.4, context=str(turn)), TTSStoppedFrame())
                await s.sink.wait(lambda turn=turn: s.sink.count(TTSStoppedFrame) > 2 * turn)
                await s.images(10)
                empty = TTSAudioRawFrame(b"", 16_000, 1)
                await s.send(TTSStartedFrame(), empty, TTSStoppedFrame())
                await s.sink.wait(lambda turn=turn: s.sink.count(TTSStoppedFrame) > 2 * turn + 1)
            assert s.sink.heard() == pytest.approx(1.2, abs=0.006)
            assert [f.context_id for f in s.sink.of(TTSAudioRawFrame)] == sorted(
                f.context_id for f in s.sink.of(TTSAudioRawFrame)
            )

    run(test())


def test_two_responses_in_a_row_keep_their_order(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            stops = [TTSStoppedFrame(context_id=name) for name in "ab"]
            for name, stop in zip("ab", stops, strict=True):
                await s.send(TTSStartedFrame(context_id=name), tts(0.4, context=name), stop)
            await s.send(EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert [s.sink.heard(stop) for stop in stops] == pytest.approx([0.4, 0.8], abs=0.003)
            started = s.sink.of(TTSStartedFrame)[1]
            assert s.sink.frames.index(started) > s.sink.frames.index(stops[0])

    run(test())


def test_the_end_waits_for_speech_that_was_not_stopped(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        async with scene(anchor) as s:
            await s.send(tts(1.0), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.sink.heard() == pytest.approx(1.0, abs=0.002)

    run(test())


def test_cancelling_and_starting_again(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        for _ in range(2):
            async with scene(anchor) as s:
                await s.send(tts(60.0))
                await s.sink.wait(lambda s=s: s.sink.heard() > 0)
            assert s.sink.heard() < 60
            assert s.service._pump is None
            with pytest.raises(newscaster.InputError, match="closed"):
                s.service._live.push(np.zeros(10, np.float32))

    run(test())


def test_audio_waits_while_the_queue_is_full(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        limits = newscaster.LiveLimits(max_pending_audio_seconds=1.0)
        async with scene(anchor, limits=limits) as s:
            await s.send(*[tts(0.5) for _ in range(4)], TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.sink.heard() == pytest.approx(2.0, abs=0.003)
            assert not s.sink.count(ErrorFrame)

    run(test())


def test_sixty_interruptions(anchor: newscaster.Anchor) -> None:
    """No speech is left over, and each turn speaks."""
    random = np.random.default_rng(3)

    async def test() -> None:
        async with scene(anchor) as s:
            for _ in range(60):
                before = s.sink.heard()
                await s.send(TTSStartedFrame(), tts(1.0), word("x"), TTSStoppedFrame())
                await s.sink.wait(lambda before=before: s.sink.heard() > before)
                await s.images(int(random.integers(1, 15)))
                interruptions = s.sink.count(InterruptionFrame)
                await s.send(InterruptionFrame())
                await s.sink.wait(lambda n=interruptions: s.sink.count(InterruptionFrame) > n)
                assert not s.service._speeches
                assert not len(s.service._held)
            await s.send(TTSStartedFrame(), tts(0.4), TTSStoppedFrame(), EndFrame())
            await s.sink.wait(lambda: s.sink.count(EndFrame))
            assert s.service._live.counts.dropped == 0

    run(test(), 100)
