"""Recordings: a thread writes the frames of a session to an MP4 file, which is stored until it is removed."""

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
from newscaster.server.ids import with_instance
from newscaster.server.session import RATE, Session
from newscaster.server.settings import Limits
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.live_manifest import LiveManifestBuilder
from newscaster.synthesis.options import Style
from newscaster.synthesis.result import tags
from newscaster.synthesis.signing import Signing
from newscaster.system.os_errors import fault
from newscaster.texts import quoted
from newscaster.types import AudioF32

_log = logging.getLogger("newscaster.server")

_MAX_WAITING_FRAMES = 500
_UNFINISHED = re.compile(r"\.(?P<id>[\w.-]+)\.[0-9a-f]{8}\.part\.mp4")
"""Name of an unfinished recording, see `media.atomic_write`."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A finished recording."""

    id: str
    path: Path

    def to_json(self) -> dict[str, object]:
        """Return the JSON of the API."""
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
        """Length; None if the file cannot be read."""
        return _length_seconds(self.path, self.path.stat().st_mtime_ns)

    @property
    def file_name(self) -> str:
        """File name of a download: local date and time of the end, and length."""
        end = datetime.fromtimestamp(self.path.stat().st_mtime).strftime("%Y-%m-%d-%H%M%S")
        minutes, seconds = divmod(int(self.seconds or 0), 60)
        return f"newscaster-recording-{end}-{minutes}m{seconds:02}s.mp4"


def described(recordings: Iterable[Recording]) -> list[dict[str, object]]:
    """Return recordings as JSON of the API. Reads the files, so do not call it in an event loop."""
    values = []
    for recording in recordings:
        with suppress(FileNotFoundError):  # removed meanwhile
            values.append(recording.to_json())
    return values


@lru_cache(maxsize=256)
def _length_seconds(path: Path, changed_ns: int) -> float | None:
    """Return the length of a video; `changed_ns` invalidates the cache."""
    try:
        video = media.probe(path).video
    except NewscasterError:
        return None
    seconds = None if video is None else video.duration_seconds
    return None if seconds is None else round(seconds, 1)


