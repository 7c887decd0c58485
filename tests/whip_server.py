"""A small WHIP endpoint, in a process of its own: prints a line of JSON for each thing that happens.

python whip_server.py PORT_FILE [--codec VP8] [--status 401] [--redirect] [--silent]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aioice.ice
import numpy as np
import uvicorn
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []


def note(**values: Any) -> None:
    print(json.dumps(values), flush=True)


async def watch(track: Any) -> None:
    """Report the first frame, and every 25th: size and brightness, or loudness."""
    count = 0
    while True:
        try:
            frame = await track.recv()
        except Exception:
            note(event="end", kind=track.kind, frames=count)
            return
        count += 1
        if count % 25 == 1:
            samples = frame.to_ndarray() if track.kind == "audio" else frame.to_ndarray(format="gray")
            size = [frame.samples] if track.kind == "audio" else [frame.width, frame.height]
            level = float(np.abs(samples.astype(float)).mean())
            note(event="frame", kind=track.kind, count=count, size=size, level=level)


def app(options: argparse.Namespace) -> Starlette:
    connections: list[RTCPeerConnection] = []
    watching: list[asyncio.Task[None]] = []

    async def publish(request: Request) -> Response:
        offer = (await request.body()).decode()
        note(
            event="post",
            path=request.url.path,
            token=request.headers.get("authorization"),
            type=request.headers.get("content-type"),
            sends=offer.count("a=sendonly"),
        )
        if options.status:
            return Response(status_code=options.status)
        if options.redirect and request.url.path == "/whip":
            return Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": "/moved"})
        if options.nonsense:
            return Response("<html>hello</html>", status_code=201)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)

        @connection.on("track")
        def _(track: Any) -> None:
            watching.append(asyncio.create_task(watch(track)))

        if options.codec != "H264":
            lines = offer.splitlines()
            drop = {line.split(":")[1].split()[0] for line in lines if "a=rtpmap" in line and "H264" in line}
            offer = "\r\n".join(_without(line, drop) for line in lines if not _of(line, drop)) + "\r\n"
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        headers = {"Location": "/session/1"}
        sdp = connection.localDescription.sdp
        if options.silent:
            await connection.close()
        return Response(sdp, status_code=201, media_type="application/sdp", headers=headers)

    async def end(request: Request) -> Response:
        note(event="delete", token=request.headers.get("authorization"))
        for connection in connections:
            await connection.close()
        return Response()

    return Starlette(
        routes=[
            Route("/whip", publish, methods=["POST"]),
            Route("/moved", publish, methods=["POST"]),
            Route("/session/1", end, methods=["DELETE"]),
        ]
    )


def _of(line: str, types: set[str]) -> bool:
    return line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb")) and line.split(":")[1].split()[0] in types


def _without(line: str, types: set[str]) -> str:
    if not line.startswith("m=video"):
        return line
    return " ".join(part for part in line.split(" ") if part not in types)


class Server(uvicorn.Server):
    """Writes its port to a file when it listens."""

    port_file: Path

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.port_file.write_text(str(self.servers[0].sockets[0].getsockname()[1]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file", type=Path)
    parser.add_argument("--codec", default="H264")
    parser.add_argument("--status", type=int)
    parser.add_argument("--redirect", action="store_true")
    parser.add_argument("--nonsense", action="store_true")
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    server = Server(uvicorn.Config(app(options), host="127.0.0.1", port=0, log_level="error"))
    server.port_file = options.port_file
    server.run()
