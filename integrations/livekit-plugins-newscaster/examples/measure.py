"""Measure a conversation in real time, with the room of offline_room.py: delays, drift, memory, lost events.

    python examples/measure.py [--turns 60] [--minutes 30] [--anchor ada.anchor]

Each turn is an answer of 20 s that is interrupted after one to three seconds. With --minutes, an answer that
is played to its end comes before, and the other one is interrupted anywhere. The audio goes to the native
audio source of LiveKit, to which no one is subscribed. The last line is JSON.

Drift is how much later the audio of a frame is played than its image is shown. `clock_drift_ms` compares the
first and the last sixth of the conversation.
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
from livekit.plugins.newscaster import generator as generator_module
from livekit.plugins.newscaster.generator import SILENT
from offline_room import scripted_audio

import newscaster

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fake_rooms import FakeRoom

ANSWER_SECONDS = 20.0
MIN_TURN_SECONDS = 8.0
"""Shorter turns have an interrupted answer alone."""


class Probe:
    """Notes when the audio and the image of each frame of speech are published, by its number."""

    def __init__(self, runner: NewscasterRunner) -> None:
        self.spoken: list[float] = []
        self.waits: list[float] = []
        self.played: dict[int, float] = {}
        self.shown: dict[int, float] = {}
        self.cleared_seconds = 0.0
        """Published audio that an interruption has taken back, since it was last set to 0."""
        forward, source = runner._forward_audio, runner._audio_source
        frame_of_audio, frame_of_image = runner._generator._audio_frame, generator_module.to_video_frame
        show, clear = runner._video_source.capture_frame, source.clear_queue

        def audio_frame(frame):
            made = frame_of_audio(frame)
            made.userdata["number"] = frame.number
            return made

        def video_frame(frame):
            made = frame_of_image(frame)
            made.number = frame.number
            return made

        async def audio(frame):
            now, queued = time.monotonic(), source.queued_duration
            if SILENT not in frame.userdata:
                self.spoken.append(now)
                self.waits.append(queued)
                self.played[frame.userdata["number"]] = now + queued
            await forward(frame)

        def clear_queue():
            self.cleared_seconds += source.queued_duration
            clear()

        def image(frame):
            self.shown[frame.number] = time.monotonic()
            show(frame)

        runner._generator._audio_frame = audio_frame
        generator_module.to_video_frame = video_frame
        runner._forward_audio = audio
        source.clear_queue = clear_queue
        runner._video_source.capture_frame = image

    @property
    def drifts(self) -> list[float]:
        """Audio after image, of each frame of speech that has one."""
        return [self.played[number] - self.shown[number] for number in self.played if number in self.shown]


async def main(anchor: str, turns: int, minutes: float) -> None:
    random = Random(1)
    live = newscaster.open(anchor).live()
    output, generator = QueueAudioOutput(wait_playback_start=True), NewscasterVideoGenerator(live)
    runner = NewscasterRunner(FakeRoom(), audio_recv=output, video_gen=generator)
    probe = Probe(runner)
    events, errors, first, last, memory = [], [], [], [], []
    output.on("playback_finished", events.append)
    answer = [frame async for frame in scripted_audio(ANSWER_SECONDS)]
    await runner.start()
    await asyncio.sleep(1.0)
    cpu, wall = time.process_time(), time.monotonic()

    segments = 0

    async def say(seconds: float) -> float:
        nonlocal segments
        segments += 1
        start = time.monotonic()
        for frame in answer[: round(10 * seconds)]:
            await output.capture_frame(frame)
        output.flush()
        return start

    for turn in range(turns):
        left = (60 * minutes - (time.monotonic() - wall)) / (turns - turn)
        until = time.monotonic() + left - 0.5
        longest = min(left, ANSWER_SECONDS) - 1.0
        if left > MIN_TURN_SECONDS:
            start = await say(random.uniform(0.1, 0.5) * longest)
            await asyncio.wait_for(output.wait_for_playout(), 30)
            longest = min(until - time.monotonic(), longest)
        start = await say(ANSWER_SECONDS)
        await asyncio.sleep(random.uniform(0.5, longest) if left > MIN_TURN_SECONDS else random.uniform(1, 3))
        probe.cleared_seconds = 0.0
        output.clear_buffer()
        interrupted = time.monotonic()
        await asyncio.wait_for(output.wait_for_playout(), 5)
        await asyncio.sleep(max(0.5, until - time.monotonic()))
        spoken = [moment for moment in probe.spoken if moment >= start]
        if events[-1].interrupted:
            first.append(spoken[0] - start)
            last.append(spoken[-1] - interrupted)
            # The last one is the fade-out.
            heard = (len(spoken) - 1) / 25 - probe.cleared_seconds
            errors.append(heard - events[-1].playback_position)
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6)
        print(
            f"{(time.monotonic() - wall) / 60:5.1f} min, turn {turn + 1}: {len(events)} events, "
            f"{memory[-1]:.0f} MB, {live.counts.dropped} dropped",
            flush=True,
        )
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    drifts, sixth = probe.drifts, len(probe.drifts) // 6
    result = {
        "minutes": round(wall / 60, 1),
        "turns": turns,
        "lost_events": segments - len(events),
        "interruptions": sum(event.interrupted for event in events),
        "events": len(events),
        "answer_to_first_frame_ms": _ms(first),
        "interruption_to_last_frame_ms": _ms(last),
        "position_error_ms": _ms(errors),
        "drift_ms": _ms(drifts),
        "clock_drift_ms": round(
            1000 * (statistics.median(drifts[-sixth:]) - statistics.median(drifts[:sixth])), 2
        ),
        "audio_waits_ms": _ms(probe.waits),
        "dropped": live.counts.dropped,
        "shown": live.counts.shown,
        "memory_mb": {
            "after a sixth": round(memory[len(memory) // 6]),
            "at the end": round(memory[-1]),
            "most": round(max(memory)),
        },
        "processor_share": round(cpu / wall, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    await runner.aclose()
    live.close()
    print(json.dumps(result))


def _ms(seconds: list[float]) -> dict[str, int]:
    quantiles = statistics.quantiles(seconds, n=20, method="inclusive")
    named = {
        "p5": quantiles[0],
        "median": statistics.median(seconds),
        "p95": quantiles[-1],
        "max": max(seconds),
    }
    return {name: round(1000 * value) for name, value in named.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="length of the conversation (default: short turns)"
    )
    parser.add_argument("--anchor", default="builtin")
    options = parser.parse_args()
    asyncio.run(main(options.anchor, options.turns, options.minutes))
