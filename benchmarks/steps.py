"""Where the processor time of a command goes: milliseconds of each frame, by step.

    python benchmarks/steps.py --frames 600 -- dub VIDEO SPEECH -a ANCHOR -o out.mp4
    python benchmarks/steps.py --frames 600 --before ../before -- speak SPEECH -a ANCHOR -o out.mp4

Runs `newscaster` with these arguments in a process of its own. Every few milliseconds it looks up which
function each thread is in, and how much processor time the thread has used since. That time counts for the
first step whose functions are on the stack. Threads of decoder and encoder have no stack: FFmpeg names its
own, and all others are x264's. With `--before`, the sources of another checkout run in turns with these.

"In all" has the time of the sampling itself, about 10 ms per frame of 1080x1920, so compare steps, and take
totals from runs without it. Short calls that keep Python's lock count for the next function that releases it.
Medians; ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.004
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("search for interlacing", ("scan.py:measured_scan",)),
    ("watermark, label", ("overlays.py:put_on",)),
    ("encode, mux", ("writer.py:write", "writer.py:_finish", "writer.py:write_audio")),
    ("read the result, sign", ("signing.py",)),
    ("look for the person", ("key_frames.py", "work.py:look", "identity.py:anchor_descriptor")),
    ("mouth occlusion", ("video_track.py:add", "mouth_occlusion.py")),
    ("cuts", ("shots.py",)),
    ("face descriptor", ("descriptor.py",)),
    ("face detection", ("detector.py",)),
    ("face landmarks", ("mesh.py", "following.py", "tracking.py", "tracker.py")),
    (
        "references: choose, cut, sharpness",
        (
            "person_of_video.py:_references",
            "video_target.py:cut_all",
            "video_target.py:_cut",
            "person_of_video.py:_is_sharp",
            "reference_cache.py",
        ),
    ),
    (
        "cut the crop",
        ("video_target.py:_frame", "video_target.py:_part", "target.py:_cut", "crop.py:cut_small"),
    ),
    ("place the mask", ("crop.py:place",)),
    ("composite", ("compositing.py",)),
    ("network", ("inference.py:run",)),
    ("inputs of the network", ("reference_renderer.py", "renderer.py:crops")),
    ("grain", ("grain.py",)),
    ("choice of references", ("references.py",)),
    ("conversion to RGB", ("color.py:stored", "color.py:__call__")),
    ("copy of decoded frames", ("to_yuv.py", "frame.py:copy")),
    ("decode", ("reader.py:_decode", "target_video.py:_decode_group")),
    (
        "speech and motion",
        (
            "motion.py",
            "speech_input.py",
            "voice_activity.py",
            "stream.py",
            "audio.py",
            "stress.py",
            "own_audio.py",
        ),
    ),
    ("mouths on frames", ("frames.py",)),
    ("fit of the face", ("head_pose.py", "video_target.py", "person_of_video.py", "mouth_basis.py")),
    ("start, imports", ("<frozen importlib._bootstrap>",)),
)


def step_of(frame: FrameType | None) -> str:
    """Return the step of a stack."""
    names = []
    while frame is not None:
        file = frame.f_code.co_filename.rpartition("/")[2]
        names.append(f"{file}:{frame.f_code.co_name}")
        frame = frame.f_back
    for step, prefixes in STEPS:
        if any(name == prefix or name.startswith(prefix + ":") for name in names for prefix in prefixes):
            return step
    return "other"


class Sampler(threading.Thread):
    """Attributes processor time of the threads of this process to steps."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.seconds: Counter[str] = Counter()
        self._last: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self.stop = threading.Event()

    def run(self) -> None:
        own = threading.get_native_id()
        while not self.stop.wait(INTERVAL_SECONDS):
            self.sample(own)

    def sample(self, own: int) -> None:
        stacks = sys._current_frames()
        identities = {t.native_id: t.ident for t in threading.enumerate()}
        for task in os.listdir("/proc/self/task"):
            thread = int(task)
            try:
                used = int(Path(f"/proc/self/task/{task}/schedstat").read_text().split()[0])
                if thread not in self._names:
                    self._names[thread] = Path(f"/proc/self/task/{task}/comm").read_text().strip()
            except (OSError, IndexError):
                continue
            spent, self._last[thread] = used - self._last.get(thread, 0), used
            if thread == own or spent <= 0:
                continue
            if thread in identities:
                step = step_of(stacks.get(identities[thread]))
            else:
                step = "decode" if self._names[thread].startswith("av:") else "encode, mux"
            self.seconds[step] += spent / 1e9


def child(arguments: list[str]) -> None:
    """Run the command in this process; print the seconds of each step as JSON on the last line."""
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    from newscaster.cli import main

    code = 0
    try:
        sys.argv = ["newscaster", *arguments]
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    wall = time.perf_counter() - start
    sampler.stop.set()
    sampler.join()
    used = os.times()
    own = sampler.seconds
    print(json.dumps({"wall": wall, "processor": used.user + used.system, "steps": own}))
    sys.exit(code)


def measured(source: Path, arguments: list[str]) -> dict[str, float]:
    """Run the command with the sources of a checkout; return seconds by step, and in all."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, __file__, "--child", "--", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    result = json.loads(done.stdout.splitlines()[-1])
    return {**result["steps"], "in all": result["processor"], "wall-clock": result["wall"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1, help="of the video: times are divided by it")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="runs in turns with this one")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.child:
        child(options.command)
    here = Path(__file__).parents[1] / "src"
    sources = {"now": here} if options.before is None else {"before": options.before / "src", "now": here}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
    for _ in range(options.repeats):
        for name, source in sources.items():
            runs[name].append(measured(source, options.command))
    result = {name: medians(found, 1e3 / options.frames) for name, found in runs.items()}
    steps = [*(step for step, _ in STEPS), "other", "in all", "wall-clock"]
    print(f"| ms per frame | {' | '.join(result)} |\n|---|{'---|' * len(result)}")
    for step in steps:
        values = [found.get(step, 0.0) for found in result.values()]
        if max(values) >= 0.05:
            print(f"| {step} | {' | '.join(f'{value:.1f}' for value in values)} |")
    print(json.dumps(result))


def medians(runs: list[dict[str, float]], scale: float) -> dict[str, float]:
    names = {name for run in runs for name in run}
    return {name: round(statistics.median(run.get(name, 0.0) for run in runs) * scale, 2) for name in names}


if __name__ == "__main__":
    main()
