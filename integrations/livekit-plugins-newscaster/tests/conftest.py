"""What the tests share: an anchor of drawn frames and tiny networks, and a runner on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_rooms import FakeRoom, Recorder
from livekit import rtc
from livekit.agents.voice.avatar import QueueAudioOutput
from livekit.plugins.newscaster import NewscasterRunner, NewscasterVideoGenerator

import newscaster
from tiny_anchor import speech_like, write_tiny_anchor
from virtual_clock import VirtualClock


@pytest.fixture(scope="session")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> newscaster.Anchor:
    return newscaster.open(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"), workers=1)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))


def run(test: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
    """Run a test on an event loop."""
    return asyncio.run(asyncio.wait_for(test, seconds))


def audio(seconds: float, rate: int = 16_000, *, channels: int = 1) -> rtc.AudioFrame:
    """Speech of an agent, in one frame."""
    samples = (speech_like(seconds, rate) * 32767).astype(np.int16)
    data = np.repeat(samples[:, None], channels, axis=1)
    return rtc.AudioFrame(data.tobytes(), rate, channels, len(samples))


class Stage:
    """A runner with an output, on a virtual clock: frames come as fast as they are made."""

    def __init__(self, live: newscaster.Live) -> None:
        self.live = live
        self.room = FakeRoom()
        self.output = QueueAudioOutput(wait_playback_start=True)
        self.generator = NewscasterVideoGenerator(live)
        self.runner = NewscasterRunner(
            self.room,
            audio_recv=self.output,
            video_gen=self.generator,  # type: ignore[arg-type]
        )
        self.recorder = Recorder(self.runner)
        self.finished: list[tuple[float, bool]] = []
        self.started: list[int] = []
        self.output.on(
            "playback_finished",
            lambda event: self.finished.append((round(event.playback_position, 3), event.interrupted)),
        )
        self.output.on("playback_started", lambda event: self.started.append(len(self.recorder.audio)))

    async def say(self, *frames: rtc.AudioFrame) -> None:
        """Capture a segment in so many frames."""
        for frame in frames:
            await self.output.capture_frame(frame)
        self.output.flush()

    async def played(self) -> None:
        """Wait until the agent has an event for each segment."""
        await asyncio.wait_for(self.output.wait_for_playout(), 20)


@pytest.fixture
def stage(anchor: newscaster.Anchor) -> Callable[[], Any]:
    @asynccontextmanager
    async def open_stage() -> AsyncIterator[Stage]:
        with anchor.live(clock=VirtualClock()) as live:
            made = Stage(live)
            await made.runner.start()
            try:
                yield made
            finally:
                await made.runner.aclose()

    return open_stage
