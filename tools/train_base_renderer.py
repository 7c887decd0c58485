"""Train the base reference renderer of the package on footage of many people.

    python tools/train_base_renderer.py --work FOLDER --out base_renderer.safetensors --minutes 60
        --people FILE_OR_FOLDER... [--check FILE_OR_FOLDER...] [--start base_renderer.safetensors]
        [--devices N] [--nodes N]
    python tools/train_base_renderer.py --work FOLDER --people FILE_OR_FOLDER... --write-shards DIR_OR_URL
    python tools/train_base_renderer.py --work FOLDER --out ... --shards DIR_OR_URL [--check ...]

Every file shows one person. Face crops are cut once and kept in FOLDER/crops; the training is resumed from
FOLDER/run. People of --check are only measured. Ends with one line of JSON.

--write-shards writes the crops of one person after the other, and ends. --shards streams them from there, in
every process its own. Machines need FOLDER in common. One training at a time uses a FOLDER.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import NewscasterError
from newscaster.face.crop import FaceCrop, cut_crop, lower_face_mask
from newscaster.face.geometry import eye_distance
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import Surface
from newscaster.face.topology import MOUTH
from newscaster.models.reference.base import (
    Person,
    load_base_renderer,
    save_base_renderer,
    train_base_renderer,
)
from newscaster.models.reference.graph import write_graphs
from newscaster.models.reference.streamed import KIND, FramesWriter
from newscaster.models.renderer.data import RenderingClip
from newscaster.prepare.clips import find_footage
from newscaster.prepare.video_track import track_video
from newscaster.stores.remote import stored_file
from newscaster.system.leases import exclusive_lock
from newscaster.training.distributed import Launcher
from newscaster.training.loop import TrainProgress
from newscaster.training.shards import ShardSet, ShardWriter

_MIN_FRAMES = 25
_EXTENT = 2.0
"""Side of the crops in inter-ocular distances, the same for everybody."""


def crops_of(path: Path, *, every: int) -> dict[str, np.ndarray]:
    """Cut the face crops of a video: crops (F, S, S, 3), mouths (F, 57, 2) and the mask (S, S)."""
    track = track_video(path, person=None, name=path.stem)
    frames = np.flatnonzero(track.present & ~track.covered)
    landmarks = track.landmarks[frames]
    head = Head.fit(landmarks)
    side = 256 if float(np.median(eye_distance(landmarks))) > 96 else 128
    crop = FaceCrop(side, _EXTENT, Surface.where_turned(head, head.poses(landmarks)))
    poses = head.steady_poses(track.landmarks, track.present, fps=track.fps)[frames]
    warps = crop.transforms(head, poses)
    points = warps.apply(landmarks[:, list(MOUTH), :2].astype(np.float64)).astype(np.float32)
    number = {int(frame): index for index, frame in enumerate(frames)}
    kept = np.arange(0, len(frames), every)
    crops = np.zeros((len(kept), side, side, 3), np.uint8)
    for frame, image in enumerate(media.read_frames(path, fps=track.fps)):
        index = number.get(frame)
        if index is not None and index % every == 0:
            crops[index // every] = cut_crop(image, warps[index], side)
    return {"crops": crops, "points": points[kept], "hidden": lower_face_mask(points, crop).hidden}


def people(paths: list[Path], folder: Path, *, every: int) -> Iterator[Person]:
    """Yield the people in some files; files without a usable face are named and left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for footage in find_footage(paths)[0] if paths else ():
        path = footage.path
        stored = folder / f"{path.parent.name}-{path.stem}-{every}.npz"
        try:
            if not stored.exists():
                with media.atomic_write(stored) as temporary, temporary.open("wb") as file:
                    np.savez(file, **crops_of(path, every=every))
            arrays = np.load(stored)
            clip = RenderingClip(arrays["crops"], arrays["points"])
        except (NewscasterError, ValueError) as error:
            print(f"left out: {path.name}: {error}", flush=True)
            continue
        if len(clip) * every >= _MIN_FRAMES:
            yield Person(path.stem, [clip], arrays["hidden"])


def write_shards(options: argparse.Namespace) -> None:
    """Write everybody's crops into shards; only one person's are in memory."""
    size = options.shard_megabytes << 20
    open_file = partial(stored_file, options.write_shards)
    writer = FramesWriter(ShardWriter(open_file, kind=KIND, shard_bytes=size))
    count = 0
    for person in people(options.people, options.work / "crops", every=options.every):
        writer.add(person.clips, person.hidden)
        count += 1
    writer.close()
    print(json.dumps({"people": count, "shards": options.write_shards}))


def training_data(options: argparse.Namespace) -> list[Person] | ShardSet:
    """Return the people to train on, in memory or in shards."""
    if options.shards:
        return ShardSet.read(partial(stored_file, options.shards), kind=KIND)
    return list(people(options.people, options.work / "crops", every=options.every))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--people", type=Path, nargs="*", default=[])
    parser.add_argument("--check", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=int, default=1, help="take one frame in so many")
    parser.add_argument("--start", type=Path, help="weights to begin with")
    parser.add_argument("--shards", metavar="DIR_OR_URL", help="train on these shards instead of --people")
    parser.add_argument("--write-shards", metavar="DIR_OR_URL", help="write --people into shards, and end")
    parser.add_argument("--shard-megabytes", type=int, default=256)
    parser.add_argument("--devices", type=int, default=1, help="processes on each machine")
    parser.add_argument("--nodes", type=int, default=1, help="machines; each runs this command")
    options = parser.parse_args()
    if not options.write_shards and (options.out is None or bool(options.people) == bool(options.shards)):
        parser.error("give --out, and either --people or --shards")
    try:
        run(options)
    except NewscasterError as error:
        sys.exit(f"error: {error}")


def run(options: argparse.Namespace) -> None:
    """Write shards, or train, as the only process that uses the folder.

    Raises:
        OutputError: another training uses the folder, or it cannot be written.
    """
    launcher = None if options.write_shards else Launcher(options.devices, options.nodes)
    if launcher is not None and not launcher.is_first:
        train(options, launcher, lambda: None)  # the first process holds the folder
        return
    next_step = "name another folder with --work"
    with exclusive_lock(options.work, what="training", next_step=next_step) as lease:
        if launcher is None:
            write_shards(options)
        else:
            train(options, launcher, lease.check)


def train(options: argparse.Namespace, launcher: Launcher, check_lease: Callable[[], None]) -> None:
    """Train in all processes; the first one writes the renderer."""
    if launcher.is_first:  # cuts the crops, which the others then find
        data, check = training_data(options), list(people(options.check, options.work / "crops", every=1))
    processes = launcher.processes()
    if not launcher.is_first:
        data, check = training_data(options), []
    printed = 0.0

    def report(progress: TrainProgress) -> None:
        nonlocal printed
        check_lease()
        if time.monotonic() - printed > 60:
            printed = time.monotonic()
            print(
                f"step {progress.step}, {progress.minutes_left:.1f} min left, loss {progress.loss:.4f}, "
                f"{progress.metrics}",
                flush=True,
            )

    network, facts = train_base_renderer(
        data,
        check,
        options.work / "run",
        minutes=options.minutes,
        progress=report,
        processes=processes,
        start=None if options.start is None else load_base_renderer(options.start),
    )
    if not launcher.is_first:
        return
    save_base_renderer(options.out, network, facts)
    write_graphs(options.out.parent, network.config)
    print(json.dumps({"bytes": options.out.stat().st_size, **facts}))


if __name__ == "__main__":
    main()
