"""Test runs of the networks of an anchor when it is opened: an intact file can hold broken networks.

Weights that are not finite, zero or huge, as left by diverged training, pass all checks of sizes and shapes,
but render black mouths or none. Each test costs a call of a network. The bundled anchor is tested by the test
suite instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from newscaster.errors import AnchorError
from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.topology import MOUTH, RING
from newscaster.formats.anchor import MOTION, RENDERER, SPEECH_ENCODER, AnchorFace
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.synthesis.target import Target
from newscaster.types import ArrayF64

_OPENED = 0.15
"""Opening of the test mouth in inter-ocular distances (outer corners), as in speech."""
_MIN_RESPONSE = 0.5
"""Minimum mean change of the rendered pixels then, in 8-bit pixel values. Bundled anchor: 9.7 to 17.1."""
_MAX_DIFFERENCE = 90.0
"""Maximum mean difference to the footage, in 8-bit pixel values. Bundled anchor: 2.7 to 3.0."""
_STEPS = 16
_MAX_COEFFICIENT = 1000.0
"""Coefficients have unit variance in training."""
_STDS = 3.0
_MIN_OPENING, _MAX_OPENING = 1e-3, 5.0
"""Range of openings of the basis within `_STDS` standard deviations, in inter-ocular distances."""
_SPEECH_SAMPLES = 4000


def try_renderer(renderer: Renderer, target: Target, face: AnchorFace, *, pixels_per_unit: float) -> None:
    """Render one frame of the target, with its original mouth and with an opened one.

    Raises:
        AnchorError: the pixels are not those of a face, or do not change with the mouth.
    """
    if not face.mask.soft.any():
        raise AnchorError("its mask is empty: no mouth would be rendered")
    numbers = np.flatnonzero(target.blend_weights(np.arange(len(target))) > 0)
    if not len(numbers):
        return  # every frame keeps its original mouth, and `speak` reports it
    frame = target.frame(int(numbers[0]))
    lips = face.landmarks[numbers[:1]][:, list(MOUTH), :2].astype(np.float64)
    own = target.transforms(numbers[:1]).apply(lips)[0]
    jobs = [Job(frame, own), Job(frame, _open_mouth(own, by_px=_OPENED * pixels_per_unit))]
    rendered = renderer.crops(jobs).astype(np.float64)
    left, top = renderer.corner
    part = slice(top, top + rendered.shape[1]), slice(left, left + rendered.shape[2])
    hidden = face.mask.hidden[part]
    enlarged = len(face.mask.hidden) // len(frame.crop)
    footage = frame.crop.repeat(enlarged, axis=0).repeat(enlarged, axis=1)[part]
    difference = np.abs(rendered[0] - footage)[hidden].mean(axis=0)
    response = np.abs(rendered[1] - rendered[0])[hidden].mean(axis=0)
    if difference.max() > _MAX_DIFFERENCE:
        raise AnchorError(
            f"{RENDERER} renders no face: its pixels differ from the footage by {difference.max():.0f} of "
            f"255 on average; expected {_MAX_DIFFERENCE:g} at most"
        )
    if response.min() < _MIN_RESPONSE:
        raise AnchorError(
            f"{RENDERER} renders the same for a closed mouth and an open one (a change of "
            f"{response.min():.2f} of 255; expected {_MIN_RESPONSE:g} or more)"
        )


def _open_mouth(mouth: ArrayF64, *, by_px: float) -> ArrayF64:
    """Return a mouth (57, 2) with lower lip and jaw moved down."""
    lowered, half = mouth.copy(), RING // 2
    for part in (slice(half + 1, RING), slice(RING + half + 1, 2 * RING), slice(2 * RING, None)):
        lowered[part, 1] += by_px
    return lowered


def try_motion(session: Session, *, width: int, basis: MouthBasis) -> None:
    """Run the motion network on silence and on noise.

    Raises:
        AnchorError: coefficients are huge or constant, or the basis opens no mouth.
        InputError: coefficients are not finite.
    """
    noise = np.random.default_rng(0).standard_normal((1, _STEPS, width)).astype(np.float32)
    shape = (1, _STEPS, basis.size)
    silent, noisy = (
        session.run_one("coefficients", shape, features=features)
        for features in (np.zeros_like(noise), noise)
    )
    largest = float(max(np.abs(silent).max(), np.abs(noisy).max()))
    if largest > _MAX_COEFFICIENT:
        raise AnchorError(
            f"{MOTION} returns coefficients of {largest:.3g}; expected {_MAX_COEFFICIENT:g} at most"
        )
    if not np.abs(noisy - silent).max() > 0:
        raise AnchorError(f"{MOTION} returns the same for silence and for noise: the mouth would not move")
    moved = np.concatenate([side * _STDS * np.eye(basis.size) for side in (-1, 1)])
    openings = opening(basis.reconstruct(moved))
    if not (np.ptp(openings) >= _MIN_OPENING and openings.max() <= _MAX_OPENING):
        raise AnchorError(
            f"its mouth basis opens the mouth by {np.ptp(openings):.3g} to {openings.max():.3g} "
            f"inter-ocular distances; expected {_MIN_OPENING:g} to {_MAX_OPENING:g}"
        )


def try_encoder(encoder: SpeechEncoder, spec: FeatureSpec) -> None:
    """Run an anchor's own speech encoder on silence and on noise.

    Raises:
        AnchorError: its states are equal or not finite.
        InputError: a network output is not finite.
    """
    noise = (0.1 * np.random.default_rng(0).standard_normal(_SPEECH_SAMPLES)).astype(np.float32)
    states: list[Any] = [extract(samples, spec, encoder) for samples in (np.zeros_like(noise), noise)]
    if not np.isfinite(states).all() or not np.abs(states[1] - states[0]).max() > 0:
        raise AnchorError(f"{SPEECH_ENCODER} returns the same for silence and for noise, or is not finite")
