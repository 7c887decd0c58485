"""One speaker's motion network: the base network, adapted to a prepared dataset.

This module splits clips into training and validation, and limits how far the weights may move from the base
network. Footage without audio does not change them. The training itself is in ``models.motion.task``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.measures import ShapeErrors, shape_errors
from newscaster.face.mouth_basis import MouthBasis, rest_shape
from newscaster.formats.dataset import Dataset
from newscaster.models.motion.base import BaseMotion
from newscaster.models.motion.data import MotionClip, MotionTraining, motion_clip
from newscaster.models.motion.live import LEARNING, Recording, learn_live
from newscaster.models.motion.network import AnyMotion, MotionNetwork, predict
from newscaster.models.motion.task import train_motion
from newscaster.models.renderer.data import HELD_OUT_EVERY
from newscaster.speech.activity import MIN_SPEAKING_SECONDS, speech_activity
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, FeatureSpec, extract
from newscaster.training.loop import OnReport
from newscaster.types import ArrayF32, ArrayF64

_log = logging.getLogger(__name__)

ADAPTING = MotionTraining(steps=250, learning_rate=5e-4, hold=1e-3)
"""Short, and regularised towards the base network, so that other voices are not forgotten."""
ADAPTING_DROPOUT = 0.3


@dataclass(frozen=True)
class SpeakerMotion:
    """A speaker's motion network and what its coefficients mean."""

    network: MotionNetwork
    basis: MouthBasis
    features: FeatureSpec
    errors: ShapeErrors | None
    """On validation clips; None if the footage has too few clips for a split."""
    clips: int
    """Clips that the base network was adapted on, validation included; 0: the network is unchanged."""


@dataclass(frozen=True)
class DatasetMotion:
    """The clips of a dataset as motion, relative to the speaker's rest shape."""

    clips: tuple[MotionClip | None, ...]
    """One for each clip of the dataset; None if it has no audio to learn from."""
    rest: ArrayF64
    """(57, 2), measured on all clips."""
    speech: tuple[ArrayF32, ...]
    """(N,) at 16 kHz, of each clip."""
    speaking_seconds: float
    """Duration of speech with a visible mouth."""


def dataset_motion(dataset: Dataset, features: FeatureSpec, encoder: SpeechEncoder | None) -> DatasetMotion:
    """Return the motion of a dataset's clips; steps with an occluded mouth are marked as not present.

    Raises:
        FootageError: no clip shows a mouth that is free.
    """
    shapes = [clip.mouth_shapes(dataset.head) for clip in dataset.clips]
    seen = [s[clip.usable] for s, clip in zip(shapes, dataset.clips, strict=True) if clip.usable.any()]
    if not seen:
        raise FootageError(
            f"no clip of '{dataset.folder}' shows a face whose mouth is free. Prepare footage that shows one"
        )
    rest = rest_shape(np.concatenate(seen))
    clips: list[MotionClip | None] = []
    speaking_steps = 0
    for clip, shape in zip(dataset.clips, shapes, strict=True):
        usable = clip.usable & clip.audio_fits
        if not (usable.any() and clip.teaches_motion(dataset.head)):
            clips.append(None)
            continue
        matrix = extract(clip.speech, features, encoder)
        motion = motion_clip(matrix, shape - rest, usable, fps=dataset.fps)
        speaking_steps += int((motion.present & speech_activity(clip.speech)[: len(motion.present)]).sum())
        clips.append(motion)
    speech = tuple(clip.speech for clip in dataset.clips)
    return DatasetMotion(tuple(clips), rest, speech, speaking_steps / MOTION_HZ)


