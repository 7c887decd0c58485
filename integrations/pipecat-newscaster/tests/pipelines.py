"""A pipeline with nothing but the service: frames go in by a script, and all that comes out is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    OutputImageRawFrame,
    StartFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner
from pipecat_newscaster import NewscasterVideoService

import newscaster
from tiny_anchor import speech_like
from virtual_clock import VirtualClock


def run(test: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
    """Run a test on an event loop."""
    return asyncio.run(asyncio.wait_for(test, seconds))


def tts(seconds: float, rate: int = 16_000, *, channels: int = 1, context: str = "a") -> TTSAudioRawFrame:
    """Audio of a TTS service."""
    samples = (speech_like(seconds, rate) * 32767).astype(np.int16)
    data = np.repeat(samples[:, None], channels, axis=1)
    return TTSAudioRawFrame(data.tobytes(), rate, channels, context_id=context)


class Sink(FrameProcessor):
    """Keeps what arrives, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._arrived = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction == FrameDirection.DOWNSTREAM and not isinstance(frame, StartFrame):
            self.frames.append(frame)
            self._arrived.set()
            self._arrived.clear()
        await self.push_frame(frame, direction)

    async def wait(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds, which is tried at each frame."""
        while not condition():
            self._arrived.clear()
            await self._arrived.wait()

    def of(self, *kinds: type[Frame]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kinds)]

    def count(self, *kinds: type[Frame]) -> int:
        return len(self.of(*kinds))

    def heard(self, until: Frame | None = None) -> float:
        """Return the seconds of audio, or of that before a frame."""
        frames = self.frames if until is None else self.frames[: self.frames.index(until)]
        audio = [frame for frame in frames if isinstance(frame, TTSAudioRawFrame)]
        return sum(frame.num_frames / frame.sample_rate for frame in audio)


class Scene:
    """A running pipeline."""

    def __init__(self, service: NewscasterVideoService, rate: int) -> None:
        self.service, self.sink = service, Sink()
        self.worker = PipelineWorker(
            Pipeline([service, self.sink]),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
            params=PipelineParams(audio_out_sample_rate=rate),
        )

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def images(self, count: int) -> None:
        """Wait for so many more images."""
        until = self.sink.count(OutputImageRawFrame) + count
        await self.sink.wait(lambda: self.sink.count(OutputImageRawFrame) >= until)


@asynccontextmanager
async def scene(anchor: newscaster.Anchor, *, rate: int = 24_000, **options: Any) -> AsyncIterator[Scene]:
    """A pipeline on a virtual clock: frames come as fast as they are made. It is cancelled if it goes on."""
    made = Scene(NewscasterVideoService(anchor, clock=VirtualClock(), **options), rate)
    started = asyncio.Event()

    @made.worker.event_handler("on_pipeline_started")
    async def _started(worker: PipelineWorker, frame: Frame) -> None:
        started.set()

    runner = WorkerRunner()
    await runner.add_workers(made.worker)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(started.wait(), 10)
    try:
        yield made
    finally:
        if not made.sink.count(EndFrame, CancelFrame):
            await made.worker.cancel()
        await asyncio.wait_for(running, 10)
