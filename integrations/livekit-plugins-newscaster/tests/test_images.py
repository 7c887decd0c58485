"""Images are shown when their audio is played, whatever was late before."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_rooms import FakeRoom
from livekit import rtc
from livekit.agents.voice.avatar import QueueAudioOutput
from livekit.plugins.newscaster import NewscasterRunner, NewscasterVideoGenerator
from livekit.plugins.newscaster.images import ImageSchedule

import newscaster

FRAME = 0.04
RATE = 48_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.now += timeout or 0.0
        return super().select(0 if timeout is not None else None)


def run(test: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(test)


class Source:
    """An audio source that plays in real time."""

    def __init__(self) -> None:
        self._until = 0.0
        self.starts: list[float] = []

    @property
    def queued_duration(self) -> float:
        return max(0.0, self._until - asyncio.get_running_loop().time())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        now = asyncio.get_running_loop().time()
        self.starts.append(max(now, self._until))
        self._until = self.starts[-1] + frame.samples_per_channel / frame.sample_rate

    def clear_queue(self) -> None:
        self._until = asyncio.get_running_loop().time()


async def publish(
    runner: Any, arrivals: list[float], *, loud: list[bool]
) -> tuple[Source, list[tuple[float, int]]]:
    """Publish frames that arrive at these times; return the source, and (time, number) of each image."""
    source = Source()
    shown: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()

    async def frames() -> AsyncIterator[Any]:
        for number, (arrival, speaks) in enumerate(zip(arrivals, loud, strict=True)):
            await asyncio.sleep(max(0.0, arrival - loop.time()))
            yield rtc.VideoFrame(2, 2, rtc.VideoBufferType.I420, bytes([number] * 6))
            samples = np.full(round(FRAME * RATE), 9000 * speaks, np.int16)
            yield rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))

    def show(image: rtc.VideoFrame) -> None:
        shown.append((loop.time(), image.data[0]))

    async def published() -> None:
        pass

    runner._generator = frames()
    runner._audio_source = source
    runner._video_source = SimpleNamespace(capture_frame=show)
    runner._publish_track = published
    await runner._forward_video()
    await asyncio.sleep(1.0)
    return source, shown


@pytest.fixture
def runner(anchor: newscaster.Anchor) -> Any:
    with anchor.live() as live:
        yield lambda: NewscasterRunner(
            FakeRoom(),
            audio_recv=QueueAudioOutput(wait_playback_start=True),
            video_gen=NewscasterVideoGenerator(live),  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    "late",
    [{}, {5: 0.07}, {5: 0.03, 9: 0.11, 10: 0.07, 11: 0.03}, {3: 0.3}],
    ids=["on time", "once", "burst", "stall"],
)
def test_images_are_shown_when_their_audio_is_played(runner: Any, late: dict[int, float]) -> None:
    arrivals, last = [], 0.0
    for number in range(25):
        last = max(last, number * FRAME + late.get(number, 0.0))
        arrivals.append(last)

    async def test() -> None:
        source, shown = await publish(runner(), arrivals, loud=[True] * 25)
        assert [number for _, number in shown] == [*range(25)]
        drifts = np.array(source.starts) - [when for when, _ in shown]
        assert np.abs(drifts).max() < 0.003

    run(test())


def test_images_catch_up_in_silence_and_keep_their_order(runner: Any) -> None:
    """Silence is left out: the images come closer, and are with their audio again soon after."""
    arrivals = [max(0.3, number * FRAME) for number in range(40)]
    loud = [number < 8 or number >= 25 for number in range(40)]

    async def test() -> None:
        source, shown = await publish(runner(), arrivals, loud=loud)
        assert [number for _, number in shown] == [*range(40)]
        times = np.array([when for when, _ in shown])
        assert len(source.starts) < 40
        speech = np.array(source.starts[-15:]) - times[-15:]
        assert np.abs(speech).max() < 0.003
        assert np.diff(times[8:]).min() > 0.4 * FRAME

    run(test())


def test_images_of_audio_that_is_cleared_are_dropped() -> None:
    async def test() -> None:
        shown: list[int] = []
        images = ImageSchedule(lambda image: shown.append(image.data[0]), min_gap_seconds=0.02)
        for number in range(4):
            images.put(rtc.VideoFrame(2, 2, rtc.VideoBufferType.I420, bytes([number] * 6)), number * FRAME)
        await asyncio.sleep(0.05)
        images.clear()
        images.put(rtc.VideoFrame(2, 2, rtc.VideoBufferType.I420, bytes([9] * 6)), 0.0)
        await asyncio.sleep(0.5)
        assert shown == [0, 1, 9]

    run(test())
