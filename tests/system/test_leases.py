"""One process at a time in a folder: on one machine, after kill -9, and between machines that share it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fresh_python import environment
from newscaster.errors import OutputError
from newscaster.system import leases, locks
from newscaster.system.leases import FolderLease, Owner
from newscaster.system.locks import LockState

HOLD = """
import sys, time
from pathlib import Path
from newscaster.media import FolderLease
lease = FolderLease(Path(sys.argv[1]), what="studio", next_step="name another")
print("held", flush=True)
sys.stdin.read()
lease.release()
"""
MakeLease = Callable[..., FolderLease]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same times, shortened."""
    for name, seconds in (
        ("BEAT_SECONDS", 0.05),
        ("LEASE_SECONDS", 0.4),
        ("_POLL_SECONDS", 0.05),
        ("_SETTLE_SECONDS", 0.1),
        ("_ORPHAN_SECONDS", 1.0),
    ):
        monkeypatch.setattr(leases, name, seconds)


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[MakeLease]:
    """Return a function that acquires a lease on one folder; all are released at the end."""
    taken: list[FolderLease] = []

    def acquire(**options: bool) -> FolderLease:
        taken.append(
            FolderLease(tmp_path / "kept", what="studio", next_step="give another folder", **options)
        )
        return taken[-1]

    yield acquire
    for one in taken:
        one.release()


@contextmanager
def on_machine(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    lock: LockState = LockState.TAKEN,
    local: bool = False,
) -> Iterator[None]:
    """What runs in the block runs on a machine of its own, which does not see the locks of others."""
    with monkeypatch.context() as patch:
        patch.setattr(leases, "_boot", lambda: f"boot of {name}")
        patch.setattr(leases, "_machine", lambda: f"machine of {name}")
        patch.setattr("platform.node", lambda: "studio")  # as containers of one image
        patch.setattr(leases, "is_local", lambda folder: local)
        patch.setattr(leases, "try_lock", lambda descriptor: lock)
        yield


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / ".owner.json").read_bytes())
    return found


def leave_record(folder: Path, owner: Owner) -> None:
    """What an owner that was killed leaves behind."""
    folder.mkdir(exist_ok=True)
    data = json.dumps({**asdict(owner), "beat": 7}).encode()
    (folder / ".owner.json").write_bytes(data.ljust(1023) + b"\n")


