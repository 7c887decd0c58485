"""The live studio under load, before clients that misbehave, and in a browser: prints what it reaches.

    python benchmarks/serving.py load --clients 3 --seconds 30
    python benchmarks/serving.py viewers --clients 20
    python benchmarks/serving.py hls --clients 100
    python benchmarks/serving.py browser
    python benchmarks/serving.py faults

Each starts a studio of its own, on loopback, with the built-in anchor. `load`: WebRTC listeners, which talk
all the time; frames are counted where they arrive. `viewers`: one session, and many who watch it; `hls`: the
same by HLS. `browser`: Chromium; from the key that stops talking to silence and to the closed mouth on its
screen, and how picture and sound go together. `faults`: clients that vanish, send nonsense, stall and push
too fast, beside one that behaves. Every part ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the browser, and a sound like speech

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

import newscaster  # noqa: E402
from browsing import browser_page, figures, find_chromium, heard, mouth_box, seen, watch  # noqa: E402
from tiny_anchor import speech_like  # noqa: E402

RATE = 16_000
QUIET = 0.004
TARGET_MS = 10_500
"""A little more than the built-in anchor's stage lasts."""
SCRIPT = "Wow, far away!\n\nFive bars.\n\nOh, how wide.\n\nAll are out now."


@contextmanager
def studio(anchor: str = "builtin") -> Iterator[tuple[str, int]]:
    """Address and process of a studio."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "newscaster.cli",
                "serve",
                anchor,
                "--port",
                "0",
                "--no-token",
                "--data-dir",
                folder,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def ask(address: str, path: str, method: str = "GET", content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        address + path, data, {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        body = reply.read()
    return json.loads(body) if body else None


def cpu_seconds(pid: int) -> float:
    """Processor time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def others_busy(seconds: float = 2.0) -> float:
    """Cores that are busy before anything is measured."""

    def spent() -> tuple[float, float]:
        values = [float(v) for v in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(values) - values[3] - values[4], sum(values)

    busy, total = spent()
    time.sleep(seconds)
    after, total_after = spent()
    return (after - busy) / (total_after - total) * (os.cpu_count() or 1)


class Listener:
    """A WebRTC listener that counts what arrives."""

    def __init__(self, address: str, *, session: dict[str, Any] | None = None, **wanted: float) -> None:
        self.address = address
        self.door = "webrtc" if session is None else "viewers"
        self.session = session or ask(address, "/v1/sessions", "POST", wanted)
        self.path = f"/v1/sessions/{self.session['id']}"
        self.arrived: list[float] = []
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def listen(self) -> None:
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = {"type": "offer", "sdp": self.connection.localDescription.sdp}
        answer = await asyncio.to_thread(ask, self.address, f"{self.path}/{self.door}", "POST", offer)
        await self.connection.setRemoteDescription(RTCSessionDescription(**answer))
        self._counting = [
            asyncio.ensure_future(self._count(receiver.track)) for receiver in self.connection.getReceivers()
        ]

    async def _count(self, track: Any) -> None:
        while True:
            try:
                await track.recv()
            except Exception:
                return
            if track.kind == "video":
                self.arrived.append(time.perf_counter())

    async def talk(self, seconds: float) -> None:
        """Push sound at the pace of a microphone."""
        pcm = (speech_like(seconds + 2) * 32767).astype("<i2").tobytes()
        step = RATE // 50 * 2
        address = self.address.replace("http", "ws") + f"{self.path}/socket"
        async with connect(address) as socket:
            reading = asyncio.ensure_future(_drain(socket))
            began = time.perf_counter()
            for number, first in enumerate(range(0, len(pcm), step)):
                await socket.send(pcm[first : first + step])
                await asyncio.sleep(max(0.0, began + number * 0.02 - time.perf_counter()))
            reading.cancel()


async def _drain(socket: Any) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass


async def load(address: str, pid: int, *, clients: int, seconds: float) -> dict[str, Any]:
    """Frames that arrive at listeners which talk all the time."""
    everybody = [Listener(address) for _ in range(clients)]
    await asyncio.gather(*(one.listen() for one in everybody))
    talking = [asyncio.ensure_future(one.talk(seconds + 4)) for one in everybody]
    await asyncio.sleep(3)
    before = [ask(address, one.path)["state"] for one in everybody]
    counts, spent, own, began = (
        [len(one.arrived) for one in everybody],
        cpu_seconds(pid),
        time.process_time(),
        time.perf_counter(),
    )
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    arrived = [len(one.arrived) - count for one, count in zip(everybody, counts, strict=True)]
    after = [ask(address, one.path)["state"] for one in everybody]
    made = [b["shown"] - a["shown"] for a, b in zip(before, after, strict=True)]
    dropped = [b["dropped"] - a["dropped"] for a, b in zip(before, after, strict=True)]
    result = {
        "listeners": clients,
        "seconds": round(took, 1),
        "frames_per_second": [round(n / took, 2) for n in arrived],
        "dropped_percent": [round(100 * d / max(1, d + m), 2) for d, m in zip(dropped, made, strict=True)],
        "lost_on_the_way": [m - n for m, n in zip(made, arrived, strict=True)],
        "delay_ms": [state["delay_ms"] for state in after],
        "studio_cores": round((cpu_seconds(pid) - spent) / took, 2),
        "listeners_cores": round((time.process_time() - own) / took, 2),
    }
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    for one in everybody:
        await one.connection.close()
        ask(address, one.path, "DELETE")
    return result


async def viewers(address: str, pid: int, *, count: int, seconds: float) -> dict[str, Any]:
    """One session that talks all the time, and its viewers: frames that arrive, and the studio's cores."""
    first = Listener(address)
    everybody = [first, *(Listener(address, session=first.session) for _ in range(count - 1))]
    for one in everybody:
        await one.listen()
    talking = asyncio.ensure_future(first.talk(seconds + 4))
    await asyncio.sleep(3)
    counts, spent, began = [len(one.arrived) for one in everybody], cpu_seconds(pid), time.perf_counter()
    before = ask(address, first.path)["state"]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    after = ask(address, first.path)["state"]
    arrived = [len(one.arrived) - n for one, n in zip(everybody, counts, strict=True)]
    result = {
        "viewers": count,
        "frames_per_second_made": round((after["shown"] - before["shown"]) / took, 2),
        "frames_per_second": [round(n / took, 2) for n in arrived],
        "studio_cores": round((cpu_seconds(pid) - spent) / took, 2),
    }
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    for one in everybody:
        await one.connection.close()
    ask(address, first.path, "DELETE")
    return result


class HlsViewer:
    """A player of HLS on one connection: it takes each segment once, as soon as the playlist has it."""

    def __init__(self, address: str, path: str) -> None:
        self.host, self.port = address.removeprefix("http://").split(":")
        self.path = path
        self.segments: list[float] = []
        self.bytes = self.missed = 0

    async def watch(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, int(self.port))
        last: int | None = None
        while True:
            lines = (await self._get("live.m3u8")).decode().splitlines()
            first = next(int(line.split(":")[1]) for line in lines if "MEDIA-SEQUENCE" in line)
            for number, name in enumerate((line for line in lines if line[:1] != "#"), first):
                if last is not None and number <= last:
                    continue
                self.missed += 0 if last is None else number - last - 1
                last = number
                self.bytes += len(await self._get(name))
                self.segments.append(time.perf_counter())
            await asyncio.sleep(0.5)  # half a segment, as RFC 8216 has it when nothing is new

    async def _get(self, name: str) -> bytes:
        request = f"GET {self.path}/{name} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n"
        self.writer.write(request.encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line[:15] == b"content-length:"
        )
        return await self.reader.readexactly(length)


async def hls(address: str, pid: int, *, count: int, seconds: float) -> dict[str, Any]:
    """One session that talks all the time, and its viewers by HLS: what they get, and the studio's cores."""
    first = Listener(address)
    talking = asyncio.ensure_future(first.talk(seconds + 10))
    everybody = [HlsViewer(address, f"{first.path}/hls") for _ in range(count)]
    watching = [asyncio.ensure_future(one.watch()) for one in everybody]
    await asyncio.sleep(6)
    counts = [(len(one.segments), one.bytes) for one in everybody]
    spent, own, began = cpu_seconds(pid), time.process_time(), time.perf_counter()
    before = ask(address, first.path)["state"]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    after = ask(address, first.path)["state"]
    got = [len(one.segments) - n for one, (n, _) in zip(everybody, counts, strict=True)]
    sent = sum(one.bytes - n for one, (_, n) in zip(everybody, counts, strict=True))
    result = {
        "viewers": count,
        "frames_per_second_made": round((after["shown"] - before["shown"]) / took, 2),
        "segments_per_second": [round(min(got) / took, 2), round(max(got) / took, 2)],
        "missed": sum(one.missed for one in everybody),
        "broken": sum(task.done() for task in watching),
        "megabits_per_second": round(8e-6 * sent / took, 1),
        "studio_cores": round((cpu_seconds(pid) - spent) / took, 2),
        "viewers_cores": round((time.process_time() - own) / took, 2),
    }
    for task in (talking, *watching):
        task.cancel()
    await asyncio.gather(talking, *watching, return_exceptions=True)
    ask(address, first.path, "DELETE")
    return result


def browser(address: str, *, trials: int, anchor: str) -> dict[str, Any]:
    """In Chromium: from the stop key to silence and a closed mouth; how the mouth goes with the sound."""
    chromium = find_chromium()
    assert chromium, "no Chromium; NEWSCASTER_CHROMIUM names one"
    box = mouth_box(newscaster.open(anchor))
    silent, closed, page_silent = [], [], []
    with browser_page(chromium) as page:
        page.goto(address)
        page.click("#go-live")
        page.wait_for_selector("#screen.is-live")
        watch(page, box)
        page.wait_for_timeout(TARGET_MS)  # the head moves about; a mouth at rest is darkest once in a round
        rest = seen(page)[:, 1]
        least = rest.min() - 0.5 * np.ptp(rest)
        page.fill("#script", SCRIPT)
        page.press("#script", "Control+Enter")
        page.wait_for_selector("#status[data-state=talking]")
        page.wait_for_selector("#status[data-state=live]")
        page.wait_for_timeout(1000)
        agreement = together(seen(page), heard(page))
        page.fill("#script", "Far away bars are all out now, and wide open, and on and on and on. " * 4)
        for trial in range(trials):
            page.press("#script", "Control+Enter")
            page.wait_for_selector("#status[data-state=talking]")
            page.wait_for_timeout(2500 + 170 * trial)
            stopped = page.evaluate(
                "() => { const t = performance.now();"
                " document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));"
                " return [t, document.getElementById('video').muted]; }"
            )
            page.wait_for_timeout(2000)
            began, muted = stopped
            page_silent.append(bool(muted))
            audios, frames = heard(page), seen(page)
            loud = audios[(audios[:, 0] > began) & (audios[:, 1] > QUIET), 0]
            silent.append(float(loud.max() - began) if len(loud) else 0.0)
            later = frames[frames[:, 0] > began]
            opened = later[later[:, 1] < least, 0]
            closed.append(float(opened.max() - began) if len(opened) else 0.0)
        stream = figures(page)
    video, audio = stream["video"], stream["audio"]
    return {
        "trials": trials,
        "page_mutes_at_once": all(page_silent),
        "stop_to_silence_in_the_stream_ms": told(silent),
        "stop_to_closed_mouth_ms": told(closed),
        "mouth_with_sound_r": agreement,
        "frames_decoded": video["framesDecoded"],
        "frames_dropped_by_browser": video.get("framesDropped", 0),
        "picture_buffer_ms": round(1000 * video["jitterBufferDelay"] / video["jitterBufferEmittedCount"]),
        "sound_buffer_ms": round(1000 * audio["jitterBufferDelay"] / audio["jitterBufferEmittedCount"]),
    }


def told(values: list[float]) -> dict[str, int]:
    return {"median": round(float(np.median(values))), "worst": round(max(values))}


def together(frames: np.ndarray, audios: np.ndarray) -> dict[str, float]:
    """How opening and loudness go together: the best lag (picture after sound) and correlation there."""
    clock = np.arange(frames[0, 0], frames[-1, 0], 20)
    smooth, edge = np.ones(10) / 10, 25
    opening = np.convolve(np.interp(clock, frames[:, 0], -frames[:, 1]), smooth, "valid")
    volume = np.convolve(np.interp(clock, audios[:, 0], audios[:, 1]), smooth, "valid")[edge:-edge]
    found = {
        20 * lag: float(np.corrcoef(volume, np.roll(opening, -lag)[edge:-edge])[0, 1])
        for lag in range(-edge, edge + 1)
    }
    best = max(found, key=found.__getitem__)
    return {"lag_ms": best, "r": round(found[best], 2), "r_at_0": round(found[0], 2)}


async def faults(address: str, pid: int, *, seconds: float) -> dict[str, Any]:
    """One listener that behaves, beside all that do not: what it loses, and what the others are told."""
    steady = Listener(address)
    await steady.listen()
    talking = asyncio.ensure_future(steady.talk(seconds + 130))
    await asyncio.sleep(2)
    begin = ask(address, steady.path)["state"]
    arrived, began = len(steady.arrived), time.perf_counter()
    told_to = await asyncio.gather(
        vanish(address), nonsense(address), stall(address), push_too_fast(address), upload_slowly(address)
    )
    await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - began)))
    took = time.perf_counter() - began
    end = ask(address, steady.path)["state"]
    result = {
        **dict(zip(("vanished", "nonsense", "stalled", "pushed", "uploaded"), told_to, strict=True)),
        "steady_frames_per_second": round((len(steady.arrived) - arrived) / took, 2),
        "steady_dropped_percent": round(
            100 * (end["dropped"] - begin["dropped"]) / max(1, took * steady.session["fps"]), 2
        ),
        "studio_alive": ask(address, "/v1/health")["status"] == "ok",
    }
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    await steady.connection.close()
    ask(address, steady.path, "DELETE")
    return result


