"""Train the base motion network that the package carries.

    python tools/train_base_motion.py --person FOLDER[:NAMES.txt] --people FOLDER --check-people FOLDER \
        --work FOLDER --out src/newscaster/data/base_motion.safetensors

``--person`` names footage of one person, as many clips as there are; ``--people`` a folder whose every file
shows somebody else. Their mouths are brought to one basis: pose and size are taken out by the head's own
frame, and motion is measured from each one's mouth at rest. Sound and picture of collected clips are often
offset: a first network, trained on the one person, tells by how much, and which clips agree at no offset and
are left out. With the network that the others then help to train, the offsets are estimated once more.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from newscaster.evaluation.motion import opening_agreement, shifted
from newscaster.face.head import Head
from newscaster.face.mouth import MouthBasis, mouth_shapes, opening, rest_shape
from newscaster.prepare.tracks import track_footage
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.speech.windows import Windowing
from newscaster.take import Clip
from newscaster.training.base_motion import BaseMotion, save_base_motion
from newscaster.training.motion import MotionClip, MotionTraining, motion_clip, train_motion
from newscaster.training.networks.motion import MotionConfig, MotionNetwork
from newscaster.training.speaker import motion_errors, predict

LEAST_AGREEMENT = 0.4
"""Clips whose opening agrees less than this with the network's are not learnt from."""
LEAST_SEEN = 0.5
FEATURES = FeatureSpec(
    kind="whisper", windowing=Windowing(left_seconds=1.0, hop_seconds=1.0, right_seconds=0.4)
)
FIRST = MotionTraining(steps=500)
SECOND = MotionTraining(steps=900)
LAST = MotionTraining(steps=2400)
COEFFICIENTS = 24
HEAD_FRAMES = 400


@dataclass(frozen=True)
class Person:
    """One person's clips, and how far the mouth was really open in each, (T,)."""

    clips: list[MotionClip]
    openings: list[np.ndarray]
    rest: np.ndarray


