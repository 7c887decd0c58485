"""A program as a voice: one sentence on its standard input, a WAV file on its standard output."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.system.native_calls import end_group
from newscaster.texts import quoted
from newscaster.types import ArrayF32

SENTENCE_LIMIT_SECONDS = 60.0
"""Time limit of a program for one sentence."""
_MAX_WAV_BYTES = 256 << 20
_running: set[subprocess.Popen[bytes]] = set()
"""Running programs of all threads: see `end_programs`."""


class ProgramVoice:
    """A program as a voice, started for each sentence.

    Args:
        command: the program and its arguments, quoted as for a shell, but run without one.
        limit_seconds: time limit for one sentence.

    Raises:
        InputError: the command cannot be parsed, or there is no such program.
    """

    language = ""

    def __init__(self, command: str, *, limit_seconds: float = SENTENCE_LIMIT_SECONDS) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise InputError(
                f"the voice command {quoted(command)} cannot be parsed ({error}). Close every quotation mark"
            ) from error
        if not self._arguments:
            raise InputError(
                "the voice command is empty. Give a program that reads a sentence on standard input and "
                "writes a WAV file to standard output, such as 'espeak-ng --stdin --stdout'"
            )
        program = self._arguments[0]
        if shutil.which(program) is None:
            raise InputError(
                f"there is no program {quoted(program)} for the voice command. Install it, or give its "
                "full path"
            )
        self._command = command
        self._limit_seconds = limit_seconds

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread; always empty, because the program's abilities are unknown."""
        return ()

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """As Voice.say, at the program's own pace, which only its arguments change.

        Raises:
            SpeechError: the program fails, takes too long, or does not write a WAV file.
        """
        from newscaster import media  # lazy: loads FFmpeg

        audio = self._run(sentence)
        try:
            return media.decode_wav(audio)
        except MediaError as error:
            details = f"its output starts with {audio[:16]!r}" if audio else "it wrote nothing"
            raise self._error("wrote no WAV file to standard output", sentence, details) from error

    def _run(self, sentence: str) -> bytes:
        """Return the standard output of the program."""
        with tempfile.TemporaryFile() as stderr:
            try:
                process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,  # so that its child processes can be ended with it
                )
            except OSError as error:
                raise self._error("cannot be started", sentence, error.strerror or str(error)) from error
            _running.add(process)
            timed_out = threading.Event()

            def stop() -> None:
                timed_out.set()
                end_group(process)

            timer = threading.Timer(self._limit_seconds, stop)
            timer.start()
            code: int | None = None
            try:
                audio = _exchange(process, sentence)
                if len(audio) <= _MAX_WAV_BYTES:
                    code = process.wait()
            finally:
                timer.cancel()
                if code is None:
                    end_group(process)
                    process.wait()
                _running.discard(process)
            details = _last_line(stderr)
        if timed_out.is_set():
            raise self._error(f"took longer than {self._limit_seconds:g} s", sentence, details)
        if code is None:
            raise self._error(f"wrote more than {_MAX_WAV_BYTES >> 20} MiB", sentence, details)
        if code:
            failure = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            raise self._error(failure, sentence, details)
        return audio

    def _error(self, failure: str, sentence: str, details: str) -> SpeechError:
        in_brackets = f" ({details})" if details else ""
        return SpeechError(
            f"the voice command {quoted(self._command)} {failure} at the sentence {quoted(sentence)}"
            f"{in_brackets}. Try it by hand: it must read a sentence on standard input and write a WAV file "
            "to standard output"
        )


def _exchange(process: subprocess.Popen[bytes], sentence: str) -> bytes:
    """Write the sentence and read the output, up to one byte more than the limit."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        # A program need not read its input. A sentence fits into a pipe, so the write does not block.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(sentence.encode() + b"\n")
        return process.stdout.read(_MAX_WAV_BYTES + 1)


def end_programs() -> None:
    """End all running programs: for a command that exits without waiting for their sentences."""
    for process in list(_running):
        end_group(process)


def _last_line(stderr: IO[bytes]) -> str:
    end = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, end - 2000))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
