"""Scripted audio goes through an anchor, and is interrupted: without a transport, a network, or a model.

    python examples/offline_pipeline.py [ada.anchor]

In a real pipeline a TTS service is before the anchor, and the output of a transport after it.
"""

import asyncio
import sys
import time

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    InterruptionFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner
from pipecat_newscaster import NewscasterVideoService


class Screen(FrameProcessor):
    """Counts images and audio, and prints the words when they arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.seconds = 0, 0.0
        self.start = time.monotonic()

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if direction == FrameDirection.DOWNSTREAM:
            if isinstance(frame, OutputImageRawFrame):
                self.images += 1
            elif isinstance(frame, TTSAudioRawFrame):
                if not self.seconds:
                    print(f"first audio after {time.monotonic() - self.start:.3f} s")
                self.seconds += frame.num_frames / frame.sample_rate
            elif isinstance(frame, TTSTextFrame):
                print(f"heard {self.seconds:.2f} s: {frame.text}")
        await self.push_frame(frame, direction)


def scripted_audio(seconds: float, rate: int = 24_000) -> TTSAudioRawFrame:
    """A hum in syllables."""
    t = np.arange(round(seconds * rate)) / rate
    hum = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 12))
    samples = (6000 * hum * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)).astype(np.int16)
    return TTSAudioRawFrame(samples.tobytes(), rate, 1)


async def main(anchor: str) -> None:
    screen = Screen()
    worker = PipelineWorker(Pipeline([NewscasterVideoService(anchor), screen]), enable_rtvi=False)
    runner = WorkerRunner()
    await runner.add_workers(worker)
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def _started(worker, frame):
        started.set()

    running = asyncio.create_task(runner.run())
    await started.wait()
    screen.start = time.monotonic()
    await worker.queue_frame(TTSStartedFrame())
    for word in ("Good", "evening.", "And", "now", "the", "weather."):
        await worker.queue_frame(TTSTextFrame(word, "word"))
        await worker.queue_frame(scripted_audio(0.5))
    await worker.queue_frame(TTSStoppedFrame())
    await asyncio.sleep(2.0)
    await worker.queue_frame(InterruptionFrame())
    print(f"interrupted after {screen.seconds:.2f} s of audio")
    await asyncio.sleep(0.5)
    await worker.queue_frame(EndFrame())
    await running
    print(f"{screen.images} images, {screen.seconds:.2f} s of audio")


if __name__ == "__main__":
    logger.remove()
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "builtin"))
