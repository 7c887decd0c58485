"""One speaker's motion network: the base network, adapted to the footage of a take.

Knows which clips are learnt from and which are set aside for the figures, and how far the network may move
from what it has learnt of other people. Leaves the loop to ``training.motion``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from newscaster.errors import FootageError
from newscaster.face.measures import ShapeErrors, shape_errors
from newscaster.face.mouth import MouthBasis, rest_shape
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.take import Take
from newscaster.training.base_motion import BaseMotion
from newscaster.training.export import export_network
from newscaster.training.motion import MotionClip, MotionProgress, MotionTraining, motion_clip, train_motion
from newscaster.training.networks.motion import MotionNetwork
from newscaster.training.rendering_data import HELD_OUT_EVERY

_log = logging.getLogger(__name__)

ADAPTING = MotionTraining(steps=250, learning_rate=5e-4, hold=1e-3)
"""From the base network: short and held, so that other voices are not forgotten."""
ADAPTING_DROPOUT = 0.3
_LEAST_STEPS = 75


@dataclass(frozen=True)
class SpeakerMotion:
    """A speaker's motion network and what its coefficients mean."""

    network: MotionNetwork
    basis: MouthBasis
    features: FeatureSpec
    errors: ShapeErrors | None
    """On clips that were set aside; None where the footage has too few to set any aside."""


def take_motion(
    take: Take, features: FeatureSpec, encoder: SpeechEncoder | None
) -> tuple[list[MotionClip], npt.NDArray[np.float64]]:
    """The clips of a take as motion, relative to the speaker's rest shape (57, 2), which comes second.

    Raises:
        FootageError: no clip shows the mouth for long enough.
    """
    shapes = [clip.mouth_shapes(take.head) for clip in take.clips]
    seen = [s[clip.present] for s, clip in zip(shapes, take.clips, strict=True) if clip.present.any()]
    if not seen:
        raise FootageError(f"no clip of '{take.folder}' shows a face. Prepare footage in which one is seen")
    rest = rest_shape(np.concatenate(seen))
    clips = [
        motion_clip(extract(clip.speech, features, encoder), shape - rest, clip.present, fps=take.fps)
        for clip, shape in zip(take.clips, shapes, strict=True)
    ]
    return [clip for clip in clips if clip.present.any()], rest


def train_speaker(
    take: Take,
    folder: Path,
    *,
    base: BaseMotion,
    encoder: SpeechEncoder | None,
    progress: Callable[[MotionProgress], None] | None = None,
) -> SpeakerMotion:
    """Train the motion network of a take's speaker.

    Args:
        take: prepared footage with sound.
        folder: of the run, resumed from.
        base: what is adapted, with a dropout of :data:`ADAPTING_DROPOUT`; its network is changed.
        encoder: for base networks that hear states of the speech model.
        progress: called now and then.

    Raises:
        FootageError: the footage shows no mouth, or too little of it.
    """
    clips, rest = take_motion(take, base.features, encoder)
    if sum(int(clip.present.sum()) for clip in clips) < _LEAST_STEPS:
        raise FootageError(f"'{take.folder}' shows a mouth for under 3 s; 10 s and more can be learnt from")
    learn, held_out = _set_aside(clips)
    network = train_motion(base.network, learn, base.basis, folder, config=ADAPTING, progress=progress)
    errors = motion_errors(network, held_out, base.basis) if held_out else None
    return SpeakerMotion(network, base.basis.with_mean(rest), base.features, errors)


def _set_aside(clips: Sequence[MotionClip]) -> tuple[list[MotionClip], list[MotionClip]]:
    # The same clips as the renderer's, so that the figures of an anchor are of one footage.
    if len(clips) < HELD_OUT_EVERY:
        return list(clips), []
    return [c for i, c in enumerate(clips) if i % HELD_OUT_EVERY], list(clips[::HELD_OUT_EVERY])


@torch.no_grad()
def predict(network: MotionNetwork, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Coefficients (T, K) of one sound's features (T, D)."""
    coefficients: npt.NDArray[np.float32] = network(torch.from_numpy(features)[None])[0].numpy()
    return coefficients


def motion_errors(network: MotionNetwork, clips: Sequence[MotionClip], basis: MouthBasis) -> ShapeErrors:
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
