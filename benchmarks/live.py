"""What a live stream costs, and how soon it answers: every figure that it is held to.

    python benchmarks/live.py [ANCHOR] [--speech SOUND] [--minutes 30] [--seconds 20] [--repeats 9]

Sound is pushed as a microphone gives it, 20 ms at a time. Delays go by the wall and are medians, with the
least and the greatest; cores are processor time by the wall. The long stream runs on its own clock, as fast
as it can: what it is to show is that sound and picture stay together and memory does not grow. A mouth counts
as moving from the first frame that differs from the same frame of the stage with its mouth at rest. Ends with
one line of JSON.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the commands do, before NumPy is imported

import argparse
import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import numpy as np

import newscaster
from newscaster.media import read_audio, write_live
from newscaster.speech.voices import Reading, synthesize
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.options import LiveLimits, Style

RATE = 16_000
CHUNK = RATE // 50
TEXT = "Good evening. This is the news, and here is what happened today."
MAX_CLIENTS = 8
STILL = 5
"""So many frames at rest end an interrupted mouth: a frame may be copied from another reference later."""


class Figures:
    """What was measured, printed as it comes."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, found: float | Iterable[float], *, digits: int = 0) -> None:
        values = sorted([found] if isinstance(found, int | float) else found)
        self.values[name] = round(statistics.median(values), digits)
        spread = f"   ({values[0]:.{digits}f} to {values[-1]:.{digits}f})" if len(values) > 1 else ""
        print(f"  {name:62s} {statistics.median(values):9.{digits}f}{spread}", flush=True)


class Microphone(threading.Thread):
    """Pushes sound as it would be spoken, until it is told to stop."""

    def __init__(self, live: Live, audio: np.ndarray) -> None:
        super().__init__(daemon=True)
        self.live, self.audio = live, audio
        self.began = 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        self.began = time.monotonic()
        for k in itertools.count():
            if self.stopped.wait(max(0.0, self.began + k * CHUNK / RATE - time.monotonic())):
                return
            first = k * CHUNK % (len(self.audio) - CHUNK)
            self.live.push(self.audio[first : first + CHUNK])


class Resting:
    """Tells frames whose mouth moves from those where it rests.

    A renderer that copies may copy a resting mouth from several frames. It counts as resting if its picture
    is that of a stream in which nothing was said, or that of the same frame in a file.
    """

    def __init__(self, anchor: Anchor) -> None:
        # Of a stage that goes round; the order of others is as long as the longest stream here.
        count = len(anchor.target) if anchor.info.target_loops else 1500
        rest = np.repeat(anchor._loaded.live_renderer.rest[None], count, axis=0)
        self._files = [image.planes[0].copy() for image in anchor.show(rest)]
        with anchor.live(style=Style(label="", watermark=False)) as live:
            frames = itertools.islice(live.frames(paced=False), count)
            self._silent = [frame.image.planes[0].copy() for frame in frames if frame.image is not None]

    def moves(self, frame: LiveFrame) -> bool:
        if frame.image is None:
            return False
        luma, number = frame.image.planes[0].astype(int), frame.number % len(self._files)
        return all(np.abs(luma - rest[number]).max() > 1 for rest in (self._files, self._silent))


def timed(live: Live) -> Iterator[tuple[float, LiveFrame]]:
    for frame in live:
        yield time.monotonic(), frame


def first_sound(anchor: Anchor, audio: np.ndarray, resting: Resting, random: Random) -> float:
    """Milliseconds from the first sound pushed to the first frame with a moving mouth."""
    with anchor.live(style=Style(label="", watermark=False)) as live:
        frames = timed(live)
        for _ in range(10):
            next(frames)
        microphone = Microphone(live, audio)
        threading.Timer(random.uniform(0, 0.04), microphone.start).start()
        when = next(when for when, frame in frames if resting.moves(frame))
        microphone.stopped.set()
        microphone.join()
        return 1e3 * (when - microphone.began)


def first_word(anchor: Anchor, reading: Reading, resting: Resting, random: Random) -> tuple[float, float]:
    """Milliseconds from a text to the first frame with a moving mouth, and to the first that is heard."""
    with anchor.live(style=Style(reading=reading, label="", watermark=False)) as live:
        frames = timed(live)
        for _ in range(10):
            next(frames)
        began = [0.0]

        def say() -> None:
            began[0] = time.monotonic()
            live.say(TEXT)

        threading.Timer(random.uniform(0, 0.04), say).start()
        moved = heard = 0.0
        for when, frame in frames:
            moved = moved or (when if resting.moves(frame) else 0.0)
            heard = heard or (when if np.abs(frame.audio).max() > 1e-3 else 0.0)
            if moved and heard:
                return 1e3 * (moved - began[0]), 1e3 * (heard - began[0])
    raise AssertionError


