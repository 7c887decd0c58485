"""A live session: one `Live`, and what its frames go to.

A sink takes every frame at once or loses it: one that is slow, or fails, is of no concern to the session nor
to any other sink.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.errors import InputError, NewscasterError
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.server.http_errors import sentence
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.system.os_errors import fault
from newscaster.texts import escaped

_log = logging.getLogger("newscaster.server")

RATE = 48_000
"""Of the sound that frames carry, in Hz: what Opus and AAC have."""
_MAX_ERRORS = 50
"""Messages that are kept until a client asks: the latest."""
_FEED_RATE = 16_000
_FEED_AHEAD_SECONDS = 5.0
_FEED_POLL_SECONDS = 0.2
_RATE_WINDOW_SECONDS = 2.0


class Sink(Protocol):
    """Where frames go."""

    def offer(self, frame: LiveFrame) -> None:
        """Take a frame, or lose it; returns at once. What it raises ends this sink alone."""

    def end(self) -> None:
        """There are no more frames."""


@dataclass(frozen=True, kw_only=True)
class SessionState:
    """What clients are told of a session, several times a second."""

    speaking: bool
    """Whether the frame just shown belongs to speech."""
    busy: bool
    """Whether something is being said or waits to be."""
    frames_per_second: float
    """Pictures made, over the last two seconds."""
    shown: int
    """Frames with a picture, since the begin."""
    dropped: int
    """Frames that were left out, since the begin."""
    delay_ms: int | None
    """From a sound, or a text, that came in to the first frame of its speech; the last one's."""
    waiting_seconds: float
    """Speech that has come in and not been shown."""
    recording: str | None = None
    """The recording that is being made."""
    recording_ended: str | None = None
    """Why the last recording ended by itself; until it is stopped, or another one is started."""
    errors: tuple[str, ...] = ()
    """What has gone wrong, or was left out of a text, since the client last asked."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How a session's anchor is to look and sound."""

    anchor: str | None = None
    """Its id; None for the first."""
    look_ahead_ms: int | None = None
    voice: str | None = None
    speed: float = 1.0
    articulation: Articulation = field(default_factory=Articulation)

    def with_changes(self, changes: Mapping[str, Any]) -> SessionOptions:
        """The same with other values: of fields of this class, or of `openness` and `smoothness`."""
        mouth = {name: changes[name] for name in ("openness", "smoothness") if name in changes}
        others = {name: value for name, value in changes.items() if name not in mouth}
        return replace(self, **others, articulation=replace(self.articulation, **mouth))


