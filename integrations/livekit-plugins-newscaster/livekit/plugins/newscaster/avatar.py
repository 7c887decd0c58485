"""An anchor as the avatar of an agent session: in the agent's process, or in a worker of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice.avatar import AvatarSession as BaseAvatarSession
from livekit.agents.voice.avatar import DataStreamAudioOutput, QueueAudioOutput

import newscaster

from .generator import NewscasterVideoGenerator
from .runner import NewscasterRunner

SAMPLE_RATE = 48_000


class AvatarSession(BaseAvatarSession):
    """The avatar of an agent.

    Without `worker_identity`, the anchor is rendered in the agent's process, and its tracks are the agent's.
    With it, an `AvatarWorker` in the same room renders: the agent sends it audio.

    Args:
        anchor: path of the anchor, or an open one, which any number of sessions can share; default: the
            bundled anchor. Unused with a worker, which has its own.
        style: mouth, target, background, label and watermark.
        limits: limits on queued speech. When they are reached, audio waits.
        worker_identity: identity of the worker's participant.
        clear_buffer_timeout: seconds until an interrupted speech counts as played if the worker does not
            answer; None: without a limit.
    """

    def __init__(
        self,
        anchor: str | Path | newscaster.Anchor = "builtin",
        *,
        style: newscaster.Style | None = None,
        limits: newscaster.LiveLimits | None = None,
        worker_identity: str | None = None,
        clear_buffer_timeout: float | None = 2.0,
    ) -> None:
        super().__init__()
        self._anchor = anchor
        self._style = style
        self._limits = limits
        self._worker_identity = worker_identity
        self._clear_buffer_timeout = clear_buffer_timeout
        self._identity = worker_identity or ""
        self._live: newscaster.Live | None = None
        self._runner: NewscasterRunner | None = None

    @property
    def avatar_identity(self) -> str:
        """Identity of the participant with the avatar's tracks."""
        return self._identity

    @property
    def provider(self) -> str:
        """Name of this plugin in metrics."""
        return "newscaster"

    async def start(self, agent_session: AgentSession, room: rtc.Room) -> None:
        """Make the anchor the audio output of a session, and publish it.

        Call it before `agent_session.start`, or afterwards to replace the output.

        Raises:
            newscaster.ConsentError: the person's consent has ended or was withdrawn.
            newscaster.AnchorError: the file is no anchor.
            RuntimeError: it has been started before.
        """
        if self._runner is not None or self._room is not None:
            raise RuntimeError("this AvatarSession has been started; make a new one")
        if self._worker_identity is not None:
            agent_session.output.replace_audio_tail(
                DataStreamAudioOutput(
                    room,
                    destination_identity=self._worker_identity,
                    wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                    clear_buffer_timeout=self._clear_buffer_timeout,
                    wait_playback_start=True,
                )
            )
            await super().start(agent_session, room)
            return
        self._live = await asyncio.to_thread(open_live, self._anchor, self._style, self._limits)
        output = QueueAudioOutput(wait_playback_start=True)
        self._runner = NewscasterRunner(
            room, audio_recv=output, video_gen=NewscasterVideoGenerator(self._live)
        )
        await self._runner.start()
        agent_session.output.replace_audio_tail(output)
        if room.isconnected():
            self._identity = room.local_participant.identity
        await super().start(agent_session, room)

    async def aclose(self) -> None:
        """Stop the avatar. Speech that was not played to its end counts as interrupted."""
        if self._worker_identity is None and self._room is not None:
            # The base class would remove the participant with the tracks, which is the agent itself.
            self._room.off("connection_state_changed", self._on_connection_state_changed)
            self._room = None
        await super().aclose()
        if self._runner is not None:
            await self._runner.aclose()
        if self._live is not None:
            self._live.close()

    def _on_connection_state_changed(self, state: rtc.ConnectionState.ValueType) -> None:
        if self._worker_identity is None and self._room is not None and self._room.isconnected():
            self._identity = self._room.local_participant.identity
        super()._on_connection_state_changed(state)


def open_live(
    anchor: str | Path | newscaster.Anchor,
    style: newscaster.Style | None,
    limits: newscaster.LiveLimits | None,
) -> newscaster.Live:
    """Open a stream of an anchor."""
    opened = anchor if isinstance(anchor, newscaster.Anchor) else newscaster.open(anchor)
    return opened.live(rate=SAMPLE_RATE, style=style, limits=limits)
