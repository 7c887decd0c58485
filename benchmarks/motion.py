"""The adversarial pair and its rivals: accuracy, time, and how both compare with the published tables.

    python benchmarks/motion.py --footage TRAIN --val CHECK --test TEST --work FOLDER [--jobs 2]

TRAIN, CHECK and TEST are FOLDER or FOLDER:NAMES.txt with clips of one person. Every model is trained on every
kind of features with every seed, on the same clips, with the same losses and as many updates; what there is
to choose is chosen on CHECK. Results are kept in the work folder one by one, and a run that was stopped goes
on. Then the networks are timed in turns, in one process. ``motion_report.py`` writes ``motion.md`` and its
pictures to ``--out``. Ends with one line of JSON.

With ``--steady``, models are trained on the last of ``--inputs`` alone, in a way that makes them answer more
steadily, and ``motion_steady.md`` is written.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spine import files

from newscaster.face.head_pose import Head
from newscaster.face.measures import shape_errors
from newscaster.face.mouth_basis import MouthBasis, mouth_shapes, opening, rest_shape
from newscaster.inference import Session
from newscaster.models.motion.base import export_motion, load_base_motion
from newscaster.models.motion.data import MotionClip, MotionTraining, PairTraining, load_motion, motion_clip
from newscaster.models.motion.network import (
    AnyMotion,
    MotionConfig,
    MotionNetwork,
    RecurrentConfig,
    RecurrentMotion,
)
from newscaster.models.motion.speaker import predict
from newscaster.models.motion.task import train_motion
from newscaster.prepare.tracks import track_footage
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import MOTION_HZ, FeatureSpec, extract
from newscaster.system.files import atomic_write
from newscaster.training.checkpoints import WEIGHTS

DELAYED, ADVERSARIAL = "delayed LSTM", "adversarial TCN"
MODELS: dict[str, dict[str, object]] = {
    DELAYED: {"hidden": 160},
    "bidirectional LSTM": {"hidden": 160, "bidirectional": True},
    "causal TCN": {"channels": 128, "causal": True},
    "non-causal TCN": {"channels": 128},
    ADVERSARIAL: {"channels": 128},
}
"""The shape of every network; the adversarial one is the non-causal one, trained against an opponent."""
SPECTRAL = (
    {"dropout": 0.3, "input_dropout": 0.02},
    {"steps": 1400, "velocity": 1.6, "optimization": {"ema_decay": 0.997}},
)
STATES = ({"dropout": 0.4}, {"steps": 800})
INPUTS: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "mfcc": SPECTRAL,
    "log-mel": SPECTRAL,
    "whisper": STATES,
    "whisper+log-mel": STATES,
}
"""Dropout and training of every kind of features, the same for all models, but …"""
CONVOLUTIONAL = {
    "mfcc": {"dropout": 0.15},
    "log-mel": {"dropout": 0.15},
    "whisper": {"dropout": 0.2, "input_dropout": 0.4},
    "whisper+log-mel": {"dropout": 0.2, "input_dropout": 0.4},
}
"""… for the dropout of TCNs: theirs follows every convolution, an LSTM's only what it gives."""
STEADY = ({"smoothing": 0.2}, {"steps": 1000, "feature_noise": 0.6})
"""Network and training of ``--steady``, beside what they are otherwise."""
STEADY_DELAY = 2
"""The delay that was chosen without."""
DELAYS = (2, 4, 6, 8)
"""Steps of 40 ms that the delayed LSTM may answer late; one of them is chosen for all inputs …"""
TUNED_ON = ("mfcc", "log-mel")
"""… by its mean MSE on the clips of ``--val``, with these inputs."""
TIMED_ON = "log-mel"
SECONDS = (5, 15, 30, 60, 120, 300, 600)
"""Lengths of sound that the networks are timed on."""
HEAD_FRAMES = 400
QUICK = 20


