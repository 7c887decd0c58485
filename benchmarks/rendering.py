"""The renderer and its rivals: the same clips, the same minutes, and what each makes of clips it never saw.

    python benchmarks/rendering.py --footage TRAIN --test TEST --work FOLDER [--minutes 8] [--jobs 2]

TRAIN and TEST are FOLDER or FOLDER:NAMES.txt with clips of one person; both are prepared into one dataset,
unless ``--dataset`` names one that holds them all. Every rival is trained on the clips of TRAIN for so many
minutes of one core's time, and paints the clips of TEST from their true mouths, with the hidden pixels
blackened. Results are kept in the work folder one by one, and a run that was stopped goes on; after a change
of the code, begin with an empty one. ``rendering_report.py`` writes ``rendering.md`` and its plots to
``--out``, ``rendering_pictures.py`` side-by-side pictures, which show footage, to ``--images``: leave that
folder out of version control. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from baselines.painters import RIVALS, Monitoring, NetworkPainter, Painter
from spine import files
from torch.utils.flop_counter import FlopCounterMode

from newscaster.evaluation import image_metrics
from newscaster.evaluation.metrics import landmark_distances
from newscaster.face.crop import paste
from newscaster.formats.dataset import Clip, Dataset
from newscaster.media import read_frames
from newscaster.models.renderer.data import RenderingData
from newscaster.prepare import prepare
from newscaster.prepare.grouping import group_sightings
from newscaster.prepare.people import choose_person
from newscaster.prepare.sightings import sightings_in
from newscaster.prepare.tracking import FaceTracker
from newscaster.system.files import atomic_write
from newscaster.training.loop import TrainProgress

REAL = "real, pasted back"
"""The footage's own regions, as a renderer without fault would paint them: the floor of the distances."""
FIGURES_OVER_TIME, QUICK_FIGURES = 16, 3
CHECK_FRAMES = 160
QUICK_MINUTES, QUICK_CLIPS = 0.3, 4
TIMED_FRAMES = 40
_BATCH = 8


@dataclass(frozen=True)
class Setup:
    """What all rivals have in common; it travels to worker processes."""

    dataset: Path
    test: tuple[str, ...]
    """Names of the clips that nobody learns from."""
    shown: tuple[str, ...]
    """Those of them that are painted and measured."""
    minutes: float
    figures: int
    """How often PSNR is taken while training."""
    work: Path

    def folder(self, name: str) -> Path:
        return self.work / "runs" / name

    def recipe(self, name: str) -> dict[str, object]:
        """What a result depends on, as JSON gives it back."""
        dataset = (self.dataset / "take.json").read_bytes()
        facts = {
            "minutes": self.minutes,
            "data": hashlib.sha256(dataset + json.dumps(self.test).encode()).hexdigest()[:12],
            "rival": RIVALS[name].recipe() if name in RIVALS else {},
        }
        return json.loads(json.dumps(facts))


def data_of(setup: Setup) -> RenderingData:
    return RenderingData.from_dataset(Dataset.open(setup.dataset), held_out=setup.test)


# -- training ------------------------------------------------------------------------------------------------


def train(name: str, setup: Setup) -> dict[str, object]:
    """Train one rival on one core, for minutes of the core's own time, whatever else the machine does."""
    torch.set_num_threads(1)
    folder, recipe = setup.folder(name), setup.recipe(name)
    noted = folder / "recipe.json"
    if not noted.is_file() or json.loads(noted.read_text()) != recipe:
        shutil.rmtree(folder, ignore_errors=True)
        store(noted, recipe)
    told = time.monotonic()

    def tell(report: TrainProgress) -> None:
        nonlocal told
        if time.monotonic() - told > 60:
            told = time.monotonic()
            measured = report.metrics.get("psnr")
            psnr = "" if measured is None else f", {measured:.2f} dB"
            print(f"  {name}: {report.minutes_left:.1f} min left{psnr}", flush=True)

    started, worked = time.monotonic(), time.process_time()
    monitoring = Monitoring(check_frames=CHECK_FRAMES, every_seconds=setup.minutes * 60 / setup.figures)
    RIVALS[name].train(
        data_of(setup), folder, minutes=setup.minutes, monitoring=monitoring, progress=tell,
        clock=time.process_time,
    )  # fmt: skip
    return {
        "recipe": recipe,
        "wall_minutes": (time.monotonic() - started) / 60,
        "core_minutes": (time.process_time() - worked) / 60,
    }


