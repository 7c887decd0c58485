"""Painted stages: how near the full-frame network comes to unseen footage, and how calm and even a stage is.

    python benchmarks/stage.py WEIGHTS TAKE --test FOLDER:NAMES.txt --anchor NAME.anchor --work FOLDER

WEIGHTS and TAKE are in the work folder of a training with a synthetic stage, ``full-frame-...`` and ``take``.
Sheets of whole frames, of mouths, and of one pixel column over time are written to ``--work``; they show
nothing but painted pixels. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from spine import files

import newscaster
from newscaster.formats.dataset import Dataset
from newscaster.media import read_frames
from newscaster.models.portrait.training import evaluate, load_full_frame, whole_frames
from newscaster.prepare import prepare
from newscaster.training.precision import fast_precision

SHOWN = 8
SHEET_COLUMNS = 4


def on_test(weights: Path, dataset: Dataset, test: str, work: Path) -> dict[str, float]:
    """Figures of the network on footage that it never saw."""
    network = load_full_frame(weights)
    seen = prepare(files(test), work / "test-take")
    frames = whole_frames(seen.clips, dataset.head, work / "test-frames")
    found = evaluate(network, frames, frames.spread(600), precision=fast_precision(network.backdrops.device))
    each = [
        evaluate(network, frames, np.array([n]), precision=fast_precision(network.backdrops.device)).psnr
        for n in frames.spread(200)
    ]
    return {
        "PSNR of all pixels together, dB": found.psnr,
        "PSNR, mean over frames, dB": float(np.mean(each)),
        "PSNR in the face, dB": found.face_psnr,
        "sharpness in the face, painted over real": found.sharpness,
    }


def flicker(images: list[np.ndarray], outside: list[np.ndarray]) -> float:
    """Mean absolute difference between successive frames where both lie outside the region."""
    differences, pairs = [], zip(pairwise(images), pairwise(outside), strict=True)
    for (a, b), (c, d) in pairs:
        differences.append(np.abs(a.astype(np.float32) - b)[c & d].mean())
    return float(np.mean(differences))


def outside_of(size: tuple[int, int], transforms, side: int) -> list[np.ndarray]:
    """For every frame, the pixels (H, W) outside the region."""
    width, height = size
    xs, ys = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    points = np.stack([xs, ys], axis=-1).reshape(-1, 2)
    found = transforms.apply(points[None])
    return [~((p >= 0) & (p < side)).all(axis=1).reshape(height, width) for p in found]


def on_target(anchor: newscaster.Anchor, dataset: Dataset) -> dict[str, float]:
    """Flicker of the stage over that of the footage, outside the region."""
    target, side = anchor.target, anchor.info.crop.side
    numbers = np.arange(len(target))
    rendered = [frame.rgb for frame in target.frames(numbers.tolist())]
    ours = flicker(rendered, outside_of(anchor.size, target.transforms(numbers), side))
    theirs = []
    for clip in dataset.clips[::20]:
        record = clip.record
        real = list(
            read_frames(
                Path(record.source),
                fps=record.fps,
                start_frame=record.start_frame,
                stop_frame=record.start_frame + clip.frames,
            )
        )
        theirs.append(flicker(real, outside_of(record.frame_size, clip.transforms, side)))
    end = np.abs(rendered[-1].astype(np.float32) - rendered[0]).mean()
    steps = [np.abs(a.astype(np.float32) - b).mean() for a, b in pairwise(rendered)]
    return {
        "flicker outside the region, stage over footage": ours / float(np.mean(theirs)),
        "last to first frame over the greatest step within": float(end / np.max(steps)),
    }


def sheets(anchor: newscaster.Anchor, work: Path) -> None:
    """Write whole frames, mouths, and pixel columns over time of a sentence."""
    from newscaster.speech.voices import synthesize

    samples, rate = synthesize("Good evening. Here is the news. Five people moved to the sea last week.")
    frames = list(anchor.render(samples, rate))
    points = anchor.motion(samples, rate)
    chosen = np.linspace(5, len(frames) - 5, SHOWN).astype(int)
    rows = [
        np.concatenate([frames[i] for i in chosen[k : k + SHEET_COLUMNS]], axis=1)
        for k in range(0, SHOWN, SHEET_COLUMNS)
    ]
    Image.fromarray(np.concatenate(rows)).save(work / "frames.png")
    mouths = []
    for i in range(10, min(len(frames), 10 + 2 * 24), 2):
        x, y = points[i, :40].mean(axis=0).astype(int)
        mouths.append(frames[i][max(0, y - 48) : y + 48, max(0, x - 56) : x + 56])
    wide = [np.concatenate(mouths[k : k + 8], axis=1) for k in range(0, len(mouths), 8)]
    sheet = Image.fromarray(np.concatenate([row for row in wide if row.shape == wide[0].shape]))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.LANCZOS).save(work / "mouths.png")
    column = int(points[0, :40, 0].mean())
    Image.fromarray(np.stack([frame[:, column] for frame in frames], axis=1)).save(work / "column.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--test", metavar="FOLDER:NAMES.txt")
    parser.add_argument("--anchor", default="grid-s1")
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    dataset, anchor = Dataset.open(given.dataset), newscaster.open(given.anchor)
    figures = on_target(anchor, dataset)
    if given.test:
        figures |= on_test(given.weights, dataset, given.test, given.work)
    sheets(anchor, given.work)
    for name, value in figures.items():
        print(f"{value:9.3f}  {name}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
