"""An agent speaks through an anchor, and is interrupted: without a server, a network, or a model.

    python examples/offline_room.py [ada.anchor]

The room is a stand-in. Its tracks count the frames that would be sent. An agent in a real room replaces the
stand-in by `ctx.room`, and the scripted audio by a TTS.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.plugins import newscaster

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fake_rooms import FakeRoom, Recorder


async def scripted_audio(seconds: float, rate: int = 24_000) -> AsyncIterator[rtc.AudioFrame]:
    """A hum in syllables, in pieces of 100 ms, as fast as they are taken."""
    t = np.arange(round(seconds * rate)) / rate
    hum = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 12))
    samples = (6000 * hum * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1)).astype(np.int16)
    for piece in np.array_split(samples, max(1, round(seconds * 10))):
        yield rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece))


async def main(anchor: str) -> None:
    room, session = FakeRoom(), AgentSession()
    avatar = newscaster.AvatarSession(anchor)
    await avatar.start(session, room=room)
    recorder = Recorder(avatar._runner)
    await session.start(Agent(instructions="Read the news."))

    session.output.audio.on(
        "playback_finished",
        lambda event: print(f"played {event.playback_position:.2f} s, interrupted: {event.interrupted}"),
    )
    start = time.monotonic()
    session.output.audio.on(
        "playback_started", lambda event: print(f"first frame after {time.monotonic() - start:.3f} s")
    )
    await session.say("Good evening. Here is the news.", audio=scripted_audio(2.0))
    start = time.monotonic()
    answer = session.say("And now the weather, which is long.", audio=scripted_audio(20.0))
    await asyncio.sleep(1.5)
    answer.interrupt()
    await answer.wait_for_playout()
    await session.aclose()
    await avatar.aclose()
    print(f"published {len(recorder.video)} images and {len(recorder.audio)} pieces of audio")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "builtin"))
