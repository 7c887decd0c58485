"""One process at a time in a folder, on one machine or on several that share the folder.

A lock (`.lock`) decides on one machine: the system drops it when its process ends, even after kill -9.
Between machines a lock may not be visible. There a record (`.owner.json`) decides: its owner rewrites it
every 5 s, and whoever finds the record of another machine watches it for 30 s. No two clocks are compared:
the watcher measures with its own, and looks for a change only.

::

    owner on A     beat ─── beat ─── beat ─x killed
    newcomer on B         └ sees the next beat: refuses       └── 30 s without a beat: takes the folder

An owner that was suspended meanwhile finds another's record instead of its own, and stops writing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from newscaster.errors import OutputError
from newscaster.system.durable import PRIVATE_FOLDER, make_folder
from newscaster.system.locks import LockState, is_local, try_lock

_log = logging.getLogger("newscaster.media")

BEAT_SECONDS = 5.0
"""How often an owner renews its record."""
LEASE_SECONDS = 30.0
"""How long a record of another machine has to stay unchanged until its owner counts as gone."""
_POLL_SECONDS = 1.0
_SETTLE_SECONDS = 2.0
"""Two newcomers may take over one record: after this time both see whose record is the last."""
_ORPHAN_SECONDS = 10.0
"""How long processes that a killed owner has started may still hold its lock."""
_LOCK, _RECORD = ".lock", ".owner.json"
_RECORD_BYTES = 1024
_MAX_TEXT = 120
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that works in a folder."""

    token: str
    """Random; no two leases have the same."""
    host: str
    pid: int
    address: str = ""
    """Where it can be reached, such as http://127.0.0.1:8765; empty if it listens nowhere."""
    boot: str = ""
    """Same for all processes of one running system, usually also in its containers."""
    machine: str = ""
    """Same across restarts of a machine."""
    process: str = ""
    """PID namespace and start time: no later process with the same PID has both. Empty if unknown."""

    @staticmethod
    def this_process() -> Owner:
        """A new owner: this process."""
        pid = os.getpid()
        return Owner(
            token=secrets.token_hex(8),
            host=platform.node()[:_MAX_TEXT],
            pid=pid,
            boot=_boot(),
            machine=_machine(),
            process=_process(pid),
        )

    @staticmethod
    def parse(data: bytes) -> Owner | None:
        """The owner of a record; None if the record is empty, cut short or of another kind."""
        try:
            values = json.loads(data)
            owner = Owner(**{field.name: values[field.name] for field in fields(Owner)})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = (owner.token, owner.host, owner.address, owner.boot, owner.machine, owner.process)
        return owner if type(owner.pid) is int and all(isinstance(text, str) for text in texts) else None

    def describe(self) -> str:
        """Name it in a message."""
        shown = "".join(c for c in f"process {self.pid} on {self.host!r:.80}" if c.isprintable())
        address = "".join(c for c in self.address[:100] if c.isprintable())
        return f"{address}, {shown}" if address else shown

    def same_system_as(self, other: Owner) -> bool:
        """Whether both run on one kernel, so that each sees the locks of the other."""
        return bool(self.boot) and self.boot == other.boot

    def same_machine_as(self, other: Owner) -> bool:
        """Whether both run on one machine, which may have been restarted in between."""
        return bool(self.machine) and (self.machine, self.host) == (other.machine, other.host)

    def is_running(self) -> bool | None:
        """Whether this process runs on this system; None if that is not visible from here."""
        here, there = _process(os.getpid()).partition("/")[0], self.process.partition("/")[0]
        if not here or here != there:
            return None
        return _process(self.pid) == self.process


