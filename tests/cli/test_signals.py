"""Signals end every command, also a blocked one, and leave no partial output."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fresh_python import environment
from newscaster import media, provenance
from studios import until
from tiny_anchor import speech_like, write_tiny_anchor

fcntl = pytest.importorskip("fcntl", reason="signals and pipes are those of Unix")
termios = pytest.importorskip("termios", reason="signals and pipes are those of Unix")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process does is read from /proc")
COMMAND = (sys.executable, "-m", "newscaster.cli")
IMPATIENT = (
    sys.executable,
    "-c",
    "from newscaster.cli import main, signals; signals.GRACE_SECONDS = 1.0; main()",
)
PATIENCE_SECONDS = 60.0
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture
def folder(tmp_path: Path, local_certificate: None) -> Path:
    write_tiny_anchor(tmp_path / "tiny.anchor")
    media.write_wav(tmp_path / "speech.wav", speech_like(0.5), 16_000)
    (tmp_path / "tmp").mkdir()
    for name in ("pipe.wav", "pipe.txt", "pipe.pem", "pipe.ts"):
        os.mkfifo(tmp_path / name)
    return tmp_path


@contextmanager
def started(
    folder: Path, *arguments: str, program: tuple[str, ...] = COMMAND
) -> Iterator[subprocess.Popen[bytes]]:
    def prepare() -> None:  # tests may run where these are ignored
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    with subprocess.Popen(
        [*program, *arguments],
        cwd=folder,
        env={**environment(), "TMPDIR": str(folder / "tmp")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def is_waiting(process: subprocess.Popen[bytes], *, seen: dict[int, list[int]]) -> bool:
    """Whether a process has loaded FFmpeg, and then used no processor time between five looks at it."""
    assert process.poll() is None, process.communicate()
    if "libavformat" not in Path(f"/proc/{process.pid}/maps").read_text():
        return False
    ticks = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    appearances = seen.setdefault(process.pid, [])
    appearances.append(ticks)
    return len(appearances) > 5 and len(set(appearances[-5:])) == 1


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")] + os.listdir(folder / "tmp")


SLEEPS = shlex.join([sys.executable, "-c", "import time; time.sleep(600)"])
SPEAK = ["speak", "-a", "tiny.anchor", "-o", "out.mp4"]
WAITING = {
    "speech": [*SPEAK, "pipe.wav"],
    "script": [*SPEAK, "pipe.txt"],
    "standard input": [*SPEAK, "-"],
    "certificate": [*SPEAK, "speech.wav", "--sign", "pipe.pem", "speech.wav"],
    "voice": [*SPEAK, "--text", "Good evening.", "--voice-command", SLEEPS],
    "live output": ["live", "tiny.anchor", "--speech", "speech.wav", "--to", "pipe.ts"],
    "live script": ["live", "tiny.anchor", "--speech", "pipe.txt", "--to", "out.mp4"],
    "live voice": ["live", "tiny.anchor", "--text", "A.", "--voice-command", SLEEPS, "--to", "out.mp4"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, signal.SIGTERM) for name in WAITING), ("speech", signal.SIGINT), ("speech", signal.SIGHUP)],
)
def test_commands_that_wait(folder: Path, name: str, number: signal.Signals) -> None:
    (folder / "out.mp4").write_bytes(b"the old one")
    seen: dict[int, list[int]] = {}
    with started(folder, *WAITING[name]) as process:
        until(lambda: is_waiting(process, seen=seen))
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    words = {signal.SIGINT: b"interrupted", signal.SIGTERM: b"terminated", signal.SIGHUP: b"hung up"}
    assert (process.returncode, err.strip()) == (SIGNALS[number], words[number])
    assert (folder / "out.mp4").read_bytes() == b"the old one"
    assert left_over(folder) == []


def test_a_writer_that_stops_midway(folder: Path) -> None:
    seen: dict[int, list[int]] = {}
    with started(folder, *WAITING["speech"]) as process, (folder / "pipe.wav").open("wb") as pipe:
        pipe.write((folder / "speech.wav").read_bytes()[:5000])
        pipe.flush()
        until(lambda: is_waiting(process, seen=seen))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143
    assert not (folder / "out.mp4").exists()
    assert left_over(folder) == []


def test_pipes_as_speech(folder: Path) -> None:
    with started(folder, *WAITING["speech"]) as process:
        with (folder / "pipe.wav").open("wb") as pipe:
            pipe.write((folder / "speech.wav").read_bytes())
        assert process.communicate(timeout=PATIENCE_SECONDS)[1] == b""
    assert process.returncode == 0
    assert provenance.verify(folder / "out.mp4", watermark=False).holds


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "pipe.wav"],
        ["verify", "pipe.wav"],
        ["info", "pipe.wav"],
        ["withdraw", "pipe.wav"],
        ["train", "pipe.wav", "-o", "x.anchor", "--consent", "Ada agreed"],
        ["live", "tiny.anchor", "--speech", "pipe.wav", "--to", "out.ts"],
        ["speak", "speech.wav", "-a", "pipe.wav", "-o", "out.mp4"],
    ],
)
def test_pipes_that_cannot_be_used_are_refused(folder: Path, arguments: list[str]) -> None:
    with started(folder, *arguments) as process:
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert b"pipe" in err.splitlines()[-1].replace(b"pipe.wav", b"") or b"regular file" in err
    assert left_over(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_connection_that_is_not_answered(folder: Path, number: signal.Signals) -> None:
    """FFmpeg opens it with Python's lock in its hand: the system ends the process then."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # as many as the system keeps for the server, and more
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        seen: dict[int, list[int]] = {}
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with started(folder, "live", "tiny.anchor", "--idle", "--to", address) as process:
            until(lambda: is_waiting(process, seen=seen))
            process.send_signal(number)
            process.communicate(timeout=PATIENCE_SECONDS)
        for one in waiting:
            one.close()
        # Before and after FFmpeg has the lock, Python ends it.
        assert process.returncode in (-number, 128 + number)
    assert left_over(folder) == []


