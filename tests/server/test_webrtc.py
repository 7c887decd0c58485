from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from newscaster.server.fan_out import EncodedStream
from newscaster.server.http_errors import RefusedError
from newscaster.server.session import Session
from newscaster.server.settings import Limits, Settings
from newscaster.server.studio import SessionOptions, Studio
from newscaster.server.webrtc import Peer
from tiny_anchor import speech_like

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiortc.*")
PATIENCE_SECONDS = 60


@asynccontextmanager
async def a_session(tiny: Path, folder: Path, **limits: Any) -> AsyncIterator[tuple[Studio, Session]]:
    settings = Settings(anchors=(str(tiny),), keep=folder, limits=Limits(**limits))
    async with Studio(settings).open() as studio:
        yield studio, await studio.begin(SessionOptions())


async def offering() -> RTCPeerConnection:
    """A connection that offers to receive audio and video."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("audio", direction="recvonly")
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    return connection


async def connect(studio: Studio, session: Session) -> RTCPeerConnection:
    connection = await offering()
    try:
        answer = await studio.peers.answer(session, connection.localDescription.sdp)
    except RefusedError:
        await connection.close()
        raise
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return connection


def test_video_and_audio_arrive(tiny: Path, tmp_path: Path) -> None:
    async def run() -> tuple[set[tuple[int, int]], float, str]:
        async with a_session(tiny, tmp_path) as (studio, session), asyncio.timeout(PATIENCE_SECONDS):
            connection = await connect(studio, session)
            tracks = {receiver.track.kind: receiver.track for receiver in connection.getReceivers()}
            sizes, loudest = set(), 0.0
            for _ in range(5):
                image = await tracks["video"].recv()
                sizes.add((image.width, image.height))
            session.push(speech_like(2.0), 16_000)
            while loudest < 1000:
                frame = await tracks["audio"].recv()
                loudest = max(loudest, float(np.abs(frame.to_ndarray().astype(np.float32)).max()))
            offered = connection.remoteDescription.sdp
            await connection.close()
            return sizes, loudest, offered

    sizes, loudest, answer = asyncio.run(run())
    assert sizes == {(96, 80)}
    assert loudest >= 1000
    hosts = {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")}
    assert hosts == {"127.0.0.1"}  # a studio on loopback opens no other port


def test_packets_state_the_level_of_their_audio(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[int] = []
    receive = RTCRtpReceiver._handle_rtp_packet

    async def noting(receiver: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
        if packet.extensions.audio_level is not None:
            levels.append(-packet.extensions.audio_level[1])
        await receive(receiver, packet, arrival_time_ms)

    async def run() -> None:
        async with a_session(tiny, tmp_path) as (studio, session), asyncio.timeout(PATIENCE_SECONDS):
            connection = await connect(studio, session)
            session.push(speech_like(2.0), 16_000)
            while not levels or max(levels) < -40:
                await asyncio.sleep(0.05)
            await connection.close()

    monkeypatch.setattr(RTCRtpReceiver, "_handle_rtp_packet", noting)
    asyncio.run(run())
    assert -127 <= min(levels) <= max(levels) <= 0


def test_a_client_that_disconnects_frees_its_place(tiny: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            a_session(tiny, tmp_path, clients=1) as (studio, session),
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            first = await connect(studio, session)
            await first.getReceivers()[1].track.recv()
            with pytest.raises(RefusedError, match="1 clients are connected to this session"):
                await connect(studio, session)
            await first.close()
            while True:
                try:
                    second = await connect(studio, session)
                except RefusedError:
                    await asyncio.sleep(0.1)
                else:
                    break
            await second.getReceivers()[1].track.recv()
            await second.close()

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize(
    "offer", ["", "nonsense", "v=0\r\n", "v=0\r\nm=video 9 RTP/AVP\r\n", "v=0\n" * 20_000]
)
def test_malformed_offers(tiny: Path, tmp_path: Path, offer: str) -> None:
    async def run() -> None:
        async with a_session(tiny, tmp_path) as (studio, session):
            with pytest.raises(RefusedError, match="the offer"):
                await studio.peers.answer(session, offer)

    asyncio.run(run())


def test_a_session_that_ends_closes_its_connections(tiny: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with a_session(tiny, tmp_path) as (studio, session), asyncio.timeout(PATIENCE_SECONDS):
            connection = await connect(studio, session)
            await connection.getReceivers()[1].track.recv()
            await studio.end(session)
            assert not studio.sessions()
            while connection.connectionState not in ("closed", "failed"):
                await asyncio.sleep(0.1)
            await connection.close()

    asyncio.run(run())


@pytest.mark.slow
def test_nothing_that_a_client_sends_is_received(tiny: Path, tmp_path: Path) -> None:
    async def run() -> tuple[str, set[str | None], list[object]]:
        async with a_session(tiny, tmp_path) as (studio, session), asyncio.timeout(PATIENCE_SECONDS):
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connection.addTrack(AudioStreamTrack())
            connection.addTrack(VideoStreamTrack())
            await connection.setLocalDescription(await connection.createOffer())
            answer = await studio.peers.answer(session, connection.localDescription.sdp)
            await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            await connection.getReceivers()[1].track.recv()
            (peer,) = studio.peers._peers[session.id]
            transceivers = peer.connection.getTransceivers()
            transport = transceivers[0].sender.transport
            while transport._get_stats()[transport._stats_id].packetsReceived < 60:
                await asyncio.sleep(0.05)
            decoders = [
                transceiver.receiver._RTCRtpReceiver__decoder_thread  # type: ignore[attr-defined]
                for transceiver in transceivers
            ]
            directions = {transceiver.currentDirection for transceiver in transceivers}
            await connection.close()
            return answer, directions, decoders

    answer, directions, decoders = asyncio.run(run())
    assert answer.count("a=sendonly") == 2
    assert directions == {"sendonly"}
    assert decoders == [None, None]


def test_a_client_with_a_data_channel_is_refused(tiny: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with a_session(tiny, tmp_path) as (studio, session):
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connection.addTransceiver("audio", direction="recvonly")
            connection.addTransceiver("video", direction="recvonly")
            connection.createDataChannel("flood")
            await connection.setLocalDescription(await connection.createOffer())
            with pytest.raises(RefusedError, match="a section of the kind 'application'"):
                await studio.peers.answer(session, connection.localDescription.sdp)
            assert session.idle_seconds()
            await connection.close()

    asyncio.run(run())


def test_a_client_that_never_connects_frees_its_place(tiny: Path, tmp_path: Path) -> None:
    assert Limits().connect_seconds == 10

    async def run() -> None:
        async with (
            a_session(tiny, tmp_path, clients=1, connect_seconds=1.0) as (studio, session),
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            silent = await offering()
            await studio.peers.answer(session, silent.localDescription.sdp)
            with pytest.raises(RefusedError, match="1 clients are connected to this session"):
                await studio.peers.answer(session, silent.localDescription.sdp)
            while not session.idle_seconds():
                await asyncio.sleep(0.05)
            await studio.peers.answer(session, silent.localDescription.sdp)
            await silent.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_client_that_connects_stays_connected(tiny: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            a_session(tiny, tmp_path, connect_seconds=2) as (studio, session),
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            connection = await connect(studio, session)
            video = connection.getReceivers()[1].track
            for _ in range(75):  # three seconds
                await video.recv()
            await connection.close()

    asyncio.run(run())


def test_viewers_beside_the_clients(tiny: Path, tmp_path: Path) -> None:
    """They get the packets of one encoder, and have a limit of their own."""

    async def run() -> None:
        async with (
            a_session(tiny, tmp_path, clients=1, viewers=1) as (studio, session),
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            client = await connect(studio, session)
            await client.getReceivers()[1].track.recv()
            viewer = await offering()
            answer = await studio.peers.answer(session, viewer.localDescription.sdp, view_only=True)
            await viewer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            frame = await viewer.getReceivers()[1].track.recv()
            assert (frame.width, frame.height) == (96, 80)
            assert [type(sink) for sink in session._sinks].count(EncodedStream) == 1
            assert not any(isinstance(sink, Peer) for sink in session._sinks)
            late = await offering()
            with pytest.raises(RefusedError, match="1 viewers are connected to this session"):
                await studio.peers.answer(session, late.localDescription.sdp, view_only=True)
            for connection in (client, viewer, late):
                await connection.close()

    asyncio.run(run())


def test_a_client_of_another_codec_gets_its_own_encoder(tiny: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with a_session(tiny, tmp_path) as (studio, session), asyncio.timeout(PATIENCE_SECONDS):
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connection.addTransceiver("audio", direction="recvonly")
            video = connection.addTransceiver("video", direction="recvonly")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            video.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
            await connection.setLocalDescription(await connection.createOffer())
            answer = await studio.peers.answer(session, connection.localDescription.sdp)
            await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            frame = await connection.getReceivers()[1].track.recv()
            assert (frame.width, frame.height) == (96, 80)
            assert any(isinstance(sink, Peer) for sink in session._sinks)
            await connection.close()

    asyncio.run(run())