@dataclass(frozen=True)
class Data:
    """Motion relative to the mouth at rest, in the head that was fitted on the clips to learn from."""

    learn: list[MotionClip]
    val: list[MotionClip]
    test: list[MotionClip]
    rest: np.ndarray

    @functools.cached_property
    def basis(self) -> MouthBasis:
        basis = MouthBasis.fit(np.concatenate([clip.shapes[clip.present] for clip in self.learn]))
        return basis.with_mean(np.zeros_like(basis.mean))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training."""

    model: str
    input: str
    seed: int
    delay: int = 0
    quick: bool = False
    steady: bool = False

    @property
    def name(self) -> str:
        late = f" {self.delay}" if self.model == DELAYED else ""
        kinds = (", steady" if self.steady else "") + (", quick" if self.quick else "")
        return f"{self.model}{late}, {self.input}, {self.seed}{kinds}"

    @property
    def network(self) -> MotionConfig | RecurrentConfig:
        values = {"inputs": FeatureSpec(kind=self.input).width, **INPUTS[self.input][0], **MODELS[self.model]}
        values |= STEADY[0] if self.steady else {}
        if "hidden" in values:
            return RecurrentConfig(**values, delay_steps=self.delay)
        return MotionConfig(**{**values, **CONVOLUTIONAL[self.input]})

    @property
    def training(self) -> MotionTraining:
        pair = PairTraining() if self.model == ADVERSARIAL else None
        values = INPUTS[self.input][1] | (STEADY[1] if self.steady else {})
        how = replace(MotionTraining.from_values(values), seed=self.seed, pair=pair)
        return replace(how, steps=how.steps // QUICK) if self.quick else how

    def recipe(self, data: Path) -> dict[str, object]:
        """What a result depends on, as JSON gives it back."""
        facts = {"network": asdict(self.network), "training": asdict(self.training), "data": data.name}
        return json.loads(json.dumps(facts))


def gather(a: argparse.Namespace) -> dict[str, Path]:
    """Features and mouth shapes of all clips, as one file for every input."""
    splits = {"learn": files(a.footage), "val": files(a.val), "test": files(a.test)}
    tracked = {split: track_footage(paths, a.work / "tracks") for split, paths in splits.items()}
    landmarks = np.concatenate([clip.landmarks[clip.present] for clip in tracked["learn"]])
    head = Head.fit(landmarks[:: -(-len(landmarks) // HEAD_FRAMES)])
    rest = rest_shape(mouth_shapes(landmarks, head))
    names = {split: [str(clip.record.source) for clip in clips] for split, clips in tracked.items()}
    found = {}
    for kind in a.inputs:
        spec = FeatureSpec(kind=kind, windowing=load_base_motion().features.windowing)
        facts = json.dumps([names, spec.to_json()])
        path = a.work / f"{kind}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.npz"
        found[kind] = path
        if path.is_file():
            continue
        print(f"{kind}: features of {sum(map(len, tracked.values()))} clips", flush=True)
        encoder = load_encoder(windowing=spec.windowing) if spec.needs_encoder else None
        arrays = {"rest": rest}
        for split, clips in tracked.items():
            made = [
                motion_clip(
                    extract(clip.speech, spec, encoder), mouth_shapes(clip.landmarks, head) - rest,
                    clip.present, fps=clip.record.fps,
                ) for clip in clips
            ]  # fmt: skip
            arrays[f"{split}.ends"] = np.cumsum([len(clip.features) for clip in made])
            for part in ("features", "shapes", "present"):
                arrays[f"{split}.{part}"] = np.concatenate([getattr(clip, part) for clip in made])
        with atomic_write(path) as temporary, temporary.open("wb") as out:
            np.savez(out, **arrays)
    return found


@functools.lru_cache(maxsize=1)
def load(path: Path) -> Data:
    """What :func:`gather` wrote."""
    with np.load(path) as arrays:

        def split(name: str) -> list[MotionClip]:
            cuts = arrays[f"{name}.ends"][:-1]
            parts = (np.split(arrays[f"{name}.{part}"], cuts) for part in ("features", "shapes", "present"))
            return [MotionClip(*clip) for clip in zip(*parts, strict=True)]

        return Data(split("learn"), split("val"), split("test"), arrays["rest"])


def build(task: Task, data: Data) -> AnyMotion:
    """The task's network with its first weights."""
    torch.manual_seed(task.seed)
    config = task.network
    network = RecurrentMotion(config) if isinstance(config, RecurrentConfig) else MotionNetwork(config)
    network.normalise_with(torch.from_numpy(np.concatenate([clip.features for clip in data.learn])))
    return network


def predicted(network: AnyMotion, clips: Sequence[MotionClip], basis: MouthBasis) -> list[np.ndarray]:
    """Mouth shapes relative to the rest."""
    return [basis.reconstruct(predict(network, clip.features)) for clip in clips]


