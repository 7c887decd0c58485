"""Pipelines: preparation and training of an anchor, and its evaluation.

The only module that imports all of them. Preparation and training store their work on disk, so that an
interrupted run resumes. Progress goes to a callback as phase, done and total.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from newscaster.consent import valid_consent
from newscaster.deprecation import moved_keywords
from newscaster.errors import AnchorError, InputError, MissingExtraError, OutputError
from newscaster.models.registry import DEFAULT_RENDERER, UNTRAINED, check_renderer, renderer_task
from newscaster.texts import check_unicode, quoted, shown

if TYPE_CHECKING:
    from newscaster.consent import Consent
    from newscaster.evaluation.result import Evaluation
    from newscaster.face.references import References
    from newscaster.formats.anchor_info import AnchorInfo
    from newscaster.formats.dataset import Dataset
    from newscaster.formats.named_clips import ClipTimes
    from newscaster.models.motion.speaker import SpeakerMotion
    from newscaster.models.portrait.data import FullFrameData
    from newscaster.models.renderer.contract import CropNetwork
    from newscaster.models.renderer.data import RenderingData
    from newscaster.models.renderer.training import RenderingResult
    from newscaster.prepare import Report
    from newscaster.still.head_motion import MotionStyle
    from newscaster.synthesis.articulation import Articulation
    from newscaster.synthesis.target_frames import TrackedClip
    from newscaster.training.distributed import Launcher
    from newscaster.training.processes import Processes
    from newscaster.types import Progress

_log = logging.getLogger(__name__)

Footage = Path | str | Sequence[Path | str]
DEFAULT_MINUTES = 12.0
DEFAULT_TARGET_MINUTES = 50.0
_OWN_WORK = re.compile(
    r"take|\.lock|\.owner\.json|(motion|rendering|rendering-painted|full-frame)-[0-9a-f]{12}"
)
"""Names of files and folders that training writes into its working directory."""
_FRAMES_CHECKED = 8
SYNTHETIC = "synthetic"
"""Value of `target` for a synthetic target, rendered from landmark maps: the anchor contains no footage."""


def _no_progress(phase: str, done: float, total: float) -> None:
    pass


def check(
    footage: Footage,
    *,
    face: int | None = None,
    report: Path | None = None,
    progress: Progress = _no_progress,
) -> Report:
    """Check whether footage is good enough to train an anchor.

    Args:
        footage: video files, and folders that are searched for them.
        face: number of the person, from the left; None: the person who is visible and speaks most.
        report: .html file for the report as a web page.
        progress: called with a phase, the amount done, and the total.

    Raises:
        MediaError, FootageError: the footage cannot be read, or shows no face.
        OutputError: ``report`` cannot be written.
        MissingExtraError: the extra ``train`` is not installed.
    """
    from newscaster import prepare
    from newscaster.media import check_inputs_kept, check_output

    if report is not None:
        check_output(report, suffixes=(".html", ".htm"))
        check_inputs_kept([report], _named(footage, "the footage"))
    checked = prepare.check(footage, face=face, progress=progress)
    if report is not None:
        checked.write(report)
    return checked


def evaluate(
    anchor: Path | str,
    footage: Footage,
    *,
    face: int | None = None,
    articulation: Articulation | None = None,
    report: Path | str | None = None,
    json_file: Path | str | None = None,
    keep: Path | str | None = None,
    timestamp: str | None = None,
    progress: Progress = _no_progress,
) -> Evaluation:
    """Measure an anchor on held-out footage of the same person.

    Args:
        anchor: NAME.anchor, or "builtin".
        footage: video files, and folders that are searched for them. Files without audio are reconstructed
            from their true mouth shapes only.
        face: number of the person, from the left; None: the person who is visible and speaks most.
        articulation: articulation of the mouth for the audio of the footage; None: as trained, with lips at
            rest in silence, the default of `speak`.
        report: .html file for a page with metrics, images and plots.
        json_file: .json file for the metrics.
        keep: folder for the reconstructed videos; by default they are not kept.
        timestamp: address of a time-stamp authority (RFC 3161) for the signatures of these videos. It
            receives a hash of each. By default the network is not used.
        progress: called with a phase, the amount done, and the total.

    Raises:
        AnchorError: the anchor is missing or damaged.
        MediaError, FootageError: the footage cannot be read, or does not show the anchor's person.
        OutputError: a file cannot be written; raised before any work.
        MissingExtraError: the extra ``train`` is not installed.
    """
    from newscaster.evaluation.evaluate import evaluate as measure
    from newscaster.evaluation.evaluate import need_extra
    from newscaster.evaluation.page import evaluation_page
    from newscaster.formats.anchor import AnchorFile
    from newscaster.formats.bundled_anchors import anchor_path
    from newscaster.media import atomic_write, check_inputs_kept, check_output
    from newscaster.prepare import need_footage
    from newscaster.reports.page import PAGE_SUFFIXES, need_jinja, write_page
    from newscaster.synthesis.anchor import Anchor
    from newscaster.synthesis.articulation import AS_TRAINED

    if timestamp is not None and keep is None:
        raise InputError(
            f"--timestamp is {quoted(timestamp)}, but no videos are kept that could be signed. Add "
            "--save-videos DIR, or omit --timestamp"
        )
    if report is not None:
        check_output(Path(report), suffixes=PAGE_SUFFIXES)
    if json_file is not None:
        check_output(Path(json_file), suffixes=(".json",))
    AnchorFile(anchor_path(anchor))
    need_footage(footage)
    need_extra()
    if report is not None:
        need_jinja()
    opened = Anchor.open(anchor)
    outputs = [Path(path) for path in (report, json_file) if path is not None]
    check_inputs_kept(outputs, [*_named(footage, "the footage"), (opened.path, "the anchor")])
    evaluation = measure(
        opened,
        [footage] if isinstance(footage, str | Path) else footage,
        face=face,
        keep=keep,
        timestamp=timestamp,
        articulation=AS_TRAINED if articulation is None else articulation,
        progress=progress,
    )
    if report is not None:
        write_page(report, lambda: evaluation_page(evaluation))
    if json_file is not None:
        with atomic_write(Path(json_file)) as temporary:
            temporary.write_text(json.dumps(evaluation.to_json(), indent=2) + "\n", encoding="utf-8")
    return evaluation


@moved_keywords(stage="target", stage_minutes="target_minutes", share_encoder="reuse_encoder")
def train(
    footage: Footage,
    out: Path | str,
    *,
    consent: str | Consent,
    name: str | None = None,
    minutes: float = DEFAULT_MINUTES,
    work: Path | str | None = None,
    fps: Fraction | float | None = None,
    face: int | None = None,
    target: Path | str | None = None,
    target_minutes: float = DEFAULT_TARGET_MINUTES,
    renderer: str = DEFAULT_RENDERER,
    attribution: Sequence[str] = (),
    reuse_encoder: bool = False,
    motion: MotionStyle | None = None,
    blinks: bool = True,
    clips: Sequence[ClipTimes] = (),
    devices: int = 1,
    nodes: int = 1,
    progress: Progress = _no_progress,
) -> Path:
    """Train an anchor of the person in footage, or make one of a single photograph.

    With several ``devices`` or ``nodes``, the program that calls this is started again in each further
    process. There, this function helps with the training, and ends the process.

    Args:
        footage: video files, and folders that are searched for them; at least 10 s of the person. Motion is
            trained on clips with audio. Without audio, the base network of the package is used. Or one
            photograph, which needs no training: minutes, work, target, target_minutes, renderer, devices and
            nodes are for footage.
        out: NAME.anchor to write. An existing file is replaced when the new anchor is finished.
        consent: who agreed to the anchor, when, for what and until when: a record or a text, stored in the
            anchor. See :meth:`newscaster.Consent.of` for texts that are records.
        name: name of the anchor; by default that of the file.
        minutes: training time of the rendering network, in addition to preparation and motion.
        work: working directory. It is kept, and a later call resumes from it. By default ``OUT.work`` beside
            the anchor, removed when the anchor is written.
        fps: frames per second of the anchor, 10 to 120; by default that of the footage.
        face: number of the person, from the left; None: the person who is visible and speaks most.
        target: clip for the target video; by default the calmest segment of the footage. "synthetic": whole
            frames are rendered from landmark maps, and the anchor contains no footage.
        target_minutes: training time of the full-frame network of a synthetic target.
        renderer: name of the rendering network, one of ``newscaster.models.registry.RENDERERS``.
        attribution: lines for the metadata of every video, such as the source of the footage.
        reuse_encoder: omit the speech encoder (7 MB) from the anchor. The anchor then needs a version of
            newscaster with the same encoder.
        motion: of the head in a photograph: "calm", "lively" or "still"; None: calm.
        blinks: whether the eyes in a photograph blink.
        clips: parts of the footage, then one file, that are shown on cue. See `Live.play`.
        devices: processes that train frames on each machine: GPUs, or processes of a CPU.
        nodes: machines, which must have ``work`` in common; each runs the same program.
        progress: called with a phase, the amount done, and the total.

    Returns:
        The path of the anchor.

    Raises:
        InputError: the footage is unsuitable, or an argument is invalid.
        OutputError: ``out`` or ``work`` cannot be written, or another training uses ``work``.
        MissingExtraError: the extra ``train`` is not installed, which a photograph does not need; or the
            extra ``distributed``, for several processes.
    """
    from newscaster.media import exclusive_lock

    out = Path(out)
    agreed = valid_consent(consent)
    check_unicode(" ".join((name or "", *attribution)), "name or attribution")
    if (photo := _photo(footage)) is not None:
        return _train_photo(
            photo,
            out,
            _for_footage(minutes, work, target, target_minutes, renderer, devices * nodes, clips),
            consent=agreed,
            name=name,
            face=face,
            fps=None if fps is None else Fraction(fps),
            motion=motion,
            blinks=blinks,
            attribution=attribution,
            reuse_encoder=reuse_encoder,
            progress=progress,
        )
    _check_footage_moves(motion, blinks=blinks)
    _check_minutes(minutes, target_minutes, renderer)
    full_frame_minutes = target_minutes if target == SYNTHETIC else None
    folder = _checked_folder(footage, out, target, work, name=name, attribution=attribution)
    clip_file = _check_clips(clips, footage, target)
    launcher = _joined(devices, nodes, folder, minutes, full_frame_minutes, renderer)
    from newscaster import prepare

    with exclusive_lock(folder, what="training", next_step="name another folder with --work-dir") as lease:

        def report(phase: str, done: float, total: float) -> None:
            lease.check()
            progress(phase, done, total)

        dataset: Dataset = prepare.prepare(
            footage,
            folder / "take",
            fps=fps,
            face=face,
            target=None if target == SYNTHETIC else target,
            progress=report,
        )
        tracked = _track_clips(clip_file, clips, dataset, face)
        path = train_on_dataset(
            dataset,
            out,
            folder,
            consent=agreed,
            name=name,
            minutes=minutes,
            target_minutes=full_frame_minutes,
            renderer=renderer,
            attribution=attribution,
            reuse_encoder=reuse_encoder,
            launcher=launcher,
            progress=report,
        )
        if work is None:
            _remove_work(folder, _removed(folder))
    return _append_clips(path, tracked)


def _photo(footage: Footage) -> Path | None:
    """Return the photograph that is given instead of footage; None: it is footage.

    Raises:
        InputError: there are several files, and one is a photograph.
    """
    from newscaster.prepare.clips import is_photo

    paths = [Path(path) for path in ([footage] if isinstance(footage, str | Path) else footage)]
    photos = [path for path in paths if is_photo(path)]
    if photos and len(paths) > 1:
        raise InputError(
            f"'{photos[0]}' is a photograph, and {len(paths)} files are given; expected one photograph, or "
            "footage alone"
        )
    return photos[0] if photos else None


def _check_clips(clips: Sequence[ClipTimes], footage: Footage, target: Path | str | None) -> Path | None:
    """Return the file that named clips are parts of; None: there are none.

    Raises:
        InputError: the footage is not one file; the target is synthetic; two clips have one name, or one
            reaches beyond the footage.
        MediaError: the footage is damaged.
    """
    from newscaster.formats.named_clips import check_names
    from newscaster.synthesis.clip_editing import check_parts

    if not clips:
        return None
    check_names(clips)
    if target == SYNTHETIC:
        raise InputError(
            "--clip shows frames of the footage, and --target synthetic keeps them out of the anchor. Omit "
            "one of them"
        )
    paths = [Path(path) for path in ([footage] if isinstance(footage, str | Path) else footage)]
    if len(paths) != 1 or paths[0].is_dir():
        raise InputError(
            f"--clip names parts of one file, and the footage is {len(paths)} files or folders. Give one "
            "file; or add clips afterwards: newscaster clips ANCHOR FOOTAGE --add NAME=START-STOP"
        )
    check_parts(paths[0], clips)
    return paths[0]


def _track_clips(
    file: Path | None, clips: Sequence[ClipTimes], dataset: Dataset, face: int | None
) -> list[TrackedClip]:
    """Track the person through named clips, before the training: they may not show the face."""
    from newscaster.prepare.video_track import WantedPerson
    from newscaster.synthesis.clip_editing import track_clips

    if file is None:
        return []
    wanted = WantedPerson(name=file.name, face=face)
    return track_clips(file, clips, wanted, fps=dataset.fps, size=dataset.target.size)


def _append_clips(path: Path, tracked: Sequence[TrackedClip]) -> Path:
    from newscaster.synthesis.clip_editing import append_clips

    if tracked:
        append_clips(path, tracked)
    return path


def _checked_folder(
    footage: Footage,
    out: Path,
    target: Path | str | None,
    work: Path | str | None,
    *,
    name: str | None,
    attribution: Sequence[str],
) -> Path:
    """Check what is given for a training on footage, before any work; return its working directory."""
    from newscaster import prepare
    from newscaster.formats.anchor_info import check_labels
    from newscaster.media import check_inputs_kept, check_output

    check_output(out, suffixes=(".anchor",))
    check_labels(name or shown(out.stem), attribution)
    prepare.need_footage(footage)
    if target is not None and target != SYNTHETIC:
        prepare.need_video(Path(target))
    inputs = [
        *_named(footage, "the footage"),
        (None if target == SYNTHETIC else target, "the target video"),
    ]
    check_inputs_kept([out], inputs)
    folder = _work_folder(out, work)
    if work is None:
        _check_outside(folder, inputs)
    shutil.rmtree(_removed(folder), ignore_errors=True)  # of a training that was killed
    return folder


def _work_folder(out: Path, work: Path | str | None) -> Path:
    return Path(work) if work is not None else out.with_name(f"{out.stem}.work")


def _removed(folder: Path) -> Path:
    """Return the name of a working directory while it is removed."""
    return folder.with_name(f".{folder.name}.removed")


def _for_footage(
    minutes: float,
    work: Path | str | None,
    target: Path | str | None,
    target_minutes: float,
    renderer: str,
    processes: int,
    clips: Sequence[ClipTimes],
) -> list[str]:
    """Return which arguments of :func:`train` that are for footage differ from their defaults."""
    given = {
        "minutes": minutes != DEFAULT_MINUTES,
        "work": work is not None,
        "target": target is not None,
        "target_minutes": target_minutes != DEFAULT_TARGET_MINUTES,
        "renderer": renderer != DEFAULT_RENDERER,
        "devices or nodes": processes > 1,
        "clips": bool(clips),
    }
    return [argument for argument, is_given in given.items() if is_given]


def _check_minutes(minutes: float, target_minutes: float, renderer: str) -> None:
    check_renderer(renderer)
    for argument, value, usual, least in (
        ("minutes", minutes, DEFAULT_MINUTES, renderer in UNTRAINED),
        ("target_minutes", target_minutes, DEFAULT_TARGET_MINUTES, False),
    ):
        if not (math.isfinite(value) and (value > 0 or (value == 0 and least))):
            accepted = "0 or more" if least else "a number above 0"
            names = " or ".join(f"'{name}'" for name in sorted(UNTRAINED))
            other = f". For no training, choose {names} as renderer" if argument == "minutes" else ""
            raise InputError(f"{argument} is {value}; expected {accepted}, such as {usual:g}{other}")


def _check_footage_moves(motion: MotionStyle | None, *, blinks: bool) -> None:
    if motion is not None or not blinks:
        raise InputError(
            "the motion of the head or the blinking is given, but the footage has its own. Give a single "
            "photograph, or omit them"
        )


def _train_photo(
    photo: Path, out: Path, for_footage: Sequence[str], *, name: str | None, **settings: Any
) -> Path:
    """Make an anchor of a photograph; arguments and errors as in :func:`train`.

    ``for_footage`` are the given arguments that are for footage; expected none.
    """
    if for_footage:
        raise InputError(
            f"{', '.join(for_footage)} {'is' if len(for_footage) == 1 else 'are'} given, but '{photo}' is a "
            "photograph, which needs no training. Omit what is for footage, or give a video"
        )
    from newscaster.formats.anchor_info import check_labels
    from newscaster.media import check_inputs_kept, check_output
    from newscaster.synthesis.photo_anchor import anchor_of_photo

    name = name or shown(out.stem)
    check_output(out, suffixes=(".anchor",))
    check_labels(name, settings["attribution"])
    check_inputs_kept([out], [(photo, "the photograph")])
    return anchor_of_photo(photo, out, name=name, **settings)


def _named(footage: Footage, name: str) -> list[tuple[object, str]]:
    """Return paths, each with a name for messages."""
    return [(path, name) for path in ([footage] if isinstance(footage, str | Path) else footage)]


def _check_outside(folder: Path, inputs: Sequence[tuple[object, str]]) -> None:
    """Check that a temporary working directory contains no input.

    Raises:
        OutputError: it contains one.
    """
    work = folder.resolve()
    for path, name in inputs:
        if isinstance(path, str | Path) and Path(path).resolve().is_relative_to(work):
            raise OutputError(
                f"{name} '{path}' is in '{folder}', the folder for prepared footage and training, which is "
                "removed when the anchor is written. Name another folder with --work-dir, or another output"
            )


def _remove_work(folder: Path, removed: Path) -> None:
    """Remove a working directory atomically: no later run resumes from an incomplete one.

    If it contains other files, only the files of training are removed.
    """
    own = [path for path in folder.iterdir() if _OWN_WORK.fullmatch(path.name)]
    if len(own) == len(list(folder.iterdir())):
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        return
    removed.mkdir()
    for path in own:
        path.rename(removed / path.name)
    shutil.rmtree(removed, ignore_errors=True)


def train_on_dataset(
    dataset: Dataset,
    out: Path,
    work: Path,
    *,
    consent: str | Consent,
    name: str | None = None,
    minutes: float = DEFAULT_MINUTES,
    target_minutes: float | None = None,
    renderer: str = DEFAULT_RENDERER,
    attribution: Sequence[str] = (),
    reuse_encoder: bool = False,
    launcher: Launcher | None = None,
    progress: Progress = _no_progress,
) -> Path:
    """Train an anchor on a prepared dataset; arguments and errors as in :func:`train`.

    ``target_minutes`` is the training time of a synthetic target; None: the target of the dataset. Motion is
    trained before ``launcher`` starts its processes: it takes a fixed number of steps.
    """
    from newscaster.models.renderer.training import load_renderer
    from newscaster.training.processes import ALONE

    agreed = valid_consent(consent)
    motion = _motion(dataset, _run_folder(work, "motion", dataset, with_audio=True), progress)
    dataset, data, rendering, synthetic = _rendering(
        dataset,
        work,
        minutes=minutes,
        target_minutes=target_minutes,
        renderer=renderer,
        processes=ALONE if launcher is None else launcher.processes(),
        progress=progress,
    )
    network = load_renderer(rendering.weights, renderer=renderer)
    references = renderer_task(renderer).references_of(data)
    info = replace(
        _info(dataset, motion, rendering, network, name=name or shown(out.stem)),
        consent=agreed.record().to_json(),
        attribution=tuple(attribution),
        synthetic_target=target_minutes is not None,
        copies=references is not None,
    )
    info = replace(info, training={**info.training, **synthetic})
    return _write(
        out, dataset, motion, network, references, info, reuse_encoder=reuse_encoder, progress=progress
    )


def _joined(
    devices: int, nodes: int, work: Path, minutes: float, target_minutes: float | None, renderer: str
) -> Launcher:
    """Return the launcher of a training's processes; in all but the first, help with it and exit."""
    need_training()
    from newscaster.training.distributed import Launcher

    launcher = Launcher(devices, nodes)
    if not launcher.is_first:
        _help(launcher, work, minutes, target_minutes, renderer)
        raise SystemExit(0)  # the rest of the program is for the first process
    return launcher