class _Recorder:
    """The sink of one recording. If the disk is too slow, it drops frames, never audio.

    Args:
        session: the session to record.
        path: output file.
        signing: signs the file.
        max_seconds: maximum length.
        turn: lock held while a file is signed: signing temporarily needs the size of the file again.
        ended: called in the event loop if the recording ends by itself.
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
        self._is_stopping = False
        self._account = LiveManifestBuilder(rate=RATE, repeats=True)
        self.error: NewscasterError | None = None
        self.remark: str | None = None
        """Note for the client on a stored recording."""
        self._thread = threading.Thread(target=self._run, name="newscaster-recorder", daemon=True)
        self._thread.start()

    def push(self, frame: LiveFrame) -> None:
        behind = self._frames.qsize() > _MAX_WAITING_FRAMES
        self._frames.put(replace(frame, image=None) if behind else frame)

    def end(self) -> None:
        self._is_stopping = True
        self._frames.put(None)

    def wait(self) -> None:
        """Wait until the file is written."""
        self._thread.join()

    def _items(self) -> Iterator[tuple[media.YuvFrame | None, AudioF32]]:
        while (frame := self._frames.get()) is not None:
            if self._account.seconds >= self._max_seconds:
                self._add_remark(f"the maximum length of a recording is {self._max_seconds:g} s")
                return
            self._account.add(frame)
            yield frame.image, frame.audio

    def _statement(self) -> Statement:
        session = self._session
        return self._account.statement(
            session.opened,
            self._path.name,
            synthetic_voice=session.read_aloud,
            style=Style(background=session.options.background),
        )

    def _finish(self, path: Path) -> None:
        sign = self._signing.finishing(self._path, self._statement)
        if sign is not None:
            with self._turn:
                sign(path)

    def _add_remark(self, text: str) -> None:
        self.remark = text if self.remark is None else f"{self.remark}; {text}"

    def _run(self) -> None:
        try:
            self._record()
        finally:
            if not self._is_stopping:
                with suppress(RuntimeError):  # the loop was closed meanwhile
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
            session_id = self._session.id
            _log.exception("the recording of session %s failed", session_id, extra={"session": session_id})
            self.error = OutputError(fault(error) or f"the recording failed ({error!r})")
        else:
            if made.cut_because is not None:
                self._add_remark(made.cut_because)
            if made.unfinished_because is not None:
                because = made.unfinished_because.replace(f"'{self._path}'", "it")
                self._add_remark(f"it is stored without a signature: {because}")


def _rescue(folder: Path) -> None:
    """Keep the unfinished recordings of a killed studio. Nothing else writes to the folder."""
    for path in folder.iterdir():
        match = _UNFINISHED.fullmatch(path.name)
        if match is None:
            continue
        try:
            if path.stat().st_size and media.cut_to_whole_fragments(path):
                path.replace(folder / f"{match['id']}.mp4")
                _log.warning("the recording %s was interrupted; its part is stored, unsigned", match["id"])
        except OSError as error:
            _log.warning("'%s' cannot be stored: %s", path, error)


class Recordings:
    """All recordings of a studio.

    Args:
        folder: folder of the recordings; created if missing.
        limits: maximum number and length.
        timestamp: address of a time-stamp authority for signatures; None: no time stamps.
        instance: name of the studio, in ids.

    Raises:
        InputError: the authority gives no time stamp.
    """

    def __init__(
        self, folder: Path, limits: Limits, *, timestamp: str | None = None, instance: str | None = None
    ) -> None:
        self._instance = instance
        if timestamp is not None:
            Signing.begin(None, timestamp=timestamp)  # now, so that no client waits for it
        folder.mkdir(parents=True, exist_ok=True)
        _rescue(folder)
        media.remove_left_overs(folder)
        self._folder, self._limits, self._timestamp = folder, limits, timestamp
        self._signing_turn = threading.Lock()
        self._running: dict[str, tuple[Session, _Recorder]] = {}
        self._ended: dict[str, tuple[str, _Recorder]] = {}
        """By session: recordings that ended by themselves, until the client stops them."""

    def list(self) -> list[Recording]:
        """Return the finished recordings, newest first."""
        files = [path for path in self._folder.glob("*.mp4") if not path.name.startswith(".")]
        recordings = [Recording(id=path.stem, path=path) for path in files if path.stem not in self._running]
        return sorted(recordings, key=lambda recording: recording.path.stat().st_mtime, reverse=True)

    def get(self, recording_id: str) -> Recording:
        """Return a finished recording.

        Raises:
            RefusedError: there is no such recording.
        """
        for recording in self.list():  # the id of a client is compared, never used in a path
            if recording.id == recording_id:
                return recording
        raise RefusedError(f"there is no recording {quoted(recording_id)}", status=NOT_FOUND)

    def remove(self, recording_id: str) -> None:
        """Delete a recording."""
        self.get(recording_id).path.unlink(missing_ok=True)

    def start(self, session: Session) -> str:
        """Start recording a session, and return the id of the recording.

        Raises:
            RefusedError: a recording is in progress, too many are stored, or the disk is full.
            OutputError: there is no local certificate yet, and none can be written.
            InputError: the certificate or the key of the environment cannot be used.
        """
        if session.recording is not None:
            raise RefusedError(
                "this session is already being recorded; stop that recording first", status=CONFLICT
            )
        self._folder.mkdir(exist_ok=True)  # it may have been deleted
        if len(self.list()) + len(self._running) >= self._limits.recordings:
            raise RefusedError(
                f"{self._limits.recordings} recordings are stored, the maximum. Remove some",
                status=TOO_MANY,
            )
        if not media.has_room(self._folder):
            raise RefusedError(
                "the studio's disk is full: there is no room for a recording. Free some space, for example "
                "by removing recordings and videos",
                status=DISK_FULL,
            )
        recording_id = with_instance(self._instance, secrets.token_urlsafe(9))
        path = self._folder / f"{recording_id}.mp4"
        signing = Signing.begin(None).stamped_by(self._timestamp)
        recorder = _Recorder(
            session,
            path,
            signing,
            max_seconds=self._limits.recording_seconds,
            turn=self._signing_turn,
            ended=lambda: self._handle_end(recording_id),
        )
        self._ended.pop(session.id, None)
        self._running[recording_id] = (session, recorder)
        session.recording, session.recording_ended = recording_id, None
        session.add(recorder)
        return recording_id

    async def stop(self, session: Session) -> tuple[Recording, str | None]:
        """Stop the recording of a session, or return one that ended by itself.

        Returns:
            The recording, and a note or None: why it ended early, or is not signed.

        Raises:
            RefusedError: the session is not being recorded.
            NewscasterError: the file could not be written.
        """
        recording_id, session.recording = session.recording, None
        if recording_id is not None:
            _, recorder = self._running[recording_id]
            session.remove(recorder)
            recorder.end()
            await asyncio.to_thread(recorder.wait)
            del self._running[recording_id]
        elif session.id in self._ended:
            recording_id, recorder = self._ended.pop(session.id)
        else:
            raise RefusedError("this session is not being recorded; start a recording first", status=CONFLICT)
        session.recording_ended = None
        if recorder.error is not None:
            raise recorder.error
        return self.get(recording_id), recorder.remark

    async def finish(self, session: Session) -> None:
        """Stop the recording of a session that ends; errors are ignored."""
        with suppress(NewscasterError):
            await self.stop(session)

    def _handle_end(self, recording_id: str) -> None:
        """Report a recording that ended by itself to its session, in the event loop."""
        session, recorder = self._running[recording_id]
        if session.recording != recording_id:
            return  # it is being stopped
        del self._running[recording_id]
        session.recording = None
        session.remove(recorder)
        if session.over.is_set():
            return
        self._ended[session.id] = (recording_id, recorder)
        if recorder.error is None:
            message = f"the recording ended, and is stored: {recorder.remark}"
        else:
            message = f"the recording failed: {sentence(recorder.error)}"
        session.recording_ended = message
        session.report(message)