# -- measuring -----------------------------------------------------------------------------------------------


def rendered(
    name: str, live_renderer: Painter | None, clip: Clip, setup: Setup, hidden: np.ndarray
) -> np.ndarray:
    """Regions (F, S, S, 3) of a clip as the rival paints them, kept on disk; black where there is no face."""
    file = setup.folder(name) / "painted" / f"{clip.name}.npy"
    if live_renderer is None:
        return np.array(clip.crops)
    made = np.array(clip.crops)
    seen, points = np.flatnonzero(clip.present), clip.mouth_points()
    for start in range(0, len(seen), _BATCH):
        some = seen[start : start + _BATCH]
        given = np.array(clip.crops[some])
        given[:, hidden] = 0
        made[some] = live_renderer.render_frames(given, points[some])
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary, temporary.open("wb") as out:
        np.save(out, made)
    return made


def composited(clip: Clip, crops: np.ndarray, soft: np.ndarray) -> Iterator[np.ndarray]:
    """The clip's own frames (H, W, 3) with other regions pasted in."""
    record = clip.record
    frames = read_frames(
        Path(record.source), fps=record.fps, start_frame=record.start_frame,
        stop_frame=record.start_frame + clip.frames,
    )  # fmt: skip
    for index, frame in enumerate(frames):
        image = np.array(frame)
        if clip.present[index]:
            paste(image, crops[index], soft, clip.transforms[index])
        yield image


def lips_found(clip: Clip, frames: Sequence[np.ndarray]) -> np.ndarray:
    """From the lips found in frames to those found in the footage, (F,), in outer-eye distances."""
    seconds = enumerate(frames[:: round(clip.record.fps)])
    persons = group_sightings(sightings_in(frame, second) for second, frame in seconds)
    people = choose_person(persons, None, Path(clip.record.source))
    found, _ = FaceTracker(people, fps=float(clip.record.fps)).follow(frames)
    return landmark_distances(found, clip.landmarks)


def measure_clip(clip: Clip, made: np.ndarray, dataset: Dataset) -> dict[str, np.ndarray]:
    """Every measure of every frame, (F,); NaN where there is nothing to measure."""
    hidden, real = dataset.mask.hidden, np.array(clip.crops)
    lips = image_metrics.lip_masks(
        clip.mouth_points(), side=dataset.crop.side, pixels_per_unit=dataset.crop.pixels_per_unit
    )
    steady = clip.present & np.roll(clip.present, 1) & np.roll(clip.present, -1)
    seen = {
        "error": image_metrics.squared_errors(made, real, hidden),
        "ssim": image_metrics.structural_similarities(made, real, hidden),
        "perceptual": image_metrics.perceptual_distances(made, real, hidden),
        "detail": image_metrics.detail(made, lips),
        "real detail": image_metrics.detail(real, lips),
        "landmarks": lips_found(clip, list(composited(clip, made, dataset.mask.soft))),
    }
    in_time = {
        "flicker": image_metrics.flicker(made, hidden),
        "real flicker": image_metrics.flicker(real, hidden),
    }
    return {name: np.where(clip.present, values, np.nan) for name, values in seen.items()} | {
        name: np.where(steady, values, np.nan) for name, values in in_time.items()
    }


