"""What tests of the live studio share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

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
