"""A live session: one `Live`, and the sinks of its frames.

A sink takes each frame at once or drops it. A slow or failing sink affects neither the session nor other
sinks.
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

from newscaster import media
from newscaster.errors import InputError, NewscasterError
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.server.grants import Grant
from newscaster.server.http_errors import sentence
from newscaster.server.ids import with_instance
from newscaster.server.live_captions import LiveCaptions
from newscaster.speech.captions import TimedSentence
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.system.os_errors import fault
from newscaster.texts import escaped
from newscaster.types import ArrayF32

_log = logging.getLogger("newscaster.server")

RATE = 48_000
"""Sample rate of the audio of frames, in Hz: that of Opus and AAC."""
_MAX_ERRORS = 50
"""Maximum number of stored errors; older ones are dropped."""
_FEED_RATE = 16_000
_FEED_AHEAD_SECONDS = 5.0
_FEED_POLL_SECONDS = 0.2
_RATE_WINDOW_SECONDS = 2.0


class Sink(Protocol):
    """A consumer of frames."""

    def push(self, frame: LiveFrame) -> None:
        """Take or drop a frame, without blocking. An exception removes only this sink."""

    def end(self) -> None:
        """Handle the end of the frames."""


@dataclass(frozen=True, kw_only=True)
class SessionState:
    """State of a session, sent to clients several times per second."""

    speaking: bool
    """Whether the current frame belongs to speech."""
    busy: bool
    """Whether speech is in progress or pending."""
    frames_per_second: float
    """Frames rendered per second, over the last two seconds."""
    shown: int
    """Rendered frames, since the start."""
    dropped: int
    """Dropped frames, since the start."""
    delay_ms: int | None
    """Delay from the arrival of the last audio or text to the first frame of its speech."""
    waiting_seconds: float
    """Pending speech: received, but not shown yet."""
    recording: str | None = None
    """Id of the recording in progress."""
    recording_ended: str | None = None
    """Why the last recording ended by itself, until it is stopped or another one starts."""
    errors: tuple[str, ...] = ()
    """Errors and skipped parts of texts, since the client last asked."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """Options of a session: anchor, voice and articulation."""

    anchor: str | None = None
    """Id of the anchor; None for the first."""
    look_ahead_ms: int | None = None
    voice: str | None = None
    speed: float = 1.0
    background: str | None = None
    """A colour or "blur"; None: the footage's own. Files are not accepted from clients."""
    pronunciations: Mapping[str, str] | None = None
    """Readings of words, before those of the studio."""
    articulation: Articulation = field(default_factory=Articulation)
    grant: Grant | None = None
    """What the token grants with which a page elsewhere has started it; None: it was the studio's token."""

    def with_changes(self, changes: Mapping[str, Any]) -> SessionOptions:
        """Return a copy with other values of these fields, or of `openness` and `smoothness`."""
        mouth = {name: changes[name] for name in ("openness", "smoothness") if name in changes}
        others = {name: value for name, value in changes.items() if name not in mouth}
        return replace(self, **others, articulation=replace(self.articulation, **mouth))