class Session:
    """One listener's anchor, live.

    Args:
        anchor: its id.
        opened: the anchor itself.
        live: the stream; the session closes it.
        wanted: how the anchor is to look and sound.
    """

    def __init__(self, anchor: str, opened: Anchor, live: Live, wanted: SessionOptions) -> None:
        self.id = secrets.token_urlsafe(12)
        self.anchor, self.opened, self.live = anchor, opened, live
        self.info: AnchorInfo = opened.info
        self.wanted = wanted
        self.read_aloud = False
        """Whether it has been given a text."""
        self.last_used = time.monotonic()
        self.recording: str | None = None
        self.recording_ended: str | None = None
        self.change_turn = asyncio.Lock()
        """Held while it is changed: the last change applies."""
        self._users = 0
        self._sinks: list[Sink] = []
        self._problems: deque[tuple[int, str]] = deque(maxlen=_MAX_ERRORS)
        self._problem_count = 0
        self._polled = 0
        self.reported = 0
        """Number of the last error that any client has seen."""
        self._times: deque[float] = deque()
        self._speaking = False
        self._feeding: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self) -> None:
        """Begin to show frames."""
        self._pump = asyncio.create_task(self._show(), name=f"session-{self.id}")

    @property
    def over(self) -> asyncio.Event:
        """Set when the session has ended."""
        return self._over

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(self.info.fps)

    @contextmanager
    def used(self) -> Iterator[None]:
        """While somebody listens or talks; an unused session is closed after a while."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.last_used = time.monotonic()

    def idle_seconds(self) -> float:
        """How long it has had neither a client nor speech that is recorded."""
        if self._users or (self.recording is not None and self.busy):
            self.last_used = time.monotonic()
            return 0.0
        return time.monotonic() - self.last_used

    def add(self, sink: Sink) -> None:
        """Give this sink every frame from now on."""
        if self._over.is_set():
            sink.end()
        else:
            self._sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        """No more frames for this sink, if it still gets any."""
        with suppress(ValueError):
            self._sinks.remove(sink)

    def report(self, problem: str) -> None:
        """Have `state` say what has gone wrong."""
        self._problem_count += 1
        self._problems.append((self._problem_count, problem))

    # What is said

    def say(self, text: str) -> None:
        """Have a text read, behind what waits.

        Raises:
            NewscasterError: there is no word in it, too much waits, or the session is closing.
        """
        loop = asyncio.get_running_loop()

        def note(line: str) -> None:
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(self.report, escaped(line))

        made: Future[None] = self.live.say(text, on_note=note)
        self.read_aloud = True
        made.add_done_callback(lambda done: _tell(loop, self._failed, done))

    def push(self, samples: npt.NDArray[np.float32], rate: int) -> None:
        """Have sound (n,) spoken as it comes in.

        Raises:
            NewscasterError: it cannot be, or too much waits; nothing of it is taken then.
        """
        self.live.push(samples, rate)

    async def play(self, audio: Path, *, done: Callable[[], None]) -> None:
        """Have a sound file spoken from its begin to its end; returns when that has begun."""
        await self.stop_playing()
        self._feeding = asyncio.create_task(self._feed(audio), name=f"feed-{self.id}")
        self._feeding.add_done_callback(lambda feeding: done())  # also if it is cancelled before it starts

    async def stop_playing(self) -> None:
        """Feed no more of a sound file; what has been fed goes on."""
        feeding, self._feeding = self._feeding, None
        if feeding is not None and not feeding.done():
            feeding.cancel()
            await asyncio.wait([feeding])

    async def interrupt(self) -> None:
        """Stop talking now; what waits is dropped."""
        self.live.interrupt()
        await self.stop_playing()
        self.live.interrupt()  # a block may have been on its way

    @property
    def busy(self) -> bool:
        """Whether something is being said, or waits to be."""
        return self.live.busy or (self._feeding is not None and not self._feeding.done())

    def state(self, *, after: int | None = None) -> SessionState:
        """The state as clients see it.

        Args:
            after: number of the last error that the client has seen, as in `reported` after the last call;
                None: for clients that poll, which share one.
        """
        counts, now = self.live.counts, time.monotonic()
        while self._times and now - self._times[0] > _RATE_WINDOW_SECONDS:
            self._times.popleft()
        seen = self._polled if after is None else after
        errors = tuple(problem for number, problem in self._problems if number > seen)
        self.reported = self._problem_count
        if after is None:
            self._polled = self._problem_count
        return SessionState(
            speaking=self._speaking,
            busy=self.busy,
            frames_per_second=round(len(self._times) / _RATE_WINDOW_SECONDS, 1),
            shown=counts.shown,
            dropped=counts.dropped,
            delay_ms=None if counts.delay_seconds is None else round(counts.delay_seconds * 1000),
            waiting_seconds=round(counts.waiting_seconds, 2),
            recording=self.recording,
            recording_ended=self.recording_ended,
            errors=errors,
        )

    def to_json(self) -> dict[str, object]:
        """The session as the API shows it."""
        width, height = self.info.size
        return {
            "id": self.id,
            "anchor": self.anchor,
            "width": width,
            "height": height,
            "fps": self.fps,
            "sound_rate": RATE,
            "state": asdict(self.state()),
        }

    async def close(self) -> None:
        """End it: frames stop, sinks are told. More than once is harmless."""
        self.live.close()
        await self.stop_playing()
        if self._pump is not None:
            await asyncio.wait([self._pump])
        self._end()

    def _end(self) -> None:
        self._over.set()
        sinks, self._sinks = self._sinks, []
        for sink in sinks:
            try:
                sink.end()
            except Exception:
                _log.exception("a sink of session %s failed to end", self.id)

    async def _show(self) -> None:
        try:
            async for frame in self.live:
                self._speaking = frame.speaking
                if frame.image is not None:
                    self._times.append(time.monotonic())
                for sink in tuple(self._sinks):
                    try:
                        sink.offer(frame)
                    except Exception as error:
                        _log.warning("a sink of session %s was dropped: %s", self.id, sentence(error))
                        self.remove(sink)
        except Exception:
            _log.exception("session %s broke off", self.id)
        finally:
            self.live.close()
            self._end()

    async def _feed(self, audio: Path) -> None:
        """Push a file's sound, a little ahead of what is shown."""
        blocks = media.read_audio_blocks(audio, rate=_FEED_RATE, block_samples=_FEED_RATE // 2)
        try:
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                while self.live.counts.waiting_seconds > _FEED_AHEAD_SECONDS:
                    await asyncio.sleep(_FEED_POLL_SECONDS)
                self.live.push(block, _FEED_RATE)
            self.live.flush()
        except InputError as error:
            self.report(sentence(error))

    def _failed(self, done: Future[None]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            known = sentence(error) if isinstance(error, NewscasterError) else fault(error)
            self.report(known or f"the voice failed ({type(error).__name__}: {sentence(error)})")


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[Future[None]], None], done: Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(what, done)
