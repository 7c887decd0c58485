"""Anchors from seconds of footage: each video's start to learn from, its end to test.

    python benchmarks/short_footage.py VIDEO... --work FOLDER [--renderer reference unet] [--minutes 0 6]

Every video shows one person. An anchor is trained on its start, and rewrites its end with the true mouths of
the tracker, as `newscaster evaluate` does. Parts are cut without loss. Results stay in FOLDER, and a run that
was stopped goes on. Videos that were made are kept beside the real ones, for further judges. Prints a table
in Markdown, and ends with one line of JSON.

- minutes: processor time of the training of the renderer, so that other load does not count.
- core minutes: processor time of the whole making of the anchor; of preparation only for the first anchor of
  a video.
- frame PSNR: of whole frames of the video with the new mouths, all pixels of all frames together.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import newscaster
from newscaster import media
from newscaster.evaluation.image_metrics import psnr, squared_errors
from newscaster.models.renderer.training import train_renderer

CONSENT = "Evaluation of a renderer; the anchor is deleted afterwards."
_RATE = 48_000


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
        audio = folder / "audio.wav"
        samples = media.read_audio(video, rate=_RATE, start_seconds=seconds[0], stop_seconds=seconds[1])
        media.write_wav(audio, samples, _RATE)
        frames = media.read_yuv_frames(video, start_frame=start, stop_frame=stop)
        media.write_video(path, frames, fps=fps, audio=audio, crf=0)
    return parts


def measured(learn: Path, test: Path, folder: Path, *, renderer: str, minutes: float) -> dict[str, Any]:
    """Train an anchor, and return what `evaluate` measures with true mouths."""
    stored = folder / "result.json"
    if not stored.exists():
        anchor, spent, videos = folder / "made.anchor", folder / "core_minutes.json", folder / "videos"
        if not anchor.exists():
            before = _core_seconds()
            timed = partial(train_renderer, clock=time.process_time)
            with patch("newscaster.models.renderer.training.train_renderer", timed):
                newscaster.train(
                    learn,
                    anchor,
                    consent=CONSENT,
                    renderer=renderer,
                    minutes=minutes,
                    work=learn.parent / "work",
                )
            spent.write_text(json.dumps((_core_seconds() - before) / 60))
        evaluation = newscaster.evaluate(anchor, test, keep=videos)
        figures = evaluation.to_json() | {
            "core_minutes": json.loads(spent.read_text()),
            "frame_psnr": frame_psnr(videos / f"{test.stem}.mouth.mp4", test),
            "training": newscaster.open(anchor).info.training,
        }
        stored.write_text(json.dumps(figures))
    return dict(json.loads(stored.read_text()))


def _core_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def frame_psnr(made: Path, real: Path) -> float:
    """Return the PSNR of whole frames, all pixels of all frames together."""
    errors = []
    for one, other in zip(media.read_frames(made), media.read_frames(real), strict=True):
        errors.append(squared_errors(one[None], other[None], np.ones(other.shape[:2], bool))[0])
    return psnr(np.array(errors))


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
        "| video, renderer and minutes | core minutes | frame PSNR, dB | PSNR, dB | SSIM | sharpness "
        "| flicker | perceptual distance | landmarks |",
        "|---|" + "---|" * 8,
    ]
    for name, result in results.items():
        (of,) = [figures for figures in result["figures"] if figures["way"] == "mouth"]
        values = [
            *(f"{result['core_minutes']:.1f}", f"{result['frame_psnr']:.2f}", f"{of['psnr']:.2f}"),
            *(f"{of['ssim']:.3f}", f"{of['sharpness']:.2f}", f"{of['flicker']:.2f}"),
            *(f"{of['perceptual']:.3f}", f"{of['landmarks']:.4f}"),
        ]
        rows.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