def figures(network: AnyMotion, clips: Sequence[MotionClip], data: Data) -> dict[str, float]:
    """Errors over all clips together, and r of the opening at no lag."""
    made = predicted(network, clips, data.basis)
    errors = shape_errors(made, [clip.shapes for clip in clips], [clip.present for clip in clips])
    ours = [opening(shapes[clip.present] + data.rest) for shapes, clip in zip(made, clips, strict=True)]
    theirs = [opening(clip.shapes[clip.present] + data.rest) for clip in clips]
    r = float(np.corrcoef(np.concatenate(ours), np.concatenate(theirs))[0, 1])
    return {**asdict(errors), "r": r}


def run(task: Task, path: Path, work: Path) -> dict[str, object]:
    """Train on one core, measure, and keep the result."""
    torch.set_num_threads(1)
    data = load(path)
    network = build(task, data)
    started = time.perf_counter()
    folder = work / "runs" / task.name
    train_motion(network, data.learn, data.basis, folder, config=task.training, resume=False)
    result = {
        "recipe": task.recipe(path),
        "minutes": (time.perf_counter() - started) / 60,
        "parameters": sum(p.numel() for p in network.parameters()),
        "val": figures(network, data.val, data),
        "test": figures(network, data.test, data),
    }
    store(work / "results" / f"{task.name}.json", result)
    return result


def store(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1))


def run_all(tasks: Sequence[Task], data: dict[str, Path], a: argparse.Namespace) -> dict[Task, dict]:
    """Results of all tasks; those that are there already are taken as they are."""
    results: dict[Task, dict] = {}
    for task in tasks:
        file = a.work / "results" / f"{task.name}.json"
        stored = json.loads(file.read_text()) if file.is_file() else None
        if stored and stored["recipe"] == task.recipe(data[task.input]):
            results[task] = stored
    todo = [task for task in tasks if task not in results]
    if not todo:
        return results
    print(f"{len(todo)} trainings of {len(tasks)}, {a.jobs} at a time", flush=True)
    started = time.monotonic()
    with ProcessPoolExecutor(a.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(run, task, data[task.input], a.work): task for task in todo}
        for done, future in enumerate(as_completed(running), 1):
            task = running[future]
            results[task] = future.result()
            val, minutes = results[task]["val"], results[task]["minutes"]
            left = (time.monotonic() - started) / done * (len(todo) - done) / 60
            print(
                f"  {task.name}: val MSE {val['mse']:.3g}, Int-MSE {val['int_mse']:.3g}, r {val['r']:.3f}; "
                f"{minutes:.1f} min, {left:.0f} min left",
                flush=True,
            )
    return {task: results[task] for task in tasks}


def tune(data: dict[str, Path], a: argparse.Namespace) -> tuple[int, dict[Task, dict]]:
    """The delay of the delayed LSTM, and what it was chosen by."""
    inputs = [kind for kind in TUNED_ON if kind in a.inputs] or a.inputs[:1]
    tasks = [
        Task(model=DELAYED, input=kind, seed=0, delay=delay, quick=a.quick)
        for kind in inputs
        for delay in DELAYS
    ]
    results = run_all(tasks, data, a)

    def error(delay: int) -> float:
        return statistics.mean(results[task]["val"]["mse"] for task in tasks if task.delay == delay)

    return min(DELAYS, key=error), results


def onnx(network: AnyMotion) -> bytes:
    """The network as ONNX. The exporter of today fixes an LSTM's length; the one before it does not."""
    if isinstance(network, MotionNetwork):
        return export_motion(network)
    file = io.BytesIO()
    axes = {"features": {1: "T"}, "coefficients": {1: "T"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.randn(1, 70, network.config.inputs),), file, dynamo=False, opset_version=18,
            input_names=["features"], output_names=["coefficients"], dynamic_axes=axes,
        )  # fmt: skip
    return file.getvalue()


def in_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of every call: all are warmed up, then each is called once in every round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for call in runs.values():
        call()
    for _ in range(repeats):
        for name, call in runs.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return {
        name: {"median": statistics.median(t), "least": min(t), "most": max(t)} for name, t in times.items()
    }