def train_speaker(
    dataset: Dataset,
    folder: Path,
    *,
    base: BaseMotion,
    encoder: SpeechEncoder | None,
    progress: OnReport | None = None,
) -> SpeakerMotion:
    """Adapt the base network to a dataset's speaker; leave it unchanged if there is too little speech.

    Args:
        dataset: prepared footage; clips without audio are skipped.
        folder: of the run, resumed from.
        base: the network to adapt in place, with a dropout of :data:`ADAPTING_DROPOUT`.
        encoder: for base networks whose features are states of the speech model.
        progress: called at intervals.

    Raises:
        FootageError: the footage shows no face.
    """
    motion = dataset_motion(dataset, base.features, encoder)
    basis = base.basis.with_mean(motion.rest)
    count = sum(clip is not None for clip in motion.clips)
    if motion.speaking_seconds < MIN_SPEAKING_SECONDS:
        _log.warning(
            "%d of %d clips have audio, with %.0f s of speech while the mouth is visible. With less than "
            "%g s, the base motion network is used unchanged, and only the appearance is learnt",
            *(count, len(dataset.clips), motion.speaking_seconds, MIN_SPEAKING_SECONDS),
        )
        return SpeakerMotion(base.network.eval(), basis, base.features, None, 0)
    if count < len(dataset.clips):
        _log.warning(
            "%d of %d clips have audio that is in sync with the mouth: motion is learnt from these, "
            "appearance from all",
            *(count, len(dataset.clips)),
        )
    return adapt(base, motion.clips, motion.speech, motion.rest, folder, encoder=encoder, progress=progress)


def adapt(
    base: BaseMotion,
    clips: Sequence[MotionClip | None],
    speech: Sequence[ArrayF32],
    rest: ArrayF64,
    folder: Path,
    *,
    encoder: SpeechEncoder | None,
    progress: OnReport | None = None,
) -> SpeakerMotion:
    """Adapt the base network, which is changed, to clips relative to a rest shape (57, 2).

    One clip of :data:`HELD_OUT_EVERY` is held out for validation. The network then learns to follow live
    speech as it follows files.

    Args:
        base: the base network.
        clips: of the person; None: without audio.
        speech: (N,) at 16 kHz, of each clip.
        rest: the person's mouth at rest.
        folder: of the run, resumed from.
        encoder: the speech encoder, if the features need one.
        progress: called at intervals.
    """
    learn, held_out = _split_clips(clips)
    network = train_motion(
        base.network,
        learn,
        base.basis,
        folder,
        config=ADAPTING,
        adapted=True,
        progress=_part(progress, 0),
    )
    learnt = set(map(id, learn))
    network = learn_live(
        network,
        base.basis,
        [Recording(s, c.features) for c, s in zip(clips, speech, strict=True) if c and id(c) in learnt],
        folder / "live",
        features=base.features,
        encoder=encoder,
        config=LEARNING,
        progress=_part(progress, 1),
    )
    errors = motion_errors(network, held_out, base.basis) if held_out else None
    count = sum(clip is not None for clip in clips)
    return SpeakerMotion(network, base.basis.with_mean(rest), base.features, errors, count)


def _part(progress: OnReport | None, index: int) -> OnReport | None:
    """Return a progress callback for one of two trainings of equal weight."""
    if progress is None:
        return None
    return lambda report: progress(replace(report, fraction=(index + report.fraction) / 2))


def _split_clips(clips: Sequence[MotionClip | None]) -> tuple[list[MotionClip], list[MotionClip]]:
    # The renderer's split, so that all metrics of an anchor are of the same footage.
    every = [clip for clip in clips if clip is not None]
    learn = [clip for i, clip in enumerate(clips) if clip is not None and i % HELD_OUT_EVERY]
    if len(every) < HELD_OUT_EVERY or not learn:
        return every, []
    return learn, [clip for clip in clips[::HELD_OUT_EVERY] if clip is not None]


def motion_errors(network: AnyMotion, clips: Sequence[MotionClip], basis: MouthBasis) -> ShapeErrors:
    """Return errors of a network's mouths; clips and ``basis`` are relative to a rest shape at 0."""
    centred = basis.with_mean(np.zeros_like(basis.mean))
    predicted = [centred.reconstruct(predict(network, clip.features)) for clip in clips]
    return shape_errors(predicted, [clip.shapes for clip in clips], [clip.present for clip in clips])
