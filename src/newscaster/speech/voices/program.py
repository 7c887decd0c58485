"""Any program as a voice: one sentence on its standard input, a WAV file on its standard output."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.speech.spectral import Floats
from newscaster.texts import quoted

SENTENCE_LIMIT_SECONDS = 60.0
"""How long a program may take for one sentence."""
_LARGEST_WAV_BYTES = 256 << 20
_running: set[subprocess.Popen[bytes]] = set()
"""Programs that run now, in any thread: see `end_programs`."""


class ProgramVoice:
    """A voice that is a program, started anew for each sentence.

    Args:
        command: the program and its arguments, quoted as for a shell; no shell sees it.
        limit_seconds: how long one sentence may take.

    Raises:
        InputError: the command cannot be understood, or there is no such program.
    """

    language = ""

    def __init__(self, command: str, *, limit_seconds: float = SENTENCE_LIMIT_SECONDS) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise InputError(
                f"the voice command {quoted(command)} cannot be understood ({error}). Close every "
                "quotation mark"
            ) from error
        if not self._arguments:
            raise InputError(
                "the voice command is empty. Give a program that reads a sentence on standard input and "
                "writes a WAV file to standard output, such as 'espeak-ng --stdin --stdout'"
            )
        program = self._arguments[0]
        if shutil.which(program) is None:
            raise InputError(
                f"there is no program {quoted(program)} to be run as a voice. Install it, or give its "
                "whole path"
            )
        self._command = command
        self._limit_seconds = limit_seconds

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread: what a program reads is not known."""
        return ()

    def say(self, sentence: str, *, speed: float) -> tuple[Floats, int]:
        """As Voice.say, at the program's own pace: how to change that, only its arguments know.

        Raises:
            SpeechError: the program fails, takes too long, or writes something else than a WAV file.
        """
        from newscaster import media  # FFmpeg is loaded by who needs it

        audio = self._run(sentence)
        try:
            return media.decode_wav(audio)
        except MediaError as error:
            printed = f"what it wrote begins with {audio[:16]!r}" if audio else "it wrote nothing"
            raise self._error("wrote no WAV file to standard output", sentence, printed) from error

    def _run(self, sentence: str) -> bytes:
        """What the program writes to its standard output."""
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    start_new_session=True,  # so that whatever it starts can be ended with it
                )
            except OSError as error:
                raise self._error("cannot be started", sentence, error.strerror or str(error)) from error
            _running.add(process)
            late = threading.Event()

            def stop() -> None:
                late.set()
                _end(process)

            timer = threading.Timer(self._limit_seconds, stop)
            timer.start()
            code: int | None = None
            try:
                audio = _exchange(process, sentence)
                if len(audio) <= _LARGEST_WAV_BYTES:
                    code = process.wait()
            finally:
                timer.cancel()
                if code is None:
                    _end(process)
                    process.wait()
                _running.discard(process)
            said = _last_line(complaints)
        if late.is_set():
            raise self._error(f"took longer than {self._limit_seconds:g} s", sentence, said)
        if code is None:
            raise self._error(f"wrote more than {_LARGEST_WAV_BYTES >> 20} MiB", sentence, said)
        if code:
            how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            raise self._error(how, sentence, said)
        return audio

    def _error(self, what: str, sentence: str, said: str) -> SpeechError:
        because = f" ({said})" if said else ""
        return SpeechError(
            f"the voice command {quoted(self._command)} {what} at the sentence {quoted(sentence)}{because}. "
            "Try it by hand: it has to read a sentence on standard input, and write a WAV file to standard "
            "output"
        )


def _exchange(process: subprocess.Popen[bytes], sentence: str) -> bytes:
    """Hand the sentence over and take what comes back, up to one byte more than is allowed."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        # A program need not read: what it writes will tell. A sentence is less than a pipe holds, so nobody
        # waits here.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(sentence.encode() + b"\n")
        return process.stdout.read(_LARGEST_WAV_BYTES + 1)


def end_programs() -> None:
    """End all programs that run: for a command that ends, and does not wait for their sentences."""
    for process in list(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it has started, which may outlive it and hold its output open."""
    with suppress(ProcessLookupError, PermissionError):  # what has ended already
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _last_line(complaints: IO[bytes]) -> str:
    end = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, end - 2000))
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
