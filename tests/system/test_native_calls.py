"""System calls that not every system has: what happens without them, and who may make them."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from newscaster.system import native_calls

SRC = Path(__file__).parents[2] / "src" / "newscaster"
MODULES = {
    "crypt",
    "fcntl",
    "grp",
    "msvcrt",
    "posix",
    "pty",
    "pwd",
    "resource",
    "syslog",
    "termios",
    "tty",
    "winreg",
}
NAMES = {
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "SCHED_BATCH", "chown", "fchmod", "fchown"),
    *(
        "fork",
        "forkpty",
        "getegid",
        "geteuid",
        "getgid",
        "getloadavg",
        "getpgid",
        "getsid",
        "getuid",
        "getxattr",
    ),
    *(
        "initgroups",
        "killpg",
        "lchown",
        "listxattr",
        "mkfifo",
        "mknod",
        "nice",
        "openpty",
        "sched_getaffinity",
    ),
    *(
        "sched_setaffinity",
        "sched_setscheduler",
        "set_blocking",
        "setpriority",
        "setsid",
        "setxattr",
        "statvfs",
    ),
    *("sysconf", "uname", "wait3", "wait4", "waitpid", "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE"),
    *("SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2", "setitimer", "alarm", "pause", "sigwait", "pthread_kill"),
}


def calls_of_one_system(path: Path, *, at_import: bool = False) -> list[str]:
    """Each import and attribute of these lists in a module, unless `hasattr` asks for it in the module.

    Args:
        path: of the module.
        at_import: only what runs when the module is imported, up to a `pytest.importorskip` of these modules.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(run_at_import(tree.body) if at_import else ast.walk(tree))
    asked = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "hasattr"
        and isinstance(node.args[1], ast.Constant)
    }
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: {one.name}" for one in node.names if one.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in MODULES:
            found.append(f"{node.lineno}: {node.module}")
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("os", "signal")
            and node.attr in NAMES - asked
        ):
            found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
    return found


def run_at_import(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for node in nodes:
        if isinstance(node, ast.Assign) and is_skip(node.value):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
            yield from run_at_import([*node.decorator_list, *defaults])
        elif not isinstance(node, ast.Lambda):
            yield node
            yield from run_at_import(ast.iter_child_nodes(node))


def is_skip(node: ast.expr) -> bool:
    is_call = isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip"
    return is_call and isinstance(node.args[0], ast.Constant) and node.args[0].value in MODULES


def test_only_system_makes_calls_that_one_system_lacks() -> None:
    found = {
        path.relative_to(SRC).as_posix(): calls
        for path in SRC.rglob("*.py")
        if path.parent.name != "system" and (calls := calls_of_one_system(path))
    }
    assert found == {}


def test_such_calls_are_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import os, fcntl\nos.fork()\nif hasattr(os, 'nice'):\n    os.nice(1)\nos.replace(a, b)\n"
    )
    assert calls_of_one_system(module) == ["1: fcntl", "2: os.fork"]
    module.write_text(
        "import signal\n@run(signal.SIGHUP)\ndef one(number=signal.SIGKILL):\n    signal.SIGQUIT\n"
        "import pytest\npty = pytest.importorskip('pty')\nall = [signal.SIGUSR1]\n"
    )
    assert calls_of_one_system(module, at_import=True) == ["2: signal.SIGHUP", "3: signal.SIGKILL"]


def test_tests_can_be_collected_on_every_system() -> None:
    tests = SRC.parents[1] / "tests"
    found = {
        path.relative_to(tests).as_posix(): calls
        for path in tests.rglob("*.py")
        if (calls := calls_of_one_system(path, at_import=True))
    }
    assert found == {}


def test_without_the_calls_of_unix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fcntl", "resource", "termios"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    for name in ("killpg", "sched_setscheduler", "set_blocking", "sysconf"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.delattr(signal, "SIGKILL", raising=False)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("sys.version_info", (3, 11, 7))
    native_calls.set_nonblocking(0)
    native_calls.preempt_less()
    native_calls.allow_open_files(1)
    assert native_calls.memory_limit_bytes() is None
    assert native_calls.total_memory_bytes() is None
    assert native_calls.unacknowledged_bytes(0) == 0
    ended = []

    class Process:
        def kill(self) -> None:
            ended.append(self)

    native_calls.end_group(Process())  # type: ignore[arg-type]
    assert len(ended) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits and groups are those of Unix")
def test_on_unix(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = {
        resource.RLIMIT_NOFILE: (256, 1000),
        resource.RLIMIT_AS: (5 << 20, -1),
        resource.RLIMIT_DATA: (-1, -1),
    }
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: set_to.append((kind, limit)))
    native_calls.allow_open_files(4096)
    assert set_to == [(resource.RLIMIT_NOFILE, (1000, 1000))]
    assert native_calls.memory_limit_bytes() == 5 << 20
    total = native_calls.total_memory_bytes()
    assert total is not None
    assert total > 256 << 20
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert native_calls.unacknowledged_bytes(ours.fileno()) == 0
    reader, writer = os.pipe()
    native_calls.set_nonblocking(writer)
    assert not os.get_blocking(writer)
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(sys.platform == "win32", reason="groups are those of Unix")
def test_the_children_of_a_process_end_with_it() -> None:
    command = ["sh", "-c", "sleep 600 & echo started; wait"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    native_calls.end_group(process)
    assert process.wait() == -9
    assert process.stdout.read() == b""  # the child no longer holds the pipe
    process.stdout.close()
    native_calls.end_group(process)  # no effect
