"""Train the base motion network that the package carries. Writes its ONNX graph beside it, too.

    python tools/train_base_motion.py --person FOLDER[:NAMES.txt] --people FOLDER... --of-others 0.5 \
        --check-people FOLDER --work FOLDER --out src/newscaster/data/base_motion.safetensors

``--person`` names footage of one person, as many clips as there are; ``--people`` folders whose every file
shows someone else, or FOLDER:NAMES.txt. ``base_people.txt`` beside this file names the clips of one of the
folders behind the packaged network: clips with mouths of older generators make it worse on real people.

All mouths are brought to one basis: pose and size are taken out by the head's own frame, motion is measured
from each one's mouth at rest, and everyone is made equally expressive. Audio and video of collected clips are
often offset. A ridge regression of the opening estimates by how much, clip by clip: it is fitted to the one
person at first, then also to the clips that agree with it. Clips that agree at no offset are left out. Copies
of all clips have other rooms, paces and pitches.

With --devices and --nodes, several processes train; the first does all else. --write-shards DIR_OR_URL writes
the clips into shards and ends; --shards DIR_OR_URL trains on them, and streams them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from work_folder import work_folder

from newscaster.evaluation.motion import opening_agreement, shifted
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import MouthBasis, mouth_shapes, opening, rest_shape
from newscaster.formats.dataset import Clip
from newscaster.models.motion.augment import augment_audio
from newscaster.models.motion.base import BaseMotion, save_base_motion
from newscaster.models.motion.data import MotionClip, MotionTraining, motion_clip
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.models.motion.speaker import motion_errors, predict
from newscaster.models.motion.streamed import KIND, StreamedSegments, facts_of, write_clips
from newscaster.models.motion.task import train_motion
from newscaster.prepare.tracks import track_footage
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import STEP_SAMPLES, FeatureSpec, extract
from newscaster.speech.windows import Windowing
from newscaster.stores.remote import stored_file
from newscaster.training.distributed import Launcher
from newscaster.training.processes import Processes
from newscaster.training.seeds import seeded
from newscaster.training.shards import ShardSet, ShardWriter

MIN_AGREEMENT = 0.4
"""Clips whose opening correlates less than this with the regression's are not learnt from."""
ROUNDS = 3
"""How often the regression is fitted: to the one person, then also to the clips that agreed."""
MIN_SEEN = 0.5
EXPRESSIVENESS = 1.2
"""To how much of the one person's standard deviation other people's opening is scaled: those who mumble and
those who shout count alike. More than 1, because a network that is less sure of unknown voices moves less."""
EXPRESSIVENESS_RANGE = (0.4, 2.5)
FEATURES = FeatureSpec(
    kind="whisper", windowing=Windowing(left_seconds=0.4, hop_seconds=2.0, right_seconds=0.4)
)
TRAINING = MotionTraining(steps=1600, feature_noise=0.35)
COPIES = 2
"""Copies of every clip with augmented audio,"""
OF_COPIES = 0.4
"""and the share of updates on those copies."""
COEFFICIENTS = 24
HEAD_FRAMES = 400


@dataclass(frozen=True)
class Person:
    """One person's clips, and how far the mouth was really open in each, (T,)."""

    clips: list[MotionClip]
    speech: list[np.ndarray]
    openings: list[np.ndarray]
    rest: np.ndarray


def read_person(clips: list[Clip], encoder) -> Person | None:
    """Motion of clips that show one person; None where too little of a face is seen."""
    seen = np.concatenate([clip.landmarks[clip.present] for clip in clips])
    if len(seen) < MIN_SEEN * sum(clip.frames for clip in clips) or len(seen) < 25:
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
    return Person(motion, [np.asarray(clip.speech) for clip in clips], openings, rest)


