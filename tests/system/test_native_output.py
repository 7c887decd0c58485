"""What libraries write to standard error does not stand between a command's own lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuzz.scripts import zipped
from newscaster.cli import exits
from newscaster.formats.anchor import HEADER, MOTION, AnchorFile
from newscaster.media import write_wav
from onnx_networks import Builder
from tiny_anchor import speech_like
from tracing import Place, new_place

CLI = (sys.executable, "-m", "newscaster.cli")
NOISY = """
import logging, os, sys, warnings
from newscaster import cli
from newscaster.cli import commands
def work(**_):
    os.write(2, b"native line\\n")
    warnings.warn("a library's warning")
    logging.getLogger("library").warning("a library's record")
    logging.getLogger("library").error("a library's error")
    logging.getLogger("newscaster.any").warning("its own")
    {end}
commands.cli.main = work
cli.main()
"""
"""The command, in which a library writes in every way that there is."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return new_place(tmp_path / "run")


def run(*command: object, place: Place, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=place.work,
        env={**place.environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def noisy(end: str = "return 0") -> list[str]:
    return [sys.executable, "-c", NOISY.format(end=end)]


def test_only_the_commands_own_lines_are_shown(place: Place) -> None:
    done = run(*noisy(), place=place)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == ["a library's error", "warning: its own"]


def test_the_rest_is_in_the_log(place: Place) -> None:
    log = place.work / "log.txt"
    log.write_text("earlier\n")
    done = run(*noisy(), place=place, NEWSCASTER_LOG=str(log))
    assert done.stderr.splitlines() == ["a library's error", "warning: its own"]
    lines = log.read_text()
    assert lines.startswith("earlier\nnative line\n")
    for text in ("a library's warning", "a library's record", "a library's error", "its own"):
        assert text in lines
    assert log.stat().st_mode & 0o777 == 0o644  # as it was


def test_a_log_that_cannot_be_written(place: Place) -> None:
    done = run(*noisy(), place=place, NEWSCASTER_LOG=str(place.work))
    assert done.returncode == exits.EXIT_ERROR
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"error: the log '{place.work}' cannot be written to (Is a directory). Set NEWSCASTER_LOG to another"
    )


@pytest.mark.parametrize("named", ["input", "link", "option", "output", "other"])
def test_no_file_of_the_command_is_a_log(place: Place, named: str) -> None:
    """The file stays unchanged."""
    script, media = place.work / "script.txt", place.work / "media.mp4"
    script.write_text("Good evening.")
    media.write_bytes(b"\0\0\0\x20ftypisom")
    (place.work / "link").symlink_to(script)
    log = {"input": script, "link": place.work / "link", "option": script, "other": media}.get(named)
    log = place.work / "out.mp4" if log is None else log
    speech = [f"--consent={script}"] if named == "option" else [] if named == "other" else [str(script)]
    arguments = [*speech, "-o", str(place.work / "out.mp4")]
    before = {path: path.read_bytes() for path in place.work.iterdir() if path.is_file()}
    command = [sys.executable, "-m", "newscaster", "speak", *arguments]
    done = run(*command, place=place, NEWSCASTER_LOG=str(log))
    assert done.returncode == 2
    why = "contains binary data" if named == "other" else "is a file of this command"
    assert done.stderr.startswith(f"error: the log '{log}' {why}")
    assert {path: path.read_bytes() for path in place.work.iterdir() if path.is_file()} == before


@pytest.mark.skipif(os.name == "nt", reason="named pipes are those of Unix")
def test_a_log_that_is_a_pipe_without_a_reader(place: Place) -> None:
    os.mkfifo(place.work / "pipe")
    done = run(*noisy(), place=place, NEWSCASTER_LOG=str(place.work / "pipe"))
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr


def test_a_crash_of_native_code_leaves_a_trace(place: Place) -> None:
    done = run(*noisy("os.abort()"), place=place)
    assert done.returncode < 0
    assert "native line" not in done.stderr
    assert "Fatal Python error: Aborted" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="descriptors are those of Unix")