class FolderLease:
    """The right to be the only process that works in a folder, which is made if it is missing.

    One that is made is the user's alone (mode 0700): it will hold faces and voices.

    Args:
        folder: the folder.
        what: the kind of work, for messages, such as "training".
        next_step: the next step, such as "name another folder".
        adopt: do not wait for a sign of life of an owner on another machine.
        hint: what a message says while it waits for one.

    Raises:
        OutputError: the folder cannot be made, or another process works in it.
    """

    def __init__(
        self, folder: Path, *, what: str, next_step: str, adopt: bool = False, hint: str = ""
    ) -> None:
        self._folder, self._what, self._next_step = folder, what, next_step
        self._adopt, self._hint = adopt, hint
        self._owner = Owner.this_process()
        self._writing = threading.Lock()
        self._beats = 0
        self._lost_to: Owner | None = None
        self._released = threading.Event()
        try:
            make_folder(folder, mode=PRIVATE_FOLDER)
            self._descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._acquire()
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise
        self._beating = threading.Thread(target=self._beat, name="newscaster-lease", daemon=True)
        self._beating.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the folder over, as far as the last beat has shown."""
        return self._lost_to is not None

    def check(self) -> None:
        """Raise if another process has taken the folder over, as far as the last beat has shown.

        Raises:
            OutputError: it has.
        """
        if self._lost_to is not None:
            raise OutputError(
                f"another {self._what} has taken '{self._folder}' over ({self._lost_to.describe()}), since "
                f"this one gave no sign of life for {LEASE_SECONDS:.0f} s. Go on there, or {self._next_step}"
            )

    def confirm(self) -> None:
        """The same as `check`, with a look at the record: before a write that must not hit another's files.

        Raises:
            OutputError: another process has taken the folder over.
        """
        with suppress(OSError):
            self._note(self._read())
        self.check()

    def announce(self, address: str) -> None:
        """Tell others in the record where this process can be reached."""
        with self._writing:
            self._owner = Owner(**{**asdict(self._owner), "address": address[:_MAX_TEXT]})
        self._renew()

    def release(self) -> None:
        """Let others work in the folder. More than once is harmless."""
        if self._released.is_set():
            return
        self._released.set()
        self._beating.join()
        with suppress(OSError):
            if self._is_own(self._read()):
                (self._folder / _RECORD).unlink()
        os.close(self._descriptor)

    def _acquire(self) -> None:
        lock = self._lock()
        data = self._read()
        found = None if data is None else Owner.parse(data)
        if lock is LockState.HELD and (
            found is None or self._owner.same_system_as(found) or is_local(self._folder)
        ):
            raise self._refusal(found)
        if data is None:
            self._create()
            return
        if found is not None and self._owner.same_system_as(found) and found.is_running():
            raise self._refusal(found)  # the folder is mounted twice, and each mount has its own locks
        gone = self._is_gone(lock, found)
        if not gone:
            self._watch(data)
        self._overwrite(os.O_CREAT)
        if not gone:
            time.sleep(_SETTLE_SECONDS)
            if not self._is_own(data := self._read()):
                raise self._refusal(None if data is None else Owner.parse(data))

    def _create(self) -> None:
        """Write the first record of a folder: of several newcomers, only one creates the file."""
        try:
            self._overwrite(os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            data = self._read()
            raise self._refusal(None if data is None else Owner.parse(data)) from None

    def _lock(self) -> LockState:
        """Try to take the lock; wait for one that only the children of a killed owner hold."""
        end = time.monotonic() + _ORPHAN_SECONDS
        while (state := try_lock(self._descriptor)) is LockState.HELD and time.monotonic() < end:
            data = self._read()
            found = None if data is None else Owner.parse(data)
            if found is None or not self._owner.same_system_as(found) or found.is_running() is not False:
                break
            time.sleep(_POLL_SECONDS / 10)
        return state

    def _is_gone(self, lock: LockState, found: Owner | None) -> bool:
        """Whether the lock, or the system, tells that the owner of a record is gone."""
        if found is None:
            return lock is LockState.TAKEN and is_local(self._folder)
        if self._owner.same_system_as(found):
            return lock is LockState.TAKEN or found.is_running() is False
        restarted = self._owner.same_machine_as(found) and is_local(self._folder)
        return lock is LockState.TAKEN and restarted

    def _watch(self, before: bytes) -> None:
        """Wait until the owner on another machine has been silent for long enough, or is gone.

        Raises:
            OutputError: it gave a sign of life.
        """
        if self._adopt:
            return
        found = Owner.parse(before)
        _log.warning(
            "'%s' was in use by another %s (%s): waiting %.0f s for a sign of life%s",
            self._folder,
            self._what,
            "of an unknown process" if found is None else found.describe(),
            LEASE_SECONDS,
            self._hint,
        )
        end = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            now = self._read()
            if now is None:
                return
            if now != before:
                raise self._refusal(Owner.parse(now))

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS) and not self.is_lost:
            self._renew()

    def _renew(self) -> None:
        """Write the record again, unless it is another's by now."""
        with suppress(OSError):  # a server that does not answer, a full disk: the next beat may succeed
            data = self._read()
            self._note(data)
            if not self.is_lost:
                self._overwrite(os.O_CREAT | os.O_EXCL if data is None else 0)

    def _note(self, data: bytes | None) -> None:
        """Keep in mind whose record it is, if it is another's."""
        found = None if data is None else Owner.parse(data)
        if found is not None and found.token != self._owner.token:
            self._lost_to = found

    def _is_own(self, data: bytes | None) -> bool:
        found = None if data is None else Owner.parse(data)
        return found is not None and found.token == self._owner.token

    def _read(self) -> bytes | None:
        """The record; opened anew each time, so that NFS asks its server for changes."""
        try:
            with (self._folder / _RECORD).open("rb") as file:
                return file.read(_RECORD_BYTES)
        except FileNotFoundError:
            return None

    def _overwrite(self, flags: int) -> None:
        """Write in place, always as many bytes: that needs no more room, and no reader finds half of it."""
        with self._writing:
            self._beats += 1
            text = json.dumps({**asdict(self._owner), "beat": self._beats})
            data = text.encode().ljust(_RECORD_BYTES - 1) + b"\n"
            descriptor = os.open(self._folder / _RECORD, os.O_WRONLY | flags, 0o666)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)

    def _unwritable(self, error: OSError) -> OutputError:
        step = f"{self._next_step[:1].upper()}{self._next_step[1:]}"
        return OutputError(f"cannot write to the folder '{self._folder}' ({error.strerror or error}). {step}")

    def _refusal(self, owner: Owner | None) -> OutputError:
        who = "" if owner is None else f" ({owner.describe()})"
        return OutputError(
            f"another {self._what} is at work in '{self._folder}'{who}. Wait until it has ended, or "
            f"{self._next_step}"
        )


