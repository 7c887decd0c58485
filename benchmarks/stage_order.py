"""What is seen of the order in which a stage is shown: joins, repetition, blinks; beside forth and back.

    python benchmarks/stage_order.py TAKE_OR_ANCHOR... [--minutes 10] [--sheets FOLDER]

Sheets of the frames around joins are written to ``--sheets``; they show footage. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.geometry import runs
from newscaster.formats.anchor import TARGET, AnchorFile
from newscaster.formats.dataset import Dataset
from newscaster.media import TargetVideo
from newscaster.synthesis.playback_order import PlaybackOrder

AGAIN_SECONDS = 2.0
WITHIN_SECONDS = 60.0
DOUBLED_SECONDS = 0.8
SHEET_FRAMES = 4
SHEET_WIDTH = 200


def opened(path: Path) -> tuple[FrameSimilarity, TargetVideo, bool]:
    """The moments and the pictures of a take's or an anchor's stage, and whether it goes round."""
    if path.is_dir():
        dataset = Dataset.open(path)
        target = dataset.target
        video = TargetVideo(target.video)
        found = (target.landmarks, target.poses, dataset.head)
        about = {"stretch": target.segment, "pictures": target.thumbnails}
        loops = target.loops
    else:
        file = AnchorFile(path)
        face = file.face()
        video = TargetVideo(file.read(TARGET))
        found = (face.landmarks, face.poses, face.head)
        about = {"stretch": face.segment, "pictures": face.thumbnails}
        loops = file.info.target_loops
    return FrameSimilarity.of(*found, fps=float(video.fps), **about), video, loops


def forth_and_back(similarity: FrameSimilarity, frames: int) -> np.ndarray:
    """What was shown before: the longest stretch, at most 12 s, forth and back."""
    start, stop = max(similarity.bounds, key=lambda bound: bound[1] - bound[0])
    stop = min(stop, start + round(12 * similarity.fps))
    trip = [*range(start, stop), *range(stop - 2, start, -1)]
    return np.fromiter(itertools.islice(itertools.cycle(trip), frames), np.int64, frames)


def joins_of(order: np.ndarray) -> np.ndarray:
    """Places after which neither the next frame nor, going backward, the one before follows as expected."""
    steps = np.diff(order)
    direction = np.concatenate([[1], np.where(np.abs(steps[:-1]) == 1, steps[:-1], 0)])
    # After a cut, the direction is that of the step that follows it.
    unknown = direction == 0
    direction[unknown] = np.sign(steps[unknown])
    return np.flatnonzero(steps != direction)


def unexpected(
    similarity: FrameSimilarity, order: np.ndarray, transitions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far head and picture are from where they would have been, in usual steps, at each join."""
    here, there = order[transitions], order[transitions + 1]
    before = order[np.maximum(transitions - 1, 0)]
    follows = here + np.sign(here - before)
    known = (follows >= 0) & (follows < len(similarity))
    follows = np.clip(follows, 0, len(similarity) - 1)
    known &= similarity.segment[follows] == similarity.segment[here]
    # At the very end nothing follows: the step that is undone counts twice.
    a, b = np.where(known, follows, here), there
    twice = np.where(known, 1.0, 2.0)
    head = np.sqrt(((similarity.head[a] - similarity.head[b]) ** 2).sum(axis=-1).mean(axis=-1))
    return twice * head / similarity.usual[0], twice * similarity.image_change(a, b) / similarity.usual[2]


def repetition(order: np.ndarray, fps: float) -> tuple[float, float]:
    """Share of the time that shows again what the last minute did, and seconds until it is shown again."""
    length = round(AGAIN_SECONDS * fps)
    last: dict[bytes, int] = {}
    gaps = np.full(len(order) - length, np.inf)
    for i in range(len(gaps)):
        key = order[i : i + length].tobytes()
        if key in last:
            gaps[i] = i - last[key]
        last[key] = i
    settled = gaps[round(WITHIN_SECONDS * fps) :]
    seconds = settled[np.isfinite(settled)] / fps
    return float((settled <= WITHIN_SECONDS * fps).mean()), float(np.median(seconds)) if len(
        seconds
    ) else np.inf