def _help(
    launcher: Launcher, work: Path, minutes: float, target_minutes: float | None, renderer: str
) -> None:
    """Train frames together with the process that prepares footage and writes the anchor."""
    from newscaster.formats.dataset import Dataset
    from newscaster.training.processes import FirstProcessError

    processes = launcher.processes()  # when the first has prepared the dataset
    with contextlib.suppress(FirstProcessError):  # which the first reports
        _rendering(
            Dataset.open(work / "take"),
            work,
            minutes=minutes,
            target_minutes=target_minutes,
            renderer=renderer,
            processes=processes,
            progress=_no_progress,
        )


def _rendering(
    dataset: Dataset,
    work: Path,
    *,
    minutes: float,
    target_minutes: float | None,
    renderer: str,
    processes: Processes,
    progress: Progress,
) -> tuple[Dataset, RenderingData, RenderingResult, dict[str, float]]:
    """Train what makes frames, in all processes.

    Returns:
        The dataset, with a synthetic target in the first process if there is one; the data of the rendering
        network, its training, and metrics of the synthetic target.
    """
    from newscaster.models.renderer.data import RenderingData
    from newscaster.models.renderer.training import train_renderer

    synthetic: dict[str, float] = {}
    if target_minutes is None:
        data, kind = RenderingData.from_dataset(dataset), "rendering"
    else:
        dataset, data, synthetic = _synthetic(dataset, work, target_minutes, progress, processes)
        kind = "rendering-painted"
    rendering = train_renderer(
        data,
        _run_folder(work, kind, dataset, renderer=renderer),
        minutes=minutes,
        renderer=renderer,
        processes=processes,
        progress=lambda p: progress("rendering", minutes - p.minutes_left, minutes),
    )
    return dataset, data, rendering, synthetic