def read_person(clips: list[Clip], encoder) -> Person | None:
    """Motion of clips that show one person; None where too little of a face is seen."""
    seen = np.concatenate([clip.landmarks[clip.present] for clip in clips])
    if len(seen) < LEAST_SEEN * sum(clip.frames for clip in clips) or len(seen) < 25:
        return None
    head = Head.fit(seen[:: -(-len(seen) // HEAD_FRAMES)])
    shapes = [mouth_shapes(clip.landmarks, head) for clip in clips]
    rest = rest_shape(np.concatenate([s[c.present] for s, c in zip(shapes, clips, strict=True)]))
    motion, openings = [], []
    for clip, shape in zip(clips, shapes, strict=True):
        made = motion_clip(
            extract(clip.speech, FEATURES, encoder), shape - rest, clip.present, fps=clip.record.fps
        )
        motion.append(made)
        openings.append(opening(made.shapes + rest))
    return Person(motion, openings, rest)


def agreement(
    network: MotionNetwork, basis: MouthBasis, rest: np.ndarray, clip: MotionClip, seen: np.ndarray
):
    """How a network's opening, on a mouth at ``rest``, agrees with the one that was seen."""
    predicted = opening(basis.with_mean(rest).reconstruct(predict(network, clip.features)))
    return opening_agreement(predicted, seen, clip.present)


def aligned(network, basis, rest, people: list[Person]) -> list[MotionClip]:
    """Clips of other people with their offsets corrected, those that do not agree left out."""
    kept, lags = [], []
    for person in people:
        for clip, seen in zip(person.clips, person.openings, strict=True):
            found = agreement(network, basis, rest, clip, seen)
            if found.correlation < LEAST_AGREEMENT:
                continue
            lags.append(found.lag)
            kept.append(
                MotionClip(
                    shifted(clip.features, found.lag),
                    shifted(clip.shapes, -found.lag),
                    shifted(clip.present, -found.lag),
                )
            )
    total = sum(len(person.clips) for person in people)
    print(f"  {len(kept)} of {total} clips agree; lags from -8: {np.bincount(np.array(lags) + 8)}")
    return kept


def shares(own: list[MotionClip], others: list[MotionClip], of_others: float) -> list[float]:
    """How often each clip is drawn: by length, others together ``of_others`` of the time."""
    lengths = [np.array([len(c.features) for c in part], float) for part in (own, others)]
    return [
        *(lengths[0] / lengths[0].sum() * (1 - of_others)),
        *(lengths[1] / lengths[1].sum() * of_others),
    ]


def report(network, basis, rest, own: list[MotionClip], people: list[Person]) -> dict[str, float]:
    """Figures on clips that nothing was learnt from."""
    figures = asdict(motion_errors(network, own, basis)) if own else {}
    if people:
        pairs = [(c, o) for person in people for c, o in zip(person.clips, person.openings, strict=True)]
        found = [agreement(network, basis, rest, clip, seen).correlation for clip, seen in pairs]
        figures["other people, mean r"] = float(np.mean(found))
        figures["other people, median r"] = float(np.median(found))
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)
    return figures


def footage(argument: str) -> list[Path]:
    """Files of FOLDER, or for FOLDER:NAMES.txt those that the list names, with or without suffix."""
    folder, _, names = argument.partition(":")
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    if not names:
        return files
    wanted = {line.strip() for line in Path(names).read_text().splitlines()}
    return [path for path in files if path.name in wanted or path.stem in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--person", required=True)
    parser.add_argument("--check-person")
    parser.add_argument("--people", required=True)
    parser.add_argument("--check-people")
    parser.add_argument("--work", type=Path, required=True, help="landmarks and trainings; resumed from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--of-others", type=float, default=0.55, help="share of updates on other people")
    arguments = parser.parse_args()
    encoder = load_encoder(windowing=FEATURES.windowing)

    def read(argument: str | None, name: str, *, one: bool) -> list[Person]:
        if argument is None:
            return []
        clips = track_footage(footage(argument), arguments.work / name)
        groups = [clips] if one else [[clip] for clip in clips]
        return [person for group in groups if (person := read_person(group, encoder)) is not None]

    (own,) = read(arguments.person, "person", one=True)
    people = read(arguments.people, "people", one=False)
    check_people = read(arguments.check_people, "check-people", one=False)
    check_own = [] if arguments.check_person is None else check_clips(arguments, own, encoder)
    everyone = [c.shapes[c.present] for person in (own, *people) for c in person.clips]
    basis = MouthBasis.fit(np.concatenate(everyone), size=COEFFICIENTS)
    basis = basis.with_mean(np.zeros_like(basis.mean))
    features = torch.from_numpy(np.concatenate([c.features for p in (own, *people) for c in p.clips]))

    def stage(name: str, others: list[MotionClip], training: MotionTraining) -> MotionNetwork:
        print(f"{name}: {len(own.clips)} clips of one person, {len(others)} of others", flush=True)
        network = MotionNetwork(MotionConfig(inputs=FEATURES.width, coefficients=COEFFICIENTS))
        network.normalise_with(features)
        drawn = shares(own.clips, others, arguments.of_others) if others else None
        folder = arguments.work / name
        return train_motion(network, [*own.clips, *others], basis, folder, config=training, shares=drawn)

    first = stage("first", [], FIRST)
    report(first, basis, own.rest, check_own, check_people)
    others = aligned(first, basis, own.rest, people)
    second = stage("second", others, SECOND)
    report(second, basis, own.rest, check_own, check_people)
    others = aligned(second, basis, own.rest, people)
    last = stage("last", others, LAST)
    figures = report(last, basis, own.rest, check_own, check_people)
    facts = {"clips": len(own.clips) + len(others), "figures": figures}
    save_base_motion(arguments.out, BaseMotion(last, basis, FEATURES, facts))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def check_clips(arguments, own: Person, encoder) -> list[MotionClip]:
    """Clips of the one person that are held out, measured from the rest of those that are learnt from."""
    tracked = track_footage(footage(arguments.check_person), arguments.work / "check-person")
    training = track_footage(footage(arguments.person), arguments.work / "person")
    seen = np.concatenate([clip.landmarks[clip.present] for clip in training])
    head = Head.fit(seen[:: -(-len(seen) // HEAD_FRAMES)])
    return [
        motion_clip(
            extract(clip.speech, FEATURES, encoder),
            mouth_shapes(clip.landmarks, head) - own.rest,
            clip.present,
            fps=clip.record.fps,
        )
        for clip in tracked
    ]


if __name__ == "__main__":
    main()
