"""One speaker's motion network: the base network, adapted to the footage of a take.

Knows which clips are learnt from and which are set aside for the figures, and how far the network may move
from what it has learnt of other people; footage without sound does not move it at all. Leaves the
training to ``models.motion.task``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from newscaster.errors import FootageError
from newscaster.face.measures import ShapeErrors, shape_errors
from newscaster.face.mouth_basis import MouthBasis, rest_shape
from newscaster.formats.dataset import Dataset
from newscaster.models.motion.base import BaseMotion
from newscaster.models.motion.data import MotionClip, MotionTraining, motion_clip
from newscaster.models.motion.network import AnyMotion, MotionNetwork
from newscaster.models.motion.task import train_motion
from newscaster.models.renderer.data import HELD_OUT_EVERY
from newscaster.speech.activity import MIN_SPEAKING_SECONDS, speech_activity
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, FeatureSpec, extract
from newscaster.training.loop import Progress
from newscaster.training.onnx_export import export_network
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

_log = logging.getLogger(__name__)

ADAPTING = MotionTraining(steps=250, learning_rate=5e-4, hold=1e-3)
"""From the base network: short and held, so that other voices are not forgotten."""
ADAPTING_DROPOUT = 0.3


@dataclass(frozen=True)
class SpeakerMotion:
    """A speaker's motion network and what its coefficients mean."""

    network: MotionNetwork
    basis: MouthBasis
    features: FeatureSpec
    errors: ShapeErrors | None
    """On clips that were set aside; None where the footage has too few to set any aside."""
    clips: int
    """How many the base network was adapted on, with those set aside; 0: it is used as it is."""


@dataclass(frozen=True)
class DatasetMotion:
    """The clips of a take as motion, relative to the speaker's rest shape."""

    clips: tuple[MotionClip | None, ...]
    """Of each clip of the take; None where it has no sound to learn from."""
    rest: ArrayF64
    """(57, 2), measured on all clips."""
    speaking_seconds: float
    """How long a mouth is seen while speech is heard."""


def dataset_motion(dataset: Dataset, features: FeatureSpec, encoder: SpeechEncoder | None) -> DatasetMotion:
    """What the clips of a take teach of motion: under a hand or a microphone, landmarks are guesses.

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
        learnt = clip.usable & clip.audio_fits
        if not (learnt.any() and clip.teaches_motion(dataset.head)):
            clips.append(None)
            continue
        heard = extract(clip.speech, features, encoder)
        made = motion_clip(heard, shape - rest, learnt, fps=dataset.fps)
        speaking_steps += int((made.present & speech_activity(clip.speech)[: len(made.present)]).sum())
        clips.append(made)
    return DatasetMotion(tuple(clips), rest, speaking_steps / MOTION_HZ)


def train_speaker(
    dataset: Dataset,
    folder: Path,
    *,
    base: BaseMotion,
    encoder: SpeechEncoder | None,
    progress: Progress | None = None,
) -> SpeakerMotion:
    """Adapt the base network to a take's speaker, or use it as it is where the take has too little sound.

    Args:
        dataset: prepared footage; clips without sound are passed over.
        folder: of the run, resumed from.
        base: what is adapted, with a dropout of :data:`ADAPTING_DROPOUT`; its network is changed.
        encoder: for base networks that hear states of the speech model.
        progress: called now and then.

    Raises:
        FootageError: the footage shows no face.
    """
    motion = dataset_motion(dataset, base.features, encoder)
    basis = base.basis.with_mean(motion.rest)
    count = sum(clip is not None for clip in motion.clips)
    if motion.speaking_seconds < MIN_SPEAKING_SECONDS:
        _log.warning(
            "%d of %d clips have sound, with %.0f s of speech under a mouth that is seen. With less than "
            "%g s, the mouth moves as the base network has it, and its looks alone are learnt",
            *(count, len(dataset.clips), motion.speaking_seconds, MIN_SPEAKING_SECONDS),
        )
        return SpeakerMotion(base.network.eval(), basis, base.features, None, 0)
    if count < len(dataset.clips):
        _log.warning(
            "%d of %d clips have sound that goes with the mouth: its motion is learnt from these, its looks "
            "from all",
            *(count, len(dataset.clips)),
        )
    return adapt(base, motion.clips, motion.rest, folder, progress=progress)


def adapt(
    base: BaseMotion,
    clips: Sequence[MotionClip | None],
    rest: ArrayF64,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> SpeakerMotion:
    """Adapt the base network, which is changed, to clips relative to a rest shape (57, 2).

    Every so many clips are set aside for the figures; None stands for a clip without sound.
    """
    learn, held_out = _set_aside(clips)
    network = train_motion(base.network, learn, base.basis, folder, config=ADAPTING, progress=progress)
    errors = motion_errors(network, held_out, base.basis) if held_out else None
    count = sum(clip is not None for clip in clips)
    return SpeakerMotion(network, base.basis.with_mean(rest), base.features, errors, count)


def _set_aside(clips: Sequence[MotionClip | None]) -> tuple[list[MotionClip], list[MotionClip]]:
    # The same clips as the renderer's, so that the figures of an anchor are of one footage.
    every = [clip for clip in clips if clip is not None]
    learn = [clip for i, clip in enumerate(clips) if clip is not None and i % HELD_OUT_EVERY]
    if len(every) < HELD_OUT_EVERY or not learn:
        return every, []
    return learn, [clip for clip in clips[::HELD_OUT_EVERY] if clip is not None]


@torch.no_grad()
def predict(network: AnyMotion, features: ArrayFloat) -> ArrayF32:
    """Coefficients (T, K) of one sound's features (T, D)."""
    coefficients: ArrayF32 = network(torch.from_numpy(features).float()[None])[0].numpy()
    return coefficients


def motion_errors(network: AnyMotion, clips: Sequence[MotionClip], basis: MouthBasis) -> ShapeErrors:
    """Errors of a network's mouths; clips and ``basis`` are relative to a rest shape, whose place is 0."""
    centred = basis.with_mean(np.zeros_like(basis.mean))
    predicted = [centred.reconstruct(predict(network, clip.features)) for clip in clips]
    return shape_errors(predicted, [clip.shapes for clip in clips], [clip.present for clip in clips])


def export_motion(network: MotionNetwork) -> bytes:
    """The network as ONNX: ``features`` (B, T, D) to ``coefficients`` (B, T, K), checked against PyTorch."""
    example = torch.randn(1, 2 * network.config.context_steps + 5, network.config.inputs)
    example = example * network.feature_deviation + network.feature_mean
    return export_network(
        network, {"features": example}, names=["coefficients"], dynamic={"features": {0: "B", 1: "T"}}
    )