def _synthetic(
    dataset: Dataset, work: Path, minutes: float, progress: Progress, processes: Processes
) -> tuple[Dataset, RenderingData, dict[str, float]]:
    """Return the dataset, the training data of its renderer, and metrics.

    In the first process, the dataset has the synthetic target.
    """
    from newscaster.models.portrait.target import render_target, synthetic_data
    from newscaster.models.portrait.training import FullFrameData, load_full_frame, train_full_frame
    from newscaster.training.precision import compute_device
    from newscaster.training.processes import in_turn

    folder = _run_folder(work, "full-frame", dataset)
    images = in_turn(processes, lambda: FullFrameData.from_dataset(dataset, folder))
    trained = train_full_frame(
        images,
        folder,
        minutes=minutes,
        processes=processes,
        progress=lambda p: progress("full frame", minutes - p.minutes_left, minutes),
    )
    _check_renderer(trained.psnr, images, folder)
    network, scale = load_full_frame(trained.weights).to(compute_device("auto")), images.scale[0]
    if processes.is_first:
        dataset = replace(dataset, target=render_target(network, dataset, folder, scale=scale))
    data = in_turn(
        processes,
        lambda: synthetic_data(
            network, dataset, folder, scale=scale, progress=lambda done, total: progress("faces", done, total)
        ),
    )
    metrics = {
        "stage minutes": round(trained.minutes, 1),
        "stage steps": trained.steps,
        "stage PSNR, dB": round(trained.psnr, 2),
        "stage sharpness": round(trained.sharpness, 3),
    }
    return dataset, data, metrics


