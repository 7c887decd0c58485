"""How fast an anchor speaks, and what holds it up: the whole command, and each of its stages alone.

    python benchmarks/speed.py ANCHOR... --speech SOUND --work FOLDER [--before CHECKOUT]

Of every anchor: ``speak`` as a user runs it, with its peak memory, then the decoder, the network (with every
backend that is installed), the compositing and the encoder by themselves, on as many threads as they have in
the whole. Frames per second go by the wall; milliseconds of processor time per frame depend less on what else
the machine does, and say what a quiet one could do. With ``--before``, the sources of another checkout speak
in turns with these. Medians, with the least and the greatest; ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import newscaster
from newscaster import inference
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.formats.anchor import RENDERER, TARGET, AnchorFile
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.media import TargetVideo, YuvFrame, read_audio, read_frames, write_video, write_wav
from newscaster.synthesis.compositing import composite
from newscaster.synthesis.renderer import BATCH, default_workers
from newscaster.synthesis.target import TargetFrame

FRAMES = 96
"""Frames that a stage alone is measured on."""

MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(code)
"""


class Figures:
    """What was measured, printed as it comes."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, found: Iterable[float], *, digits: int = 1) -> None:
        values = sorted(found)
        self.values[name] = round(statistics.median(values), digits + 2)
        print(
            f"  {name:58s} {statistics.median(values):9.{digits}f}   "
            f"({values[0]:.{digits}f} to {values[-1]:.{digits}f})",
            flush=True,
        )


def rates(run: Callable[[], int], repeats: int) -> tuple[list[float], list[float]]:
    """Of a run that says how many frames it made: frames per second, and processor milliseconds per frame."""
    run()
    by_wall, by_processor = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        frames = run()
        by_wall.append(frames / (time.perf_counter() - wall))
        by_processor.append(1e3 * (time.process_time() - processor) / frames)
    return by_wall, by_processor


def spoken(source: Path, anchor: str, wav: Path, out: Path) -> tuple[float, float, float]:
    """`newscaster speak` in a process of its own: frames/s, processor ms per frame, peak memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "newscaster.cli", "speak", str(wav), "-a", anchor, "-o", str(out)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    processor, memory = map(float, done.stdout.split())
    frames = sum(1 for _ in read_frames(out))
    return frames / seconds, 1e3 * processor / frames, memory


def whole(a: argparse.Namespace, anchor: str, figures: Figures, name: str) -> None:
    wav, out = a.work / "speech.wav", a.work / "speech.mp4"
    audio = read_audio(a.speech)
    write_wav(wav, np.resize(audio, round(a.seconds * 16_000)), 16_000)
    sources = {"": Path(newscaster.__file__).parents[1]}
    if a.before:
        sources = {" before": a.before / "src", **sources}
    runs: dict[str, list[tuple[float, float, float]]] = {label: [] for label in sources}
    for _ in range(a.repeats):
        for label, source in sources.items():
            runs[label].append(spoken(source, anchor, wav, out))
    for label, found in runs.items():
        for what, values in zip(
            ("frames/s", "processor ms per frame", "peak memory, MB"), zip(*found, strict=True), strict=True
        ):
            figures.add(f"{name}speak{label}, {what}", values)


def targets(a: argparse.Namespace, anchor: str, figures: Figures, name: str) -> None:
    file = AnchorFile(anchor_path(anchor))
    performer = newscaster.open(anchor)
    target = performer.target
    indices = list(itertools.islice(target.order(), FRAMES))

    def alone(what: str, run: Callable[[], int]) -> None:
        by_wall, by_processor = rates(run, a.repeats)
        figures.add(f"{name}{what} alone, frames/s", by_wall)
        figures.add(f"{name}{what} alone, processor ms per frame", by_processor, digits=2)

    def decode() -> int:
        video = TargetVideo(file.read(TARGET))  # nothing is kept of the last run
        return sum(1 for index in indices if video.image(index))

    alone("decoder", decode)
    first = {index: target.frame(index) for index in indices}
    alone("cutting, on first sight,", lambda: sum(1 for i in indices[:12] if target._cut(i)))
    alone("compositing", lambda: _threads(lambda frame: composited(frame), first.values()))
    for backend in (inference.ONNX_RUNTIME, inference.OPENVINO, inference.CUDA):
        session = inference.Session(
            file.read(RENDERER), threads=1, backend=backend, callers=default_workers(), name=RENDERER
        )
        if session.backend == backend:
            alone(f"network ({backend})", lambda s=session: network(s, file, performer, list(first.values())))

    decoded = [frame.image for frame in first.values()]

    def encode() -> int:
        return write_video(a.work / "encoded.mp4", decoded, fps=performer.fps, audio=None)

    alone("encoder", encode)


def _threads(run: Callable[[TargetFrame], object], frames: Iterable[TargetFrame]) -> int:
    with ThreadPoolExecutor(default_workers()) as pool:
        return sum(1 for _ in pool.map(run, frames))


def composited(frame: TargetFrame) -> YuvFrame:
    assert frame.placement is not None
    composite(frame.image, frame.crop, frame.placement)
    return frame.image


def network(
    session: inference.Session, file: AnchorFile, performer: newscaster.Anchor, frames: list[TargetFrame]
) -> int:
    side, map_side = file.info.crop.side, file.info.map_side
    rest = performer.face.basis.mean[None]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        here = np.array([frames[0].index])
        points = performer.target.transforms(here).apply(performer.target.place(rest, here))[0]
        landmark_map = draw_landmark_map(points, side=side, map_side=map_side)
        for start in range(0, len(frames), BATCH):
            crops = np.stack([frame.crop for frame in frames[start : start + BATCH]])
            yield {"region": crops, "face_map": np.stack([landmark_map] * len(crops))}

    with ThreadPoolExecutor(default_workers()) as pool:
        return sum(len(made["rendered"]) for made in pool.map(lambda feed: session.run(**feed), batches()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("anchors", nargs="+", metavar="ANCHOR", help="NAME.anchor, or builtin")
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0, help="of speech")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="speaks in turns with this one")
    parser.add_argument("--skip", nargs="*", default=[], choices=("whole", "stages"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    for anchor in arguments.anchors:
        info = AnchorFile(anchor_path(anchor)).info
        size = f"{info.size[0]}x{info.size[1]}, side {info.crop.side}"
        print(f"{anchor}: {size} ({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})", flush=True)
        for step, measure in (("whole", whole), ("stages", targets)):
            if step not in arguments.skip:
                measure(arguments, anchor, figures, f"{size}: ")
    print(json.dumps(figures.values))


if __name__ == "__main__":
    main()
