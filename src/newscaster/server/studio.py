"""A studio: its anchors, sessions, recordings and jobs, from start to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from newscaster.errors import NewscasterError, OutputError
from newscaster.media import FolderLease
from newscaster.server.anchor_registry import Library, reading_for, voices
from newscaster.server.http_errors import CLOSING, NOT_FOUND, TOO_MANY, RefusedError
from newscaster.server.jobs import JobQueue
from newscaster.server.recording import Recordings
from newscaster.server.session import RATE, Session, SessionOptions
from newscaster.server.settings import Settings
from newscaster.server.uploads import Uploads
from newscaster.server.webrtc import Peers, listen_on
from newscaster.speech.voices import Reading
from newscaster.synthesis.live import Live
from newscaster.synthesis.options import LiveLimits, Style
from newscaster.texts import quoted

_log = logging.getLogger("newscaster.server")

_SWEEP_SECONDS = 2.0
_MADE_AHEAD_SECONDS = 3.0
"""Speech of texts that is made before it is heard: what a change of voice or pace comes after."""


class Studio:
    """Everything behind the API. Made and used in one event loop.

    Args:
        settings: what it is told.

    Raises:
        AnchorError: an anchor is missing or damaged.
        OutputError: its folder cannot be written to, or another studio is at work in it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings.anchors, backend=settings.backend)
        self.voices: tuple[str, ...] = ()
        self._sessions: dict[str, Session] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._coming = 0
        self._closing = False
        self._sweeper: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self.lease = FolderLease(
            settings.keep,
            what="studio",
            next_step="give this one another folder with --keep",
            adopt=settings.adopt,
            hint="; --take-over does not wait",
        )
        try:
            self.uploads = Uploads(settings.keep, settings.limits)
            self.recordings = Recordings(
                settings.keep / "recordings", settings.limits, timestamp=settings.timestamp
            )
            self.jobs = JobQueue(
                settings.keep / "jobs",
                self.library,
                settings.limits,
                backend=settings.backend,
                lease=self.lease,
                timestamp=settings.timestamp,
            )
        except BaseException as error:
            self.lease.release()
            if isinstance(error, OSError):
                raise OutputError(
                    f"'{settings.keep}' cannot be written to ({error.strerror or error}). Name another "
                    "folder with --keep"
                ) from error
            raise
        self.peers = Peers(settings.limits)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Studio]:
        """The studio at work."""
        if self.settings.is_loopback:
            listen_on(["::1"] if ":" in self.settings.host else ["127.0.0.1"])
        self.voices = await asyncio.to_thread(voices)
        await asyncio.to_thread(self.library.open, self.library.ids[0])
        self.jobs.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")
        try:
            yield self
        finally:
            await self.close()

    def warm_up(self) -> None:
        """Load the voice that sessions read with unless they ask for another, in the background, once.

        Called when a page opens: the first text is then spoken as soon as any other.
        """
        if self._warming is None and self.voices and not self._closing:
            self._warming = asyncio.create_task(self._warm_up(), name="warming")

    async def _warm_up(self) -> None:
        reading = reading_for(self.library.ids[0], voice=None, speed=1.0, known=self.voices)
        try:
            await asyncio.to_thread(self.library.voices.voice, reading)
        except NewscasterError as error:  # whoever wants it to speak is told
            _log.warning("the voice cannot be loaded: %s", error)

    async def close(self) -> None:
        """End all sessions, keep all jobs. More than once is harmless."""
        self._closing = True
        if self._warming is not None:
            await asyncio.wait([self._warming])
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await asyncio.gather(*(self.end(session) for session in tuple(self._sessions.values())))
        await asyncio.gather(*self._ending)
        await self.jobs.stop()
        self.lease.release()

    async def begin(self, wanted: SessionOptions) -> Session:
        """A new session.

        Raises:
            NewscasterError: there are too many, no such anchor or voice, or a value is out of range.
        """
        limits = self.settings.limits
        if self._closing or self.lease.is_lost:
            raise RefusedError("the studio is closing", status=CLOSING)
        if len(self._sessions) + self._coming >= limits.sessions:
            raise RefusedError(
                f"{limits.sessions} sessions are live, the most there may be. Wait until one ends",
                status=TOO_MANY,
            )
        anchor = self.library.resolve(wanted.anchor)
        reading = self._reading(anchor, wanted)
        ahead = self._look_ahead_ms(wanted)
        self._coming += 1
        try:
            opened = await asyncio.to_thread(self.library.open, anchor)
            make: Callable[[], Live] = partial(
                opened.live,
                rate=RATE,
                style=Style(reading=reading, articulation=wanted.articulation, look_ahead_ms=ahead),
                limits=LiveLimits(
                    max_pending_audio_seconds=limits.waiting_seconds,
                    max_pending_chars=limits.script_characters,
                    prefetch_seconds=_MADE_AHEAD_SECONDS,
                ),
            )
            session = Session(anchor, opened, await asyncio.to_thread(make), wanted)
        finally:
            self._coming -= 1
        if self._closing:
            session.live.close()
            raise RefusedError("the studio is closing", status=CLOSING)
        self._sessions[session.id] = session
        session.start()
        return session

    async def change(self, session: Session, changes: Mapping[str, Any]) -> None:
        """Change how a session's anchor speaks, from the next sentence on. Nothing ends.

        Args:
            session: that is live.
            changes: values of `voice`, `speed`, `openness`, `smoothness` and `look_ahead_ms`.

        Raises:
            NewscasterError: there is no such voice, or a value is out of range; nothing changes then.
        """
        async with session.change_turn:
            wanted = session.wanted.with_changes(changes)
            reading = self._reading(session.anchor, wanted)
            new_stream = partial(
                session.opened.motion_stream,
                articulation=wanted.articulation,
                look_ahead_ms=self._look_ahead_ms(wanted),
            )
            await asyncio.to_thread(session.live.change, new_stream=new_stream, reading=reading)
            session.wanted = wanted

    def _reading(self, anchor: str, wanted: SessionOptions) -> Reading | None:
        """How texts are read; None if there is no voice."""
        reading = reading_for(anchor, voice=wanted.voice, speed=wanted.speed, known=self.voices)
        return reading if self.voices else None

    def _look_ahead_ms(self, wanted: SessionOptions) -> int:
        return self.settings.look_ahead_ms if wanted.look_ahead_ms is None else wanted.look_ahead_ms

    def session(self, known: str) -> Session:
        """A session by its id.

        Raises:
            RefusedError: there is none, or it has ended.
        """
        session = self._sessions.get(known)
        if session is None or session.over.is_set():
            raise RefusedError(
                f"there is no session {quoted(known)}: it has ended, or never was. Make one: POST "
                "/v1/sessions",
                status=NOT_FOUND,
            )
        return session

    def sessions(self) -> list[Session]:
        """All that are live."""
        return list(self._sessions.values())

    async def end(self, session: Session) -> None:
        """End a session; its recording is kept. More than once is harmless."""
        if self._sessions.pop(session.id, None) is not None:
            # In a task of its own: where a client's is cancelled, the session must end all the same.
            ending = asyncio.create_task(self._end(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def _end(self, session: Session) -> None:
        session.live.close()
        await self.recordings.finish(session)
        await session.close()
        await self.peers.hang_up(session)

    async def play(self, session: Session, audio: Path) -> None:
        """Have a session speak an uploaded file, which is removed then."""
        await session.play(audio, done=lambda: audio.unlink(missing_ok=True))

    async def _sweep(self) -> None:
        """End sessions that nobody uses."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for session in tuple(self._sessions.values()):
                if session.over.is_set() or session.idle_seconds() > self.settings.limits.idle_seconds:
                    try:
                        await self.end(session)
                    except Exception:
                        _log.exception("session %s failed to end", session.id)