def _check_renderer(psnr: float, images: FullFrameData, folder: Path) -> None:
    """Raise AnchorError if a full-frame network is no better than a single colour: training may diverge."""
    held_out = images.held_out
    frames = np.stack([held_out.image(number) for number in held_out.spread(_FRAMES_CHECKED)])
    variance = float(frames.var(axis=(0, 1, 2), dtype=np.float64).mean())
    flat = 10 * math.log10(255**2 / max(variance, 1.0))
    if not psnr > flat:
        raise AnchorError(
            f"the network that renders the synthetic target does not work: its PSNR on held-out frames is "
            f"{psnr:.1f} dB, and that of a single colour is {flat:.1f} dB. Remove '{folder}', and train it "
            "again; if it happens again, report it"
        )


def _motion(dataset: Dataset, folder: Path, progress: Progress) -> SpeakerMotion:
    from newscaster.models.motion.base import load_base_motion
    from newscaster.models.motion.speaker import ADAPTING_DROPOUT, train_speaker
    from newscaster.speech.encoder import load_encoder

    base = load_base_motion(dropout=ADAPTING_DROPOUT)
    return train_speaker(
        dataset,
        folder,
        base=base,
        encoder=load_encoder(windowing=base.features.windowing),
        progress=lambda p: progress("motion", p.fraction, 1.0),
    )


