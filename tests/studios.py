"""What tests of the live studio share."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from fresh_python import end_by_signals, environment
from newscaster.server.app import create_app
from newscaster.server.settings import Limits, Settings

ADDRESS = "http://127.0.0.1:8765"
SOCKETS = "ws://127.0.0.1:8765"
TOKEN = "a-token-of-the-tests"
OpenStudio = Callable[..., TestClient]
_PATIENCE_SECONDS = 120.0


def until(what: Callable[[], Any]) -> Any:
    """What is true at last: machines may be slow."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (found := what()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
    return found


def until_more_is_shown(studio: TestClient, session: str, *, frames: int = 3) -> None:
    """Wait until a session has shown more frames than it has by now."""

    def shown() -> int:
        return int(studio.get(f"/v1/sessions/{session}").json()["state"]["shown"])

    goal = shown() + frames
    until(lambda: shown() >= goal)


@contextmanager
def opening(anchor: Path, keep: Path) -> Iterator[OpenStudio]:
    """A function that opens a studio in this process with limits and settings, and returns its client."""
    with ExitStack() as stack:

        def make(*, limits: dict[str, Any] | None = None, **options: Any) -> TestClient:
            settings = Settings(anchors=(str(anchor),), keep=keep, limits=Limits(**(limits or {})), **options)
            client = TestClient(create_app(settings), base_url=ADDRESS, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make


@contextmanager
def serving(
    *options: object, port: int = 0, token: bool = False, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A studio in a process of its own, and the link that it prints.

    Args:
        options: of the command.
        port: 0 is one that is free.
        token: whether the studio makes a token; otherwise it goes without.
        variables: of its environment.
    """
    words = [*map(str, options), "--port", str(port)]
    if not token and "NEWSCASTER_TOKEN" not in variables:
        words.append("--no-token")
    process = subprocess.Popen(
        [sys.executable, "-m", "newscaster.cli", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**{k: v for k, v in environment().items() if k != "NEWSCASTER_TOKEN"}, **variables},
        start_new_session=True,
        preexec_fn=None if sys.platform == "win32" else end_by_signals,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        end_group(process)


_SERVE = """
import json, sys
from pathlib import Path
from newscaster.server.app import serve
from newscaster.server.settings import Limits, Settings
given = json.loads(sys.argv[1])
limits = Limits(**given["limits"])
more = {"anchors": (given["anchor"],), "keep": Path(given["keep"]), "port": 0, "limits": limits}
settings = Settings(**more, drain_seconds=given["drain_seconds"])
serve(settings, started=lambda address: print(address, flush=True))
"""


@contextmanager
def limited(
    anchor: Path, keep: Path, *, drain_seconds: float = 0.0, **limits: float
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A studio with other limits and no token in a process of its own, and its port on 127.0.0.1."""
    options = {"anchor": str(anchor), "keep": str(keep), "drain_seconds": drain_seconds}
    given = json.dumps({**options, "limits": limits})
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield process, int(address.rpartition(":")[2])
    finally:
        end_group(process)


def dial(port: int) -> socket.socket:
    """A connection to a studio; what it waits for must come within the patience of tests."""
    return socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)


def head(start: str, port: int, *headers: str) -> bytes:
    """A request's head: its first line without the version, and headers."""
    return "\r\n".join([f"{start} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]).encode()


def until_closed(connection: socket.socket) -> bytes:
    """All that comes until the studio closes a connection, in whatever way."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process that leads a group, and what it has started: any of them may hold its output open."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def ask(address: str, path: str, content: bytes | None = None, **headers: str) -> Any:
    request = urllib.request.Request(address + path, content, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())