def interrupted(anchor: Anchor, audio: np.ndarray, resting: Resting, random: Random) -> tuple[float, float]:
    """Milliseconds from an interruption to the mouth at rest, and to the end of the sound."""
    with anchor.live(style=Style(label="", watermark=False)) as live:
        live.push(audio[: 10 * RATE])
        frames = timed(live)
        moment = [0.0]

        def interrupt() -> None:
            moment[0] = time.monotonic()
            live.interrupt()

        for _, frame in frames:
            if frame.number > 40 and resting.moves(frame):
                break
        threading.Timer(random.uniform(0, 0.2), interrupt).start()
        shown: list[tuple[float, bool]] = []
        silent = 0.0
        for when, frame in frames:
            shown.append((when, resting.moves(frame)))
            if len(loud := np.flatnonzero(frame.audio)):
                silent = when + (loud[-1] + 1) / live.rate
            if moment[0] and when > moment[0] + 0.5:
                break
    after = [(when, moves) for when, moves in shown if when > moment[0]]
    closed = next(
        when
        for k, (when, _) in enumerate(after)
        if len(after[k:]) >= STILL and not any(moves for _, moves in after[k : k + STILL])
    )
    return 1e3 * max(0.0, closed - moment[0]), 1e3 * max(0.0, silent - moment[0])


def steady(
    anchor: Anchor,
    audio: np.ndarray,
    *,
    clients: int,
    seconds: float,
    sent: bool = False,
    quiet: bool = False,
) -> tuple[float, float, float, float]:
    """Frames/s with a picture per listener, the share left out in per cent, cores, and others' cores."""
    for _ in anchor.target.frames(range(len(anchor.target))):
        pass  # each frame is decoded and cut when it is first shown
    streams = [
        anchor.live(
            style=Style(target_start=37 * k % len(anchor.target)),
            limits=LiveLimits(max_pending_audio_seconds=1e6),
        )
        for k in range(clients)
    ]
    microphones = [Microphone(live, np.roll(audio, 3 * RATE * k)) for k, live in enumerate(streams)]
    count = round(seconds * anchor.fps)
    warm = round(2 * anchor.fps)
    ready, start = threading.Barrier(clients + 1), threading.Barrier(clients + 1)

    def listen(live: Live) -> None:
        frames = iter(live)
        for _ in range(warm):
            next(frames)
        ready.wait()
        start.wait()
        for _ in itertools.islice(frames, count):
            pass

    def send(live: Live) -> None:
        ready.wait()
        start.wait()
        items = ((frame.image, frame.audio) for frame in itertools.islice(live, count))
        write_live(os.devnull, items, fps=live.fps, rate=live.rate, format_name="mpegts")

    threads = [threading.Thread(target=send if sent else listen, args=(live,)) for live in streams]
    for thread in (*threads, *(() if quiet else microphones)):
        thread.start()
    ready.wait()
    before = [live.counts for live in streams]
    processor, wall, machine = time.process_time(), time.monotonic(), machine_seconds()
    start.wait()
    for thread in threads:
        thread.join()
    processor, wall = time.process_time() - processor, time.monotonic() - wall
    others = (machine_seconds() - machine - processor) / wall
    after = [live.counts for live in streams]
    for microphone, live in zip(microphones, streams, strict=True):
        microphone.stopped.set()
        if not quiet:
            microphone.join()
        live.close()
    shown = sum(new.shown - old.shown for old, new in zip(before, after, strict=True))
    dropped = sum(new.dropped - old.dropped for old, new in zip(before, after, strict=True))
    return shown / wall / clients, 100 * dropped / (shown + dropped), processor / wall, others


