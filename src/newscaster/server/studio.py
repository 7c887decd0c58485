"""A studio: its anchors, sessions, recordings and jobs, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from newscaster.errors import NewscasterError, OutputError
from newscaster.media import FolderLease
from newscaster.server.anchor_registry import Library, UsedAnchor, merged, reading_for, voices
from newscaster.server.embed_tokens import EmbedTokens
from newscaster.server.hls import HlsStreams
from newscaster.server.http_errors import CLOSING, NOT_FOUND, TOO_MANY, RefusedError
from newscaster.server.job_work import WorkSettings
from newscaster.server.jobs import STOPPING, JobQueue
from newscaster.server.metrics import Metrics
from newscaster.server.recording import Recordings
from newscaster.server.session import RATE, Session, SessionOptions
from newscaster.server.settings import Settings
from newscaster.server.tracing import start_tracing
from newscaster.server.uploads import Uploads
from newscaster.server.videos import Videos
from newscaster.server.webrtc import Peers, listen_on
from newscaster.speech.voices import Reading
from newscaster.stores.cache import FileCache
from newscaster.synthesis.background import check_plain_background
from newscaster.synthesis.live import Live
from newscaster.synthesis.options import LiveLimits, Style
from newscaster.texts import quoted

_log = logging.getLogger("newscaster.server")

_SWEEP_SECONDS = 2.0
_DRAIN_POLL_SECONDS = 0.1
_FETCHED_SECONDS = 600.0
"""Time for which a fetched anchor is not removed: jobs open it meanwhile."""
_PREFETCH_SECONDS = 3.0
"""Speech of texts that is synthesised ahead; a change of voice or speed applies after it."""


def _new_library(settings: Settings) -> Library:
    cache = FileCache(
        folder=settings.keep / "anchors",
        max_bytes=settings.limits.anchor_cache_bytes,
        unused_seconds=_FETCHED_SECONDS,
        next_step="Name another folder with --data-dir",
    )
    return Library(
        settings.anchors,
        backend=settings.backend,
        cache=cache,
        max_open=settings.limits.open_anchors,
    )


class Studio:
    """The state behind the API. Create and use it in one event loop.

    Args:
        settings: settings of the studio.

    Raises:
        AnchorError: an anchor is missing or damaged.
        InputError: the list of revoked tokens is damaged.
        OutputError: its folder cannot be written to, or is in use by another studio.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.tracing = start_tracing()
        self.library = _new_library(settings)
        self.voices: tuple[str, ...] = ()
        self._sessions: dict[str, Session] = {}
        self._used: dict[str, UsedAnchor] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._starting = 0
        self.verifying = asyncio.Semaphore(1)
        self.samples_in_progress = 0
        """Samples of voices that are being spoken."""
        self._opened = self._closing = self._draining = False
        self._sweeper: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self.lease = FolderLease(
            settings.keep,
            what="studio",
            next_step="give this one another folder with --data-dir",
            adopt=settings.adopt,
            hint="; --take-over does not wait",
        )
        try:
            self._open_folder()
        except BaseException as error:
            self.lease.release()
            if isinstance(error, OSError):
                raise OutputError(
                    f"'{settings.keep}' cannot be written to ({error.strerror or error}). Name another "
                    "folder with --data-dir"
                ) from error
            raise
        self.peers = Peers(settings.limits)
        self.hls = HlsStreams()
        self.metrics.watch(self)

    def _open_folder(self) -> None:
        """Open all that is kept in the data folder."""
        settings = self.settings
        self.embed_tokens = EmbedTokens(settings.keep, lease=self.lease)
        self.uploads = Uploads(settings.keep, settings.limits, count=self.metrics.uploaded)
        self.recordings = Recordings(
            settings.keep / "recordings",
            settings.limits,
            timestamp=settings.timestamp,
            instance=settings.instance,
        )
        self.jobs = JobQueue(
            settings.keep / "jobs",
            self.library,
            settings.limits,
            work=WorkSettings(
                backend=settings.backend,
                timestamp=settings.timestamp,
                pronunciations=settings.pronunciations,
                track_folder=lambda video_id: self.videos.track_folder(video_id),
            ),
            lease=self.lease,
            ended=self._job_ended,
            instance=settings.instance,
        )
        self.videos = Videos(
            settings.keep / "videos",
            self.library,
            settings.limits,
            is_needed=self.jobs.uses_video,
            instance=settings.instance,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Studio]:
        """Run the studio."""
        if self.settings.is_loopback:
            listen_on(["::1"] if ":" in self.settings.host else ["127.0.0.1"])
        self.voices = await asyncio.to_thread(voices)
        default = await asyncio.to_thread(self.library.acquire, self.library.ids[0])
        default.release()  # it stays open while few others are used
        self.jobs.start()
        self._opened = True
        self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")
        try:
            yield self
        finally:
            await self.close()

    def why_not_ready(self) -> str | None:
        """Return in one sentence why no session can be started now; None if one can."""
        if not self._opened:
            return "the anchors are being loaded. Try again in a few seconds"
        if self.lease.is_lost:
            return f"another studio has taken over '{self.settings.keep}'. Send requests to that one"
        if self._closing:
            return "the studio is closing"
        return STOPPING if self._draining else None

    async def drain(self, seconds: float) -> None:
        """Start no more sessions and jobs, and wait until those that run have ended.

        Args:
            seconds: maximum time to wait. :meth:`close` ends sessions after it, and keeps the job.
        """
        _log.warning("the studio is stopping: sessions and the running job may go on for %g s", seconds)
        self._draining = True
        self.jobs.pause()
        for session in self._sessions.values():
            session.report(
                f"the studio is stopping: this session may go on for {seconds:g} s. Start another one then"
            )
        end = asyncio.get_running_loop().time() + seconds
        while self._sessions or self._ending or self._starting or self.jobs.is_running:
            if asyncio.get_running_loop().time() >= end:
                _log.warning("%d sessions were live at the end of the time to stop", len(self._sessions))
                return
            await asyncio.sleep(_DRAIN_POLL_SECONDS)

    def warm_up(self) -> None:
        """Load the default voice in the background, once.

        Called when a page opens, so that the first text starts as fast as later ones.
        """
        if self._warming is None and self.voices and not self._closing:
            self._warming = asyncio.create_task(self._warm_up(), name="warming")

    async def _warm_up(self) -> None:
        reading = reading_for(self.library.ids[0], voice=None, speed=1.0, installed=self.voices)
        try:
            await asyncio.to_thread(self.library.voices.voice, reading)
        except NewscasterError as error:  # clients that use it get the error
            _log.warning("the voice cannot be loaded: %s", error)

    async def close(self) -> None:
        """End all sessions, and keep all jobs. Safe to call more than once."""
        self._closing = True
        if self._warming is not None:
            await asyncio.wait([self._warming])
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await asyncio.gather(*(self.end(session) for session in tuple(self._sessions.values())))
        await asyncio.gather(*self._ending)
        await self.videos.close()
        await self.jobs.stop()
        self.lease.release()
        await asyncio.to_thread(self.tracing.close)

    async def begin(self, options: SessionOptions) -> Session:
        """Start a session.

        Raises:
            NewscasterError: too many sessions, no such anchor or voice, or a value out of range.
        """
        start = time.monotonic()
        try:
            session = await self._begin(options)
        except Exception as error:
            self.metrics.session_refused(error)
            raise
        self.metrics.session_started()
        seconds = time.monotonic() - start
        self.tracing.record("session start", seconds, session=session.id, anchor=session.anchor)
        _log.info("session %s started in %.2f s", session.id, seconds, extra={"session": session.id})
        return session

    def _job_ended(self, job_id: str, state: str, seconds: float) -> None:
        self.metrics.job_ended(state, seconds)
        self.tracing.record("job", seconds, job=job_id, state=state)
        _log.info("job %s: %s after %.1f s", job_id, state, seconds, extra={"job": job_id})

    def _speech_shown(self, session_id: str, delay_seconds: float) -> None:
        self.metrics.speech_shown(delay_seconds)
        self.tracing.record("first frame", delay_seconds, session=session_id)

    async def _begin(self, options: SessionOptions) -> Session:
        limits = self.settings.limits
        if (why := self.why_not_ready()) is not None:
            raise RefusedError(why, status=CLOSING)
        if len(self._sessions) + self._starting >= limits.sessions:
            raise RefusedError(
                f"{limits.sessions} sessions are live, the maximum. Wait until one ends",
                status=TOO_MANY,
            )
        anchor = self.library.resolve(options.anchor)
        reading = self._reading(anchor, options)
        look_ahead_ms = self._look_ahead_ms(options)
        check_plain_background(options.background)
        self._starting += 1
        used: UsedAnchor | None = None
        try:
            used = await asyncio.to_thread(self.library.acquire, anchor)
            open_stream: Callable[[], Live] = partial(
                used.anchor.live,
                rate=RATE,
                style=Style(
                    reading=reading,
                    articulation=options.articulation,
                    look_ahead_ms=look_ahead_ms,
                    background=options.background,
                ),
                limits=LiveLimits(
                    max_pending_audio_seconds=limits.waiting_seconds,
                    max_pending_chars=limits.script_characters,
                    prefetch_seconds=_PREFETCH_SECONDS,
                ),
            )
            live = await asyncio.to_thread(open_stream)
            session = Session(
                anchor,
                used.anchor,
                live,
                options,
                instance=self.settings.instance,
                observe=self.metrics.frame,
                speech_shown=self._speech_shown,
            )
        except BaseException:
            if used is not None:
                used.release()
            raise
        finally:
            self._starting -= 1
        if (why := self.why_not_ready()) is not None:
            session.live.close()
            used.release()
            raise RefusedError(why, status=CLOSING)
        self._sessions[session.id] = session
        self._used[session.id] = used
        session.start()
        return session

    async def change(self, session: Session, changes: Mapping[str, Any]) -> None:
        """Change how an anchor speaks, from the next sentence on, without interruption.

        Args:
            session: a live session.
            changes: new values of `voice`, `speed`, `openness`, `smoothness` and `look_ahead_ms`.

        Raises:
            NewscasterError: no such voice, or a value out of range; nothing changes then.
        """
        async with session.change_turn:
            options = session.options.with_changes(changes)
            reading = self._reading(session.anchor, options)
            new_stream = partial(
                session.opened.motion_stream,
                articulation=options.articulation,
                look_ahead_ms=self._look_ahead_ms(options),
            )
            await asyncio.to_thread(session.live.change, new_stream=new_stream, reading=reading)
            session.options = options

    def _reading(self, anchor: str, options: SessionOptions) -> Reading | None:
        """Return how texts are read aloud; None if no voice is installed."""
        reading = reading_for(
            anchor,
            voice=options.voice,
            speed=options.speed,
            installed=self.voices,
            pronunciations=merged(self.settings.pronunciations, options.pronunciations),
        )
        return reading if self.voices else None

    def _look_ahead_ms(self, options: SessionOptions) -> int:
        return self.settings.look_ahead_ms if options.look_ahead_ms is None else options.look_ahead_ms

    def session(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            RefusedError: there is no such session, or it has ended.
        """
        session = self._sessions.get(session_id)
        if session is None or session.over.is_set():
            raise no_session(session_id)
        return session

    def sessions(self) -> list[Session]:
        """Return all live sessions."""
        return list(self._sessions.values())

    async def end(self, session: Session) -> None:
        """End a session, and keep its recording. Safe to call more than once."""
        if self._sessions.pop(session.id, None) is not None:
            # In its own task: the session must end even if the task of the client is cancelled.
            ending = asyncio.create_task(self._end(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def _end(self, session: Session) -> None:
        session.live.close()
        self.hls.close(session)
        try:
            await self.recordings.finish(session)
            await session.close()
            await self.peers.hang_up(session)
        finally:
            self._used.pop(session.id).release()
        _log.info("session %s ended", session.id, extra={"session": session.id})

    async def play(self, session: Session, audio: Path) -> None:
        """Speak an uploaded file in a session, and remove it afterwards."""
        await session.play(audio, done=lambda: audio.unlink(missing_ok=True))

    async def _sweep(self) -> None:
        """End unused sessions, and remove unused videos."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self.videos.sweep()
            await self._end_unused()

    async def _end_unused(self) -> None:
        """End unused sessions. A loop in `_sweep` would keep the last one until the next sweep."""
        for session in tuple(self._sessions.values()):
            if session.over.is_set() or session.idle_seconds() > self.settings.limits.idle_seconds:
                try:
                    await self.end(session)
                except Exception:
                    _log.exception("session %s failed to end", session.id, extra={"session": session.id})


def no_session(session_id: str) -> RefusedError:
    """Return the refusal of a request for a session that does not exist."""
    return RefusedError(
        f"there is no session {quoted(session_id)}: it has ended, or never existed. Start one: POST "
        "/v1/sessions",
        status=NOT_FOUND,
    )