def _info(
    dataset: Dataset, motion: SpeakerMotion, rendering: RenderingResult, network: CropNetwork, *, name: str
) -> AnchorInfo:
    """The metadata of an anchor, but for consent and attribution."""
    from newscaster.formats.anchor_info import AnchorInfo

    errors = {} if motion.errors is None else asdict(motion.errors)
    motion_metrics = {f"motion {name}": float(f"{value:.4g}") for name, value in errors.items()}
    return AnchorInfo(
        name=name,
        fps=dataset.fps,
        size=dataset.target.size,
        target_frames=dataset.target.frames,
        crop=dataset.crop,
        target_loops=dataset.target.loops,
        features=motion.features,
        coefficients=motion.basis.size,
        context_steps=motion.network.config.context_steps,
        map_side=network.map_side,
        grain=rendering.grain,
        training={
            "clips": len(dataset.clips),
            "motion clips": motion.clips,
            "footage seconds": round(dataset.seconds, 1),
            "rendering minutes": round(rendering.minutes, 1),
            "rendering steps": rendering.steps,
            "rendering PSNR in the mask, dB": round(rendering.psnr, 2),
            **motion_metrics,
        },
    )


def _write(
    out: Path,
    dataset: Dataset,
    motion: SpeakerMotion,
    network: CropNetwork,
    references: References | None,
    info: AnchorInfo,
    *,
    reuse_encoder: bool,
    progress: Progress,
) -> Path:
    from newscaster.formats.anchor import AnchorFace, write_anchor
    from newscaster.models.motion.base import motion_of_speaker
    from newscaster.models.renderer.training import export_renderer
    from newscaster.onnx_weights import in_half
    from newscaster.speech.encoder import packaged_encoder
    from newscaster.synthesis.anchor import Anchor
    from newscaster.system.files import atomic_write

    face = AnchorFace(
        basis=motion.basis,
        head=dataset.head,
        mask=dataset.mask,
        poses=dataset.target.poses,
        transforms=dataset.target.transforms,
        landmarks=dataset.target.landmarks,
        blend_weight=dataset.target.blend_weight,
        segment=dataset.target.segment if dataset.target.parts else None,
        thumbnails=dataset.target.thumbnails,
    )
    encoder = packaged_encoder() if motion.features.needs_encoder else None
    if encoder is not None and reuse_encoder:
        info, encoder = replace(info, shared_encoder=hashlib.sha256(encoder).hexdigest()), None
    matte, renderer = _matte(dataset, progress), export_renderer(network)
    with atomic_write(out) as temporary:
        write_anchor(
            temporary,
            info,
            face,
            motion=in_half(motion_of_speaker(motion.network)),
            renderer=renderer if info.copies else in_half(renderer),
            target=dataset.target.video.read_bytes(),
            matte=matte,
            speech_encoder=encoder,
            references=references,
        )
        try:
            Anchor.open(temporary, workers=1)
        except AnchorError as error:
            raise AnchorError(
                f"the trained anchor does not work, and is not written: {error}. Train it again in another "
                "--work-dir; if it happens again, report it"
            ) from error
    return out