def blinks(similarity: FrameSimilarity, order: np.ndarray, transitions: np.ndarray) -> tuple[int, int, int]:
    """Blinks shown, those shown backward, and those that follow another too soon across a join."""
    shown = runs(similarity.blinks[order])
    steps = np.concatenate([np.diff(order), [1]])
    reversed_ = sum(int((steps[a:b] == -1).sum() > (b - a) / 2) for a, b in shown)
    doubled = 0
    for (_, end), (begin, _) in itertools.pairwise(shown):
        joined = bool(((transitions >= end - 1) & (transitions < begin)).any())
        doubled += joined and begin - end < DOUBLED_SECONDS * similarity.fps
    return len(shown), reversed_, doubled


def figures(similarity: FrameSimilarity, order: np.ndarray) -> dict[str, float]:
    """All measures of one order."""
    transitions = joins_of(order)
    minutes = len(order) / similarity.fps / 60
    head, image = (
        unexpected(similarity, order, transitions) if len(transitions) else (np.zeros(1), np.zeros(1))
    )
    fraction, again = repetition(order, similarity.fps)
    count, backward, doubled = blinks(similarity, order, transitions)
    return {
        "seconds of footage shown": len(np.unique(order)) / similarity.fps,
        "cuts per minute": float((np.abs(np.diff(order))[transitions] > 1).sum()) / minutes,
        "turns per minute": float((np.abs(np.diff(order))[transitions] == 1).sum()) / minutes,
        "head at joins, usual steps, median": float(np.median(head)),
        "head at joins, usual steps, worst": float(head.max()),
        "picture at joins, usual steps, median": float(np.median(image)),
        "picture at joins, usual steps, worst": float(image.max()),
        "share of time that repeats the last minute": fraction,
        "seconds until 2 s come again, median": again,
        "share of time backward": float((np.diff(order) == -1).mean()),
        "blinks per minute": count / minutes,
        "reversed blinks per minute": backward / minutes,
        "doubled blinks per minute": doubled / minutes,
    }


def sheet(video: TargetVideo, order: np.ndarray, transitions: np.ndarray, path: Path) -> None:
    """The frames before and after some joins, one join to a row."""
    rows = []
    for join in transitions:
        around = order[max(0, join - SHEET_FRAMES + 1) : join + SHEET_FRAMES + 1]
        images = [Image.fromarray(video.frame(int(i))) for i in around]
        height = round(SHEET_WIDTH * images[0].height / images[0].width)
        rows.append(np.concatenate([np.asarray(p.resize((SHEET_WIDTH, height))) for p in images], axis=1))
    width = max(row.shape[1] for row in rows)
    Image.fromarray(
        np.concatenate([np.pad(row, ((0, 2), (0, width - row.shape[1]), (0, 0))) for row in rows])
    ).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="+", type=Path, help="takes or anchors")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sheets", type=Path)
    args = parser.parse_args()
    result: dict[str, dict[str, dict[str, float]]] = {}
    for path in args.targets:
        similarity, video, loops = opened(path)
        frames = round(args.minutes * 60 * similarity.fps)
        began = time.perf_counter()
        order = PlaybackOrder.of(similarity)
        found = time.perf_counter() - began
        shown = np.fromiter(itertools.islice(order.frames(), frames), np.int64, frames)
        planned = time.perf_counter() - began - found
        seconds = len(similarity) / similarity.fps
        print(
            f"{path}: {seconds:.1f} s in {len(similarity.bounds)} segments"
            f"{', goes round' if loops else ''}; "
            f"{len(order.transitions)} joins found in {found:.2f} s, {args.minutes:g} min planned "
            f"in {planned:.1f} s"
        )
        both = {"forth and back": forth_and_back(similarity, frames), "play order": shown}
        result[path.name] = {name: figures(similarity, one) for name, one in both.items()}
        for name in result[path.name]["play order"]:
            values = "".join(f"{result[path.name][which][name]:16.2f}" for which in both)
            print(f"  {name:<45}{values}")
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            transitions = joins_of(shown)
            cuts = transitions[np.abs(np.diff(shown))[transitions] > 1][:8]
            sheet(video, shown, np.concatenate([cuts, transitions[:4]]), args.sheets / f"{path.stem}.png")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
