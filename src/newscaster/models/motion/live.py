"""Motion networks learn to follow live speech, whose windows are encoded alone and end soon after each step.

With full context, the states of the encoder depend on seconds of later audio. In live speech
(`synthesis.look_ahead`) they do not, and a network that has only seen the former follows voices worse. So it
is trained to move the mouth in windows as it does itself with full context (Hinton et al., Distilling the
Knowledge in a Neural Network, arXiv 1503.02531). That needs audio, and no video::

    audio     .............|============ window ============|.............
    features               0  1  2                       T-1                  of the window alone
    trained on                               |-------------|                  MotionTraining.live_steps

The level is that of live speech, too: unknown until the first words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.augment import augment
from newscaster.models.motion.data import MotionClip, MotionTraining, Mouth
from newscaster.models.motion.network import MotionNetwork, predict
from newscaster.models.motion.task import train_motion
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import STEP_SAMPLES, FeatureSpec, extract_windows
from newscaster.speech.level import Leveller, loud_peak
from newscaster.speech.windows import LIVE_STEPS
from newscaster.training.loop import OnReport
from newscaster.types import ArrayF32, ArrayFloat

LEARNING = MotionTraining(steps=200, batch=12, live_batch=40, learning_rate=5e-4, feature_noise=0.1)
LEARNING_DROPOUT = 0.1
"""With more dropout and noise, the network loses accuracy on whole recordings."""
MIN_SPACING = 8
"""Steps from one window of a recording to the next, at least: 320 ms."""
MAX_WINDOWS = 4000
"""Windows of all recordings, about; with more audio they are further apart."""
OF_COPIES = 0.4
"""The fraction of windows with augmented audio."""
_BATCH = 64


@dataclass(frozen=True)
class Recording:
    """Speech of one person."""

    speech: ArrayF32
    """(N,) at 16 kHz."""
    features: ArrayFloat
    """(T, D), with full context."""


def learn_live(
    network: MotionNetwork,
    basis: MouthBasis,
    recordings: Sequence[Recording],
    folder: Path,
    *,
    features: FeatureSpec,
    encoder: SpeechEncoder | None,
    fractions: Sequence[float] | None = None,
    config: MotionTraining = LEARNING,
    progress: OnReport | None = None,
) -> MotionNetwork:
    """Train a network in place to follow windows of live speech as it follows whole recordings; return it.

    Args:
        network: a trained network.
        basis: of its coefficients; its mean is not used.
        recordings: what it learns from.
        folder: of the run, resumed from.
        features: input features of the network.
        encoder: the speech encoder, if the features need one.
        fractions: how often each recording is drawn, (len(recordings),); by length when not given.
        config: how to train.
        progress: called at intervals.
    """
    steps = [len(recording.features) for recording in recordings]
    spacing, rng = max(MIN_SPACING, 2 * sum(steps) // MAX_WINDOWS), np.random.default_rng(config.seed)
    centred, whole = basis.with_mean(np.zeros_like(basis.mean)), []
    live: list[MotionClip] = []
    live_fractions: list[float] = []
    for recording, fraction in zip(recordings, steps if fractions is None else fractions, strict=True):
        shapes = centred.reconstruct(predict(network.eval(), recording.features)).astype(np.float32)
        present = np.ones(len(shapes), np.bool_)
        whole.append(MotionClip(recording.features.astype(np.float16), shapes, present))
        plain = Mouth(shapes, present, recording.speech)
        for mouth, part in ((plain, 1 - OF_COPIES), (augment(plain, rng), OF_COPIES)):
            windows = live_windows(mouth, features, encoder, rng, spacing=spacing)
            live += windows
            live_fractions += [part * fraction / max(1, len(windows))] * len(windows)
    learner = MotionNetwork(replace(network.config, dropout=LEARNING_DROPOUT, input_dropout=None))
    learner.load_state_dict(network.state_dict())
    train_motion(
        learner,
        whole,
        basis,
        folder,
        config=config,
        fractions=fractions,
        live=live,
        live_fractions=live_fractions,
        adapted=True,
        progress=progress,
    )
    network.load_state_dict(learner.state_dict())
    return network.eval()


def live_windows(
    mouth: Mouth,
    features: FeatureSpec,
    encoder: SpeechEncoder | None,
    rng: np.random.Generator,
    *,
    spacing: int,
) -> list[MotionClip]:
    """Return windows of a clip, LIVE_STEPS each, features in half precision; the first one begins at random.

    Steps before the clip and after it are not present. With probability one half, the level of the clip is
    not known before its first words.

    Args:
        mouth: the clip.
        features: input features of the network.
        encoder: the speech encoder, if the features need one.
        rng: random numbers.
        spacing: steps from one window to the next.
    """
    loud = loud_peak(mouth.speech) if rng.random() < 0.5 else 0.0
    levelled = replace(mouth, speech=Leveller(loud).push(mouth.speech))
    ends = range(int(rng.integers(1, spacing + 1)), len(mouth.shapes) + LIVE_STEPS // 4, spacing)
    clips: list[MotionClip] = []
    for first in range(0, len(ends), _BATCH):
        batch = ends[first : first + _BATCH]
        audio = np.stack([_padded(levelled.speech, end * STEP_SAMPLES, STEP_SAMPLES) for end in batch])
        matrices = extract_windows(audio, features, encoder).astype(np.float16)
        clips += [
            MotionClip(matrix, _padded(mouth.shapes, end), _padded(mouth.present, end))
            for end, matrix in zip(batch, matrices, strict=True)
        ]
    return clips


def _padded(rows: npt.NDArray[Any], end: int, unit: int = 1) -> npt.NDArray[Any]:
    """Return the LIVE_STEPS * unit rows before ``end``; rows that do not exist are 0."""
    count = LIVE_STEPS * unit
    window = np.zeros((count, *rows.shape[1:]), rows.dtype)
    first, stop = max(0, end - count), min(end, len(rows))
    if first < stop:
        window[first - end + count : stop - end + count] = rows[first:stop]
    return window
