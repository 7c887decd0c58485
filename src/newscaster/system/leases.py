"""Exclusive use of a folder by one process, on one machine or on several that share the folder.

A lock (`.lock`) decides on one machine: the system drops it when its process ends, even after kill -9.
Between machines a lock may not be visible. There a record (`.owner.json`) decides: its owner rewrites it
every 5 s (heartbeat), and a process that finds the record of another machine watches it for 30 s. No two
clocks are compared: the watcher uses its own, and only looks for a change.

::

    owner on A     beat ─── beat ─── beat ─x killed
    newcomer on B         └ sees the next beat: refuses       └── 30 s without a beat: takes the folder

An owner that was suspended in between finds another record in place of its own, and stops writing.
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
"""Interval at which an owner renews its record."""
LEASE_SECONDS = 30.0
"""Time for which a record of another machine must stay unchanged until its owner counts as dead."""
_POLL_SECONDS = 1.0
_SETTLE_SECONDS = 2.0
"""Two newcomers may take over one record: after this time both see the last one."""
_ORPHAN_SECONDS = 10.0
"""Time for which child processes of a killed owner may still hold its lock."""
_LOCK, _RECORD = ".lock", ".owner.json"
_RECORD_BYTES = 1024
_MAX_TEXT = 120
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that uses a folder."""

    token: str
    """Random; unique to a lease."""
    host: str
    pid: int
    address: str = ""
    """Its address, such as http://127.0.0.1:8765; empty if it is not a server."""
    boot: str = ""
    """Same for all processes of one running system, usually also in its containers."""
    machine: str = ""
    """Same across restarts of a machine."""
    process: str = ""
    """PID namespace and start time: no later process with the same PID has both. Empty if unknown."""

    @staticmethod
    def this_process() -> Owner:
        """Return a new owner: this process."""
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
        """Parse a record; return None if it is empty, truncated or malformed."""
        try:
            values = json.loads(data)
            owner = Owner(**{field.name: values[field.name] for field in fields(Owner)})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = (owner.token, owner.host, owner.address, owner.boot, owner.machine, owner.process)
        return owner if type(owner.pid) is int and all(isinstance(text, str) for text in texts) else None

    def describe(self) -> str:
        """Return a description for a message."""
        process = "".join(c for c in f"process {self.pid} on {self.host!r:.80}" if c.isprintable())
        address = "".join(c for c in self.address[:100] if c.isprintable())
        return f"{address}, {process}" if address else process

    def same_system_as(self, other: Owner) -> bool:
        """Return whether both run on one kernel, so that each sees the locks of the other."""
        return bool(self.boot) and self.boot == other.boot

    def same_machine_as(self, other: Owner) -> bool:
        """Return whether both run on one machine, which may have been restarted in between."""
        return bool(self.machine) and (self.machine, self.host) == (other.machine, other.host)

    def is_running(self) -> bool | None:
        """Return whether this process runs on this system; None if that is not visible from here."""
        own_namespace, namespace = _process(os.getpid()).partition("/")[0], self.process.partition("/")[0]
        if not own_namespace or own_namespace != namespace:
            return None
        return _process(self.pid) == self.process


