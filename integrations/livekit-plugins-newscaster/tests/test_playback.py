"""One playback event for each segment, at the position that was output."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import numpy as np
import pytest
from fake_rooms import FakeRoom
from livekit import rtc
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput
from livekit.plugins.newscaster import NewscasterRunner, NewscasterVideoGenerator, SegmentEnd

import newscaster
from conftest import Stage, audio, run
from virtual_clock import VirtualClock

FRAME = 1 / 25


def spoken(stage: Stage) -> np.ndarray:
    """Return the published audio."""
    return np.concatenate([np.frombuffer(frame.data, np.int16) for frame in stage.recorder.audio])


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_audio_of_any_rate_is_played_whole(stage: Any, rate: int) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(*[audio(0.5, rate) for _ in range(2)])
            await s.played()
            assert s.finished == [(1.0, False)]
            loud = np.flatnonzero(spoken(s))
            assert (loud[-1] - loud[0]) / 48_000 == pytest.approx(1.0, abs=0.02)
            assert {(f.sample_rate, f.num_channels) for f in s.recorder.audio} == {(48_000, 1)}

    run(test())


def test_channels_are_mixed(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(audio(0.4, channels=2))
            await s.played()
            assert s.finished == [(0.4, False)]

    run(test())


def test_a_rate_may_change_within_a_segment(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(audio(0.4, 16_000), audio(0.4, 24_000))
            await s.played()
            await s.say(audio(0.4, 16_000), audio(2.0, 24_000))
            await s.recorder.frames(1)
            while s.generator.segments.pending[0].parts[0].ended is False:
                await s.recorder.frames(1)
            await s.recorder.frames(5)
            s.output.clear_buffer()
            await s.played()
            (first, second) = s.finished
            assert first == (0.8, False)
            assert second[1]
            assert 0.4 + 4 * FRAME <= second[0] <= 0.4 + 7 * FRAME

    run(test())


def test_the_start_is_reported_with_the_first_frame(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.recorder.frames(5)
            await s.say(audio(0.4))
            await s.played()
            (start,) = s.started
            first = next(i for i, f in enumerate(s.recorder.audio) if np.frombuffer(f.data, np.int16).any())
            assert start == first

    run(test())


def test_silence_between_segments_is_not_of_them(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            for _ in range(3):
                await s.say(audio(0.4))
                await s.played()
                await s.recorder.frames(10)
            assert s.finished == [(0.4, False)] * 3
            assert len(s.recorder.video) - len(s.recorder.audio) in (0, 1)  # the next image may be there

    run(test())


@pytest.mark.parametrize("frames_shown", [1, 7, 20])
def test_an_interruption_is_at_the_frame_that_was_output(stage: Any, frames_shown: int) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(audio(2.0))
            while not s.started:
                await s.recorder.frames(1)
            await s.recorder.frames(frames_shown - 1)
            s.output.clear_buffer()
            shown = len(s.recorder.audio) - s.started[0]
            await s.played()
            assert s.finished == [(pytest.approx(shown * FRAME, abs=FRAME), True)]
            audible = np.flatnonzero(spoken(s))
            heard = (audible[-1] - audible[0]) / 48_000
            assert heard - s.finished[0][0] == pytest.approx(0, abs=0.0201)  # the fade-out
            await s.recorder.frames(10)
            assert not np.frombuffer(s.recorder.audio[-1].data, np.int16).any()

    run(test())


def test_segments_that_wait_get_their_event(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            for seconds in (0.2, 1.0, 1.0):
                await s.say(audio(seconds))
            while len(s.started) < 2:
                await s.recorder.frames(1)
            await s.recorder.frames(2)
            s.output.clear_buffer()
            await s.played()
            first, second, third = s.finished
            assert first == (0.2, False)
            assert second[1]
            assert 0 < second[0] < 0.3
            assert third == (0.0, True)

    run(test())


def test_segments_that_no_one_has_read_get_their_event(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            for _ in range(3):
                await s.say(audio(0.2))
            s.output.clear_buffer()  # before the reader has run
            await s.played()
            assert s.finished == [(0.0, True)] * 3
            await s.say(audio(0.2))
            await s.played()
            assert s.finished[3:] == [(0.2, False)]

    run(test())


def test_the_runner_of_livekit_loses_them(anchor: newscaster.Anchor) -> None:
    """Why there is a runner: with the plain one, the agent would wait for ever."""

    async def test() -> None:
        with anchor.live(clock=VirtualClock()) as live:
            stage = Stage(live)
            output = QueueAudioOutput()
            generator = NewscasterVideoGenerator(live)
            runner = AvatarRunner(
                stage.room,
                audio_recv=output,
                video_gen=generator,
                options=generator.options,  # type: ignore[arg-type]
            )
            runner._audio_source.capture_frame = stage.recorder._take_audio  # type: ignore[method-assign]
            runner._video_source.capture_frame = stage.recorder.video.append  # type: ignore[method-assign]
            runner._av_sync._fps_controller._expected_fps = runner._av_sync._fps_controller.expected_fps * 100
            await runner.start()
            for _ in range(3):
                await output.capture_frame(audio(0.2))
                output.flush()
            output.clear_buffer()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(output.wait_for_playout(), 0.5)
            await runner.aclose()

    run(test())


@pytest.mark.parametrize("flush_first", [True, False])
def test_a_segment_is_cleared_before_or_after_its_flush(stage: Any, flush_first: bool) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.output.capture_frame(audio(1.0))
            if flush_first:
                s.output.flush()
            while not s.started:
                await s.recorder.frames(1)
            s.output.clear_buffer()
            if not flush_first:
                await s.output.capture_frame(audio(1.0))  # what the agent still had of it
                s.output.flush()
            await s.played()
            assert len(s.finished) == 1
            await s.recorder.frames(20)
            assert not np.frombuffer(s.recorder.audio[-1].data, np.int16).any()
            await s.say(audio(0.4))
            await s.played()
            assert s.finished[1:] == [(0.4, False)]

    run(test())


def test_a_segment_without_audio_ends(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(rtc.AudioFrame(b"", 16_000, 1, 0))
            await s.played()
            assert s.finished == [(0.0, False)]
            await s.say(audio(0.4))
            await s.say(rtc.AudioFrame(b"", 16_000, 1, 0))
            await s.played()
            assert s.finished[1:] == [(0.4, False), (0.0, False)]
            s.output.flush()
            s.output.clear_buffer()
            await s.recorder.frames(5)
            assert len(s.finished) == 3

    run(test())


def test_a_speech_that_ends_while_it_is_interrupted_was_not(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        with anchor.live() as live:
            generator = NewscasterVideoGenerator(live)
            await generator.push_audio(audio(0.4))
            await generator.push_audio(SegmentEnd(0, False))
            await generator.push_audio(audio(0.4))
            for frame in live.frames(paced=False):
                if frame.ended:  # it is on its way
                    generator.clear_buffer()
                    break
            first, second = generator._ends(frame)
            assert (first.position, first.interrupted) == (pytest.approx(0.4), False)
            assert (second.position, second.interrupted) == (0.0, True)

    run(test())


def test_late_audio_belongs_to_its_segment(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.output.capture_frame(audio(0.5))
            while not s.started:
                await s.recorder.frames(1)
            await s.recorder.frames(40)  # an underrun
            assert s.live.counts.underrun == 1
            await s.say(audio(0.5))
            await s.played()
            assert s.finished == [(1.0, False)]

    run(test())


def test_audio_waits_while_the_queue_is_full(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        limits = newscaster.LiveLimits(max_pending_audio_seconds=1.0)
        with anchor.live(clock=VirtualClock(), limits=limits) as live:
            stage = Stage(live)
            await stage.runner.start()
            await stage.say(*[audio(0.5) for _ in range(5)])
            await stage.played()
            assert stage.finished == [(2.5, False)]
            assert live.counts.spoken_seconds >= 2.5
            await stage.runner.aclose()

    run(test())


def test_frames_are_i420(anchor: newscaster.Anchor, stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.recorder.frames(2)
            image = s.recorder.video[0]
            assert (image.width, image.height) == anchor.info.size
            assert image.type == rtc.VideoBufferType.I420
            with anchor.live() as live:
                planes = live.first_image().planes
            assert bytes(image.data) == b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)
            tracks = {p.track.name for p in s.room.local_participant.track_publications.values()}
            assert tracks == {"avatar_audio", "avatar_video"}

    run(test())


def test_closing_ends_what_is_played_and_what_comes_later(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        with anchor.live(clock=VirtualClock()) as live:
            stage = Stage(live)
            await stage.runner.start()
            await stage.say(audio(5.0))
            await stage.say(audio(5.0))
            while not stage.started:
                await stage.recorder.frames(1)
            await stage.runner.aclose()
            await stage.played()
            assert [interrupted for _, interrupted in stage.finished] == [True, True]
            assert not stage.room.local_participant.track_publications
            await stage.say(audio(1.0))
            await stage.played()
            assert stage.finished[2:] == [(0.0, True)]

    run(test())


def hold_back(stage: Stage, seconds: float) -> list[bool]:
    """Let the audio source have so much audio that it has not sent; return where clearing it is noted."""
    cleared: list[bool] = []
    source = stage.runner._audio_source
    source._q_size, source._last_capture = seconds, time.monotonic()
    source.clear_queue = lambda: cleared.append(True)  # type: ignore[method-assign]
    return cleared


def test_audio_that_was_not_sent_does_not_count(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.say(audio(4.0))
            while not s.started:
                await s.recorder.frames(1)
            await s.recorder.frames(24)
            cleared = hold_back(s, 0.5)
            s.output.clear_buffer()
            shown = len(s.recorder.audio) - s.started[0]
            await s.played()
            assert cleared
            assert s.finished == [(pytest.approx(shown * FRAME - 0.5, abs=2 * FRAME), True)]

    run(test())


def test_silence_is_left_out_while_audio_is_late(stage: Any) -> None:
    async def test() -> None:
        async with stage() as s:
            await s.recorder.frames(3)
            hold_back(s, 60.0)
            frames, images, pieces = s.live.counts.shown, len(s.recorder.video), len(s.recorder.audio)
            while s.live.counts.shown < frames + 10:
                await asyncio.sleep(0.01)
            assert len(s.recorder.video) <= images + 1  # they wait for their audio
            assert len(s.recorder.audio) <= pieces + 1
            await s.say(audio(0.4))
            while not s.started:
                await asyncio.sleep(0.01)
            await s.recorder.frames(5)  # speech is not left out

    run(test())


def test_audio_that_the_source_refuses_is_logged_once(
    anchor: newscaster.Anchor, caplog: pytest.LogCaptureFixture
) -> None:
    """The source of LiveKit itself refuses what exceeds its queue; no task is left with an error."""
    unhandled: list[dict[str, Any]] = []

    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        with anchor.live(clock=VirtualClock(), rate=48_000) as live:
            runner = NewscasterRunner(
                FakeRoom(),
                audio_recv=QueueAudioOutput(wait_playback_start=True),
                video_gen=NewscasterVideoGenerator(live),  # type: ignore[arg-type]
            )
            samples = np.full(1920, 3000, np.int16)
            for _ in range(60):
                await runner._forward_audio(rtc.AudioFrame(samples.tobytes(), 48_000, 1, 1920, userdata={}))
            while runner._tasks:
                await asyncio.sleep(0.01)
            assert 0.5 < runner._audio_source.queued_duration <= 1.0
            await runner._audio_source.aclose()

    run(test())
    gc.collect()
    assert not unhandled
    assert caplog.text.count("audio is late by more than 1000 ms") == 1


def test_sixty_interruptions(stage: Any) -> None:
    """No event is lost, positions and lengths hold, and nothing is left over."""
    random = np.random.default_rng(3)

    async def test() -> None:
        async with stage() as s:
            for turn in range(60):
                before, start = len(s.finished), len(s.started)
                for _ in range(turn % 3 + 1):
                    await s.say(audio(1.0))
                while len(s.started) == start:
                    await s.recorder.frames(1)
                await s.recorder.frames(int(random.integers(0, 20)))
                s.output.clear_buffer()
                await s.played()
                assert len(s.finished) - before == turn % 3 + 1
            assert not s.generator.segments.pending
            assert s.live.counts.dropped == 0
            played = sum(position for position, _ in s.finished)
            assert played == pytest.approx(s.live.counts.spoken_seconds, abs=60 * FRAME)
            assert len(s.recorder.video) - len(s.recorder.audio) in (0, 1)  # the next image may be there
            total = sum(frame.samples_per_channel for frame in s.recorder.audio) / 48_000
            assert abs(total - len(s.recorder.video) * FRAME) < 0.020

    run(test(), 100)