def test_a_reader_that_stops_reading(folder: Path) -> None:
    with started(folder, "live", "tiny.anchor", "--idle", "--to", "pipe:1", program=IMPATIENT) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        room = fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)

        def is_full() -> bool:
            waiting = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
            return int.from_bytes(waiting, sys.byteorder) > room - 1000

        until(is_full)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"terminated")
    assert process.returncode == 143
    assert left_over(folder) == []


@pytest.mark.parametrize("grace", ["0.5", "600"])
def test_native_code_that_drops_what_a_handler_raises(folder: Path, grace: str) -> None:
    """As C2PA's toolkit does when a signal comes in one of its callbacks."""
    code = (
        "import ctypes, os, signal, time\n"
        "from newscaster import media\n"
        "from newscaster.cli import commands, main, signals\n"
        f"signals.GRACE_SECONDS = {grace}\n"
        "def work(**_):\n"
        "    with media.scratch_folder(), media.atomic_write('out.mp4'):\n"
        "        ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))()\n"
        "        time.sleep(600)\n"
        "commands.cli.main = work\n"
        "main()"
    )
    with started(folder, program=(sys.executable, "-c", code)) as process:
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err[:10]) == (143, b"terminated")
    assert not (folder / "out.mp4").exists()
    assert left_over(folder) == []


def test_nohup_is_heeded(folder: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from newscaster.cli import main; main()"
    )
    seen: dict[int, list[int]] = {}
    with started(folder, *WAITING["speech"], program=(sys.executable, "-c", code)) as process:
        until(lambda: is_waiting(process, seen=seen))
        process.send_signal(signal.SIGHUP)
        with (folder / "pipe.wav").open("wb") as pipe:
            pipe.write((folder / "speech.wav").read_bytes())
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
