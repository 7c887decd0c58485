"""Recordings: a session's frames into an MP4 file, by a thread of its own, kept until they are removed."""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from newscaster import media
from newscaster.errors import NewscasterError, OutputError
from newscaster.provenance import Statement
from newscaster.server.http_errors import (
    CONFLICT,
    DISK_FULL,
    NOT_FOUND,
    TOO_MANY,
    RefusedError,
    sentence,
)
from newscaster.server.session import RATE, Session
from newscaster.server.settings import Limits
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.live_manifest import LiveManifestBuilder
from newscaster.synthesis.options import Style
from newscaster.synthesis.result import tags
from newscaster.synthesis.signing import Signing
from newscaster.system.os_errors import fault
from newscaster.texts import quoted

_log = logging.getLogger("newscaster.server")

_MAX_WAITING_FRAMES = 500
_UNFINISHED = re.compile(r"\.(?P<id>[\w-]+)\.[0-9a-f]{8}\.part\.mp4")
"""Name of a recording while it is written, see `media.replacing`."""


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
            "seconds": self.seconds,
            "file_name": self.file_name,
            "href": f"/v1/recordings/{self.id}",
        }

    @property
    def seconds(self) -> float | None:
        """Its length; None if the file cannot be read."""
        return _length_seconds(self.path, self.path.stat().st_mtime_ns)

    @property
    def file_name(self) -> str:
        """What it is called when it is downloaded: date and time of its end, local, and its length."""
        end = datetime.fromtimestamp(self.path.stat().st_mtime).strftime("%Y-%m-%d-%H%M%S")
        minutes, seconds = divmod(int(self.seconds or 0), 60)
        return f"newscaster-recording-{end}-{minutes}m{seconds:02}s.mp4"


def described(recordings: Iterable[Recording]) -> list[dict[str, object]]:
    """Recordings as the API shows them. Reads their files, once each: not for an event loop."""
    found = []
    for recording in recordings:
        with suppress(FileNotFoundError):  # removed meanwhile
            found.append(recording.to_json())
    return found


@lru_cache(maxsize=256)
def _length_seconds(path: Path, changed_ns: int) -> float | None:
    """Length of a video as it was when it was last changed."""
    try:
        video = media.probe(path).video
    except NewscasterError:
        return None
    seconds = None if video is None else video.duration_seconds
    return None if seconds is None else round(seconds, 1)


class _Recorder:
    """The sink of one recording. Too slow a disk costs it pictures, never sound.

    Args:
        session: whose frames.
        path: the file.
        signing: who signs it.
        max_seconds: its greatest length.
        turn: held while a file is signed: each needs its own size once more, for a while.
        ended: called in the event loop when the recording ends before it was asked to.
    """

    def __init__(
        self,
        session: Session,
        path: Path,
        signing: Signing,
        *,
        max_seconds: float,
        turn: threading.Lock,
        ended: Callable[[], None],
    ) -> None:
        self._frames: queue.SimpleQueue[LiveFrame | None] = queue.SimpleQueue()
        self._max_seconds = max_seconds
        self._session = session
        self._path = path
        self._signing = signing
        self._turn = turn
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._is_asked_to_end = False
        self._account = LiveManifestBuilder(rate=RATE, repeats=True)
        self.error: NewscasterError | None = None
        self.remark: str | None = None
        """What the client must know of a recording that is kept all the same."""
        self._thread = threading.Thread(target=self._run, name="newscaster-recorder", daemon=True)
        self._thread.start()

    def offer(self, frame: LiveFrame) -> None:
        behind = self._frames.qsize() > _MAX_WAITING_FRAMES
        self._frames.put(replace(frame, image=None) if behind else frame)

    def end(self) -> None:
        self._is_asked_to_end = True
        self._frames.put(None)

    def wait(self) -> None:
        """Until the file is written."""
        self._thread.join()

    def _items(self) -> Iterator[tuple[media.YuvFrame | None, media.Samples]]:
        while (frame := self._frames.get()) is not None:
            if self._account.seconds >= self._max_seconds:
                self._remarked(f"a recording lasts {self._max_seconds:g} s at most")
                return
            self._account.add(frame)
            yield frame.image, frame.audio

    def _statement(self) -> Statement:
        session = self._session
        return self._account.statement(
            session.opened, self._path.name, synthetic_voice=session.read_aloud, style=Style()
        )

    def _finish(self, path: Path) -> None:
        sign = self._signing.finishing(self._path, self._statement)
        if sign is not None:
            with self._turn:
                sign(path)

    def _remarked(self, text: str) -> None:
        self.remark = text if self.remark is None else f"{self.remark}; {text}"

    def _run(self) -> None:
        try:
            self._record()
        finally:
            if not self._is_asked_to_end:
                with suppress(RuntimeError):  # the loop has been closed meanwhile
                    self._loop.call_soon_threadsafe(self._ended)

    def _record(self) -> None:
        metadata = tags(self._session.info, synthetic_voice=False)
        metadata["comment"] += " Its voice may be synthetic too."
        try:
            made = media.record_video(
                self._path,
                self._items(),
                fps=self._session.info.fps,
                rate=RATE,
                metadata=metadata,
                finish=self._finish,
            )
        except OutputError as error:
            self.error = RefusedError(
                str(error).replace(f"'{self._path}'", "the recording"), status=DISK_FULL
            )
        except NewscasterError as error:
            self.error = error
        except Exception as error:
            _log.exception("the recording of session %s failed", self._session.id)
            self.error = OutputError(fault(error) or f"the recording broke off ({error!r})")
        else:
            if made.cut_because is not None:
                self._remarked(made.cut_because)
            if made.unfinished_because is not None:
                because = made.unfinished_because.replace(f"'{self._path}'", "it")
                self._remarked(f"it is kept without a signature: {because}")


