"""Recordings: a session's frames into an MP4 file, by a thread of its own, kept until they are removed."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from newscaster import media
from newscaster.errors import NewscasterError, OutputError
from newscaster.faults import fault
from newscaster.provenance import Statement
from newscaster.runtime.live_account import LiveAccount
from newscaster.runtime.live_frame import LiveFrame
from newscaster.runtime.made import tags
from newscaster.runtime.signing import Signing
from newscaster.serving.refusals import CONFLICT, NOT_FOUND, TOO_MANY, RefusedError
from newscaster.serving.session import RATE, Session
from newscaster.serving.settings import Limits
from newscaster.texts import quoted

_MOST_WAITING_FRAMES = 500


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording that is finished."""

    id: str
    path: Path

    def to_json(self) -> dict[str, object]:
        """As the API shows it."""
        status = self.path.stat()
        return {
            "id": self.id,
            "bytes": status.st_size,
            "created": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds"),
            "href": f"/v1/recordings/{self.id}",
        }


class _Recorder:
    """The sink of one recording. Too slow a disk costs it pictures, never sound."""

    def __init__(self, session: Session, path: Path, signing: Signing, *, most_seconds: float) -> None:
        self._frames: queue.SimpleQueue[LiveFrame | None] = queue.SimpleQueue()
        self._most = most_seconds
        self._session = session
        self._path = path
        self._signing = signing
        self._account = LiveAccount(rate=RATE, repeats=True)
        self.error: NewscasterError | None = None
        self._thread = threading.Thread(target=self._run, name="newscaster-recorder", daemon=True)
        self._thread.start()

    def offer(self, frame: LiveFrame) -> None:
        if not self._thread.is_alive():
            raise RuntimeError("the recording has ended: its file is full or cannot be written")
        behind = self._frames.qsize() > _MOST_WAITING_FRAMES
        self._frames.put(replace(frame, picture=None) if behind else frame)

    def end(self) -> None:
        self._frames.put(None)

    def wait(self) -> None:
        """Until the file is written."""
        self._thread.join()

    def _items(self) -> Iterator[tuple[media.Picture | None, media.Samples]]:
        while (frame := self._frames.get()) is not None and self._account.seconds < self._most:
            self._account.add(frame)
            yield frame.picture, frame.sound

    def _told(self) -> Statement:
        session = self._session
        return self._account.statement(session.opened, self._path.name, synthetic_voice=session.read_aloud)

    def _run(self) -> None:
        said = tags(self._session.info, synthetic_voice=False)
        said["comment"] += " Its voice may be synthetic too."
        try:
            media.record_video(
                self._path,
                self._items(),
                fps=self._session.info.fps,
                rate=RATE,
                metadata=said,
                finish=self._signing.finishing(self._path, self._told),
            )
        except NewscasterError as error:
            self.error = error
        except Exception as error:
            if (befallen := fault(error)) is None:
                raise
            self.error = OutputError(befallen)


class Recordings:
    """All recordings of a studio.

    Args:
        folder: where they are kept; made where it is missing.
        limits: how many and how long.
        timestamp: address of a time-stamp authority for their signatures; None: none is asked.

    Raises:
        InputError: the authority gives no time stamp.
    """

    def __init__(self, folder: Path, limits: Limits, *, timestamp: str | None = None) -> None:
        if timestamp is not None:
            Signing.begin(None, timestamp=timestamp)  # now: a client must not wait for it
        folder.mkdir(parents=True, exist_ok=True)
        media.remove_left_overs(folder)
        self._folder, self._limits, self._timestamp = folder, limits, timestamp
        self._running: dict[str, tuple[Session, _Recorder]] = {}

    def list(self) -> list[Recording]:
        """Those that are finished, the newest first."""
        found = [Recording(id=path.stem, path=path) for path in self._folder.glob("*.mp4")]
        found = [one for one in found if one.id not in self._running and not one.id.startswith(".")]
        return sorted(found, key=lambda one: one.path.stat().st_mtime, reverse=True)

    def get(self, known: str) -> Recording:
        """One that is finished.

        Raises:
            RefusedError: there is none of this id.
        """
        for recording in self.list():  # a client's id is compared, never made part of a path
            if recording.id == known:
                return recording
        raise RefusedError(f"there is no recording {quoted(known)}", status=NOT_FOUND)

    def remove(self, known: str) -> None:
        """Delete one."""
        self.get(known).path.unlink(missing_ok=True)

    def start(self, session: Session) -> str:
        """Begin to record a session; the recording's id.

        Raises:
            RefusedError: it is being recorded already, or too many are kept.
            OutputError: there is no local certificate to sign with yet, and none can be written.
            InputError: the certificate or the key of the environment cannot be used.
        """
        if session.recording is not None:
            raise RefusedError("this session is being recorded already; stop that first", status=CONFLICT)
        if len(self.list()) + len(self._running) >= self._limits.recordings:
            raise RefusedError(
                f"{self._limits.recordings} recordings are kept, the most there may be. Remove some",
                status=TOO_MANY,
            )
        known = secrets.token_urlsafe(9)
        path = self._folder / f"{known}.mp4"
        signing = Signing.begin(None).stamped_by(self._timestamp)
        recorder = _Recorder(session, path, signing, most_seconds=self._limits.recording_seconds)
        self._running[known] = (session, recorder)
        session.recording = known
        session.add(recorder)
        return known

    async def stop(self, session: Session) -> Recording:
        """Finish a session's recording.

        Raises:
            RefusedError: it is not being recorded.
            NewscasterError: the file could not be written.
        """
        known, session.recording = session.recording, None
        if known is None:
            raise RefusedError("this session is not being recorded; start a recording first", status=CONFLICT)
        _, recorder = self._running[known]
        session.remove(recorder)
        recorder.end()
        await asyncio.to_thread(recorder.wait)
        del self._running[known]
        if recorder.error is not None:
            raise recorder.error
        return self.get(known)

    async def finish(self, session: Session) -> None:
        """The same where the session ends: what has been recorded is kept, errors are not told."""
        with suppress(NewscasterError):
            await self.stop(session)
