"""What a WebRTC viewer of a session costs the studio, in processor time for each frame sent.

    python benchmarks/fan_out.py [--viewers 20] [--frames 250]

Frames of the bundled anchor are made before, so that encoding, packets, encryption and sending are measured
alone, at their pace of 25 per second. The viewers are in another process, on loopback. Processor time does
not depend on other load, apart from caches; frames that a loaded machine drops are not counted. Ends with
one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # a sound like speech

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription  # noqa: E402

import newscaster  # noqa: E402
from newscaster.server.settings import Limits  # noqa: E402
from newscaster.server.webrtc import Peers, listen_on  # noqa: E402
from newscaster.synthesis.live_frame import LiveFrame  # noqa: E402
from tiny_anchor import speech_like  # noqa: E402

MADE = 120


class Session:
    """A session whose frames are made before."""

    id = "session"

    def __init__(self, fps: Any) -> None:
        self.info = SimpleNamespace(fps=fps)
        self.sinks: list[Any] = []

    def add(self, sink: Any) -> None:
        self.sinks.append(sink)

    def remove(self, sink: Any) -> None:
        if sink in self.sinks:
            self.sinks.remove(sink)

    def used(self) -> Any:
        return nullcontext()


def watch(pipe: Connection, count: int) -> None:
    """Receive the session `count` times, and count the frames, until the pipe closes."""

    async def run() -> None:
        listen_on(["127.0.0.1"])
        arrived = [0] * count
        connections = [RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(count)]
        tasks = []
        for number, connection in enumerate(connections):
            for kind in ("audio", "video"):
                connection.addTransceiver(kind, direction="recvonly")
            await connection.setLocalDescription(await connection.createOffer())
            pipe.send(connection.localDescription.sdp)
            answer = await asyncio.to_thread(pipe.recv)
            await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            tasks += [
                asyncio.ensure_future(receive(receiver.track, arrived, number))
                for receiver in connection.getReceivers()
            ]
        await asyncio.to_thread(pipe.recv)
        pipe.send(arrived)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(connection.close() for connection in connections))

    asyncio.run(run())


async def receive(track: Any, arrived: list[int], number: int) -> None:
    while True:
        try:
            await track.recv()
        except Exception:
            return
        arrived[number] += track.kind == "video"


async def send(frames: list[LiveFrame], fps: Any, viewers: int, count: int) -> dict[str, float]:
    """Send frames to viewers in another process; return what that costs."""
    pipe, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=watch, args=(theirs, viewers), daemon=True)
    process.start()
    session, peers = Session(fps), Peers(Limits(viewers=viewers, connect_seconds=120, stall_seconds=120))
    for _ in range(viewers):
        offer = await asyncio.to_thread(pipe.recv)
        pipe.send(await peers.answer(session, offer, view_only=True))  # type: ignore[arg-type]
    connected = [peer.connection for peer in peers._peers[session.id]]
    while any(connection.connectionState != "connected" for connection in connected):
        await asyncio.sleep(0.05)
    spent = 0.0
    for number in range(count + 25):
        if number == 25:  # the encoders are open
            spent = time.process_time()
        due = time.perf_counter() + float(1 / fps)
        for sink in tuple(session.sinks):
            sink.push(replace(frames[number % MADE], number=number))
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    spent = time.process_time() - spent
    await asyncio.sleep(0.5)
    pipe.send(None)
    arrived = await asyncio.to_thread(pipe.recv)
    await peers.hang_up(session)  # type: ignore[arg-type]
    process.join(timeout=30)
    return {
        "viewers": viewers,
        "ms_per_frame": round(1000 * spent / count, 2),
        "arrived_least": min(arrived),
        "arrived_most": max(arrived),
        "sent": count + 25,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--frames", type=int, default=250)
    given = parser.parse_args()
    listen_on(["127.0.0.1"])
    anchor = newscaster.open("grid-s1")
    with anchor.live() as live:
        live.push(speech_like(6.0))
        live.flush()
        frames = list(itertools.islice(live.frames(paced=False), MADE))
    found = asyncio.run(send(frames, anchor.info.fps, given.viewers, given.frames))
    for name, value in found.items():
        print(f"{name:<16} {value}")
    print(json.dumps({"fan_out": found}))


if __name__ == "__main__":
    main()