def _rescue(folder: Path) -> None:
    """Keep what a studio that was killed had recorded so far. Nothing else writes to the folder."""
    for path in folder.iterdir():
        found = _UNFINISHED.fullmatch(path.name)
        if found is None:
            continue
        try:
            if path.stat().st_size and media.cut_to_whole_fragments(path):
                path.replace(folder / f"{found['id']}.mp4")
                _log.warning(
                    "the recording %s was broken off; what was recorded is kept, unsigned", found["id"]
                )
        except OSError as error:
            _log.warning("'%s' cannot be kept: %s", path, error)


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
        _rescue(folder)
        media.remove_left_overs(folder)
        self._folder, self._limits, self._timestamp = folder, limits, timestamp
        self._signing_turn = threading.Lock()
        self._running: dict[str, tuple[Session, _Recorder]] = {}
        self._ended: dict[str, tuple[str, _Recorder]] = {}
        """By session: recordings that have ended by themselves, until the client stops them."""

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
            RefusedError: it is being recorded already, too many are kept, or the disk is full.
            OutputError: there is no local certificate to sign with yet, and none can be written.
            InputError: the certificate or the key of the environment cannot be used.
        """
        if session.recording is not None:
            raise RefusedError("this session is being recorded already; stop that first", status=CONFLICT)
        self._folder.mkdir(exist_ok=True)  # it may have been tidied away
        if len(self.list()) + len(self._running) >= self._limits.recordings:
            raise RefusedError(
                f"{self._limits.recordings} recordings are kept, the most there may be. Remove some",
                status=TOO_MANY,
            )
        if not media.has_room(self._folder):
            raise RefusedError(
                "the studio's disk is full: there is no room for a recording. Free some space on it, such as "
                "by removing recordings and videos",
                status=DISK_FULL,
            )
        known = secrets.token_urlsafe(9)
        path = self._folder / f"{known}.mp4"
        signing = Signing.begin(None).stamped_by(self._timestamp)
        recorder = _Recorder(
            session,
            path,
            signing,
            max_seconds=self._limits.recording_seconds,
            turn=self._signing_turn,
            ended=lambda: self._ended_by_itself(known),
        )
        self._ended.pop(session.id, None)
        self._running[known] = (session, recorder)
        session.recording, session.recording_ended = known, None
        session.add(recorder)
        return known

    async def stop(self, session: Session) -> tuple[Recording, str | None]:
        """Finish a session's recording, or return the one that has ended by itself since it was started.

        Returns:
            The recording, and what the client must know of it: why it ended early, or is not signed.

        Raises:
            RefusedError: it is not being recorded.
            NewscasterError: the file could not be written.
        """
        known, session.recording = session.recording, None
        if known is not None:
            _, recorder = self._running[known]
            session.remove(recorder)
            recorder.end()
            await asyncio.to_thread(recorder.wait)
            del self._running[known]
        elif session.id in self._ended:
            known, recorder = self._ended.pop(session.id)
        else:
            raise RefusedError("this session is not being recorded; start a recording first", status=CONFLICT)
        session.recording_ended = None
        if recorder.error is not None:
            raise recorder.error
        return self.get(known), recorder.remark

    async def finish(self, session: Session) -> None:
        """The same where the session ends: what has been recorded is kept, errors are not told."""
        with suppress(NewscasterError):
            await self.stop(session)

    def _ended_by_itself(self, known: str) -> None:
        """Tell the session, and let go of the recorder: in the event loop."""
        session, recorder = self._running[known]
        if session.recording != known:
            return  # it is being stopped
        del self._running[known]
        session.recording = None
        session.remove(recorder)
        if session.over.is_set():
            return
        self._ended[session.id] = (known, recorder)
        if recorder.error is None:
            what = f"the recording has ended, and what was recorded is kept: {recorder.remark}"
        else:
            what = f"the recording has failed: {sentence(recorder.error)}"
        session.recording_ended = what
        session.report(what)
