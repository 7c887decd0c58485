"""The avatar of an agent session, in its process and in a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from fake_rooms import FakeRoom, Recorder
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.avatar import DataStreamAudioOutput
from livekit.agents.voice.transcription.synchronizer import TranscriptSynchronizer
from livekit.plugins.newscaster import AvatarSession, AvatarWorker, worker_token

import newscaster
from conftest import audio, run


async def speech(seconds: float) -> AsyncIterator[rtc.AudioFrame]:
    """Audio of a TTS, in pieces."""
    whole = np.frombuffer(audio(seconds, 24_000).data, np.int16)
    for piece in np.array_split(whole, round(seconds / 0.2)):
        yield rtc.AudioFrame(piece.tobytes(), 24_000, 1, len(piece))
        await asyncio.sleep(0)


def align(session: AgentSession[Any]) -> TranscriptSynchronizer:
    """Wrap the output of a session as a room does: text runs with the audio."""
    output = session.output.audio
    assert output is not None
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=output, next_in_chain_text=None)
    session.output.audio = synchronizer.audio_output
    session.output.transcription = synchronizer.text_output
    return synchronizer


def test_an_agent_speaks_and_is_interrupted(anchor: newscaster.Anchor) -> None:
    """The transcript of an interrupted answer ends where the speech did."""
    text = " ".join(f"word{i}" for i in range(30))

    async def test() -> None:
        room, session = FakeRoom(), AgentSession[Any]()
        avatar = AvatarSession(anchor)
        await avatar.start(session, room)  # type: ignore[arg-type]
        events: list[Any] = []
        synchronizer = align(session)
        session.output.audio.on("playback_finished", events.append)
        await session.start(Agent(instructions="read"))
        await avatar.wait_for_join(timeout=10)
        assert avatar.avatar_identity == "agent"
        await session.say("Good evening.", audio=speech(0.6), allow_interruptions=False)
        assert [(round(e.playback_position, 3), e.interrupted) for e in events] == [(0.6, False)]
        handle = session.say(text, audio=speech(10.0))
        recorder = Recorder(avatar._runner)
        await asyncio.wait_for(_speaks(recorder), 10)
        await recorder.frames(50)
        handle.interrupt()
        await asyncio.wait_for(handle.wait_for_playout(), 10)
        assert events[1].interrupted
        position = events[1].playback_position
        assert 0.3 < position < 8
        (message,) = [item for item in session.history.items if getattr(item, "interrupted", False)]
        heard = message.text_content
        assert heard
        assert text.startswith(heard)
        assert len(heard) < len(text) * 0.9
        await synchronizer.aclose()
        await session.aclose()
        await avatar.aclose()
        assert not room.local_participant.track_publications

    run(test())


async def _speaks(recorder: Recorder) -> None:
    while not any(np.frombuffer(frame.data, np.int16).any() for frame in recorder.audio):
        await recorder.frames(1)


def test_an_avatar_starts_again_in_the_same_session(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        room, session = FakeRoom(), AgentSession[Any]()
        await session.start(Agent(instructions="read"))
        for _ in range(2):
            avatar = AvatarSession(anchor)
            await avatar.start(session, room)  # type: ignore[arg-type]
            with pytest.raises(RuntimeError, match="make a new one"):
                await avatar.start(session, room)  # type: ignore[arg-type]
            await asyncio.wait_for(session.say("One.", audio=speech(0.4)), 20)
            await avatar.aclose()
        await asyncio.wait_for(session.say("To no one.", audio=speech(0.4)), 20)
        await session.aclose()

    run(test())


class Remote:
    """An agent's output and a worker, in rooms that meet."""

    def __init__(self, anchor: newscaster.Anchor, *, timeout: float | None = 2.0) -> None:
        self.agent, self.far = FakeRoom("agent"), FakeRoom("ada")
        self.agent.join(self.far)
        self.worker = AvatarWorker(self.far, anchor, agent_identity="agent")  # type: ignore[arg-type]
        self.output = DataStreamAudioOutput(
            self.agent,  # type: ignore[arg-type]
            destination_identity="ada",
            clear_buffer_timeout=timeout,
            wait_playback_start=True,
        )
        self.finished: list[tuple[float, bool]] = []
        self.started: list[Any] = []
        self.output.on(
            "playback_finished",
            lambda event: self.finished.append((round(event.playback_position, 3), event.interrupted)),
        )
        self.output.on("playback_started", self.started.append)

    async def start(self) -> Recorder:
        await self.worker.start()
        return Recorder(self.worker._runner)

    async def say(self, seconds: float) -> None:
        async for frame in speech(seconds):
            await self.output.capture_frame(frame)
        self.output.flush()

    async def played(self) -> None:
        await asyncio.wait_for(self.output.wait_for_playout(), 20)