async def vanish(address: str) -> str:
    """Clients whose connection is cut in the middle."""
    for _ in range(5):
        socket = await connect(address.replace("http", "ws") + "/v1/stream")
        await socket.send(json.dumps({"output": "mp4"}))
        await socket.recv()
        socket.transport.abort()
    return "5 cut off"


async def nonsense(address: str) -> str:
    refused = 0
    async with connect(address.replace("http", "ws") + "/v1/stream") as socket:
        await socket.send(json.dumps({"output": "none"}))
        for junk in ("{", "[]", '{"type": 7}', b"abc", os.urandom(999), '{"type":"sound","rate":"x"}') * 5:
            await socket.send(junk)
        until = time.perf_counter() + 3
        while time.perf_counter() < until:
            message = json.loads(await socket.recv())
            refused += message["type"] == "refused"
    return f"{refused} of 30 messages refused, connection kept"


async def stall(address: str) -> str:
    """A client that takes nothing of what it asked for."""
    socket = await connect(address.replace("http", "ws") + "/v1/stream")
    await socket.send(json.dumps({"output": "frames"}))
    known = json.loads(await socket.recv())["id"]
    socket.transport.pause_reading()
    began = time.perf_counter()
    while time.perf_counter() - began < 120:
        await asyncio.sleep(1)
        try:
            await asyncio.to_thread(ask, address, f"/v1/sessions/{known}")
        except urllib.error.HTTPError:
            socket.transport.abort()
            return f"session ended after {time.perf_counter() - began:.0f} s"
    socket.transport.abort()
    return "still there after 120 s"