def _matte(dataset: Dataset, progress: Progress) -> bytes | None:
    """Return the matte of the target; None if its frames are too small for one."""
    from newscaster.matting.matte import MIN_SIDE_PX
    from newscaster.matting.packed import packed
    from newscaster.media import TargetVideo
    from newscaster.synthesis.target_matte import video_matte

    target = dataset.target
    if min(target.size) < MIN_SIDE_PX:
        return None
    matte = video_matte(
        TargetVideo(target.video, name=target.video.name),
        target.landmarks,
        size=target.size,
        segment=target.segment if target.parts else None,
        loops=target.loops,
        progress=lambda done, total: progress("matte", done, total),
    )
    return packed(matte)


def _run_folder(
    folder: Path, kind: str, dataset: Dataset, *, with_audio: bool = False, renderer: str = DEFAULT_RENDERER
) -> Path:
    """Return the folder of a training run, named after a hash of its data: other footage is another run.

    Args:
        folder: the working directory.
        kind: kind of the run.
        dataset: the prepared dataset.
        with_audio: whether the hash includes the audio.
        renderer: name of the rendering network, if one is trained. Each has a run of its own.
    """
    identity: dict[str, object] = {
        "clips": [(clip.name, clip.frames, clip.record.cropped_with) for clip in dataset.clips],
        "fps": str(dataset.fps),
    }
    if renderer != DEFAULT_RENDERER:
        identity["renderer"] = renderer
    if with_audio:
        audio = hashlib.sha256()
        for clip in dataset.clips:
            audio.update(clip.speech.tobytes())
            audio.update(clip.audio_fits.tobytes())
        identity["audio"] = audio.hexdigest()
    return folder / f"{kind}-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]}"


def need_training() -> None:
    """Check that the packages of the extra ``train`` are installed, without importing them.

    Raises:
        MissingExtraError: one is missing.
    """
    for package in ("torch", "onnx"):
        if find_spec(package) is None:
            raise MissingExtraError(purpose="training an anchor", extra="train", package=package)