@contextmanager
def exclusive_lock(folder: Path, *, what: str, next_step: str) -> Iterator[FolderLease]:
    """Be the only one that works in `folder`, which is made if it is missing, while the block lasts.

    Args:
        folder: the folder.
        what: the kind of work, for the message, such as "training".
        next_step: the next step, such as "name another folder".

    Raises:
        OutputError: the folder cannot be made, or another is at work in it.
    """
    with FolderLease(folder, what=what, next_step=next_step) as lease:
        yield lease


def _boot() -> str:
    """The same for all processes of a running system."""
    with suppress(OSError):
        return _BOOT_ID.read_bytes().decode(errors="replace").strip()
    return _node()


def _machine() -> str:
    """The same across restarts of a machine, and not the machine's own id, which is not to be shown."""
    with suppress(OSError):
        identity = _MACHINE_ID.read_bytes().strip()
        return hashlib.sha256(b"newscaster" + identity).hexdigest()[:16] if identity else ""
    return _node()


def _node() -> str:
    """The network card's address, hashed; empty if there is none that lasts."""
    node = uuid.getnode()
    return "" if node >> 40 & 1 else hashlib.sha256(f"newscaster{node:x}".encode()).hexdigest()[:16]


def _process(pid: int) -> str:
    """PID namespace and start time of a process that runs; empty if it does not, or there is no /proc."""
    with suppress(OSError, IndexError):
        namespace = os.readlink("/proc/self/ns/pid")
        # The name, in brackets, may hold anything: the last bracket ends it. Field 22 is the start time.
        status = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
        state, *others = status.rpartition(")")[2].split()
        return "" if state in ("Z", "X") else f"{namespace}/{others[18]}"
    return ""