def test_standard_error_that_is_closed(tiny: Path, place: Place) -> None:
    """A file that is opened later takes the descriptor's number: no library may write into it."""
    write_wav(place.work / "a.wav", speech_like(0.3), 16_000)
    line = f"{sys.executable} -m newscaster.cli speak a.wav -a {tiny} -o a.mp4 --motion a.npz 2>&-"
    done = run("sh", "-c", line, place=place)
    assert done.returncode == 0
    assert run(*CLI, "verify", "a.mp4", place=place).returncode == 0
    code = (
        "import os, sys\n"
        "from newscaster.system.native_output import divert_native_errors\n"
        "assert sys.stderr is None\n"
        "divert_native_errors()\n"
        "file = open('b.txt', 'w')\n"
        "assert file.fileno() != 2\n"
        "os.write(2, b'noise')"
    )
    done = run("sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code, place=place)
    assert (done.returncode, (place.work / "b.txt").read_text()) == (0, "")


# --- A home that cannot be written to


@pytest.mark.slow
@pytest.mark.parametrize("home", ["a file", "missing", "/proc/none"])
def test_a_home_that_cannot_be_written_to(tiny: Path, place: Place, home: str) -> None:
    """Signing needs the home, `info` and an unsigned video do not."""
    write_wav(place.work / "a.wav", speech_like(0.3), 16_000)
    if home == "a file":
        home = str(place.work / "home")
        Path(home).write_text("")
    elif home == "missing":
        home = "/dev/null/home"
    done = run(*CLI, "info", tiny, place=place, HOME=home)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(*CLI, "speak", "a.wav", "-a", tiny, "-o", "a.mp4", place=place, HOME=home)
    assert done.returncode == exits.EXIT_ERROR
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "NEWSCASTER_HOME" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "message"), [("does not fit", "cannot be loaded"), ("fails as it runs", "cannot be run on")]
)
def test_a_hostile_network_is_one_line(tiny: Path, place: Place, kind: str, message: str) -> None:
    """ONNX Runtime logs what it raises, too."""
    write_wav(place.work / "a.wav", speech_like(0.3), 16_000)
    run_it = [*CLI, "speak", "a.wav", "-a", hostile(tiny, place.work, kind), "-o", "a.mp4"]
    done = run(*run_it, place=place)
    assert done.returncode == exits.EXIT_ERROR
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    # In a program that imports newscaster, whose standard error is its own:
    code = (
        "import sys, newscaster\n"
        "try: newscaster.open(sys.argv[1], backend='onnxruntime').speak('a.wav', 'a.mp4')\n"
        "except newscaster.NewscasterError: raise SystemExit(7)"
    )
    done = run(sys.executable, "-c", code, run_it[-3], place=place)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def hostile(tiny: Path, folder: Path, kind: str) -> Path:
    """An anchor whose motion network is accepted at first sight, and is none that can be used."""
    file = AnchorFile(tiny)
    members = {name: file.read(name) for name in file.members}
    b = Builder()
    if kind == "does not fit":
        b.node("MatMul", "features", b.weight(np.ones((321, 4), np.float32)), out="coefficients")
    else:
        x = b.node("Add", "features", b.weight(np.ones((1, 1000, 320), np.float32)))  # of 1000 steps alone
        b.node("Slice", x, *(b.weight(np.array([n])) for n in (0, 4, 2)), out="coefficients")
    members[MOTION] = b.model({"features": (1, ["B", "T", 320])}, {"coefficients": (1, ["B", "T2", 4])})
    header = {**file.info.to_json(), "members": file.members}
    path = folder / "hostile.anchor"
    path.write_bytes(zipped({HEADER: json.dumps(header).encode(), **members}, signed=True))
    return path
