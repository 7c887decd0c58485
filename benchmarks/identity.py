"""How well face descriptors tell whether two clips show one person.

    python benchmarks/identity.py --data ../shared/data [--frames 6]

Two sets. *Mixed*: real clips of `people`, `speakers`, `hd`, `grid_others`, `grid_s1` and `grid_s4_hq`; two
faces of one clip count as a pair if they are at least 2 s apart. The index of `people` numbers its people
across recordings by likeness, and by eye four of the five least alike joins are of different people: pairs of
two recordings with one number are left out, neither equal nor unequal. *News*: television anchors of
`news_anchors` by `identity.tsv`, clip against clip, across days.

Pairs are compared as single frames and as means of up to three frames. Each set's equal error rate is printed
with its threshold. Then the people are divided into folds: each fold is judged by the threshold that the
others choose, and by the product's. The interval is a bootstrap over people. Descriptors stay in memory. Ends
with a line of JSON.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.media import probe, read_frames
from newscaster.tracking.descriptor import (
    MAX_DISTANCE,
    MAX_MEAN_DISTANCE,
    MEAN_FRAMES,
    descriptor_distance,
    mean_descriptor,
)

MIN_APART_SECONDS = 2.0
FOLDS = 5
RESAMPLES = 100
MAX_PAIRS_OF_CLIPS = 4
"""Single-frame pairs taken of each pair of clips."""
FRAMES_PER_SECOND = Fraction(25)


@dataclass(frozen=True)
class Clip:
    person: str
    path: Path
    maybe: str = ""
    """Clips that share this name may show one person or not."""


@dataclass(frozen=True)
class Face:
    """A descriptor, of one frame or a mean, of a clip."""

    person: str
    clip: int
    second: float
    descriptor: np.ndarray
    maybe: str = ""


@dataclass(frozen=True)
class Pairs:
    """Distances of pairs, whether each is one person, and the people (by number) on both sides."""

    distances: np.ndarray
    equal: np.ndarray
    people: np.ndarray

    def of(self, chosen: np.ndarray) -> Pairs:
        return Pairs(self.distances[chosen], self.equal[chosen], self.people[chosen])


Describe = Callable[[Path, int], list[tuple[float, np.ndarray]]]


def mixed_clips(data: Path) -> list[Clip]:
    """Real footage; one name per person across the folders."""
    clips, joined = [], {}
    for row in _rows(data / "people/index.tsv"):
        joined[row["also in speakers/train"]] = row["person"]
        if row["real or generated"] == "real":
            path = data / "people/clips" / row["file"]
            clips.append(Clip(f"people {path.stem}", path, row["person"]))
    for row in _rows(data / "speakers/index.tsv"):
        if row["real or generated"] == "real":
            path = data / "speakers" / row["file"]
            name = "mead M030" if "mead_M030" in path.stem else f"speakers {path.stem}"
            clips.append(Clip(name, path, joined.get(path.stem, "")))
    clips += [Clip(f"hd {path.stem}", path) for path in sorted((data / "hd").glob("*.mp4"))]
    for path in sorted((data / "grid_others").glob("*.mpg")):
        same = {"lwbsza": "grid s4", "id2_swwp2s": "grid man", "pwij3p": "grid man"}
        clips.append(Clip(same.get(path.stem, f"grid {path.stem}"), path))
    clips += [Clip("grid s4", path) for path in sorted((data / "grid_s4_hq").rglob("*.mp4"))]
    clips += [Clip("grid s1", path) for path in sorted((data / "grid_s1/clips").iterdir())[::10]]
    return [clip for clip in clips if clip.path.exists()]


def news_clips(data: Path) -> list[Clip]:
    folder = data / "news_anchors/clips"
    rows = _rows(data / "news_anchors/identity.tsv")
    return [Clip(row["person"], next(folder.glob(f"{row['clip']}.*"))) for row in rows]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def describe_clip(path: Path, frames: int) -> list[tuple[float, np.ndarray]]:
    """Time and descriptor of the largest face in frames spread over a clip."""
    from newscaster.prepare.sightings import sightings_in

    video = probe(path).video
    assert video is not None, path
    seconds = video.duration_seconds or 1.0
    wanted = {int(t * FRAMES_PER_SECOND) for t in np.linspace(0.05, 0.92, frames) * seconds}
    found = []
    for index, frame in enumerate(read_frames(path, fps=FRAMES_PER_SECOND)):
        if index in wanted and (faces := sightings_in(frame, index / float(FRAMES_PER_SECOND))):
            face = max(faces, key=lambda face: face.side)
            if np.isfinite(face.descriptor).all():
                found.append((face.second, face.descriptor))
    return found


def faces_of(clips: Sequence[Clip], frames: int, *, means: bool, describe: Describe) -> list[Face]:
    """Single frames, or means of `MEAN_FRAMES` frames that follow each other."""
    faces = []
    for number, clip in enumerate(clips):
        found = describe(clip.path, frames)
        size = MEAN_FRAMES if means else 1
        for start in range(0, len(found) - size + 1, size) if len(found) >= size else ([0] if found else []):
            part = found[start : start + size]
            second = float(np.mean([time for time, _ in part]))
            mean = mean_descriptor(np.stack([descriptor for _, descriptor in part]))
            faces.append(Face(clip.person, number, second, mean, clip.maybe))
    return faces


def all_pairs(faces: Sequence[Face], *, within_clips: bool) -> Pairs:
    """Every pair of clips by a few of their faces; of one clip, faces at least 2 s apart."""
    numbers = {person: i for i, person in enumerate(sorted({face.person for face in faces}))}
    by_clip: dict[int, list[Face]] = {}
    for face in faces:
        by_clip.setdefault(face.clip, []).append(face)
    distances, equal, people = [], [], []
    for one, other in _pairs(by_clip, within_clips=within_clips):
        if one.maybe and one.maybe == other.maybe and one.clip != other.clip:
            continue
        distances.append(float(descriptor_distance(one.descriptor, other.descriptor)))
        equal.append(one.person == other.person)
        people.append((numbers[one.person], numbers[other.person]))
    return Pairs(np.array(distances), np.array(equal), np.array(people))


def _pairs(by_clip: dict[int, list[Face]], *, within_clips: bool) -> Iterator[tuple[Face, Face]]:
    random = np.random.default_rng(0)
    for a, b in itertools.combinations(by_clip, 2):
        every = list(itertools.product(by_clip[a], by_clip[b]))
        picked = random.permutation(len(every))[:MAX_PAIRS_OF_CLIPS]
        yield from (every[i] for i in picked)
    if within_clips:
        for faces in by_clip.values():
            far = (
                p
                for p in itertools.combinations(faces, 2)
                if abs(p[0].second - p[1].second) >= MIN_APART_SECONDS
            )
            yield from far


def error_rates(pairs: Pairs, threshold: float, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Shares of unequal pairs taken for one person, and of equal pairs taken for two."""
    same = pairs.distances <= threshold
    weights = np.ones(len(same)) if weights is None else weights
    unequal, equal = weights * ~pairs.equal, weights * pairs.equal
    return float((unequal * same).sum() / unequal.sum()), float((equal * ~same).sum() / equal.sum())


