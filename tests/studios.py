"""What tests of the live studio share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.testclient import TestClient

from fresh_python import environment

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


@contextmanager
def serving(*options: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A studio in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "newscaster.cli", "serve", *map(str, options), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), **variables},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        end_group(process)


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
