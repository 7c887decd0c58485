"""The video service: takes the audio of a TTS service, pushes audio and images of an anchor in step."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

import newscaster

from .held import HeldFrames

_FULL_POLL_SECONDS = 0.1
_NANOSECONDS = 1e9


@dataclass
class _Speech:
    """A speech of the stream that has not been output to its end."""

    context_id: str | None
    destination: str | None
    interruptible: bool
    arrived: int
    """When its first audio arrived, on the clock of the pipeline in ns."""
    pushed_seconds: float = 0.0
    output_seconds: float = 0.0


class NewscasterVideoService(AIService):
    """An anchor that speaks the audio of the TTS service before it in the pipeline.

    - Audio (`TTSAudioRawFrame`) goes out when it is heard, at the pipeline's output rate, each frame after
      its image (`OutputImageRawFrame`, RGB). Without speech, images alone go out: the anchor at rest.
    - What comes between audio frames (text, `TTSStoppedFrame` and others) goes out when the audio before it
      has been output; text with a time stamp, when its word is heard. System frames pass at once.
    - An interruption drops all speech, and what waits for it; the mouth closes within 80 ms. Speech that may
      not be interrupted goes on, and so does what is queued with it.
    - `EndFrame` waits until all has been output, `CancelFrame` does not.

    Give the transport `video_out_enabled=True`, `video_out_is_live=True`, and the anchor's size and frame
    rate: `anchor.info.size`, `anchor.info.fps`.

    Args:
        anchor: path of the anchor, or an open one, which any number of services can share; default: the
            bundled anchor.
        style: mouth, target, background, label and watermark.
        limits: limits on queued speech. When they are reached, audio waits.
        clock: clock that paces the frames; by default the system clock.
        kwargs: of the base class.
    """

    def __init__(
        self,
        anchor: str | Path | newscaster.Anchor = "builtin",
        *,
        style: newscaster.Style | None = None,
        limits: newscaster.LiveLimits | None = None,
        clock: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._anchor = anchor
        self._style = style
        self._limits = limits
        self._live_clock = clock
        self._live: newscaster.Live | None = None
        self._pump: asyncio.Task[None] | None = None
        self._speeches: dict[int, _Speech] = {}
        self._current: int | None = None  # that TTS audio is added to
        self._held = HeldFrames()
        self._visible = asyncio.Event()
        self._drained = asyncio.Event()

    def can_generate_metrics(self) -> bool:
        """Return True: it measures the time from the start of the TTS to the first frame."""
        return True

    # Life cycle

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Open the anchor."""
        await super().setup(setup)
        rate = setup.audio_out_sample_rate
        self._live = await asyncio.to_thread(self._open, rate)

    def _open(self, rate: int) -> newscaster.Live:
        anchor = self._anchor
        opened = anchor if isinstance(anchor, newscaster.Anchor) else newscaster.open(anchor)
        return opened.live(rate=rate, style=self._style, limits=self._limits, clock=self._live_clock)

    async def start(self, frame: StartFrame) -> None:
        """Start to push frames, once the transport is ready or there is speech."""
        await super().start(frame)
        if self._pump is None:
            self._pump = self.create_task(self._push_frames())

    async def stop(self, frame: EndFrame) -> None:
        """Output all speech, then stop."""
        await super().stop(frame)
        assert self._live is not None
        self._live.flush()
        while self._speeches and self._pump is not None and not self._pump.done():
            self._drained.clear()
            await self._drained.wait()
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """Release the stream."""
        await super().cleanup()
        await self._close()

    async def _close(self) -> None:
        if self._live is not None:
            self._live.close()
        pump, self._pump = self._pump, None
        if pump is not None:
            await self.cancel_task(pump)

    # Input

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take audio, hold what belongs to it, and pass all else."""
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputTransportReadyFrame):
            self._visible.set()
        if isinstance(frame, InterruptionFrame):
            await self._interrupt()
            await self.push_frame(frame, direction)
        elif direction == FrameDirection.UPSTREAM or isinstance(frame, (SystemFrame, EndFrame)):
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._speak(frame)
        else:
            await self._pass(frame)

    async def _speak(self, frame: TTSAudioRawFrame) -> None:
        """Push audio to the stream. Waits while its queue is full."""
        assert self._live is not None
        self._visible.set()
        samples = np.frombuffer(frame.audio, np.int16)
        if frame.num_channels > 1:
            channels = samples[: len(samples) // frame.num_channels * frame.num_channels]
            mean = channels.reshape(-1, frame.num_channels).mean(axis=1)
            samples = np.rint(mean).astype(np.int16)
        while len(samples):
            try:
                number = self._live.push(samples, frame.sample_rate)
            except newscaster.InputError as error:
                if not self._live.busy:
                    await self.push_error(f"The anchor cannot speak the audio: {error}", exception=error)
                    return
                await asyncio.sleep(_FULL_POLL_SECONDS)
                continue
            assert number is not None
            speech = self._speeches.get(number)
            if speech is None:
                speech = self._speeches[number] = _Speech(
                    context_id=frame.context_id,
                    destination=frame.transport_destination,
                    interruptible=frame.interruptible,
                    arrived=self.get_clock().get_time(),
                )
            speech.pushed_seconds += len(samples) / frame.sample_rate
            self._current = number
            return

    async def _pass(self, frame: Frame) -> None:
        """Push a frame, or hold it if speech before it has not been output."""
        assert self._live is not None
        if isinstance(frame, TTSStartedFrame):
            self._current = None
            self._live.flush()
            await self.start_ttfb_metrics()
        number = self._current
        if isinstance(frame, TTSStoppedFrame):
            self._live.flush()
            self._current = None
        if not self._speeches:
            await self.push_frame(frame)
            return
        last = max(self._speeches)
        if number is None or number not in self._speeches or isinstance(frame, TTSStoppedFrame):
            self._held.add(frame, last, math.inf)
        elif frame.pts:
            speech = self._speeches[number]
            self._held.add(frame, number, (frame.pts - speech.arrived) / _NANOSECONDS)
            frame.pts = None  # it goes out in its time
        else:
            self._held.add(frame, number, self._speeches[number].pushed_seconds)

    async def _interrupt(self) -> None:
        """Drop speech and what waits for it, except speech that may not be interrupted."""
        assert self._live is not None
        await self.cancel_ttfb_metrics()
        if any(not speech.interruptible for speech in self._speeches.values()):
            return
        self._live.interrupt()
        self._speeches.clear()
        self._current = None
        kept = self._held.clear()
        self._drained.set()
        for frame in kept:
            await self.push_frame(frame)

    # Output

    async def _push_frames(self) -> None:
        """Push the frames of the stream when they are due."""
        assert self._live is not None
        await self._visible.wait()
        try:
            async for frame in self._live.frames_async(ahead=1):
                if frame.image is not None:
                    image = await asyncio.to_thread(frame.image.rgb)
                    size = (image.shape[1], image.shape[0])
                    await self.push_frame(OutputImageRawFrame(image.tobytes(), size, "RGB"))
                speech = None if frame.utterance is None else self._speeches.get(frame.utterance)
                if frame.utterance is not None and speech is not None:
                    await self._push_audio(frame, speech)
                for number in frame.ended:
                    await self._end(number)
        except Exception as error:
            await self.push_error(
                f"The anchor stopped: {error}", exception=error, force_treat_as_permanent=True
            )
            self._speeches.clear()
            self._drained.set()

    async def _push_audio(self, frame: newscaster.LiveFrame, speech: _Speech) -> None:
        """Push the audio of a frame, and what is due after it."""
        assert self._live is not None
        assert frame.utterance is not None
        if not speech.output_seconds:
            await self.stop_ttfb_metrics()
            await self._release(frame.utterance, -1.0)
        frame_seconds = len(frame.audio) / self._live.rate
        left = round((speech.pushed_seconds - speech.output_seconds) * self._live.rate)
        samples = np.clip(np.rint(frame.audio[: max(0, left)] * 32767), -32768, 32767).astype(np.int16)
        audio = TTSAudioRawFrame(samples.tobytes(), self._live.rate, 1, context_id=speech.context_id)
        audio.transport_destination = speech.destination
        audio.interruptible = speech.interruptible
        speech.output_seconds += frame_seconds
        if len(samples):
            await self.push_frame(audio)
        await self._release(frame.utterance, speech.output_seconds)

    async def _release(self, number: int, seconds: float, *, ended: bool = False) -> None:
        for frame in self._held.release(number, seconds, ended=ended):
            await self.push_frame(frame)

    async def _end(self, number: int) -> None:
        """Push what waited for the end of a speech."""
        await self._release(number, math.inf, ended=True)
        self._speeches.pop(number, None)
        if self._current == number:
            self._current = None
        self._drained.set()
