"""What an anchor's networks give is tried as it is opened: files can be whole, and networks in them broken.

Weights that are not numbers, zero or huge, such as training that diverges leaves, pass every check of sizes
and shapes, and paint black mouths or none. Knows what no working network gives. Costs a call of each network.
The bundled anchor is not tried each time: the tests do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.topology import MOUTH, RING
from newscaster.formats.anchor import MOTION, RENDERER, SPEECH_ENCODER, AnchorFace
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.synthesis.target import Target

_OPENED = 0.15
"""By how much a mouth is opened, in outer-eye distances: as far as people do while they talk."""
_MIN_RESPONSE = 0.5
"""8-bit pixel values by which the painted pixels change then, on average. The bundled one's: 9.7 to 17.1."""
_MAX_OFF = 90.0
"""8-bit pixel values by which they differ from the footage, on average. The bundled anchor's: 2.7 to 3.0."""
_STEPS = 16
_MAX_COEFFICIENT = 1000.0
"""Of networks whose coefficients have unit variance in training."""
_STDS = 3.0
_MIN_OPENING, _MAX_OPENING = 1e-3, 5.0
"""What the basis must come to in openings, in outer-eye distances, within so many deviations."""
_SPEECH_SAMPLES = 4000


def try_renderer(renderer: Renderer, target: Target, face: AnchorFace, *, pixels_per_unit: float) -> None:
    """Paint one frame of the stage, with its own mouth and with that opened.

    Raises:
        AnchorError: the pixels are not those of a face, or do not change with the mouth.
    """
    if not face.mask.soft.any():
        raise AnchorError("its mask is empty: no mouth would be painted")
    numbers = np.flatnonzero(target.blend_weights(np.arange(len(target))) > 0)
    if not len(numbers):
        return  # every frame keeps its own mouth, and `speak` says so
    frame = target.frame(int(numbers[0]))
    lips = face.landmarks[numbers[:1]][:, list(MOUTH), :2].astype(np.float64)
    own = target.transforms(numbers[:1]).apply(lips)[0]
    jobs = [Job(frame, own), Job(frame, _opened(own, by_px=_OPENED * pixels_per_unit))]
    rendered = renderer.crops(jobs).astype(np.float64)
    hidden = face.mask.hidden
    off = np.abs(rendered[0] - frame.crop)[hidden].mean(axis=0)
    response = np.abs(rendered[1] - rendered[0])[hidden].mean(axis=0)
    if off.max() > _MAX_OFF:
        raise AnchorError(
            f"{RENDERER} paints no face: its pixels are {off.max():.0f} of 255 from the footage's on "
            f"average, and at most {_MAX_OFF:g} are accepted"
        )
    if response.min() < _MIN_RESPONSE:
        raise AnchorError(
            f"{RENDERER} paints the same for a closed mouth and an open one (a change of "
            f"{response.min():.2f} of 255; expected {_MIN_RESPONSE:g} or more)"
        )


def _opened(mouth: npt.NDArray[np.float64], *, by_px: float) -> npt.NDArray[np.float64]:
    """A mouth (57, 2) whose lower lip and jaw are lower."""
    lowered, half = mouth.copy(), RING // 2
    for part in (slice(half + 1, RING), slice(RING + half + 1, 2 * RING), slice(2 * RING, None)):
        lowered[part, 1] += by_px
    return lowered


def try_motion(session: Session, *, width: int, basis: MouthBasis) -> None:
    """Run the motion network on silence and on noise.

    Raises:
        AnchorError: its coefficients are huge or never change, or the basis makes no mouth of them.
        InputError: they are not finite.
    """
    noise = np.random.default_rng(0).standard_normal((1, _STEPS, width)).astype(np.float32)
    shape = (1, _STEPS, basis.size)
    found = [session.run_one("coefficients", shape, features=f) for f in (np.zeros_like(noise), noise)]
    most = float(np.abs(found).max())
    if most > _MAX_COEFFICIENT:
        raise AnchorError(f"{MOTION} gives coefficients of {most:.3g}; accepted are {_MAX_COEFFICIENT:g}")
    if not np.abs(found[1] - found[0]).max() > 0:
        raise AnchorError(f"{MOTION} gives the same for silence and for noise: the mouth would not move")
    moved = np.concatenate([side * _STDS * np.eye(basis.size) for side in (-1, 1)])
    openings = opening(basis.reconstruct(moved))
    if not (np.ptp(openings) >= _MIN_OPENING and openings.max() <= _MAX_OPENING):
        raise AnchorError(
            f"its mouth basis opens the mouth by {np.ptp(openings):.3g} to {openings.max():.3g} eye "
            f"distances; expected {_MIN_OPENING:g} to {_MAX_OPENING:g}"
        )


def try_encoder(encoder: SpeechEncoder, spec: FeatureSpec) -> None:
    """Run an anchor's own speech encoder on silence and on noise.

    Raises:
        AnchorError: its states are the same.
        InputError: they are not finite.
    """
    noise = (0.1 * np.random.default_rng(0).standard_normal(_SPEECH_SAMPLES)).astype(np.float32)
    found: list[Any] = [extract(samples, spec, encoder) for samples in (np.zeros_like(noise), noise)]
    if not np.isfinite(found).all() or not np.abs(found[1] - found[0]).max() > 0:
        raise AnchorError(f"{SPEECH_ENCODER} gives the same for silence and for noise, or no numbers")
