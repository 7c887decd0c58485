"""Anchors from seconds of footage: each video's start to learn from, its end to test.

    python benchmarks/short_footage.py VIDEO... --work FOLDER [--renderer reference unet] [--minutes 0 6]

Every video shows one person. An anchor is trained on its start, and rewrites its end with the true mouths of
the tracker, as `newscaster evaluate` does. Parts are cut without loss by FFmpeg. Results stay in FOLDER, and
a run that was stopped goes on. Videos that were made are kept beside the real ones, for further judges.
Prints a table in Markdown, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import newscaster
from newscaster import media

CONSENT = "Evaluation of a renderer; the anchor is deleted afterwards."


def cut(video: Path, folder: Path, learn: float) -> tuple[Path, Path]:
    """Return the start and the end of a video as files without loss."""
    folder.mkdir(parents=True, exist_ok=True)
    fps: Fraction = media.probe(video).video.fps
    total = sum(1 for _ in media.read_frames(video))
    first = round(total * learn)
    parts = folder / "learn.mp4", folder / "test.mp4"
    for path, start, stop in zip(parts, (0, first), (first, total), strict=True):
        if path.exists():
            continue
        seconds = [float(frame / fps) for frame in (start, stop)]
        subprocess.run(
            [
                *("ffmpeg", "-v", "error", "-y", "-i", str(video)),
                *("-vf", f"trim=start_frame={start}:end_frame={stop},setpts=PTS-STARTPTS"),
                *("-af", f"atrim=start={seconds[0]}:end={seconds[1]},asetpts=PTS-STARTPTS"),
                *("-c:v", "libx264", "-qp", "0", "-c:a", "aac", str(path.with_name("part.mp4"))),
            ],
            check=True,
        )
        path.with_name("part.mp4").rename(path)
    return parts


def measured(learn: Path, test: Path, folder: Path, *, renderer: str, minutes: float) -> dict[str, Any]:
    """Train an anchor, and return what `evaluate` measures with true mouths."""
    stored = folder / "result.json"
    if not stored.exists():
        anchor = folder / "made.anchor"
        if not anchor.exists():
            newscaster.train(
                learn, anchor, consent=CONSENT, renderer=renderer, minutes=minutes, work=learn.parent / "work"
            )
        newscaster.evaluate(anchor, test, keep=folder / "videos", json_file=stored)
    return dict(json.loads(stored.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--renderer", nargs="+", default=["reference", "unet"])
    parser.add_argument("--minutes", type=float, nargs="+", default=[0.0, 6.0])
    parser.add_argument("--learn", type=float, default=0.8, help="fraction of each video to learn from")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for video in options.videos:
        folder = options.work / video.stem
        learn, test = cut(video, folder, options.learn)
        for renderer in options.renderer:
            for minutes in options.minutes:
                if minutes == 0 and renderer != "reference":
                    continue
                name = f"{video.stem}/{renderer}-{minutes:g}"
                made = folder / f"{renderer}-{minutes:g}"
                made.mkdir(exist_ok=True)
                results[name] = measured(learn, test, made, renderer=renderer, minutes=minutes)
    print(table(results))
    print(json.dumps(results))


def table(results: dict[str, Any]) -> str:
    """Return the figures with true mouths, a row for each anchor."""
    rows = [
        "| video, renderer and minutes | PSNR, dB | SSIM | sharpness | flicker | landmarks |",
        "|---|" + "---|" * 5,
    ]
    for name, result in results.items():
        (of,) = [figures for figures in result["figures"] if figures["way"] == "mouth"]
        values = [f"{of['psnr']:.2f}", f"{of['ssim']:.3f}", f"{of['sharpness']:.2f}", f"{of['flicker']:.2f}"]
        rows.append(f"| {name} | {' | '.join(values)} | {of['landmarks']:.4f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
