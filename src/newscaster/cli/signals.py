"""Signals that end a command: SIGINT, SIGTERM and SIGHUP, in whatever state it is.

Each is raised as an exception, so that the work clears away what is half written. Python runs handlers
between two steps of its own, so native code that waits (a pipe without a writer, a stalled connection) could
delay that without end. A thread therefore ends the process if it is still there after `GRACE_SECONDS`.
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

GRACE_SECONDS = 10.0
"""After a signal, how long a command may take to clear away before it is ended."""
_CLEARING_SECONDS = 5.0
"""For so long after a signal, others are ignored."""
_POLL_SECONDS = 0.1
_MESSAGE_SECONDS = 0.5

NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command; Windows has no SIGHUP."""
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
Handler = Callable[[int, FrameType | None], Any] | int | None


class Terminated(BaseException):
    """SIGTERM or SIGHUP: ends the work as Ctrl-C does. Click turns a KeyboardInterrupt into its Abort."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_programs() -> None:
    """End the voice programs that a thread may still wait for."""
    if (programs := sys.modules.get("newscaster.speech.voices.program")) is not None:
        programs.end_programs()


def word(number: int) -> str:
    """What a command prints when a signal has ended it."""
    return WORDS.get(signal.Signals(number), "hung up")


class Signals:
    """What a process does on signals. While it clears away, more of them are ignored for 5 s."""

    def __init__(self) -> None:
        self.received: BaseException | None = None
        self._received_at = 0.0
        self._ended_at = -1.0
        self._code: int | None = None
        self._lost = False
        self._writer: int | None = None

    def listen(self) -> None:
        """Handle those that are not ignored, as SIGHUP is under nohup."""
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._end)
        sys.unraisablehook = self._unraisable
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._writer = writer
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), name="newscaster-signals", daemon=True).start()

    def forget(self) -> None:
        """Another command begins."""
        self.received = None

    def stop_listening(self, code: int) -> None:
        """The exit code stands, whatever comes now."""
        self._code = code
        if self._writer is not None:  # asyncio has its own while it runs
            signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                # Ignored where one has come: the thread is waiting. A first one still starts its wait.
                signal.signal(number, signal.SIG_IGN if self.received is not None else _nothing)

    def ended_in_order(self) -> None:
        """What a signal was to end has ended; what follows may take longer than `GRACE_SECONDS`."""
        self._ended_at = time.monotonic()

    def _end(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None or now - self._received_at > _CLEARING_SECONDS:
            self.received = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
            self._received_at = now
            raise self.received

    def _unraisable(self, raised: sys.UnraisableHookArgs) -> None:
        """Native code that calls Python drops what a handler raises within it: nothing else ends the work."""
        if raised.exc_value is not None and raised.exc_value is self.received:
            self._lost = True
        else:
            sys.__unraisablehook__(raised)

    def _watch(self, reader: int) -> None:
        while data := os.read(reader, 64):
            number = next((one for one in data if one in NUMBERS), None)
            if number is not None and not self._ends(time.monotonic()):
                self._force(number)

    def _ends(self, began: float) -> bool:
        """Wait until what a signal has ended is over; False if it is not, `GRACE_SECONDS` after it."""
        while time.monotonic() - began < GRACE_SECONDS and not self._lost:
            if self._ended_at > began - 1.0:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _force(self, number: int) -> None:
        """End the process, which does not end by itself: its temporary files are removed first."""
        if (files := sys.modules.get("newscaster.system.files")) is not None:
            files.remove_temporaries()
        end_programs()
        # In a thread: standard error may be what does not go on.
        telling = threading.Thread(target=_tell, args=(number,), daemon=True)
        telling.start()
        telling.join(_MESSAGE_SECONDS)
        os._exit(128 + number if self._code is None else self._code)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


def _tell(number: int) -> None:
    if sys.stderr is not None:
        print(
            f"{word(number)} while it was waiting; nothing half written is kept", file=sys.stderr, flush=True
        )


SIGNALS = Signals()


class StopInOrder:
    """Has signals end a live stream in good order, while frames flow.

    Before that and after it, signals end the command. While FFmpeg opens or closes a network connection, it
    holds Python's lock, and no handler can run: the system's own action is in force then.

    Args:
        native: whether the stream goes to the network.
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
        """A connection is being opened or closed."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if self._native else handler)

    def flowing(self) -> None:
        """Frames flow: the first signal ends them, a second one the command."""
        for number in self._before:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped.set()
        signal.signal(number, self._before[number])
