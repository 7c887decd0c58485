"""One encoder for all viewers of a stream over WebRTC: each frame is encoded once, its packet sent to all.

A viewer starts at a key frame, and one that falls behind goes on at the next one. The bit rate follows the
viewer with the slowest connection.

::

    session ──► EncodedStream ──► thread: VP8, Opus ──► packets ──┬─► viewer
                                                                  └─► viewer
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import numpy as np

from newscaster import media
from newscaster.server.session import RATE
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.types import AudioF32

_log = logging.getLogger("newscaster.server")

DEFAULT_BITS = 500_000
"""Bits per second of the video until the viewers have estimated their connections."""
_MAX_IMAGES, _MAX_AUDIO = 2, 25
"""Frames and audio packets that may wait for the encoder; further ones are dropped."""
_QUIET_FRAMES = 15
_BIT_RATE_FRAMES = 125
"""The bit rate is set again after so many frames."""
_BIT_RATE_STEP = 0.25
"""Smaller changes of the bit rate are not made: each costs a key frame."""
_KEY_FRAMES_APART = 12


class Viewer(Protocol):
    """A consumer of packets."""

    def put_image(self, packet: Any) -> None:
        """Take a packet of video."""

    def put_audio(self, packet: Any, due: float) -> None:
        """Take 20 ms of audio, due at this time of the event loop."""

    def bits(self) -> int | None:
        """Bits per second of video that the connection takes; None: unknown."""

    def end(self) -> None:
        """Handle the end of the stream."""


class FrameSource(Protocol):
    """A session, or another source of frames."""

    id: str

    def add(self, sink: EncodedStream, /) -> None:
        """Give all frames from now on to a sink."""

    def remove(self, sink: EncodedStream, /) -> None:
        """Give it no more of them."""


class _AudioPart(NamedTuple):
    """20 ms of audio."""

    samples: AudioF32
    first: int
    """Number of its first sample."""
    due: float
    """When it is sent, in the time of the event loop."""


class _Job(NamedTuple):
    """What is encoded of one frame."""

    image: media.YuvFrame | None
    number: int
    key: bool
    audio: list[_AudioPart]


class EncodedStream:
    """The encoded frames of a session: a sink while it has viewers.

    Args:
        session: whose frames are encoded.
        new_video: makes the video encoder.
    """

    def __init__(self, session: FrameSource, new_video: Callable[[], media.VideoPackets]) -> None:
        self._session = session
        self._new_video = new_video
        self._loop = asyncio.get_running_loop()
        self._viewers: list[Viewer] = []
        self._thread: ThreadPoolExecutor | None = None
        self._restart()

    def _restart(self) -> None:
        self._video = self._new_video()
        self._opus = media.OpusPackets()
        self._first: int | None = None
        self._pending = np.zeros(0, np.float32)
        self._sent = 0
        self._images = self._audio = 0  # in the encoder
        self._key_wanted, self._last_key = True, -_KEY_FRAMES_APART

    def add(self, viewer: Viewer) -> None:
        """Send all packets from the next key frame on to a viewer."""
        if viewer in self._viewers:
            return
        self._viewers.append(viewer)
        self.want_key_frame()
        if self._thread is None:
            self._restart()
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="newscaster-encoder")
            self._session.add(self)

    def remove(self, viewer: Viewer) -> None:
        """Send nothing more to a viewer."""
        with suppress(ValueError):
            self._viewers.remove(viewer)
        if not self._viewers:
            self._stop()

    def want_key_frame(self) -> None:
        """Make the next frame a key frame, unless one came just before."""
        self._key_wanted = True

    def push(self, frame: LiveFrame) -> None:
        """Encode a frame; without blocking. A frame that comes while two are encoded is dropped."""
        if self._thread is None:
            return
        if self._first is None:
            self._first = frame.number
        number = frame.number - self._first
        if number % _BIT_RATE_FRAMES == 0:
            self._set_bit_rate()
        image, key = None, False
        if frame.image is not None and self._images < _MAX_IMAGES:
            image = frame.image
            key = self._key_wanted and number - self._last_key >= _KEY_FRAMES_APART
            if key:
                self._key_wanted, self._last_key = False, number
        audio = self._audio_parts(frame, number)
        if image is not None or audio:
            self._submit(_Job(image, number, key, audio))

    def end(self) -> None:
        """End all viewers: the session has ended."""
        for viewer in tuple(self._viewers):
            viewer.end()
        self._stop()

    def _audio_parts(self, frame: LiveFrame, number: int) -> list[_AudioPart]:
        """Return what the audio of a frame completes: packets of 20 ms."""
        due = self._loop.time() - len(self._pending) / RATE
        self._pending = np.concatenate([self._pending, frame.audio])
        # Opening the encoders delays the first packets, and a browser would then delay all audio for seconds.
        # So initial silence is skipped.
        is_early = number < _QUIET_FRAMES and not frame.speaking
        size = media.PACKET_SAMPLES
        parts: list[_AudioPart] = []
        while len(self._pending) >= size:
            samples, self._pending = self._pending[:size], self._pending[size:]
            if not is_early and self._audio + len(parts) < _MAX_AUDIO:
                parts.append(_AudioPart(samples, self._sent, due))
            self._sent += size
            due += size / RATE
        return parts

    def _submit(self, job: _Job) -> None:
        """Encode a frame and its audio in one go: a change of threads takes as long as a packet of audio."""
        assert self._thread is not None
        self._count(job, 1)
        encoding = self._loop.run_in_executor(self._thread, self._encode, job)
        encoding.add_done_callback(lambda done: self._encoded(done, job))

    def _count(self, job: _Job, step: int) -> None:
        self._images += step * (job.image is not None)
        self._audio += step * len(job.audio)

    def _encode(self, job: _Job) -> tuple[list[Any], Any]:
        """Return the packets of audio and of video, which may be None."""
        audio = [self._opus.encode(part.samples, part.first) for part in job.audio]
        if job.image is None:
            return audio, None
        return audio, self._video.encode(job.image, job.number, key=job.key)

    def _encoded(self, done: asyncio.Future[tuple[list[Any], Any]], job: _Job) -> None:
        self._count(job, -1)
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            _log.error("the encoder of session %s failed: %r", self._session.id, error)
            self.end()
            return
        audio, image = done.result()
        for viewer in tuple(self._viewers):
            if image is not None:
                viewer.put_image(image)
            for packet, part in zip(audio, job.audio, strict=True):
                if packet is not None:
                    viewer.put_audio(packet, part.due)

    def _set_bit_rate(self) -> None:
        known = [bits for viewer in self._viewers if (bits := viewer.bits()) is not None]
        if known and abs(min(known) - self._video.bit_rate) > _BIT_RATE_STEP * self._video.bit_rate:
            self._video.bit_rate = min(known)

    def _stop(self) -> None:
        self._session.remove(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)
