"""Standard streams that are closed, full, without a reader, or in another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fresh_python import environment
from making_media import moving_pattern
from newscaster import media, provenance
from newscaster.cli import exits
from tiny_anchor import speech_like, write_tiny_anchor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed as Unix does")
COMMAND = [sys.executable, "-m", "newscaster.cli"]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
RESULTS = {
    "help": (["--help"], 0),
    "help of a command": (["speak", "--help"], 0),
    "version": (["--version"], 0),
    "info": (["info", "tiny.anchor"], 0),
    "info as JSON": (["info", "tiny.anchor", "--json"], 0),
    "verify": (["verify", "made.mp4"], exits.EXIT_UNSIGNED),
    "verify as JSON": (["verify", "made.mp4", "--json"], exits.EXIT_UNSIGNED),
    "speak": (["speak", "speech.wav", "-a", "tiny.anchor", "-o", "out.mp4"], 0),
}
ERRORS = {
    "check": ["check", "speech.wav"],
    "train": ["train", "made.mp4", "-o", "x.anchor"],
    "speak": ["speak", "-", "-a", "tiny.anchor", "-o", "out.mp4"],
    "usage": ["speak", "--no-such-option"],
    "withdraw": ["withdraw", "none.anchor"],
    "evaluate": ["evaluate", "none.anchor", "made.mp4"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, local_certificate: None) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    write_tiny_anchor(folder / "tiny.anchor")
    media.write_wav(folder / "speech.wav", speech_like(0.3), 16_000)
    return folder


@cache
def _pattern() -> bytes:
    """A video of 10 small frames."""
    with TemporaryDirectory() as place:
        path = Path(place, "made.mp4")
        media.write_video(path, moving_pattern(10), fps=Fraction(25), audio=None)
        return path.read_bytes()


@pytest.fixture(autouse=True)
def made(folder: Path) -> None:
    (folder / "made.mp4").write_bytes(_pattern())
    (folder / "out.mp4").unlink(missing_ok=True)


def run(
    folder: Path, arguments: list[str], *, redirected: str = "", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with redirections, as a shell does."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND, *arguments],
        cwd=folder,
        env={**environment(), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", pytest.param("2>/dev/full", marks=FULL)]
)
@pytest.mark.parametrize("name", RESULTS)
def test_results_with_closed_streams(folder: Path, name: str, redirected: str) -> None:
    arguments, code = RESULTS[name]
    done = run(folder, arguments, redirected=redirected)
    assert (done.returncode, done.stderr) == (code, b"")
    assert bool(done.stdout) == (">&-" not in redirected.replace("2>&-", ""))
    if name == "speak":
        assert provenance.verify(folder / "out.mp4", watermark=False).holds


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirected", ["<&-", ">&-", "<&- >&-", "2>&-", pytest.param("2>/dev/full", marks=FULL)]
)
@pytest.mark.parametrize("name", ERRORS)
def test_errors_with_closed_streams(folder: Path, name: str, redirected: str) -> None:
    done = run(folder, ERRORS[name], redirected=redirected)
    assert (done.returncode, done.stdout) == (exits.EXIT_ERROR, b"")
    assert b"Traceback" not in done.stderr
    assert (b"rror: " in done.stderr) == ("2>" not in redirected)


@pytest.mark.slow
@FULL
@pytest.mark.parametrize("name", RESULTS)
def test_standard_output_that_is_full(folder: Path, name: str) -> None:
    done = run(folder, RESULTS[name][0], redirected=">/dev/full")
    assert done.returncode == exits.EXIT_ERROR
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: standard output cannot be written to (No space left on device)")
    if name == "speak":
        assert provenance.verify(folder / "out.mp4", watermark=False).holds


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_no_one_reads_standard_output(folder: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, *RESULTS[name][0]],
        cwd=folder,
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (exits.EXIT_NOT_READ, b"")


def test_no_one_reads_live_video(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "live", "tiny.anchor", "--idle", "--to", "pipe:1"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(188)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == exits.EXIT_NOT_READ


@pytest.mark.parametrize("name", ["speak", "check"])
def test_no_one_reads_standard_error(folder: Path, name: str) -> None:
    arguments, code = {**RESULTS, "check": (ERRORS["check"], exits.EXIT_ERROR)}[name]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment(), stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == code


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_characters_that_an_encoding_lacks(folder: Path, encoding: str) -> None:
    name = "séance 中 😀.mp4"
    (folder / "made.mp4").rename(folder / name)
    done = run(folder, ["verify", name], **ENCODINGS[encoding])
    assert (done.returncode, done.stderr) == (exits.EXIT_UNSIGNED, b"")
    shown = {"latin-1": rb"\u4e2d \U0001f600.mp4: ", "cp1252": rb"\u4e2d \U0001f600.mp4: "}
    assert shown.get(encoding, " 中 😀.mp4: ".encode()) in done.stdout
    done = run(folder, ["verify", name, "--json"], **ENCODINGS[encoding])
    values = json.loads(done.stdout.decode("latin-1" if encoding in shown else "utf-8"))
    if encoding != "C":  # Python itself treats names as bytes there
        assert values["path"] == name
    done = run(folder, ["info", name], **ENCODINGS[encoding])
    assert done.returncode == exits.EXIT_ERROR
    assert len(done.stderr.splitlines()) == 1


def test_a_file_is_never_taken_for_a_closed_stream(folder: Path, tmp_path: Path) -> None:
    """Otherwise the first opened file would get its descriptor, and all printed text."""
    code = (
        "import sys, os; from newscaster.cli import terminal; terminal.open_standard_streams();"
        "first = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT); os.write(1, b'x'); os.write(2, b'x');"
        "print('x'); print('x', file=sys.stderr); sys.exit(first)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], env=environment(), check=False
    )
    assert done.returncode > 2
    assert (tmp_path / "file").read_bytes() == b""
