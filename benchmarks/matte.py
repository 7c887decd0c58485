"""Backgrounds: the matte of whole clips, its flicker, size and speed, and the cost at run time.

For every video:

* matte: computed for all frames, or the first N, into a file as an anchor stores it: processor time per
  frame, bytes per frame, the part of pixels on the edge;
* repeated: one frame, several times: the largest change of alpha, in levels of 255;
* still: pixels on the person's edge whose colour, averaged over 5 x 5 pixels, has changed by less than
  `STILL` levels against each of the last `MEMORY` frames: median and 99th percentile of alpha's change from
  frame to frame. Pixels that hardly change from one frame to the next, and do over a second, move;
* images: composites over green, white, black and the blurred background, of frames spread over the clip.

With `--cost`, the same video is dubbed with its own audio, tracks and mattes cached, with and without each
background, in turn: medians of frames per second and of the processor time per frame, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import deque
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import newscaster
from newscaster.matting import PersonMatte, load_person_network
from newscaster.matting.clips import matte_clip
from newscaster.matting.filters import box_mean
from newscaster.matting.store import MatteStore, MatteWriter
from newscaster.media import YuvFrame, probe, read_frames, read_yuv_frames
from newscaster.media.frame import FrameCopier
from newscaster.synthesis.background import Background, Compositor
from newscaster.synthesis.dub_options import DubOptions
from newscaster.synthesis.options import Style

STILL = 2.0
MEMORY = 25
EDGE = 12
BACKGROUNDS = ("green", "white", "black", "blur")


def write_matte(path: Path, video: Path, count: int) -> tuple[MatteStore, float]:
    """Write the matte of the first frames; return it, and the processor time per frame in ms."""
    fps = probe(video).video.fps
    frames = islice(read_yuv_frames(video, fps=fps), count)
    first = next(read_yuv_frames(video, fps=fps, stop_frame=1))
    seconds = []
    size = first.frame.width, first.frame.height
    with path.open("wb") as file, MatteWriter(file, size=size) as writer:
        began = time.process_time()
        for matte in matte_clip(frames, [None] * count):
            writer.add(matte)
            seconds.append(time.process_time() - began)
            began = time.process_time()
    return MatteStore(path), 1e3 * statistics.median(seconds)


def repeated(frame: np.ndarray, times: int = 8) -> int:
    """The largest change of alpha of one frame that is repeated."""
    matting = PersonMatte(load_person_network())
    alphas = np.stack([matting.push(frame).alpha for _ in range(times)]).astype(np.int16)
    return int(np.abs(np.diff(alphas, axis=0)).max())


def still(store: MatteStore, video: Path) -> dict[str, float]:
    """Change of alpha from frame to frame at still pixels along the edge."""
    changes, edges, held = [], 0, None
    past: deque[np.ndarray] = deque(maxlen=MEMORY)
    for index, frame in enumerate(islice(read_frames(video), len(store))):
        alpha = store.frame(index).luma.full_alpha()[: frame.shape[0], : frame.shape[1]].astype(np.int16)
        past.append(box_mean(np.moveaxis(frame.astype(np.float32), 2, 0), 2).astype(np.float16))
        if len(past) == MEMORY:
            lowest, highest = np.minimum.reduce(past), np.maximum.reduce(past)
            near = (alpha > EDGE) & (alpha < 255 - EDGE)
            still = near & ((highest - lowest).max(axis=0) < STILL)
            changes.append(np.abs(alpha - held)[still])
            edges += int(near.sum())
        held = alpha
    all_changes = np.concatenate(changes)
    if not len(all_changes):
        return {"pixels": 0}
    return {
        "pixels": len(all_changes),
        "percent of the edge": 100 * len(all_changes) / edges,
        "median": float(np.median(all_changes)),
        "p99": float(np.percentile(all_changes, 99)),
        "percent over 1": float(100 * (all_changes > 1).mean()),
    }


def contact_sheet(store: MatteStore, video: Path, out: Path, columns: int = 4) -> None:
    """Composites of frames spread over the clip: a row per background."""
    wanted = np.linspace(0, len(store) - 1, columns).astype(int).tolist()
    frames = {i: f for i, f in enumerate(islice(read_yuv_frames(video), len(store))) if i in wanted}
    rows = []
    for value in BACKGROUNDS:
        row = []
        for index, frame in frames.items():
            copied = YuvFrame(
                FrameCopier(frame.frame.width, frame.frame.height).copy(frame.frame), frame.size
            )
            compositor = Compositor(Background.of(value), store, like=frame, fps=Fraction(25))
            row.append(compositor.put_behind(copied, index=index, number=0).rgb())
        rows.append(np.concatenate(row, axis=1))
    Image.fromarray(np.concatenate(rows)).save(out)


def cost(video: Path, anchor: str, folder: Path, values: list[str | None], rounds: int) -> list[dict]:
    """Dub in turn with each background; the first value is what the others are compared with."""
    opened = newscaster.open(anchor)
    options = DubOptions(cache=folder / "cache", face=0)
    runs: dict[str | None, list[tuple[float, float]]] = {value: [] for value in values}
    for number in range(rounds + 1):
        for value in values:
            began, processor = time.perf_counter(), time.process_time()
            out = folder / f"out{'.webm' if value == 'alpha' else '.mp4'}"
            made = opened.dub(video, None, out, options=options, style=Style(background=value))
            taken = time.perf_counter() - began - made.track_seconds
            spent = time.process_time() - processor
            if number:  # the first round fills the cache
                runs[value].append((made.frames / taken, 1e3 * spent / made.frames))
    base = runs[values[0]]
    return [
        {
            "video": video.stem,
            "background": value,
            "frames/s": statistics.median(fps for fps, _ in runs[value]),
            "processor ms": statistics.median(ms for _, ms in runs[value]),
            "slower, percent": 100
            * (statistics.median(a / b for (a, _), (b, _) in zip(base, runs[value], strict=True)) - 1),
            "more processor time, percent": 100
            * (statistics.median(b / a for (_, a), (_, b) in zip(base, runs[value], strict=True)) - 1),
        }
        for value in values
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=10_000, help="of each video, at most")
    parser.add_argument("--keep", type=Path, help="folder for the mattes; existing ones are not timed")
    parser.add_argument("--images", type=Path, help="folder for the composites")
    parser.add_argument("--cost", type=int, default=0, metavar="ROUNDS", help="measure the cost instead")
    parser.add_argument("--anchor", default="grid-s1")
    parser.add_argument("--backgrounds", nargs="+", default=["green", "blur"])
    options = parser.parse_args()
    rows: list[dict] = []
    with TemporaryDirectory(prefix="newscaster-matte-") as name:
        for video in options.videos:
            if options.cost:
                rows += cost(video, options.anchor, Path(name), [None, *options.backgrounds], options.cost)
                print(json.dumps(rows[-1 - len(options.backgrounds) :]), flush=True)
                continue
            path = (options.keep or Path(name)) / f"{video.stem}.matte"
            store, ms = (
                (MatteStore(path), float("nan"))
                if path.exists()
                else write_matte(path, video, options.frames)
            )
            if options.images is not None:
                options.images.mkdir(parents=True, exist_ok=True)
                contact_sheet(store, video, options.images / f"{video.stem}.png")
            edge = [len(store.frame(i).luma.index) for i in range(0, len(store), 10)]
            rows.append(
                {
                    "video": video.stem,
                    "size": "x".join(map(str, store.size)),
                    "frames": len(store),
                    "ms": ms,
                    "kB per frame": path.stat().st_size / len(store) / 1e3,
                    "edge, percent": 100 * statistics.mean(edge) / (store.size[0] * store.size[1]),
                    "repeated": repeated(next(read_frames(video))),
                    "still": still(store, video),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
