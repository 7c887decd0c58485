"""Running a program under strace: its network calls and the files that it writes, native code included.

What counts as use of the network (`Traced.network`), of the program and of all that it starts:

- a socket of any family but AF_UNIX, so also AF_NETLINK, which address look-ups begin with;
- connecting, binding or sending to a name in AF_UNIX outside of the run's own folder, such as a daemon that
  looks up names (nscd, resolved, D-Bus). Pairs of sockets within the program, of which asyncio and
  multiprocessing make use, have no name and are not counted;
- io_uring, through which a program can use sockets without calls that a tracer sees.

What counts as a written file (`Traced.written`): a path that was opened for writing or made, renamed, linked,
cut or removed. Devices (`/dev/null`) and Python's compiled modules (`__pycache__`) are left out.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fresh_python import environment

CLI = (sys.executable, "-m", "newscaster.cli")

_SETTING_FILE = "open,openat,openat2,creat"
_NAMING = (
    "mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,truncate,unlink,"
    "unlinkat,rmdir"
)
_NETWORK = "network,io_uring_setup"
_CALLS = f"{_NETWORK},{_SETTING_FILE},{_NAMING},chdir,fchdir"
_LINE = re.compile(r"^(?P<process>\d+) +(?P<rest>.*)$")
_CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
_UNIX_NAME = re.compile(r'sa_family=AF_UNIX, sun_path=(?P<abstract>@?)"(?P<path>[^"]*)"')
_OTHER_FAMILY = re.compile(r"sa_family=(?!AF_UNIX|AF_UNSPEC)\w+")
_INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "LC_ALL")
_LEFT_OUT = re.compile(r"^/dev/(null|tty|zero|urandom)$|/__pycache__(/|$)")


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A program that has ended."""

    code: int
    out: str
    err: str
    network: tuple[str, ...]
    """Calls that use the network, as strace prints them."""
    written: frozenset[Path]
    """Absolute paths."""


@dataclass(frozen=True)
class Place:
    """Folders of one traced run: all that is in its environment lies within."""

    folder: Path

    @property
    def home(self) -> Path:
        """HOME."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.folder / "tmp"

    @property
    def work(self) -> Path:
        """The current folder, where outputs go."""
        return self.folder / "work"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who has set nothing.

        Nothing in it shows that this is CI: libraries look for that, and report nothing from there.
        """
        kept = {name: value for name, value in environment().items() if name in _INHERITED}
        # Without USER, PyTorch asks the system for the name, through nscd as a look-up of hosts would.
        names = {"USER": "somebody", "LOGNAME": "somebody"}
        folders = {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return {**kept, **names, **folders, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def new_place(folder: Path) -> Place:
    """Empty folders for a run."""
    place = Place(folder.resolve())
    for one in (place.home, place.temporary, place.work):
        one.mkdir(parents=True, exist_ok=True)
    return place


def need_strace() -> None:
    """Skip the test if nothing can be traced here; in CI, where strace is installed, fail."""
    if (why := _why_no_strace()) is not None:
        if os.environ.get("CI"):
            pytest.fail(f"{why}; install it: make system-packages")
        pytest.skip(why)


@functools.cache
def _why_no_strace() -> str | None:
    if sys.platform != "linux":
        return "strace is Linux's"
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"strace may not trace here ({done.stderr.strip()[-200:]})"


@functools.cache
def _filtering() -> tuple[str, ...]:
    """The option that stops a program at the traced calls alone: less than half the cost."""
    option = ("--seccomp-bpf",)
    trial = ["strace", "-f", *option, "-e", "trace=chdir", "-o", os.devnull, "true"]
    done = subprocess.run(trial, capture_output=True, text=True)
    return option if done.returncode == 0 and not done.stderr.strip() else ()


@functools.cache
def empty_network() -> tuple[str, ...] | None:
    """What to put before a command line for an empty network namespace; None if not permitted."""
    command = ("unshare", "--user", "--map-root-user", "--net")
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return None
    done = subprocess.run([*command, "true"], capture_output=True)
    return command if done.returncode == 0 else None


@contextmanager
def tracing(
    command: tuple[str, ...],
    *arguments: object,
    place: Place,
    offline: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A program under strace, and the file of what was traced, complete once the program has ended."""
    log = place.folder / "trace"
    before = (empty_network() or ()) if offline else ()
    strace = (
        "strace",
        "-f",
        *_filtering(),
        "-qq",
        "-y",
        "-s",
        "4096",
        "-e",
        f"trace={_CALLS}",
        "-o",
        str(log),
    )
    process = subprocess.Popen(
        [*before, *strace, *command, *map(str, arguments)],
        cwd=place.work,
        env={**place.environment, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def trace(command: tuple[str, ...], *arguments: object, place: Place, offline: bool = False) -> Traced:
    """Run a program to its end.

    Args:
        command: the program, such as `CLI`.
        arguments: its arguments.
        place: its folders.
        offline: whether to run it in an empty network namespace.
    """
    with tracing(command, *arguments, place=place, offline=offline) as (process, log):
        out, err = process.communicate(timeout=300)
    network, written = read_trace(log, place)
    return Traced(code=process.returncode, out=out, err=err, network=network, written=written)


def read_trace(log: Path, place: Place) -> tuple[tuple[str, ...], frozenset[Path]]:
    """Network calls and written paths of a file of strace's."""
    network: list[str] = []
    written: set[Path] = set()
    for call, arguments in _calls(log):
        if call in ("chdir", "fchdir"):
            # Relative paths are taken to be in the folder that the program was started in.
            assert f'"{place.work}"' in arguments or f"<{place.work}>" in arguments, f"{call}({arguments}"
        elif call in _SETTING_FILE.split(",") or call in _NAMING.split(","):
            opens = call in ("open", "openat", "openat2")
            if arguments.rpartition(" = ")[2].startswith("-1 ") or (opens and not _WRITING.search(arguments)):
                continue
            for found in _PATH.finditer(arguments):
                path = found["path"].encode().decode("unicode_escape")
                folder = Path(found["folder"] or place.work)
                written.add(Path(os.path.normpath(folder / path)))
        elif _is_network(call, arguments, place):
            network.append(f"{call}({arguments}")
    return tuple(network), frozenset(path for path in written if not _LEFT_OUT.search(str(path)))


def _calls(log: Path) -> Iterator[tuple[str, str]]:
    """Name and the rest of each call, put together if another process's came in between."""
    unfinished: dict[str, str] = {}
    for line in log.read_text(errors="backslashreplace").splitlines():
        if (found := _LINE.match(line)) is None:
            continue
        process, rest = found["process"], found["rest"]
        if (resumed := _RESUMED.match(rest)) is not None:
            rest = unfinished.pop(process, "") + resumed[1]
        elif rest.endswith("<unfinished ...>"):
            unfinished[process] = rest.removesuffix("<unfinished ...>")
            continue
        if (call := _CALL.match(rest)) is not None:
            yield call["name"], call["arguments"]
    for rest in unfinished.values():  # the process has ended in them
        if (call := _CALL.match(rest)) is not None:
            yield call["name"], call["arguments"]


def _is_network(call: str, arguments: str, place: Place) -> bool:
    if call == "io_uring_setup":
        return True
    if call == "socket":
        return not arguments.startswith("AF_UNIX,")
    if (name := _UNIX_NAME.search(arguments)) is not None and call != "socketpair":
        return bool(name["abstract"]) or not Path(name["path"]).is_relative_to(place.folder)
    return _OTHER_FAMILY.search(arguments) is not None