def timing(tasks: Sequence[Task], data: dict[str, Path], a: argparse.Namespace) -> dict[str, object]:
    """Seconds of a training batch, and of sounds of several lengths in PyTorch and in ONNX Runtime.

    Kept in ``timing.json`` of the work folder; without that file, they are timed again.
    """
    file = a.work / "timing.json"
    recipes = [task.recipe(data[task.input]) for task in tasks]
    if file.is_file() and (stored := json.loads(file.read_text()))["recipes"] == recipes:
        return stored
    threads = min(2, cores())
    found: dict[str, object] = {"recipes": recipes, "threads": threads, "load": os.getloadavg()[0]}
    learn = load(data[tasks[0].input])
    few = replace(learn, learn=learn.learn[:40])
    updates = 4 if a.quick else 30
    repeats = 3 if a.quick else 9

    def train(task: Task) -> None:
        network, config = build(task, few), replace(task.training, steps=updates)
        with tempfile.TemporaryDirectory() as folder:
            train_motion(network, few.learn, learn.basis, Path(folder), config=config)

    print("timing: training", flush=True)
    torch.set_num_threads(1)
    batches = in_turns({task.model: functools.partial(train, task) for task in tasks}, repeats // 2 + 1)
    found["batch"] = {
        name: {key: t / updates for key, t in values.items()} for name, values in batches.items()
    }
    torch.set_num_threads(threads)
    networks = {task.model: load_motion(a.work / "runs" / task.name / WEIGHTS) for task in tasks}
    sessions = {
        name: Session(onnx(net), threads=threads, spinning=True, trusted=True)
        for name, net in networks.items()
    }
    audio = np.concatenate([clip.features for clip in learn.learn])
    found["torch"], found["onnx"] = {}, {}
    for seconds in SECONDS:
        print(f"timing: {seconds} s of sound", flush=True)
        features = np.resize(audio, (seconds * MOTION_HZ, audio.shape[1]))
        calls = {("torch", n): functools.partial(predict, net, features) for n, net in networks.items()}
        calls |= {
            ("onnx", n): functools.partial(session.run, features=features[None])
            for n, session in sessions.items()
        }
        for (engine, name), values in in_turns(calls, repeats).items():
            found[engine].setdefault(name, {})[str(seconds)] = values
    store(file, found)
    return found


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    from motion_report import Findings, report, report_steady

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", required=True, help="FOLDER or FOLDER:NAMES.txt of one person")
    parser.add_argument("--val", required=True, help="the same, for what is chosen")
    parser.add_argument("--test", required=True, help="the same, held out")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS, metavar="MODEL")
    parser.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=INPUTS, metavar="INPUT")
    parser.add_argument("--seeds", type=int, default=3, help="how many times each is trained")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one core each")
    parser.add_argument("--steady", action="store_true", help="the other training, on the last input alone")
    parser.add_argument("--quick", action="store_true", help="far too few updates, to see that all works")
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    if a.steady:
        a.inputs = a.inputs[-1:]
    data = gather(a)
    if a.steady:
        tasks = [
            Task(
                model=model, input=a.inputs[0], seed=seed, delay=STEADY_DELAY if model == DELAYED else 0,
                quick=a.quick, steady=True,
            )
            for seed in range(a.seeds) for model in a.models if not MODELS[model].get("causal")
        ]  # fmt: skip
        print(json.dumps(report_steady(run_all(tasks, data, a), a.out)))
        return
    delay, tuned = tune(data, a) if DELAYED in a.models else (0, {})
    tasks = [
        Task(model=model, input=kind, seed=seed, delay=delay if model == DELAYED else 0, quick=a.quick)
        for seed in range(a.seeds)
        for kind in a.inputs
        for model in a.models
    ]
    results = run_all(tasks, data, a)
    timed_on = TIMED_ON if TIMED_ON in a.inputs else a.inputs[0]
    first = [task for task in tasks if task.input == timed_on and task.seed == 0]
    times = timing(first, data, a)
    shown = load(data[timed_on])
    clip = shown.test[0]
    courses = {"real": opening(clip.shapes + shown.rest)}
    courses["real"][~clip.present] = np.nan
    for task in first:
        network = load_motion(a.work / "runs" / task.name / WEIGHTS)
        courses[task.model] = opening(predicted(network, [clip], shown.basis)[0] + shown.rest)
    lengths = {
        split: (len(clips), sum(len(c.features) for c in clips) / MOTION_HZ / 60)
        for split, clips in (("learn", shown.learn), ("val", shown.val), ("test", shown.test))
    }
    print(
        json.dumps(
            report(
                Findings(
                    results=results, tuned=tuned, delay=delay, times=times, timed_on=timed_on,
                    courses=courses, lengths=lengths, cores=cores(), jobs=a.jobs, quick=a.quick,
                ),
                a.out,
            )
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
