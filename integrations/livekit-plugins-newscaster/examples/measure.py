"""Measure a conversation in real time, with the room of offline_room.py: delays, drift, memory, lost events.

    python examples/measure.py [--turns 60] [--anchor ada.anchor]

Each turn is an answer of 20 s that is interrupted after one to three seconds. The audio goes to the native
audio source of LiveKit, to which no one is subscribed. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from random import Random

from livekit.agents.voice.avatar import QueueAudioOutput
from livekit.plugins.newscaster import NewscasterRunner, NewscasterVideoGenerator
from livekit.plugins.newscaster.generator import SILENT
from offline_room import scripted_audio

import newscaster

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fake_rooms import FakeRoom


class Probe:
    """Notes when audio and images are published; `lag` is how much later audio is heard than its image."""

    def __init__(self, runner: NewscasterRunner) -> None:
        self.spoken: list[float] = []
        self.lags: list[float] = []
        self.images = 0
        forward, source = runner._forward_audio, runner._audio_source

        async def audio(frame):
            now = time.monotonic()
            if SILENT not in frame.userdata:
                self.spoken.append(now)
                self.lags.append(source.queued_duration)
            await forward(frame)

        show = runner._video_source.capture_frame

        def image(frame):
            self.images += 1
            show(frame)

        runner._forward_audio = audio
        runner._video_source.capture_frame = image


async def main(anchor: str, turns: int) -> None:
    random = Random(1)
    live = newscaster.open(anchor).live()
    output, generator = QueueAudioOutput(wait_playback_start=True), NewscasterVideoGenerator(live)
    runner = NewscasterRunner(FakeRoom(), audio_recv=output, video_gen=generator)
    probe = Probe(runner)
    events, errors, first, last, memory = [], [], [], [], []
    output.on("playback_finished", lambda event: events.append(event.playback_position))
    answer = [frame async for frame in scripted_audio(20.0)]
    await runner.start()
    await asyncio.sleep(1.0)
    cpu, wall = time.process_time(), time.monotonic()
    for _ in range(turns):
        start = time.monotonic()
        for frame in answer:
            await output.capture_frame(frame)
        output.flush()
        await asyncio.sleep(1.0 + 2.0 * random.random())
        output.clear_buffer()
        interrupted = time.monotonic()
        await asyncio.wait_for(output.wait_for_playout(), 5)
        await asyncio.sleep(0.5)
        spoken = [moment for moment in probe.spoken if moment >= start]
        first.append(spoken[0] - start)
        last.append(spoken[-1] - interrupted)
        errors.append((len(spoken) - 1) / 25 - events[-1])  # the last one is the fade-out
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    result = {
        "turns": turns,
        "lost_events": turns - len(events),
        "answer_to_first_frame_ms": _ms(first),
        "interruption_to_last_frame_ms": _ms(last),
        "position_error_ms": _ms(errors),
        "audio_after_image_ms": _ms(probe.lags),
        "dropped": live.counts.dropped,
        "shown": live.counts.shown,
        "memory_mb": [round(memory[len(memory) // 6]), round(memory[-1])],
        "processor_share": round(cpu / wall, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    await runner.aclose()
    live.close()
    print(json.dumps(result))


def _ms(seconds: list[float]) -> dict[str, int]:
    quantiles = statistics.quantiles(seconds, n=20, method="inclusive")
    named = {"median": statistics.median(seconds), "p95": quantiles[-1], "max": max(seconds)}
    return {name: round(1000 * value) for name, value in named.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--anchor", default="builtin")
    options = parser.parse_args()
    asyncio.run(main(options.anchor, options.turns))
