"""Publishes an anchor in a room, and reports to the agent what was played.

It replaces three things of `AvatarRunner`:

- A playback event is sent for every segment, also if several wait at the same time, or the queue is emptied.
- Its position is what `newscaster.Live` has output of the segment, without silence before or within it.
- Audio is published when the stream yields it, since the stream is paced already, and each image when its
  audio is played.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents.utils import aio
from livekit.agents.voice.avatar import AudioReceiver, AudioSegmentEnd, AvatarRunner

from .generator import SILENT, STARTS, NewscasterVideoGenerator, SegmentEnd
from .images import ImageSchedule
from .log import logger
from .segments import SegmentChannel, Segments

MAX_QUEUED_SECONDS = 0.04
"""Silence is left out while more audio than this waits to be sent: the avatar is later by as much."""
QUIET = 100
"""Limit for int16 samples of silence within speech."""
_AUDIO_QUEUE_MS = 1000
"""More than ever waits: a full queue would hold up the stream."""
_CATCH_UP = 0.5
"""Least distance of images that catch up, in frames."""
_REPORT_SECONDS = 2.0
"""How long closing waits for reports."""
_RPC_SECONDS = 0.05
_WARNED_SECONDS = 10.0
"""Refused audio is logged once if it comes again within this time."""


class NewscasterRunner(AvatarRunner):
    """Publishes audio and video of an anchor.

    Args:
        room: where the tracks are published.
        audio_recv: a `QueueAudioOutput` or a `DataStreamAudioReceiver`, not started yet.
        video_gen: the anchor.
    """

    def __init__(
        self, room: rtc.Room, *, audio_recv: AudioReceiver, video_gen: NewscasterVideoGenerator
    ) -> None:
        if not hasattr(audio_recv, "_data_ch"):
            raise TypeError(
                f"audio_recv is {type(audio_recv).__name__}; expected QueueAudioOutput or "
                "DataStreamAudioReceiver"
            )
        super().__init__(
            room,
            audio_recv=audio_recv,
            video_gen=video_gen,
            options=video_gen.options,
            _queue_size_ms=_AUDIO_QUEUE_MS,
            _lazy_publish=True,
        )
        self._generator = video_gen
        audio_recv._data_ch = SegmentChannel(video_gen.segments)
        self._ends: asyncio.Queue[tuple[float, SegmentEnd]] = asyncio.Queue()
        self._ends_atask: asyncio.Task[None] | None = None
        self._refused = -math.inf  # when audio was last refused
        self._images = ImageSchedule(
            lambda image: self._video_source.capture_frame(image),
            min_gap_seconds=_CATCH_UP / video_gen.options.video_fps,
        )

    async def start(self) -> None:
        """Start to publish and to receive audio."""
        self._ends_atask = asyncio.create_task(self._report_ends())
        await super().start()

    async def aclose(self) -> None:
        """Report what will not be played, and close the tracks. The caller closes the stream."""
        self._audio_recv.off("clear_buffer", self._on_clear_buffer)
        for end in self._generator.close():
            self._ends.put_nowait((0.0, end))
        self._audio_recv._data_ch = _ClosedChannel(self._audio_recv)  # type: ignore[attr-defined]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reported(), _REPORT_SECONDS)
        await super().aclose()
        self._images.clear()
        if self._ends_atask:
            await aio.cancel_and_wait(self._ends_atask)
        for publication in (self._audio_publication, self._video_publication):
            if publication is not None and self._room.isconnected():
                await self._room.local_participant.unpublish_track(publication.sid)

    async def _reported(self) -> None:
        """Wait until all ends have been reported, and sent if the agent is another participant."""
        await self._ends.join()
        calls = getattr(self._audio_recv, "_rpc_send_ch", None)
        if calls is not None:
            while not calls.empty():
                await asyncio.sleep(_RPC_SECONDS)
            await asyncio.sleep(_RPC_SECONDS)

    async def _read_audio(self) -> None:
        async for item in self._audio_recv:
            try:
                await self._generator.push_item(item)  # type: ignore[arg-type]
            except Exception:
                logger.exception("audio of the agent cannot be spoken")

    async def _forward_video(self) -> None:
        await self._publish_track()
        try:
            async for frame in self._generator:
                if isinstance(frame, AudioSegmentEnd):
                    assert isinstance(frame, SegmentEnd)
                    queued = 0.0 if frame.interrupted else self._audio_source.queued_duration
                    self._ends.put_nowait((asyncio.get_running_loop().time() + queued, frame))
                elif isinstance(frame, rtc.VideoFrame):
                    self._images.put(frame, self._audio_source.queued_duration)
                else:
                    await self._forward_audio(frame)
        except Exception:
            logger.exception("the anchor stopped")
            for end in self._generator.close():
                self._ends.put_nowait((0.0, end))
            raise

    async def _forward_audio(self, frame: rtc.AudioFrame) -> None:
        if frame.userdata.get(STARTS):
            await _finish(self._audio_recv.notify_playback_started())
        if self._audio_source.queued_duration > MAX_QUEUED_SECONDS and (
            frame.userdata.get(SILENT) or np.abs(np.frombuffer(frame.data, np.int16)).max() < QUIET
        ):
            return
        # Sent before the task first waits, so that the order holds. Nothing waits for the answer.
        task = asyncio.create_task(self._audio_source.capture_frame(frame))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._sent(done, frame.duration))
        await asyncio.sleep(0)  # the task starts, so that the next image counts this audio

    def _sent(self, task: asyncio.Task[None], seconds: float) -> None:
        """Handle the end of sending a frame of audio. After a long freeze, a full source refuses it."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._audio_source._q_size -= seconds  # counted there, but it will not be played
            now = asyncio.get_running_loop().time()
            if now - self._refused > _WARNED_SECONDS:
                logger.warning(
                    "audio is late by more than %.0f ms, and is not played: %s", _AUDIO_QUEUE_MS, error
                )
            self._refused = now

    async def _report_ends(self) -> None:
        """Report each end when it has been played."""
        while True:
            when, end = await self._ends.get()
            await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
            try:
                await _finish(
                    self._audio_recv.notify_playback_finished(
                        playback_position=end.position, interrupted=end.interrupted
                    )
                )
            except Exception:
                logger.exception("the end of a playback cannot be reported")
            self._ends.task_done()

    def _on_clear_buffer(self) -> None:
        readers: list[Any] = getattr(self._audio_recv, "_stream_readers", [])
        for _ in readers:  # streams that no one has read: one segment each
            self._generator.segments.note(AudioSegmentEnd())
        readers.clear()
        queued = self._audio_source.queued_duration
        if queued > MAX_QUEUED_SECONDS:
            self._audio_source.clear_queue()
            self._images.clear()
            self._generator.clear_buffer(unheard_seconds=queued)
        else:  # it fades out
            self._generator.clear_buffer()


class _ClosedChannel(aio.Chan[Any]):
    """Takes what an agent says after the avatar was closed: each segment ends at once, so that none waits."""

    def __init__(self, receiver: AudioReceiver) -> None:
        super().__init__()
        self._receiver = receiver
        self._segments = Segments()

    def send_nowait(self, value: Any) -> None:
        """Drop an item, and report the end of a segment."""
        _, item = self._segments.note(value)
        if isinstance(item, AudioSegmentEnd):
            self._receiver.notify_playback_finished(0.0, True)


async def _finish(result: Any) -> None:
    if asyncio.iscoroutine(result):
        await result