class Session:
    """The live anchor of one client.

    Args:
        anchor: id of the anchor.
        opened: the anchor itself.
        live: the stream; the session closes it.
        options: anchor, voice and articulation.
        instance: name of the studio, in the id.
        observe: called with each frame, before the sinks.
        speech_shown: called with the id and the delay in seconds at the first frame of speech after silence.
    """

    def __init__(
        self,
        anchor: str,
        opened: Anchor,
        live: Live,
        options: SessionOptions,
        *,
        instance: str | None = None,
        observe: Callable[[LiveFrame], None] = lambda frame: None,
        speech_shown: Callable[[str, float], None] = lambda session_id, delay_seconds: None,
    ) -> None:
        self.id = with_instance(instance, secrets.token_urlsafe(12))
        self._extra = {"session": self.id}
        self.anchor, self.opened, self.live = anchor, opened, live
        self.info: AnchorInfo = opened.info
        self.options = options
        self._observe, self._speech_shown = observe, speech_shown
        self.sockets = 0
        """Connected WebSockets."""
        self.read_aloud = False
        """Whether a text was spoken."""
        self.last_used = time.monotonic()
        self.recording: str | None = None
        self.recording_ended: str | None = None
        self.change_turn = asyncio.Lock()
        """Lock of a change: the last change applies."""
        self._users = 0
        self.captions = LiveCaptions(self.fps)
        """Captions of texts."""
        self._sinks: list[Sink] = [self.captions]
        self._problems: deque[tuple[int, str]] = deque(maxlen=_MAX_ERRORS)
        self._problem_count = 0
        self._polled = 0
        self.reported = 0
        """Number of the last error that a client has seen."""
        self._times: deque[float] = deque()
        self._speaking = False
        self._feeding: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self) -> None:
        """Start showing frames."""
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
        """Mark the session as used by a client; an unused session is closed after a while."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            self.last_used = time.monotonic()

    def idle_seconds(self) -> float:
        """Return the time since the last client or recorded speech."""
        if self._users or (self.recording is not None and self.busy):
            self.last_used = time.monotonic()
            return 0.0
        return time.monotonic() - self.last_used

    def add(self, sink: Sink) -> None:
        """Add a sink for all frames from now on."""
        if self._over.is_set():
            sink.end()
        else:
            self._sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        """Remove a sink, if it is still there."""
        with suppress(ValueError):
            self._sinks.remove(sink)

    def report(self, problem: str) -> None:
        """Add an error to `state`."""
        self._problem_count += 1
        self._problems.append((self._problem_count, problem))

    # Speech

    def say(self, text: str) -> None:
        """Speak a text, after pending speech.

        Raises:
            NewscasterError: it contains no word, too much is pending, or the session is closing.
        """
        loop = asyncio.get_running_loop()

        def note(line: str) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self.report, escaped(line))

        def caption(speech: int, sentence: TimedSentence) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self.captions.add, speech, sentence)

        made: Future[None] = self.live.say(text, on_note=note, on_sentence=caption)
        self.read_aloud = True
        made.add_done_callback(lambda done: _call_in_loop(loop, self._report_failure, done))

    def push(self, samples: ArrayF32, rate: int) -> None:
        """Speak audio (n,) as it arrives.

        Raises:
            NewscasterError: it cannot be spoken, or too much is pending; nothing of it is accepted then.
        """
        self.live.push(samples, rate)

    async def play(self, audio: Path, *, done: Callable[[], None]) -> None:
        """Start speaking an audio file, from start to end; call `done` when it has been pushed."""
        await self.stop_playing()
        self._feeding = asyncio.create_task(self._feed(audio), name=f"feed-{self.id}")
        self._feeding.add_done_callback(lambda feeding: done())  # also if it is cancelled before it starts

    async def stop_playing(self) -> None:
        """Stop pushing an audio file; speech already pushed goes on."""
        feeding, self._feeding = self._feeding, None
        if feeding is not None and not feeding.done():
            feeding.cancel()
            await asyncio.wait([feeding])

    async def act(self, action: str) -> None:
        """Show a named clip of the anchor, after those that wait.

        Raises:
            NewscasterError: the anchor has no such clip, or too many wait.
        """
        await asyncio.to_thread(self.live.play, action)  # the first time, its cuts are computed

    async def interrupt(self) -> None:
        """Stop speaking now, and drop pending speech."""
        self.live.interrupt()
        await self.stop_playing()
        self.live.interrupt()  # a block may have been in transit

    @property
    def busy(self) -> bool:
        """Whether speech is in progress or pending."""
        return self.live.busy or (self._feeding is not None and not self._feeding.done())

    def state(self, *, after: int | None = None) -> SessionState:
        """Return the state for clients.

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
        """Return the JSON of the API."""
        width, height = self.info.size
        return {
            "id": self.id,
            "anchor": self.anchor,
            "width": width,
            "height": height,
            "fps": self.fps,
            "sound_rate": RATE,
            "background": self.options.background,
            "actions": list(self.live.actions),
            "state": asdict(self.state()),
        }

    async def close(self) -> None:
        """End the session: frames stop, and sinks end. Safe to call more than once."""
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
                _log.exception("a sink of session %s failed to end", self.id, extra=self._extra)

    async def _show(self) -> None:
        try:
            async for frame in self.live:
                if frame.speaking and not self._speaking:
                    delay_seconds = self.live.counts.delay_seconds
                    if delay_seconds is not None:
                        self._speech_shown(self.id, delay_seconds)
                self._speaking = frame.speaking
                self._observe(frame)
                if frame.image is not None:
                    self._times.append(time.monotonic())
                for sink in tuple(self._sinks):
                    try:
                        sink.push(frame)
                    except Exception as error:
                        _log.warning(
                            "a sink of session %s was dropped: %s",
                            self.id,
                            sentence(error),
                            extra=self._extra,
                        )
                        self.remove(sink)
        except Exception:
            _log.exception("session %s failed", self.id, extra=self._extra)
        finally:
            self.live.close()
            self._end()

    async def _feed(self, audio: Path) -> None:
        """Push the audio of a file, a little ahead of the frames shown."""
        blocks = media.read_audio_blocks(audio, rate=_FEED_RATE, block_samples=_FEED_RATE // 2)
        try:
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                while self.live.counts.waiting_seconds > _FEED_AHEAD_SECONDS:
                    await asyncio.sleep(_FEED_POLL_SECONDS)
                self.live.push(block, _FEED_RATE)
            self.live.flush()
        except InputError as error:
            self.report(sentence(error))

    def _report_failure(self, done: Future[None]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            reason = sentence(error) if isinstance(error, NewscasterError) else fault(error)
            self.report(reason or f"the voice failed ({type(error).__name__}: {sentence(error)})")


def _call_in_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[[Future[None]], None], done: Future[None]
) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(callback, done)