class OpeningRegression:
    """Ridge regression of the opening, in standard deviations, on the features around a step.

    Args:
        features: of all clips, (T, D); their principal components are the regressors.
    """

    COMPONENTS, REACH, RIDGE = 160, 2, 300.0

    def __init__(self, features: np.ndarray) -> None:
        self._mean, self._deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
        scaled = (features - self._mean) / self._deviation
        self._directions = np.linalg.eigh(scaled.T @ scaled)[1][:, -self.COMPONENTS :]
        self._weights = np.zeros((2 * self.REACH + 1) * self.COMPONENTS + 1)

    def regressors(self, features: np.ndarray) -> np.ndarray:
        components = ((features - self._mean) / self._deviation) @ self._directions
        padded = np.pad(components, ((self.REACH, self.REACH), (0, 0)), mode="edge")
        around = [padded[i : i + len(components)] for i in range(2 * self.REACH + 1)]
        return np.concatenate([*around, np.ones((len(components), 1))], axis=1)

    def fit(self, clips: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Fit to regressors and openings of the same steps."""
        count = len(self._weights)
        gram, moments = self.RIDGE * np.eye(count), np.zeros(count)
        for regressors, seen in clips:
            gram += regressors.T @ regressors
            moments += regressors.T @ ((seen - seen.mean()) / seen.std())
        self._weights = np.linalg.solve(gram, moments)

    def predict(self, regressors: np.ndarray) -> np.ndarray:
        return regressors @ self._weights


def aligned(own: Person, people: list[Person]) -> list[tuple[MotionClip, np.ndarray]]:
    """Other people's clips and audio, offsets corrected, equally expressive; without those that disagree."""
    everyone = [own, *people]
    pairs = [
        (clip, seen) for person in everyone for clip, seen in zip(person.clips, person.openings, strict=True)
    ]
    regression = OpeningRegression(np.concatenate([clip.features for clip, _ in pairs]))
    given = [(regression.regressors(clip.features), seen, clip.present) for clip, seen in pairs]
    lags: dict[int, int] = dict.fromkeys(range(len(own.clips)), 0)
    for _ in range(ROUNDS):
        learnt = []
        for index, lag in lags.items():
            regressors, seen, present = given[index]
            use = shifted(present, -lag)
            learnt.append((shifted(regressors, lag)[use], shifted(seen, -lag)[use]))
        regression.fit([(regressors, seen) for regressors, seen in learnt if len(seen) > 1 and seen.std()])
        for index in range(len(own.clips), len(given)):
            regressors, seen, present = given[index]
            found = opening_agreement(regression.predict(regressors), seen, present)
            lags.pop(index, None)
            if found.correlation >= MIN_AGREEMENT:
                lags[index] = int(found.lag)
    del given
    wanted = EXPRESSIVENESS * np.concatenate(own.openings).std()
    kept, index = [], len(own.clips)
    for person in people:
        scale = np.clip(wanted / np.concatenate(person.openings).std(), *EXPRESSIVENESS_RANGE)
        for clip, audio in zip(person.clips, person.speech, strict=True):
            if index in lags:
                lag = lags[index]
                shapes = (scale * shifted(clip.shapes, -lag)).astype(np.float32)
                moved = MotionClip(shifted(clip.features, lag), shapes, shifted(clip.present, -lag))
                kept.append((moved, audio[max(0, lag) * STEP_SAMPLES :]))
            index += 1
    found_lags = np.array([lag for at, lag in lags.items() if at >= len(own.clips)])
    total = sum(len(person.clips) for person in people)
    print(f"  {len(kept)} of {total} clips agree; lags from -8: {np.bincount(found_lags + 8)}", flush=True)
    return kept


def agreement(
    network: MotionNetwork, basis: MouthBasis, rest: np.ndarray, clip: MotionClip, seen: np.ndarray
):
    """How a network's opening, on a mouth at ``rest``, agrees with the one that was seen."""
    predicted = opening(basis.with_mean(rest).reconstruct(predict(network, clip.features)))
    return opening_agreement(predicted, seen, clip.present)


def fractions(parts: list[tuple[list[MotionClip], float]]) -> list[float]:
    """How often each clip of some parts is drawn: by length, and each part together so much of the time."""
    drawn: list[float] = []
    for clips, fraction in parts:
        lengths = np.array([len(clip.features) for clip in clips], float)
        drawn += list(lengths / lengths.sum() * fraction)
    return drawn


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
    parser.add_argument("--person")
    parser.add_argument("--check-person")
    parser.add_argument("--people", nargs="*", default=[])
    parser.add_argument("--check-people", nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True, help="landmarks and trainings; resumed from")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--of-others", type=float, default=0.5, help="share of updates on other people")
    parser.add_argument("--shards", metavar="DIR_OR_URL", help="train the network on these shards alone")
    parser.add_argument("--write-shards", metavar="DIR_OR_URL", help="write shards for it, and end")
    parser.add_argument("--shard-megabytes", type=int, default=64)
    parser.add_argument("--seed", type=int, default=TRAINING.seed, help="of the weights and the batches")
    parser.add_argument("--devices", type=int, default=1, help="processes on each machine")
    parser.add_argument("--nodes", type=int, default=1, help="machines; each runs this command")
    arguments = parser.parse_args()
    if bool(arguments.out) == bool(arguments.write_shards) or bool(arguments.person) == bool(
        arguments.shards
    ):
        parser.error("give --out or --write-shards, and --person with --people or --shards")
    launcher = Launcher(arguments.devices, arguments.nodes)
    if launcher.is_first:
        train = train_on_shards if arguments.shards else train_on_footage
        with work_folder(arguments.work):
            train(arguments, launcher)
    elif arguments.shards:
        train_on_shards(arguments, launcher)  # the first process holds the folder
    else:
        help_training(arguments, launcher.processes())


def train_on_shards(arguments, launcher: Launcher) -> None:
    """Train the network on shards, in all processes."""
    shards = ShardSet.read(partial(stored_file, arguments.shards), kind=KIND)
    basis = MouthBasis.from_arrays(shards.facts)
    network, config = new_network(arguments.seed), replace(TRAINING, seed=arguments.seed)
    network.feature_mean.copy_(torch.from_numpy(shards.facts["feature_mean"]))
    network.feature_deviation.copy_(torch.from_numpy(shards.facts["feature_deviation"]))
    segments, folder = StreamedSegments(shards, config.segment), run_folder(arguments, "streamed")
    processes = launcher.processes()
    network = train_motion(network, segments, basis, folder, config=config, processes=processes)
    if launcher.is_first:
        facts = {"samples": sum(group.samples for group in shards.groups)}
        save_base_motion(arguments.out, BaseMotion(network, basis, FEATURES, facts))


def help_training(arguments, processes: Processes) -> None:
    """Train together with the first process, which hands over what is trained, until it sends nothing."""
    while (given := processes.first(lambda: None)) is not None:
        network, *data = given
        train_motion(network, *data[:2], arguments.work, processes=processes, **data[2])


def half_precision(clip: MotionClip) -> MotionClip:
    return replace(clip, features=clip.features.astype(np.float16))


def run_folder(arguments: argparse.Namespace, name: str) -> Path:
    """The folder of a training: each seed has one of its own, and all share the landmarks."""
    return arguments.work / (f"{name}-{arguments.seed}" if arguments.seed else name)


def new_network(seed: int) -> MotionNetwork:
    with seeded(seed):
        return MotionNetwork(MotionConfig(inputs=FEATURES.width, coefficients=COEFFICIENTS))


def train_on_footage(arguments, launcher: Launcher) -> None:
    """Read all footage, and train the network; or write the clips into shards."""
    encoder = load_encoder(windowing=FEATURES.windowing)

    def read(folders: list[str], name: str, *, one: bool) -> list[Person]:
        files = [file for folder in folders for file in footage(folder)]
        clips = track_footage(files, arguments.work / name) if files else []
        groups = [clips] if one else [[clip] for clip in clips]
        return [person for group in groups if (person := read_person(group, encoder)) is not None]

    (own,) = read([arguments.person], "person", one=True)
    people = read(arguments.people, "people", one=False)
    check_people = read(arguments.check_people, "check-people", one=False)
    check_own = [] if arguments.check_person is None else check_clips(arguments, own, encoder)
    everyone = [c.shapes[c.present] for person in (own, *people) for c in person.clips]
    basis = MouthBasis.fit(np.concatenate(everyone), size=COEFFICIENTS)
    basis = basis.with_mean(np.zeros_like(basis.mean))
    features = torch.from_numpy(np.concatenate([c.features for p in (own, *people) for c in p.clips]))

    def copies(clips: list[tuple[MotionClip, np.ndarray]], seed: int) -> list[MotionClip]:
        rng = np.random.default_rng(seed)
        return [augment_audio(*clip, FEATURES, encoder, rng) for _ in range(COPIES) for clip in clips]

    of_others = arguments.of_others
    heard = aligned(own, people)
    others = [clip for clip, _ in heard]
    plain = [(own.clips, (1 - of_others) * (1 - OF_COPIES)), (others, of_others * (1 - OF_COPIES))]
    own_copies = copies(list(zip(own.clips, own.speech, strict=True)), 1)
    changed = [(own_copies, (1 - of_others) * OF_COPIES), (copies(heard, 2), of_others * OF_COPIES)]
    if arguments.write_shards:
        size = arguments.shard_megabytes << 20
        names = ("own", "others", "own-augmented", "others-augmented")
        writer = ShardWriter(
            partial(stored_file, arguments.write_shards),
            kind=KIND,
            fractions={name: part for name, (_, part) in zip(names, plain + changed, strict=True)},
            shard_bytes=size,
        )
        for name, (part, _) in zip(names, plain + changed, strict=True):
            write_clips(writer, name, part)
        writer.close(facts_of(basis, features))
        launcher.processes().first(lambda: None)
        return
    network, parts = new_network(arguments.seed), plain + changed
    print(", ".join(f"{len(clips)} clips at {fraction:.2f}" for clips, fraction in parts), flush=True)
    network.normalise_with(features)
    clips = [half_precision(clip) for part, _ in parts for clip in part]
    how = {"config": replace(TRAINING, seed=arguments.seed), "fractions": fractions(parts)}
    processes = launcher.processes()
    processes.first(lambda: (network, clips, basis, how))
    train_motion(network, clips, basis, run_folder(arguments, "training"), processes=processes, **how)
    processes.first(lambda: None)
    figures = report(network, basis, own.rest, check_own, check_people)
    facts = {"clips": len(own.clips) + len(others), "figures": figures}
    save_base_motion(arguments.out, BaseMotion(network, basis, FEATURES, facts))
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
