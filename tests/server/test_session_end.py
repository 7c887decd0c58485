"""A session leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from newscaster.server.settings import Settings
from newscaster.server.studio import SessionOptions, Studio
from tiny_anchor import speech_like

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiortc.*")


async def a_session(studio: Studio) -> list[weakref.ref[Any]]:
    """Run a session with a client, speech and a recording, and end it; return references to its objects."""
    session = await studio.begin(SessionOptions())
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("audio", direction="recvonly")
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    answer = await studio.peers.answer(session, connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    studio.recordings.start(session)
    session.push(speech_like(1.0), 16_000)
    for receiver in connection.getReceivers():
        await receiver.track.recv()
    while not session.state().speaking:
        await asyncio.sleep(0.05)
    await studio.recordings.stop(session)
    (peer,) = studio.peers._peers[session.id]
    objects = (session, session.live, peer, peer.connection, peer.images)
    references = [weakref.ref(item) for item in objects]
    await studio.end(session)
    await connection.close()
    return references


@pytest.mark.slow
def test_nothing_of_a_session_is_kept(tiny: Path, tmp_path: Path) -> None:
    others = set(threading.enumerate())  # of earlier tests in this process

    async def run() -> tuple[list[object], list[str]]:
        async with (
            Studio(Settings(anchors=(str(tiny),), keep=tmp_path)).open() as studio,
            asyncio.timeout(120),
        ):
            references = [reference for _ in range(2) for reference in await a_session(studio)]
            while True:
                gc.collect()
                left = [item for reference in references if (item := reference()) is not None]
                threads = [
                    thread.name
                    for thread in threading.enumerate()
                    if thread not in others
                    and thread.name.startswith(("newscaster-live", "newscaster-reader", "newscaster-rec"))
                ]
                if not left and not threads:
                    return left, threads
                del left
                await asyncio.sleep(0.1)

    assert asyncio.run(run()) == ([], [])
