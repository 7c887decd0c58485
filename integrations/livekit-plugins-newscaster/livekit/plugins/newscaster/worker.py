"""A participant of its own that renders the anchor of an agent in the same room.

python -m livekit.plugins.newscaster.worker --url wss://... --token ... --anchor ada.anchor
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from datetime import timedelta
from pathlib import Path

from livekit import api, rtc
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.agents.voice.avatar import DataStreamAudioReceiver

import newscaster

from .avatar import open_live
from .generator import NewscasterVideoGenerator
from .runner import NewscasterRunner


def worker_token(
    *,
    room: str,
    identity: str,
    agent_identity: str,
    api_key: str | None = None,
    api_secret: str | None = None,
    hours: float = 24.0,
) -> str:
    """Return a token with which a worker joins a room on behalf of an agent.

    Args:
        room: name of the room.
        identity: identity of the worker.
        agent_identity: identity of the agent.
        api_key: key of the LiveKit server; default: the variable LIVEKIT_API_KEY.
        api_secret: its secret; default: the variable LIVEKIT_API_SECRET.
        hours: how long the token is valid.
    """
    return (
        api.AccessToken(api_key, api_secret)
        .with_kind("agent")
        .with_identity(identity)
        .with_ttl(timedelta(hours=hours))
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .with_attributes({ATTRIBUTE_PUBLISH_ON_BEHALF: agent_identity})
        .to_jwt()
    )


class AvatarWorker:
    """Renders an anchor in a room, from the audio that an agent sends.

    Args:
        room: joined already.
        anchor: path of the anchor, or an open one.
        agent_identity: identity of the agent; default: the first agent in the room.
        style: mouth, target, background, label and watermark.
        limits: limits on queued speech.
    """

    def __init__(
        self,
        room: rtc.Room,
        anchor: str | Path | newscaster.Anchor = "builtin",
        *,
        agent_identity: str | None = None,
        style: newscaster.Style | None = None,
        limits: newscaster.LiveLimits | None = None,
    ) -> None:
        self._room = room
        self._anchor = anchor
        self._agent_identity = agent_identity
        self._style = style
        self._limits = limits
        self._live: newscaster.Live | None = None
        self._runner: NewscasterRunner | None = None

    async def start(self) -> None:
        """Publish the anchor when the agent is in the room."""
        self._live = await asyncio.to_thread(open_live, self._anchor, self._style, self._limits)
        self._runner = NewscasterRunner(
            self._room,
            audio_recv=DataStreamAudioReceiver(self._room, sender_identity=self._agent_identity),
            video_gen=NewscasterVideoGenerator(self._live),
        )
        await self._runner.start()

    async def aclose(self) -> None:
        """Stop. Speech that was not played to its end counts as interrupted."""
        if self._runner is not None:
            await self._runner.aclose()
        if self._live is not None:
            self._live.close()


async def _serve(arguments: argparse.Namespace) -> None:
    room = rtc.Room()
    await room.connect(arguments.url, arguments.token)
    worker = AvatarWorker(room, arguments.anchor, agent_identity=arguments.agent)
    stopped = asyncio.Event()
    room.on("disconnected", lambda *_: stopped.set())
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await worker.start()
        await stopped.wait()
    finally:
        await worker.aclose()
        await room.disconnect()


def main() -> None:
    """Join a room and render until it ends."""
    parser = argparse.ArgumentParser(prog="python -m livekit.plugins.newscaster.worker")
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"), help="address of the LiveKit server")
    parser.add_argument("--token", default=os.environ.get("LIVEKIT_TOKEN"), help="see worker_token()")
    parser.add_argument("--anchor", default="builtin", help="path of the anchor (default: the bundled one)")
    parser.add_argument("--agent", help="identity of the agent (default: the first agent in the room)")
    arguments = parser.parse_args()
    if not arguments.url or not arguments.token:
        parser.error("give --url and --token, or set LIVEKIT_URL and LIVEKIT_TOKEN")
    asyncio.run(_serve(arguments))


if __name__ == "__main__":
    main()
