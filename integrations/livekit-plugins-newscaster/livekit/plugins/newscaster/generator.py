"""Video and audio of an anchor from an agent's audio, for an AvatarRunner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from newscaster import InputError, Live, LiveFrame

from .segments import Item, Segment, Segments, end_parts

STARTS = "newscaster.starts"
"""Key in `AudioFrame.userdata`: the frame is the first one of a segment."""
SILENT = "newscaster.silent"
"""Key in `AudioFrame.userdata`: the frame is silence between speeches, which may be left out."""
_FULL_POLL_SECONDS = 0.1


class SegmentEnd(AudioSegmentEnd):
    """The end of a segment that the agent captured.

    Attributes:
        position: seconds of the segment that were output.
        interrupted: whether it was cleared before its end.
    """

    def __init__(self, position: float, interrupted: bool) -> None:
        self.position = position
        self.interrupted = interrupted


class NewscasterVideoGenerator(VideoGenerator):
    """Video frames (I420) and audio frames (mono, `live.rate`) of a live stream.

    Iterating yields them when they are due, without end, until the stream is closed: each video frame, then
    its audio, then a `SegmentEnd` for each segment that ends with them. A segment that is cleared ends, too.

    Args:
        live: the stream. The caller closes it.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self.segments = Segments()
        """What the agent captured. A receiver's `SegmentChannel` counts here."""
        self._cleared: list[tuple[list[Segment], float]] = []

    @property
    def options(self) -> AvatarOptions:
        """Size, frame rate and audio of the tracks."""
        width, height = self._live.size
        return AvatarOptions(
            video_width=width,
            video_height=height,
            video_fps=float(self._live.fps),
            audio_sample_rate=self._live.rate,
            audio_channels=1,
        )

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Push audio of any rate and number of channels, or the end of a segment."""
        await self.push_item(self.segments.note(frame))

    async def push_item(self, item: Item) -> None:
        """Push audio that has been counted. Waits while the stream's queue is full."""
        segment, frame = item
        if isinstance(frame, AudioSegmentEnd):
            if not segment.cancelled:
                self._live.flush()
                segment.pushed = True
            return
        samples = _mono(frame)
        while len(samples) and not segment.cancelled:
            try:
                number = self._live.push(samples, frame.sample_rate)
            except InputError:
                if not self._live.busy:  # not full: closed, or a rate that is out of range
                    raise
                await asyncio.sleep(_FULL_POLL_SECONDS)
            else:
                assert number is not None
                segment.add(number, len(samples) / frame.sample_rate)
                return

    def clear_buffer(self, *, unheard_seconds: float = 0.0) -> None:
        """Drop all speech that has not been output. Its segments end at the next frame.

        Args:
            unheard_seconds: how much of the output was not sent, and will not be.
        """
        seconds = max(0.0, self._live.interrupt() - unheard_seconds)
        cancelled = self.segments.cancel()
        if cancelled:
            self._cleared.append((cancelled, seconds))

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        async for frame in self._live.frames_async(ahead=1):
            audio = self._audio_frame(frame)
            ends = self._ends(frame)  # before the next frame can be on its way
            if frame.image is not None:
                yield to_video_frame(frame)
            yield audio
            for end in ends:
                yield end

    def close(self) -> list[SegmentEnd]:
        """Return the ends of the segments that will not be output any more: the stream is closed."""
        self.clear_buffer()
        return self._cleared_ends(())

    def _audio_frame(self, frame: LiveFrame) -> rtc.AudioFrame:
        samples = np.clip(np.rint(frame.audio * 32767), -32768, 32767).astype(np.int16)
        segment = self.segments.find(frame.utterance)
        userdata: dict[str, object] = {}
        if segment is not None and not segment.started:
            segment.started = True
            userdata[STARTS] = True
        if frame.utterance is None and not samples.any():
            userdata[SILENT] = True
        return rtc.AudioFrame(samples.tobytes(), self._live.rate, 1, len(samples), userdata=userdata)

    def _ends(self, frame: LiveFrame) -> list[SegmentEnd]:
        """Return the ends of the segments that end with a frame."""
        ends = self._cleared_ends(frame.ended)
        self.segments.end_speeches(frame.ended)
        return ends + [SegmentEnd(segment.seconds, False) for segment in self.segments.take_over()]

    def _cleared_ends(self, ended: tuple[int, ...]) -> list[SegmentEnd]:
        """Return the ends of cleared segments.

        A frame with the end of a speech can be on its way while the speech is interrupted. It is output, so
        that its segment was not interrupted. `seconds` are of the first segment that has not ended.
        """
        ends: list[SegmentEnd] = []
        for segments, seconds in self._cleared:
            left = seconds
            for segment in segments:
                end_parts(segment, ended)
                if segment.is_over:
                    ends.append(SegmentEnd(segment.seconds, False))
                else:
                    ends.append(SegmentEnd(segment.position(left), True))
                    left = 0.0
        self._cleared.clear()
        return ends


def _mono(frame: rtc.AudioFrame) -> np.ndarray:
    """Return the mean of the channels: (n,) int16."""
    samples = np.frombuffer(frame.data, np.int16)[: frame.samples_per_channel * frame.num_channels]
    if frame.num_channels == 1:
        return samples
    return np.rint(samples.reshape(-1, frame.num_channels).mean(axis=1)).astype(np.int16)


def to_video_frame(frame: LiveFrame) -> rtc.VideoFrame:
    """Return the image of a frame, as I420 if it is stored so."""
    image = frame.image
    assert image is not None
    if not image.is_plain:
        rgb = image.rgb()
        height, width = rgb.shape[:2]
        return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, rgb.tobytes())
    planes = image.planes
    height, width = planes[0].shape
    data = bytearray(sum(plane.size for plane in planes))
    start = 0
    for plane in planes:
        rows = np.frombuffer(data, np.uint8, plane.size, start).reshape(plane.shape)
        rows[:] = plane
        start += plane.size
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data)