class FolderLease:
    """The exclusive right to use a folder, which is created if it is missing.

    A new folder is private to the user (mode 0700), because it will contain faces and voices. If nothing but
    the lock is in it at the end, it is removed, and so are its parents that were created and are empty.

    Args:
        folder: the folder.
        what: the kind of work, for messages, such as "training".
        next_step: the next step, such as "name another folder".
        adopt: do not wait for a heartbeat of an owner on another machine.
        hint: addition to the message during that wait.

    Raises:
        OutputError: the folder cannot be created, or another process uses it.
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
        self._created = [path for path in (folder, *folder.parents) if not path.exists()]
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
        """Whether another process has taken over the folder, as of the last beat."""
        return self._lost_to is not None

    def check(self) -> None:
        """Raise if another process has taken over the folder, as of the last beat.

        Raises:
            OutputError: another process has taken it over.
        """
        if self._lost_to is not None:
            raise OutputError(
                f"another {self._what} has taken over '{self._folder}' ({self._lost_to.describe()}), because "
                f"this one sent no heartbeat for {LEASE_SECONDS:.0f} s. Continue there, or {self._next_step}"
            )

    def confirm(self) -> None:
        """As `check`, but read the record first: before a write that must not hit another's files.

        Raises:
            OutputError: another process has taken over the folder.
        """
        with suppress(OSError):
            self._note_owner(self._read())
        self.check()

    def announce(self, address: str) -> None:
        """Publish the address of this process in the record."""
        with self._writing:
            self._owner = Owner(**{**asdict(self._owner), "address": address[:_MAX_TEXT]})
        self._renew()

    def release(self) -> None:
        """Release the folder. Further calls have no effect."""
        if self._released.is_set():
            return
        self._released.set()
        self._beating.join()
        is_own = False
        with suppress(OSError):
            if is_own := self._is_own(self._read()):
                (self._folder / _RECORD).unlink()
        if os.name == "nt":  # a file that is open cannot be removed there
            os.close(self._descriptor)
        if is_own:
            self._remove_if_empty()
        if os.name != "nt":
            os.close(self._descriptor)

    def _remove_if_empty(self) -> None:
        """Remove a lock that is alone in its folder, and the folders that were created for it.

        A newcomer may have opened the lock before, and take it then without a name. Records keep others out.
        """
        with suppress(OSError):
            if [path.name for path in self._folder.iterdir()] == [_LOCK]:
                (self._folder / _LOCK).unlink()
                for folder in self._created:
                    folder.rmdir()

    def _acquire(self) -> None:
        lock = self._lock()
        data = self._read()
        owner = None if data is None else Owner.parse(data)
        if lock is LockState.HELD and (
            owner is None or self._owner.same_system_as(owner) or is_local(self._folder)
        ):
            raise self._refusal(owner)
        if data is None:
            self._create()
            return
        if owner is not None and self._owner.same_system_as(owner) and owner.is_running():
            raise self._refusal(owner)  # the folder is mounted twice, and each mount has its own locks
        is_dead = self._is_dead(lock, owner)
        if not is_dead:
            self._watch(data)
        self._overwrite(os.O_CREAT)
        if not is_dead:
            time.sleep(_SETTLE_SECONDS)
            if not self._is_own(data := self._read()):
                raise self._refusal(None if data is None else Owner.parse(data))

    def _create(self) -> None:
        """Write the first record of a folder: of several newcomers, only one creates the file."""
        try:
            self._overwrite(os.O_CREAT | os.O_EXCL)
        except (FileExistsError, FileNotFoundError):  # there before, or removed with its folder
            data = self._read()
            raise self._refusal(None if data is None else Owner.parse(data)) from None

    def _lock(self) -> LockState:
        """Try to take the lock; wait for one that only the children of a killed owner hold."""
        end = time.monotonic() + _ORPHAN_SECONDS
        while (state := try_lock(self._descriptor)) is LockState.HELD and time.monotonic() < end:
            data = self._read()
            owner = None if data is None else Owner.parse(data)
            if owner is None or not self._owner.same_system_as(owner) or owner.is_running() is not False:
                break
            time.sleep(_POLL_SECONDS / 10)
        return state

    def _is_dead(self, lock: LockState, owner: Owner | None) -> bool:
        """Return whether the lock or the system proves that the owner of a record has ended."""
        if owner is None:
            return lock is LockState.TAKEN and is_local(self._folder)
        if self._owner.same_system_as(owner):
            return lock is LockState.TAKEN or owner.is_running() is False
        restarted = self._owner.same_machine_as(owner) and is_local(self._folder)
        return lock is LockState.TAKEN and restarted

    def _watch(self, before: bytes) -> None:
        """Wait until the owner on another machine has missed its heartbeats, or has left.

        Raises:
            OutputError: it sent a heartbeat.
        """
        if self._adopt:
            return
        owner = Owner.parse(before)
        _log.warning(
            "'%s' was in use by another %s (%s): waiting %.0f s for its heartbeat%s",
            self._folder,
            self._what,
            "of an unknown process" if owner is None else owner.describe(),
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
        """Write the record again, unless it has another owner now."""
        with suppress(OSError):  # a server that does not answer, a full disk: the next beat may succeed
            data = self._read()
            self._note_owner(data)
            if not self.is_lost:
                self._overwrite(os.O_CREAT | os.O_EXCL if data is None else 0)

    def _note_owner(self, data: bytes | None) -> None:
        """Store the owner of a record in `_lost_to`, if it is another process."""
        owner = None if data is None else Owner.parse(data)
        if owner is not None and owner.token != self._owner.token:
            self._lost_to = owner

    def _is_own(self, data: bytes | None) -> bool:
        owner = None if data is None else Owner.parse(data)
        return owner is not None and owner.token == self._owner.token

    def _read(self) -> bytes | None:
        """Return the record. Every call opens it again, so that NFS asks its server for changes."""
        try:
            with (self._folder / _RECORD).open("rb") as file:
                return file.read(_RECORD_BYTES)
        except FileNotFoundError:
            return None

    def _overwrite(self, flags: int) -> None:
        """Write in place, always the same length: needs no more space, and readers see complete records."""
        with self._writing:
            self._beats += 1
            text = json.dumps({**asdict(self._owner), "beat": self._beats})
            data = text.encode().ljust(_RECORD_BYTES - 1) + b"\n"
            descriptor = os.open(
                self._folder / _RECORD, os.O_WRONLY | getattr(os, "O_BINARY", 0) | flags, 0o666
            )
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)

    def _unwritable(self, error: OSError) -> OutputError:
        step = f"{self._next_step[:1].upper()}{self._next_step[1:]}"
        return OutputError(f"cannot write to the folder '{self._folder}' ({error.strerror or error}). {step}")

    def _refusal(self, owner: Owner | None) -> OutputError:
        process = "" if owner is None else f" ({owner.describe()})"
        return OutputError(
            f"another {self._what} is at work in '{self._folder}'{process}. Wait until it has ended, or "
            f"{self._next_step}"
        )


@contextmanager
def exclusive_lock(folder: Path, *, what: str, next_step: str) -> Iterator[FolderLease]:
    """Hold the exclusive right to use `folder` during the block; it is created if missing.

    Args:
        folder: the folder.
        what: the kind of work, for the message, such as "training".
        next_step: the next step, such as "name another folder".

    Raises:
        OutputError: the folder cannot be created, or another process uses it.
    """
    with FolderLease(folder, what=what, next_step=next_step) as lease:
        yield lease


def _boot() -> str:
    """Return an id of the running system, the same for all its processes."""
    with suppress(OSError):
        return _BOOT_ID.read_bytes().decode(errors="replace").strip()
    return _node()


def _machine() -> str:
    """Return an id of the machine that survives restarts: a hash, because the machine's own id is private."""
    with suppress(OSError):
        identity = _MACHINE_ID.read_bytes().strip()
        return hashlib.sha256(b"newscaster" + identity).hexdigest()[:16] if identity else ""
    return _node()


def _node() -> str:
    """Return the hash of the network card's address; empty if there is no permanent one."""
    node = uuid.getnode()
    return "" if node >> 40 & 1 else hashlib.sha256(f"newscaster{node:x}".encode()).hexdigest()[:16]


def _process(pid: int) -> str:
    """Return PID namespace and start time of a running process; empty if it has ended or /proc is missing."""
    with suppress(OSError, IndexError):
        namespace = os.readlink("/proc/self/ns/pid")
        # The name, in brackets, may contain any character: the last bracket ends it. Field 22: start time.
        status = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
        state, *others = status.rpartition(")")[2].split()
        return "" if state in ("Z", "X") else f"{namespace}/{others[18]}"
    return ""