def summary(frames: dict[str, np.ndarray]) -> dict[str, float]:
    """What the frames come to, all clips together."""
    return {
        "psnr": image_metrics.psnr(frames["error"][np.isfinite(frames["error"])]),
        "ssim": float(np.nanmean(frames["ssim"])),
        "sharpness": image_metrics.ratio(frames["detail"], frames["real detail"]),
        "flicker": image_metrics.ratio(frames["flicker"], frames["real flicker"]),
        "perceptual": float(np.nanmean(frames["perceptual"])),
        "landmarks": float(np.nanmean(frames["landmarks"])),
        "frames": int(np.isfinite(frames["error"]).sum()),
        "lost": int((np.isfinite(frames["error"]) & ~np.isfinite(frames["landmarks"])).sum()),
    }


def measure(name: str, setup: Setup) -> dict[str, object]:
    """Paint all test clips and measure them; frames are kept in ``frames.npz`` of the rival's folder."""
    torch.set_num_threads(1)
    dataset = Dataset.open(setup.dataset)
    live_renderer = None if name == REAL else RIVALS[name].open(setup.folder(name))
    measured = []
    for clip in (c for c in dataset.clips if c.name in setup.shown):
        made = rendered(name, live_renderer, clip, setup, dataset.mask.hidden)
        measured.append(measure_clip(clip, made, dataset))
        lengths = np.full(clip.frames, len(measured) - 1)
        measured[-1] |= {"clip": lengths, "frame": np.arange(clip.frames)}
    frames = {key: np.concatenate([m[key] for m in measured]) for key in measured[0]}
    setup.folder(name).mkdir(parents=True, exist_ok=True)
    with atomic_write(setup.folder(name) / "frames.npz") as temporary, temporary.open("wb") as out:
        np.savez(out, **frames)
    return {"figures": summary(frames), "size": size_of(live_renderer, dataset.crop.side)}


def size_of(live_renderer: Painter | None, side: int) -> dict[str, float]:
    """All numbers of its weights, and multiplications per frame as PyTorch counts them."""
    if not isinstance(live_renderer, NetworkPainter):
        return {}
    given = live_renderer.draw(
        np.zeros((1, side, side, 3), np.uint8), np.full((1, 57, 2), side / 2, np.float32)
    )
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        live_renderer.network(*(torch.from_numpy(given[key]) for key in live_renderer.session.inputs))
    return {
        "numbers": sum(
            v.numel() for v in live_renderer.network.state_dict().values() if v.is_floating_point()
        ),
        "gmac": counter.get_total_flops() / 2 / 1e9,
    }


# -- time ----------------------------------------------------------------------------------------------------