async def push_too_fast(address: str) -> str:
    refused = accepted = 0
    async with connect(address.replace("http", "ws") + "/v1/stream") as socket:
        await socket.send(json.dumps({"output": "none"}))
        second = (speech_like(1.0) * 32767).astype("<i2").tobytes()
        for _ in range(200):
            await socket.send(second)
        until = time.perf_counter() + 3
        while time.perf_counter() < until:
            message = json.loads(await socket.recv())
            refused += message["type"] == "refused"
        accepted = 200 - refused
    return f"{accepted} s of sound taken, {refused} s refused"


async def upload_slowly(address: str) -> str:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/jobs/audio HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9999\r\n\r\nRIFF".encode()
    )
    await writer.drain()
    answer = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    return answer.decode().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["load", "viewers", "hls", "browser", "faults"])
    parser.add_argument("--anchor", default="builtin")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--trials", type=int, default=10)
    given = parser.parse_args()
    busy = others_busy()
    with studio(given.anchor) as (address, pid):
        if given.part == "load":
            found = asyncio.run(load(address, pid, clients=given.clients, seconds=given.seconds))
        elif given.part == "viewers":
            found = asyncio.run(viewers(address, pid, count=given.clients, seconds=given.seconds))
        elif given.part == "hls":
            found = asyncio.run(hls(address, pid, count=given.clients, seconds=given.seconds))
        elif given.part == "browser":
            found = browser(address, trials=given.trials, anchor=given.anchor)
        else:
            found = asyncio.run(faults(address, pid, seconds=given.seconds))
    found["cores_busy_before"] = round(busy, 2)
    for name, value in found.items():
        print(f"{name:<34} {value}")
    print(json.dumps({given.part: found}))


if __name__ == "__main__":
    main()