def machine_seconds() -> float:
    """Processor time of everything that runs on this machine."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def processor_ms(anchor: Anchor, audio: np.ndarray | None) -> float:
    """Processor time per frame of speech, or of silence: what else the machine does hardly matters."""
    for _ in anchor.target.frames(range(len(anchor.target))):
        pass
    with anchor.live(limits=LiveLimits(max_pending_audio_seconds=1e6)) as live:
        if audio is not None:
            live.push(audio)
        frames = live.frames(paced=False)
        # Without speech the stage goes round once before: the mouth at rest is painted once per frame of it.
        for _ in itertools.islice(frames, 25 if audio is not None else len(anchor.target)):
            pass
        began = time.process_time()
        for _ in itertools.islice(frames, 250):
            pass
        return 1e3 * (time.process_time() - began) / 250


class FastClock:
    """A clock that only waiting moves, and that pushes sound meanwhile, 20 ms at a time."""

    def __init__(self, audio: np.ndarray) -> None:
        self.now, self.pushed, self.audio = 0.0, 0, audio
        self.live: Live | None = None

    def __call__(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        until = self.now + seconds
        due = self.pushed * CHUNK / RATE
        if self.live is None or due > until:
            self.now = until
            return
        self.now = max(self.now, due)
        first = self.pushed * CHUNK % (len(self.audio) // CHUNK * CHUNK)
        self.live.push(self.audio[first : first + CHUNK])
        self.pushed += 1


def long_stream(anchor: Anchor, audio: np.ndarray, minutes: float, figures: Figures) -> None:
    """One utterance that goes on and on: how far the sound is from where the picture's count has it."""
    clock = FastClock(audio)
    whole = audio[: len(audio) // CHUNK * CHUNK]
    with anchor.live(clock=clock, rate=RATE) as live:
        clock.live = live
        began, lags, memory = time.monotonic(), [], [0.0]
        first: int | None = None
        window: list[np.ndarray] = []
        total = round(60 * minutes * live.fps)
        for frame in itertools.islice(live, total):
            if first is None and frame.speaking:
                first = frame.number
            window = [*window[-24:], frame.audio]
            if frame.number == round(60 * live.fps):
                memory = [resident()]
            if first is not None and frame.number % 1500 == 1499:
                heard = np.concatenate(window)
                begin = round((frame.number + 1 - first) * RATE / live.fps) - len(heard)
                lags.append(lag_ms(heard, np.take(whole, np.arange(begin, begin + len(heard)), mode="wrap")))
                memory.append(resident())
        counts = live.counts
    figures.add("long stream, minutes", minutes)
    figures.add("long stream, times real time", minutes * 60 / (time.monotonic() - began), digits=1)
    figures.add("long stream, most lag of sound against picture, ms", max(map(abs, lags)), digits=2)
    figures.add("long stream, memory growth from minute 1 on, MB", max(memory) - memory[0], digits=1)
    figures.add("long stream, left out or starved", counts.dropped + counts.underrun)


def lag_ms(heard: np.ndarray, wanted: np.ndarray) -> float:
    """By how much what is heard is later than what is wanted, from their correlation within 0.25 s."""
    size = 2 * len(heard)
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size))
    together = np.fft.irfft(spectrum, size)
    reach = RATE // 4
    near = np.concatenate([together[-reach:], together[: reach + 1]])
    return 1e3 * (int(np.argmax(near)) - reach) / RATE


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("anchor", nargs="?", default="grid-s1")
    parser.add_argument("--speech", type=Path, help="by default a text read by --voice")
    parser.add_argument("--voice", default="hibari")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the long stream")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each steady stream")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", choices=["delays", "steady", "long"], help="a part of it")
    a = parser.parse_args()
    anchor, reading = newscaster.open(a.anchor), Reading(voice=a.voice)
    bulletin = Path(newscaster.__file__).parent / "data" / "bulletin.txt"
    audio = read_audio(a.speech) if a.speech else None
    if audio is None:
        audio, _ = synthesize(bulletin.read_text(encoding="utf-8"), reading=reading, rate=RATE)
    figures, random, resting = Figures(), Random(0), Resting(anchor)
    print(f"{anchor!r}, {len(audio) / RATE:.0f} s of speech")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if a.only in (None, "delays"):
        begun = [first_sound(anchor, audio, resting, random) for _ in range(a.repeats + 1)][1:]
        figures.add("first sound pushed to a moving mouth, ms", begun)
        words = [first_word(anchor, reading, resting, random) for _ in range(a.repeats + 1)][1:]
        figures.add("text to a moving mouth, ms", [moved for moved, _ in words])
        figures.add("text to the first frame heard, ms", [heard for _, heard in words])
        ends = [interrupted(anchor, audio, resting, random) for _ in range(a.repeats)]
        figures.add("interruption to the mouth at rest, ms", [closed for closed, _ in ends])
        figures.add("interruption to the end of the sound, ms", [silent for _, silent in ends])
    if a.only in (None, "steady"):
        figures.add(
            "processor time per frame of speech, ms",
            [processor_ms(anchor, audio) for _ in range(3)],
            digits=1,
        )
        figures.add(
            "processor time per frame, nothing said, ms",
            [processor_ms(anchor, None) for _ in range(3)],
            digits=1,
        )
        for clients in range(1, MAX_CLIENTS + 1):
            rate, dropped, cores, others = steady(anchor, audio, clients=clients, seconds=a.seconds)
            name = f"{clients} listener{'s'[: clients > 1]}"
            figures.add(f"{name}, frames/s each", rate, digits=2)
            figures.add(f"{name}, left out, per cent", dropped, digits=2)
            figures.add(f"{name}, cores", cores, digits=2)
            figures.add(f"{name}, cores that others used", others, digits=2)
        _, _, cores, _ = steady(anchor, audio, clients=1, seconds=a.seconds, quiet=True)
        figures.add("1 listener, nothing said, cores", cores, digits=2)
        rate, dropped, cores, others = steady(anchor, audio, clients=1, seconds=a.seconds, sent=True)
        figures.add("1 listener, encoded and sent, frames/s", rate, digits=2)
        figures.add("1 listener, encoded and sent, left out, per cent", dropped, digits=2)
        figures.add("1 listener, encoded and sent, cores", cores, digits=2)
        figures.add("1 listener, encoded and sent, cores that others used", others, digits=2)
    if a.only in (None, "long"):
        long_stream(anchor, audio, a.minutes, figures)
    print(f"load {os.getloadavg()[0]:.1f}")
    print(json.dumps(figures.values))


if __name__ == "__main__":
    main()
