"""The package's face tracker against MediaPipe's, from which its networks come, and its identities.

    python benchmarks/face_tracking.py landmarks FOOTAGE... [--frames 2000] [--out result.json]
    python benchmarks/face_tracking.py identities FOOTAGE... [--repeats 10] [--seed 0]

The first form needs mediapipe 0.10.21 (requirements/compare.txt). Each FOOTAGE, a file or a folder, is a row:
both track the same frames, clip by clip. Distances are of landmarks (x, y), in distances of the outer eye
corners: the mean over all landmarks and frames, and over those of the worst frame. Processor time is measured
in turns of 15 frames and compared turn by turn; the first turn, with the search for the face, is left out.

MediaPipe differs from itself, too: it cuts crops at whole 1/32 px, so that the least difference of regions
grows until the roundings have nothing in common. "itself" is MediaPipe against MediaPipe that starts a frame
later.

The second form composes scenes in which two and three people of FOOTAGE cross, leave and come back (see
crossings.py). It counts frames in which an identity is on another person than at first, and identities beyond
one a person. Name footage of different people, one file each. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from crossings import FACE_PX, FPS, SCENES, Frame, Scene, Sprite, load_sprite, render

from newscaster.media import read_frames
from newscaster.prepare.clips import find_footage
from newscaster.tracking import SHORT_RANGE, Describe, FaceDetector, FaceTracker

TURN = 15
"""Frames of one turn of the clock."""
MIN_SEEN = 0.75
"""Faces of which less can be seen are not asked for."""


class MediaPipe:
    """MediaPipe's face mesh, tracking one face."""

    def __init__(self) -> None:
        import mediapipe

        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=1)

    def step(self, frame: Frame) -> npt.NDArray[np.float64] | None:
        height, width = frame.shape[:2]
        faces = self._mesh.process(frame).multi_face_landmarks
        if not faces:
            return None
        return np.array([(point.x * width, point.y * height) for point in faces[0].landmark])


class Ours:
    def __init__(self) -> None:
        self._tracker = FaceTracker(detector=FaceDetector((SHORT_RANGE,)))

    def step(self, frame: Frame) -> npt.NDArray[np.float64] | None:
        faces = self._tracker.step(frame)
        return faces[0].landmarks[:, :2].astype(np.float64) if faces else None


def clips(footage: Path, *, frames: int) -> Iterator[Iterator[list[Frame]]]:
    """Turns of frames of a file, or of files spread over a folder, until there are so many frames in all."""
    files, _ = find_footage([footage])
    each = max(25, -(-frames // len(files)))
    step = max(1, len(files) * each // frames)
    for file in files[::step][: -(-frames // each)]:
        yield turns(read_frames(file.path, stop_frame=each))


def turns(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    while part := list(itertools.islice(frames, TURN)):
        yield part


def compare(footage: Path, *, frames: int) -> dict[str, float | str]:
    errors, own, ratios, theirs, ours = [], [], [], [], []
    lonely = 0
    for clip in clips(footage, frames=frames):
        first, later, tracker = MediaPipe(), MediaPipe(), Ours()
        for number, part in enumerate(clip):
            results, times = [], []
            for one in (first, tracker):
                began = time.process_time()
                results.append([one.step(frame) for frame in part])
                times.append(1e3 * (time.process_time() - began) / len(part))
            if number:
                theirs.append(times[0])
                ours.append(times[1])
                ratios.append(times[1] / times[0])
            again = [later.step(frame) if number or index else None for index, frame in enumerate(part)]
            for a, b, c in zip(*results, again, strict=True):
                lonely += (a is None) != (b is None)
                errors += [] if a is None or b is None else [distance(a, b)]
                own += [] if a is None or c is None else [distance(a, c)]
    return {
        "footage": footage.name,
        "frames": len(errors),
        "found by one only": lonely,
        "mean": float(np.mean(errors)),
        "worst frame": float(np.max(errors)),
        "itself mean": float(np.mean(own)),
        "itself worst": float(np.max(own)),
        "MediaPipe ms": statistics.median(theirs),
        "ours ms": statistics.median(ours),
        "time ratio": statistics.median(ratios),
    }


def distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Mean of landmarks (478, 2), in distances of the outer eye corners."""
    return float(np.linalg.norm(one - other, axis=1).mean() / np.linalg.norm(one[33] - one[263]))


def follow(
    scene: Scene, sprites: list[Sprite], *, seed: int, describe: Describe | None = None
) -> tuple[int, int, int, int]:
    """Frames with somebody else's identity, identities beyond one a person, faces missed, faces in all."""
    tracker = FaceTracker(3, fps=FPS, describe=describe)
    owners: dict[int, int] = {}
    given: list[set[int]] = [set() for _ in sprites]
    swapped = missed = total = 0
    for frame, places in render(scene, sprites, seed=seed):
        faces = [
            ((f.landmarks[:, :2].min(0) + f.landmarks[:, :2].max(0)) / 2, f.identity)
            for f in tracker.step(frame)
        ]
        for number, (x, y, fraction) in enumerate(places):
            if fraction < MIN_SEEN:
                continue
            total += 1
            near = [(float(np.hypot(*(center - (x, y)))), identity) for center, identity in faces]
            distance, identity = min(near, default=(np.inf, -1))
            if distance > 0.35 * FACE_PX:
                missed += 1
                continue
            given[number].add(identity)
            swapped += owners.setdefault(identity, number) != number
    return swapped, sum(len(one) - 1 for one in given if one), missed, total


def identities(footage: list[Path], *, repeats: int, seed: int) -> list[dict[str, float | str]]:
    files, _ = find_footage(footage)
    loaded = (load_sprite(file.path, file.path.stem) for file in files)
    sprites = [sprite for sprite in loaded if sprite is not None]
    rng = np.random.default_rng(seed)
    rows: list[dict[str, float | str]] = []
    for scene in SCENES:
        counts = np.zeros(4, int)
        for number in range(repeats):
            chosen = rng.choice(len(sprites), len(scene.paths), replace=False)
            counts += follow(scene, [sprites[i] for i in chosen], seed=number)
        names = ("frames swapped", "identities too many", "missed", "faces")
        rows.append(
            {"scene": scene.name, "repeats": repeats} | dict(zip(names, counts.tolist(), strict=True))
        )
        show(rows[-1])
    return rows


def show(row: dict[str, float | str]) -> None:
    print(
        ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["landmarks", "identities"])
    parser.add_argument("footage", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "identities":
        rows = identities(options.footage, repeats=options.repeats, seed=options.seed)
    else:
        rows = []
        for footage in options.footage:
            rows.append(compare(footage, frames=options.frames))
            show(rows[-1])
    text = json.dumps(rows)
    if options.out:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