def timing(names: Sequence[str], setup: Setup, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of one frame at a time with one thread, in turns: whole, and the network alone."""
    torch.set_num_threads(1)
    dataset = Dataset.open(setup.dataset)
    clip = next(c for c in dataset.clips if c.name in setup.shown)
    seen = np.flatnonzero(clip.present)[:TIMED_FRAMES]
    crops, points = np.array(clip.crops[seen]), clip.mouth_points()[seen]
    calls: dict[tuple[str, str], Callable[[int], object]] = {}
    for name in names:
        live_renderer = RIVALS[name].open(setup.folder(name))
        calls[name, "paint"] = lambda i, p=live_renderer: p.render_frames(crops[i : i + 1], points[i : i + 1])
        if isinstance(live_renderer, NetworkPainter):
            given = live_renderer.draw(crops[:1], points[:1])
            calls[name, "network"] = lambda i, p=live_renderer, g=given: p.session.run(**g)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for round_ in range(repeats + 1):
        for key, call in calls.items():
            started = time.perf_counter()
            call(round_ % len(crops))
            if round_:  # the first warms up
                times[key].append(1e3 * (time.perf_counter() - started))
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for (name, part), values in times.items():
        quartiles = statistics.quantiles(values, n=4)
        found[name] |= {part: quartiles[1], f"{part} low": quartiles[0], f"{part} high": quartiles[2]}
    return found


# -- the whole -----------------------------------------------------------------------------------------------


def store(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1))


def workers(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_hush)


def _hush() -> None:
    # Native libraries write to standard error; what goes wrong comes back as an exception.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def run_all(
    what: Callable[[str, Setup], dict[str, object]], names: Sequence[str], setup: Setup, jobs: int
) -> dict[str, dict]:
    """Results of one stage for all; those that are there, and of the same recipe, are taken as they are."""
    results: dict[str, dict] = {}
    target = what.__name__
    for name in names:
        file = setup.work / "results" / f"{name}, {target}.json"
        stored = json.loads(file.read_text()) if file.is_file() else None
        if stored and stored["of"] == [setup.recipe(name), list(setup.shown) if target == "measure" else []]:
            results[name] = stored
    todo = [name for name in names if name not in results]
    if todo:
        print(f"{target}: {', '.join(todo)}; {jobs} at a time", flush=True)
    with workers(jobs) as pool:
        running = {pool.submit(what, name, setup): name for name in todo}
        for future in as_completed(running):
            name = running[future]
            of = [setup.recipe(name), list(setup.shown) if target == "measure" else []]
            results[name] = {**future.result(), "of": of}
            store(setup.work / "results" / f"{name}, {target}.json", results[name])
            print(f"  {name}: done", flush=True)
    return {name: results[name] for name in names}


def prepared(a: argparse.Namespace) -> Setup:
    learn, test = files(a.footage), files(a.test)
    if a.dataset is None:
        print("preparing", flush=True)
        a.dataset = prepare([*learn, *test], a.work / "footage.take").folder
    names = {clip.name for clip in Dataset.open(a.dataset).clips}
    held_out = tuple(sorted(path.stem for path in test if path.stem in names))
    wanted = {path.stem for path in (*learn, *test)}
    if not held_out or names - wanted:
        raise SystemExit(f"the dataset holds {len(names)} clips, and not just those of --footage and --test")
    count = QUICK_CLIPS if a.quick else min(a.clips or len(held_out), len(held_out))
    shown = tuple(held_out[i] for i in np.linspace(0, len(held_out) - 1, count).round().astype(int))
    minutes, count = (QUICK_MINUTES, QUICK_FIGURES) if a.quick else (a.minutes, FIGURES_OVER_TIME)
    work = a.work / ("quick" if a.quick else "full")
    return Setup(a.dataset.resolve(), held_out, shown, minutes, count, work)


def main() -> None:
    from rendering_pictures import draw_pictures
    from rendering_report import Findings, report

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", required=True, help="FOLDER or FOLDER:NAMES.txt of one person")
    parser.add_argument("--test", required=True, help="the same, held out")
    parser.add_argument("--dataset", type=Path, help="a prepared dataset of all these clips, and no others")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--images", type=Path, default=Path("images"))
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, of one core")
    parser.add_argument("--jobs", type=int, default=1, help="rivals at a time, one core each")
    parser.add_argument("--only", nargs="+", default=list(RIVALS), choices=RIVALS, metavar="NAME")
    parser.add_argument("--clips", type=int, help="how many of TEST are measured; by default all")
    parser.add_argument("--quick", action="store_true", help="far too short, to see that all works")
    a = parser.parse_args()
    # Numbers are crunched in worker processes, which are to keep to one core each.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    setup = prepared(a)
    trained = run_all(train, a.only, setup, a.jobs)
    measured = run_all(measure, [REAL, *a.only], setup, a.jobs)
    with workers(1) as pool:
        times = pool.submit(timing, a.only, setup, 15 if a.quick else 120).result()
    found = Findings(setup=setup, trained=trained, measured=measured, times=times, real=REAL, quick=a.quick)
    draw_pictures(setup, a.only, a.images)
    print(json.dumps(report(found, a.out)))


if __name__ == "__main__":
    main()