def equal_error(pairs: Pairs, weights: np.ndarray | None = None) -> tuple[float, float]:
    """The equal error rate, and the distance at which both errors are equal."""
    order = np.argsort(pairs.distances)
    weights = np.ones(len(order)) if weights is None else weights
    equal = (weights * pairs.equal)[order].cumsum()
    unequal = (weights * ~pairs.equal)[order].cumsum()
    rejected, accepted = 1 - equal / equal[-1], unequal / unequal[-1]
    best = int(np.argmin(np.abs(rejected - accepted)))
    return float((rejected[best] + accepted[best]) / 2), float(pairs.distances[order][best])


def person_weights(pairs: Pairs) -> np.ndarray:
    """Every person's equal pairs count alike, and so do every two people's unequal pairs."""
    _, group, counts = np.unique(
        np.sort(pairs.people, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return np.asarray(1 / counts[group.reshape(-1)])


def across_folds(pairs: Pairs) -> tuple[float, float, float]:
    """Mean of both error rates by thresholds of other people; the least and greatest threshold."""
    count = int(pairs.people.max()) + 1
    fold = np.random.default_rng(1).permutation(count) % FOLDS
    errors, thresholds, sizes = [], [], []
    for held in range(FOLDS):
        inside = fold[pairs.people] == held
        test, rest = pairs.of(inside.any(axis=1)), pairs.of(~inside.any(axis=1))
        _, threshold = equal_error(rest)
        errors.append(np.mean(error_rates(test, threshold)))
        thresholds.append(threshold)
        sizes.append(int(test.equal.sum()))
    return float(np.average(errors, weights=sizes)), min(thresholds), max(thresholds)


def interval(pairs: Pairs) -> tuple[float, float]:
    """95 % of the equal error rate over resampled people."""
    random, rates = np.random.default_rng(2), []
    count = int(pairs.people.max()) + 1
    for _ in range(RESAMPLES):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        one, other = drawn[pairs.people[:, 0]], drawn[pairs.people[:, 1]]
        weights = np.where(pairs.equal, one, one * other).astype(float)
        if (weights * pairs.equal).any() and (weights * ~pairs.equal).any():
            rates.append(equal_error(pairs, weights)[0])
    return float(np.percentile(rates, 2.5)), float(np.percentile(rates, 97.5))


def measure(clips: Sequence[Clip], frames: int, *, within_clips: bool, describe: Describe) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for name, means, fixed in (("single", False, MAX_DISTANCE), ("mean of 3", True, MAX_MEAN_DISTANCE)):
        faces = faces_of(clips, frames, means=means, describe=describe)
        pairs = all_pairs(faces, within_clips=within_clips)
        rate, threshold = equal_error(pairs)
        low, high = interval(pairs)
        folds, least, greatest = across_folds(pairs)
        accepted, rejected = error_rates(pairs, fixed)
        found[name] = {
            "people": len({face.person for face in faces}),
            "clips": len({face.clip for face in faces}),
            "equal pairs": int(pairs.equal.sum()),
            "unequal pairs": int((~pairs.equal).sum()),
            "equal error": rate,
            "95 %": [low, high],
            "per person": equal_error(pairs, person_weights(pairs))[0],
            "threshold": threshold,
            "by thresholds of others": folds,
            "thresholds of others": [least, greatest],
            "product threshold": fixed,
            "false accepts": accepted,
            "false rejects": rejected,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--frames", type=int, default=6, help="frames described of each clip")
    arguments = parser.parse_args()
    cache: dict[Path, list[tuple[float, np.ndarray]]] = {}

    def describe(path: Path, frames: int) -> list[tuple[float, np.ndarray]]:
        if path not in cache:
            cache[path] = describe_clip(path, frames)
        return cache[path]

    report(arguments.data, arguments.frames, describe)


def report(data: Path, frames: int, describe: Describe) -> None:
    sets = {"mixed": (mixed_clips(data), True), "news": (news_clips(data), False)}
    results = {}
    for name, (clips, within) in sets.items():
        results[name] = measure(clips, frames, within_clips=within, describe=describe)
        for kind, found in results[name].items():
            least, greatest = found["thresholds of others"]
            low, high = found["95 %"]
            print(
                f"{name:6} {kind:10} {found['people']} people, {found['clips']} clips, "
                f"{found['equal pairs']} equal and {found['unequal pairs']} unequal pairs\n"
                f"  equal error {100 * found['equal error']:.2f} % ({100 * low:.2f} to {100 * high:.2f}) "
                f"at {found['threshold']:.3f}; all people alike {100 * found['per person']:.2f} %\n"
                f"  by other people's thresholds, {least:.3f} to {greatest:.3f}: "
                f"{100 * found['by thresholds of others']:.2f} %\n"
                f"  at {found['product threshold']:.2f}: {100 * found['false accepts']:.3f} % of others "
                f"accepted, {100 * found['false rejects']:.2f} % of the same rejected"
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
