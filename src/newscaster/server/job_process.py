"""The worker process of a task, such as a job: it runs at a lower priority than live clients.

In a separate process, it can be stopped at any time, and cannot affect a client.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar, Protocol

from newscaster.errors import NewscasterError
from newscaster.server.http_errors import sentence
from newscaster.speech.spoken import Pronunciations
from newscaster.system.os_errors import fault
from newscaster.system.worker_process import signal_name
from newscaster.types import Progress

_log = logging.getLogger("newscaster.server")

_NICENESS = 10
_REPORT_SECONDS = 0.25
_POLL_SECONDS = 0.2
_END_SECONDS = 5.0


class Task(Protocol):
    """What a worker process runs. It is pickled."""

    @property
    def starts_processes(self) -> bool:
        """Whether it starts processes of its own."""

    @property
    def folder(self) -> Path:
        """The folder of its files, which messages leave out."""

    def run(self, progress: Progress) -> dict[str, Any]:
        """Do it, in the worker process; return fields of the result besides `state`.

        The phase that `progress` is called with is empty if there is one alone.
        """


@dataclass(frozen=True, kw_only=True)
class Work:
    """Inputs and outputs of a job in which an anchor speaks."""

    anchor: Path
    backend: str | None
    source: Path
    """A .txt script or an audio file."""
    video: Path
    captions: Path | None
    """Output of captions; None for audio."""
    voice: str | None
    speed: float
    openness: float
    smoothness: float
    timestamp: str | None = None
    """Address of a time-stamp authority for the video's signature."""
    pronunciations: Pronunciations | None = None
    """How words of the text are read; None: the user's own file, if there is one."""
    background: str | None = None
    """See :class:`newscaster.server.job_record.Job`."""
    title: str | None = None
    """Of the name strap."""
    subtitle: str | None = None

    starts_processes: ClassVar[bool] = False

    @property
    def folder(self) -> Path:
        """See :class:`Task`."""
        return self.source.parent

    def run(self, progress: Progress) -> dict[str, Any]:
        """Render the video. See :class:`Task`."""
        from newscaster.speech.voices import Reading
        from newscaster.synthesis.anchor import Anchor
        from newscaster.synthesis.articulation import Articulation
        from newscaster.synthesis.options import Outputs, SigningOptions, Style

        is_text = self.source.suffix == ".txt"
        reading = Reading(voice=self.voice, speed=self.speed, pronunciations=self.pronunciations)
        made = Anchor.open(self.anchor, backend=self.backend).speak(
            self.source,
            self.video,
            outputs=Outputs(captions=() if self.captions is None else self.captions, subtitles=is_text),
            signing=SigningOptions(timestamp=self.timestamp),
            style=Style(
                reading=reading if is_text else None,
                articulation=Articulation(openness=self.openness, smoothness=self.smoothness),
                background=self.background,
                title=self.title,
                subtitle=self.subtitle,
            ),
            progress=partial(progress, ""),
        )
        return {
            "seconds": round(made.seconds, 2),
            "frames": made.frames,
            "notes": [without_folder(note, self.folder) for note in made.notes],
        }


async def run_work(work: Task, *, progress: Progress) -> Mapping[str, Any]:
    """Run a task; cancelling this ends the process.

    Args:
        work: inputs and outputs.
        progress: called in the event loop with the phase, frames done, and the total.

    Returns:
        The result of the task and its `state`, "done"; or `state`, "failed", and `error`.
    """
    loop = asyncio.get_running_loop()
    ended = threading.Event()

    def report(phase: str, done: float, total: float) -> None:
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(progress, phase, done, total)

    result = loop.run_in_executor(None, _watch, work, ended, report)
    try:
        return await asyncio.shield(result)
    finally:
        ended.set()
        with suppress(Exception):
            await asyncio.shield(result)


def _watch(work: Task, ended: threading.Event, progress: Progress) -> Mapping[str, Any]:
    """Start the process and receive its messages, in a thread."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    is_daemon = not work.starts_processes  # daemons may not
    process = context.Process(target=_do, args=(work, theirs), daemon=is_daemon, name="newscaster-job")
    process.start()
    theirs.close()
    result: dict[str, Any] | None = None
    try:
        while not ended.is_set():
            if not ours.poll(_POLL_SECONDS):
                continue
            message = ours.recv()
            if isinstance(message, dict):
                result = message
                break
            progress(*message)
    except (EOFError, OSError):
        pass
    finally:
        ours.close()
        if ended.is_set():
            process.terminate()
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    if result is None:
        return {"state": "failed", "error": _exit_reason(process.exitcode)}
    if (details := result.pop("traceback", None)) is not None:
        in_process = RuntimeError(f"in the worker process\n{details}")
        _log.error("a job failed: %s", result["error"], exc_info=in_process)
    return result


def _exit_reason(code: int | None) -> str:
    """Describe why a process ended without a result; an exit code below 0 is a signal."""
    if code == -getattr(signal, "SIGKILL", 9):
        return "the worker process was killed (often out of memory). Try it again"
    if code is not None and code < 0:
        return (
            f"the worker process was ended by signal {signal_name(code)}: it was stopped, or native "
            "code crashed, such as a voice's. The studio's log may say more. Try it again, or another voice"
        )
    return f"the worker process ended early, with exit code {code}. The studio's log may say why"


def _do(work: Task, parent: Connection) -> None:
    """In the process: run the task; send progress, then the result or the error."""
    for name in ("SIGINT", "SIGHUP"):  # the studio handles them; Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="newscaster-parent", daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    last_report, last_phase = 0.0, ""

    def report(phase: str, done: float, total: float) -> None:
        nonlocal last_report, last_phase
        is_due = time.monotonic() - last_report > _REPORT_SECONDS
        if done == total or phase != last_phase or is_due:
            last_report, last_phase = time.monotonic(), phase
            _send(parent, (phase, done, total))

    try:
        result: dict[str, Any] = {"state": "done", **work.run(report)}
    except Exception as error:
        result = dict(_failure(error, work.folder))
    _send(parent, result)


def _failure(error: Exception, folder: Path) -> dict[str, str]:
    """Return the error as a sentence without the folder of the job; with a traceback if it is a bug."""
    result = {"state": "failed"}
    message = sentence(error) if isinstance(error, NewscasterError) else fault(error)
    if message is None:
        result["traceback"] = "".join(traceback.format_exception(error))
        message = (
            f"newscaster failed ({type(error).__name__}: {sentence(error)}). The log of the studio "
            "(NEWSCASTER_LOG) has the details"
        )
    return {**result, "error": without_folder(message, folder)}


def without_folder(text: str, folder: Path) -> str:
    """Return a message as one line, without the folder of the job in file names."""
    return " ".join(text.replace(f"{folder}{os.sep}", "").split())


def _send(parent: Connection, message: object) -> None:
    """In the process: send a message to the studio; exit if it is gone."""
    try:
        parent.send(message)
    except OSError:
        _end()


def _end_with_parent() -> None:
    """In the process: exit when the studio is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _end()


def _end() -> None:
    """In the process: exit at once with one line; the next studio removes partial files."""
    with suppress(OSError):  # standard error may be gone too
        os.write(2, b"warning: the studio is gone, so its job ends; the next studio restarts it\n")
    os._exit(1)