@pytest.mark.usefixtures("quick")
def test_a_second_process_is_refused_until_the_first_ends(
    lease: MakeLease, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = lease()
    first.announce("http://127.0.0.1:8765")
    with pytest.raises(OutputError) as error:
        lease()
    assert "waiting" not in caplog.text
    assert str(error.value) == (
        f"another studio is at work in '{tmp_path / 'kept'}' (http://127.0.0.1:8765, process {os.getpid()} "
        f"on {record(tmp_path / 'kept')['host']!r}). Wait until it has ended, or give another folder"
    )
    (tmp_path / "kept" / "job").touch()
    first.release()
    first.release()
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {".lock", "job"}
    lease().confirm()


def test_a_lock_that_is_alone_is_removed_with_the_folders_that_were_created(tmp_path: Path) -> None:
    """As after a training that was refused."""
    (tmp_path / "existing").mkdir()
    for folder, left in ((tmp_path / "new" / "ada.work", None), (tmp_path / "existing", [])):
        with FolderLease(folder, what="training", next_step="name another"):
            assert {path.name for path in folder.iterdir()} == {".lock", ".owner.json"}
        assert (list(folder.iterdir()) if folder.exists() else None) == left
    assert [path.name for path in tmp_path.iterdir()] == ["existing"]


def test_a_newcomer_to_a_folder_that_was_just_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened the lock of a training that is refused then."""
    first = FolderLease(tmp_path / "kept", what="training", next_step="name another")

    def delayed(descriptor: int) -> LockState:
        first.release()
        return locks.try_lock(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(leases, "try_lock", delayed)
        with pytest.raises(OutputError, match="another training is at work"):
            FolderLease(tmp_path / "kept", what="training", next_step="name another")
    FolderLease(tmp_path / "kept", what="training", next_step="name another").release()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
def test_a_killed_process_leaves_the_folder_free_at_once(
    lease: MakeLease, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the times as they are: nothing is waited for on one machine."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "kept")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"at work in '.*kept' \\(process {process.pid} on "):
        lease()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert record(tmp_path / "kept")["pid"] == process.pid
    lease()
    assert "waiting" not in caplog.text
    assert record(tmp_path / "kept")["pid"] == os.getpid()
    process.communicate()


def test_a_later_process_with_the_same_pid_is_not_the_owner(lease: MakeLease, tmp_path: Path) -> None:
    leave_record(tmp_path / "kept", replace(Owner.this_process(), token="gone", process="pid:[1]/12"))
    lease()


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells when a process started")
def test_a_folder_that_is_mounted_twice(
    lease: MakeLease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mount has locks of its own; the process shows that the owner is there."""
    lease()
    monkeypatch.setattr(leases, "try_lock", lambda descriptor: LockState.TAKEN)
    monkeypatch.setattr(leases, "is_local", lambda folder: False)
    with pytest.raises(OutputError, match="another studio is at work"):
        lease()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("state", [LockState.TAKEN, LockState.HELD, LockState.UNSUPPORTED])
@pytest.mark.parametrize("local", [False, True], ids=["shared", "its own disk"])
def test_an_owner_on_another_machine_is_known_by_its_beats(
    lease: MakeLease, monkeypatch: pytest.MonkeyPatch, state: LockState, local: bool
) -> None:
    """Whether its locks are seen there, are not, or there are none, and whoever has the disk."""
    with on_machine(monkeypatch, "a"):
        first = lease()
        first.announce("http://10.0.0.1:8765")
    with on_machine(monkeypatch, "b", lock=state, local=local):
        with pytest.raises(OutputError, match=r"at work in '.*' \(http://10\.0\.0\.1:8765, process"):
            lease()
        first.confirm()
    first.release()
    with on_machine(monkeypatch, "b", local=local):
        lease()


@pytest.mark.usefixtures("quick")
def test_an_owner_on_another_machine_that_is_silent_is_gone(
    lease: MakeLease, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with on_machine(monkeypatch, "a"):
        leave_record(tmp_path / "kept", Owner.this_process())
    for state in (LockState.HELD, LockState.UNSUPPORTED, LockState.TAKEN):
        with on_machine(monkeypatch, f"b{state}", lock=state):
            begun = time.monotonic()
            second = lease()
            assert time.monotonic() - begun > leases.LEASE_SECONDS
            assert "waiting 0 s for its heartbeat" in caplog.text
            dead = Owner(**{name: record(tmp_path / "kept")[name] for name in asdict(Owner.this_process())})
            second.release()
            leave_record(tmp_path / "kept", dead)


@pytest.mark.usefixtures("quick")
def test_clocks_are_not_compared(lease: MakeLease, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A living owner's record may seem to be of last year, a dead one's of next year."""
    with on_machine(monkeypatch, "a"):
        first = lease()
    stop = threading.Event()

    def age() -> None:
        while not stop.wait(0.01):
            os.utime(tmp_path / "kept" / ".owner.json", (0, 0))

    aging = threading.Thread(target=age)
    aging.start()
    try:
        with on_machine(monkeypatch, "b"), pytest.raises(OutputError, match="at work"):
            lease()
    finally:
        stop.set()
        aging.join()
    first.release()
    with on_machine(monkeypatch, "a"):
        leave_record(tmp_path / "kept", Owner.this_process())
    os.utime(tmp_path / "kept" / ".owner.json", (4e9, 4e9))
    with on_machine(monkeypatch, "b"):
        lease()


@pytest.mark.usefixtures("quick")
def test_the_takeover_option_and_the_former_owner(lease: MakeLease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 3600.0)
    with on_machine(monkeypatch, "a"):
        first = lease()
    monkeypatch.setattr(leases, "BEAT_SECONDS", 3600.0)  # as if it were suspended
    time.sleep(0.2)
    with on_machine(monkeypatch, "b"):
        second = lease(adopt=True)
    with pytest.raises(OutputError, match=r"another studio has taken over '.*kept' \(process"):
        first.confirm()
    assert first.is_lost
    first.announce("http://127.0.0.1:1")
    first.release()
    second.confirm()


def test_no_takeover_on_the_same_machine(lease: MakeLease) -> None:
    lease()
    with pytest.raises(OutputError, match="at work"):
        lease(adopt=True)


@pytest.mark.usefixtures("quick")
def test_one_of_two_simultaneous_takeovers_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with on_machine(monkeypatch, "a"):
        leave_record(tmp_path, Owner.this_process())
    took: list[FolderLease] = []
    refused: list[OutputError] = []

    def come() -> None:
        try:
            took.append(FolderLease(tmp_path, what="studio", next_step="x"))
        except OutputError as error:
            refused.append(error)

    with on_machine(monkeypatch, "b", lock=LockState.UNSUPPORTED):
        monkeypatch.setattr(Owner, "same_system_as", lambda self, other: False)
        threads = [threading.Thread(target=come) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(took), len(refused)) == (1, 3)
        took[0].confirm()
        took[0].release()


@pytest.mark.usefixtures("quick")
def test_of_many_that_come_first_one_is_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any lock: the record is made but once."""
    took: list[FolderLease] = []
    refused: list[OutputError] = []

    def come() -> None:
        try:
            took.append(FolderLease(tmp_path, what="studio", next_step="x"))
        except OutputError as error:
            refused.append(error)

    with on_machine(monkeypatch, "b", lock=LockState.UNSUPPORTED):
        threads = [threading.Thread(target=come) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(took), len(refused)) == (1, 5)
        took[0].release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"token": 1}', b"\xff" * 2000, b"[" * 2000])
def test_a_record_that_is_none(
    lease: MakeLease,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / ".owner.json").write_bytes(content)
    lease().release()
    assert "waiting" not in caplog.text
    (tmp_path / "kept" / ".owner.json").write_bytes(content)
    with on_machine(monkeypatch, "b"):
        lease()
        assert "waiting" in caplog.text


def test_a_machine_that_was_restarted_does_not_wait_for_itself(
    lease: MakeLease, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a power loss: the record is of an earlier boot, on a disk that no other machine has."""
    monkeypatch.setattr(leases, "is_local", lambda folder: True)
    leave_record(tmp_path / "kept", replace(Owner.this_process(), boot="earlier", pid=1))
    lease()
    assert "waiting" not in caplog.text


def test_beats_need_no_further_room_and_the_folder_may_go(lease: MakeLease, tmp_path: Path) -> None:
    first = lease()
    record_file = tmp_path / "kept" / ".owner.json"
    inode, size = record_file.stat().st_ino, record_file.stat().st_size
    before = record(tmp_path / "kept")["beat"]
    first._renew()
    assert (record_file.stat().st_ino, record_file.stat().st_size) == (inode, size)
    assert record(tmp_path / "kept")["beat"] != before
    record_file.unlink()
    first._renew()
    assert record_file.exists()
    (tmp_path / "kept").rename(tmp_path / "gone")
    first._renew()
    assert not first.is_lost


def test_what_a_message_shows_of_a_record(tmp_path: Path) -> None:
    owner = Owner(token="x", host="a\x1b[31m\nb" * 100, pid=1, address="http://\x07" * 99)
    assert owner.describe().isprintable()
    assert len(owner.describe()) < 250


@pytest.mark.parametrize(
    ("kind", "local"),
    [("ext4", True), ("overlay", True), ("nfs4", False), ("cifs", False), ("fuse.sshfs", False)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="mounts are listed in /proc")
def test_which_file_systems_are_of_one_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, local: bool
) -> None:
    mounts = tmp_path / "mounts"
    place = (tmp_path / "a b").resolve()
    place.mkdir()
    shown = str(place).replace(" ", r"\040")
    other = "nfs4" if local else "ext4"
    mounts.write_text(
        f"27 1 254:0 / / rw - {other} /dev/vda rw\n"
        f"28 27 0:9 / {shown} rw shared:1 master:2 - {other} /dev/old rw\n"
        f"29 27 0:9 / {shown} rw shared:1 - {kind} server:/x rw\n"
        f"30 27 0:9 / {shown}c rw - {other} server:/y rw\n"
    )
    monkeypatch.setattr(locks, "_MOUNTS", mounts)
    assert locks.is_local(place) is local
    assert locks.is_local(place / "below") is local
    assert locks.is_local(Path("/")) is not local
    mounts.unlink()
    assert not locks.is_local(place)
