"""Signals that end a command at any point: SIGINT, SIGTERM and SIGHUP.

Each is raised as an exception, so that partial files are removed. Python runs handlers between bytecode
instructions, so blocking native code (a pipe without a writer, a stalled connection) could delay them
forever. A thread therefore ends the process if it is still running after `GRACE_SECONDS`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from newscaster.system.native_calls import set_nonblocking

GRACE_SECONDS = 10.0
"""Time after a signal in which a command may clean up before it is killed."""
_CLEANUP_SECONDS = 5.0
"""Time after a signal in which further signals are ignored."""
_POLL_SECONDS = 0.1
_MESSAGE_SECONDS = 0.5

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command; Windows has no SIGHUP."""
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
Handler = Callable[[int, FrameType | None], Any] | int | None


class Terminated(BaseException):
    """SIGTERM or SIGHUP. Not a KeyboardInterrupt, which click turns into its Abort."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_programs() -> None:
    """End voice programs that a thread may still be waiting for."""
    if (programs := sys.modules.get("newscaster.speech.voices.program")) is not None:
        programs.end_programs()


def word(number: int) -> str:
    """Return the message of a command that a signal has ended."""
    return WORDS.get(signal.Signals(number), "hung up")


class Signals:
    """The signal handling of a process. During cleanup, further signals are ignored for 5 s."""

    def __init__(self) -> None:
        self.received: BaseException | None = None
        self._received_at = 0.0
        self._ended_at = -1.0
        self._code: int | None = None
        self._lost = False
        self._writer: int | None = None

    def listen(self) -> None:
        """Install handlers, except for ignored signals, such as SIGHUP under nohup."""
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._end)
        sys.unraisablehook = self._unraisable
        reader, writer = os.pipe()
        set_nonblocking(writer)
        self._writer = writer
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), name="newscaster-signals", daemon=True).start()

    def forget(self) -> None:
        """Reset for another command."""
        self.received = None

    def stop_listening(self, code: int) -> None:
        """Fix the exit code, whatever signal follows."""
        self._code = code
        if self._writer is not None:  # asyncio replaces it while it runs
            signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                # Ignore them if one was received: the thread is waiting. A first one still starts the wait.
                signal.signal(number, signal.SIG_IGN if self.received is not None else _nothing)

    def ended_in_order(self) -> None:
        """Note that the signalled work has ended; the rest may take longer than `GRACE_SECONDS`."""
        self._ended_at = time.monotonic()

    def _end(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None or now - self._received_at > _CLEANUP_SECONDS:
            self.received = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
            self._received_at = now
            raise self.received

    def _unraisable(self, raised: sys.UnraisableHookArgs) -> None:
        """Note an exception of a handler that native code has dropped: nothing else ends the work."""
        if raised.exc_value is not None and raised.exc_value is self.received:
            self._lost = True
        else:
            sys.__unraisablehook__(raised)

    def _watch(self, reader: int) -> None:
        while data := os.read(reader, 64):
            number = next((value for value in data if value in NUMBERS), None)
            if number is not None and not self._ends(time.monotonic()):
                self._force(number)

    def _ends(self, start: float) -> bool:
        """Wait for the signalled work to end; return False if it has not after `GRACE_SECONDS`."""
        while time.monotonic() - start < GRACE_SECONDS and not self._lost:
            if self._ended_at > start - 1.0:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _force(self, number: int) -> None:
        """Kill this process, after removing its temporary files."""
        if (files := sys.modules.get("newscaster.system.files")) is not None:
            files.remove_temporaries()
        end_programs()
        # In a thread: standard error may block.
        printing = threading.Thread(target=_print_forced_end, args=(number,), daemon=True)
        printing.start()
        printing.join(_MESSAGE_SECONDS)
        os._exit(128 + number if self._code is None else self._code)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


def _print_forced_end(number: int) -> None:
    if sys.stderr is not None:
        print(f"{word(number)} while blocked; partial output was removed", file=sys.stderr, flush=True)


SIGNALS = Signals()


class StopInOrder:
    """Signal handling that ends a live stream cleanly while frames flow.

    Before and after that, signals end the command. While FFmpeg opens or closes a network connection, it
    holds the GIL, and no handler can run: the default action of the system applies then.

    Args:
        native: whether the output is a network address.
    """

    def __init__(self, *, native: bool) -> None:
        self.stopped = threading.Event()
        self._native = native
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> StopInOrder:
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if not (number not in (signal.SIGINT, signal.SIGTERM) and handler is signal.SIG_IGN):
                self._before[number] = handler
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            SIGNALS.ended_in_order()

    def waiting(self) -> None:
        """Enter the state in which a connection is opened or closed."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if self._native else handler)

    def flowing(self) -> None:
        """Enter the state in which frames flow: the first signal ends them, a second one the command."""
        for number in self._before:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped.set()
        signal.signal(number, self._before[number])
