"""How fast footage is prepared: frames per second while tracking, while cropping, and in all.

    python benchmarks/prepare.py FOOTAGE... [--clips 100] [--repeats 3] [--workers N]

Prints the median and the spread over the repeats, and ends with one line of JSON. Starting the worker
processes, which load the networks, counts. Frames per second of processor time tell more than the clock where
the machine does other work meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from newscaster.prepare import prepare
from newscaster.prepare.clips import find_footage


def once(footage: list[Path], workers: int | None) -> dict[str, float]:
    """Prepare into a new folder and return seconds and frames."""
    began = time.perf_counter()
    processor = _processor_seconds()
    ends = dict.fromkeys(("look", "track", "crop", "target"), began)

    def note(phase: str, done: float, total: float) -> None:
        ends[phase] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(footage, Path(folder) / "take", workers=workers, progress=note)
        frames = dataset.frames
    return {
        "frames": frames,
        "track_fps": frames / (ends["track"] - began),
        "crop_fps": frames / (ends["crop"] - ends["track"]),
        "total_fps": frames / (time.perf_counter() - began),
        "fps_per_processor_second": frames / (_processor_seconds() - processor),
    }


def _processor_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("footage", type=Path, nargs="+", help="video files, or folders with some")
    parser.add_argument("--clips", type=int, default=100, help="how many of the files to take")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    files, _ = find_footage(options.footage)
    footage = [file.path for file in files[: options.clips]]
    video = files[0].video
    print(f"{len(footage)} files, the first {video.width}x{video.height} at {float(video.fps):g} fps")
    rows = [once(footage, options.workers) for _ in range(options.repeats)]
    names = {
        "track_fps": "tracking, from the start",
        "crop_fps": "head, region and crops",
        "total_fps": "in all",
        "fps_per_processor_second": "in all, per second of processor time",
    }
    result: dict[str, object] = {"benchmark": "prepare", "files": len(footage), "frames": rows[0]["frames"]}
    result |= {"size": [video.width, video.height], "cores": os.cpu_count(), "workers": options.workers}
    for key, title in names.items():
        values = [row[key] for row in rows]
        middle = statistics.median(values)
        print(f"{title:40} {middle:7.0f} frames/s   ({min(values):.0f} to {max(values):.0f})")
        result[key] = round(middle, 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