def test_a_worker_reports_each_segment(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        remote = Remote(anchor)
        recorder = await remote.start()
        await remote.say(0.6)
        await remote.say(0.4)
        await remote.played()
        assert remote.finished == [(0.6, False), (0.4, False)]
        assert len(remote.started) == 2
        for _ in range(3):
            await remote.say(4.0)
        while len(remote.started) < 3:
            await recorder.frames(1)
        await recorder.frames(5)
        remote.output.clear_buffer()
        await remote.played()
        first, *others = remote.finished[2:]
        assert first[1]
        assert 0.1 < first[0] < 3
        assert others == [(0.0, True)] * 2
        await remote.say(0.4)
        await remote.played()
        assert remote.finished[5:] == [(0.4, False)]
        await remote.worker.aclose()

    run(test())


def test_a_worker_that_stops_reports_what_it_drops(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        remote = Remote(anchor)
        recorder = await remote.start()
        await remote.say(5.0)
        while not remote.started:
            await recorder.frames(1)
        await remote.worker.aclose()
        await remote.played()
        assert [interrupted for _, interrupted in remote.finished] == [True]

    run(test())


def test_an_agent_goes_on_without_an_answer_to_clear_buffer(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        remote = Remote(anchor, timeout=0.2)
        recorder = await remote.start()
        await remote.say(4.0)
        while not remote.started:
            await recorder.frames(1)
        remote.far.local_participant.deaf = True  # the worker hangs
        remote.output.clear_buffer()
        await remote.played()
        assert [interrupted for _, interrupted in remote.finished] == [True]
        await remote.worker.aclose()
        remote.far.local_participant.deaf = False
        again = AvatarWorker(remote.far, anchor, agent_identity="agent")  # type: ignore[arg-type]
        await again.start()
        await remote.say(0.4)
        await remote.played()
        assert remote.finished[-1] == (0.4, False)
        await again.aclose()

    run(test())


def test_the_output_of_a_session_goes_to_the_worker(anchor: newscaster.Anchor) -> None:
    async def test() -> None:
        agent, far = FakeRoom("agent"), FakeRoom("ada")
        agent.join(far)
        worker = AvatarWorker(far, anchor, agent_identity="agent")  # type: ignore[arg-type]
        await worker.start()
        agent.remote_participants["ada"].track_publications.update(far.local_participant.track_publications)
        session, avatar = AgentSession[Any](), AvatarSession(worker_identity="ada")
        await avatar.start(session, agent)  # type: ignore[arg-type]
        await session.start(Agent(instructions="read"))
        assert avatar.avatar_identity == "ada"
        await asyncio.wait_for(session.say("One.", audio=speech(0.4)), 30)
        await session.aclose()
        await avatar.aclose()
        await worker.aclose()

    run(test())


def test_the_token_of_a_worker() -> None:
    from livekit import api

    token = worker_token(
        room="studio", identity="ada", agent_identity="agent", api_key="key", api_secret="s" * 32
    )
    claims = api.TokenVerifier("key", "s" * 32).verify(token)
    assert (claims.identity, claims.kind, claims.video.room) == ("ada", "agent", "studio")
    assert claims.attributes == {"lk.publish_on_behalf": "agent"}
