"""Memory of the studio over many sessions: prints what its process holds after each tenth.

    python benchmarks/memory.py --sessions 50

Each session is listened to over WebRTC, reads a text at a pace of its own, pushes sound, is recorded, and
ends. Linux. Ends with the table of docs/benchmarks/serving.md and a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import aioice.ice
from serving import Listener, ask, studio

SCRIPT = "Good evening. Here is the news."
PACES = [0.8 + 0.05 * step for step in range(10)]


def memory_mb(pid: int) -> dict[str, int]:
    """Resident memory, the part of it that is this process's alone, and threads."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return {
        "rss": kib["Rss"] >> 10,
        "private": (kib["Private_Clean"] + kib["Private_Dirty"]) >> 10,
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
    }


async def session(address: str, *, pace: float, talk_seconds: float) -> None:
    """One session, from its start to its end."""
    listener = await asyncio.to_thread(Listener, address, speed=pace)
    path = listener.path
    await listener.listen()
    await asyncio.to_thread(ask, address, f"{path}/recording", "POST", {})
    with suppress(OSError):  # no voice is installed
        await asyncio.to_thread(ask, address, f"{path}/say", "POST", {"text": SCRIPT})
    await listener.talk(talk_seconds)
    await asyncio.to_thread(ask, address, f"{path}/recording/stop", "POST", {})
    await asyncio.to_thread(ask, address, path, "DELETE")
    await listener.connection.close()


async def measure(address: str, pid: int, *, sessions: int) -> dict[str, Any]:
    """Memory before the first session, and after some of them."""
    found = {"0": memory_mb(pid)}
    print(0, found["0"], flush=True)
    for number in range(1, sessions + 1):
        await session(address, pace=PACES[number % len(PACES)], talk_seconds=1.0)
        if number in (1, 2, 5) or number % 10 == 0:
            found[str(number)] = memory_mb(pid)
            print(number, found[str(number)], flush=True)
    return found


def table(found: dict[str, dict[str, int]]) -> str:
    """The figures as a table in Markdown, a column for each count of sessions."""
    rows = [
        ["sessions", *found],
        ["---"] * (len(found) + 1),
        ["resident memory, MB", *(str(one["rss"]) for one in found.values())],
        ["of this process alone, MB", *(str(one["private"]) for one in found.values())],
        ["threads", *(str(one["threads"]) for one in found.values())],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sessions", type=int, default=50)
    given = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    with studio() as (address, pid):
        found = asyncio.run(measure(address, pid, sessions=given.sessions))
    print(table(found))
    print(json.dumps({"memory": found}))


if __name__ == "__main__":
    main()
