"""Motion of a head that talks: rotation, translation, breathing, saccades and blinks, for a loop of frames.

All signals are periodic in the length of the loop, so its end meets its start in value and in speed. Inside
the loop they are noise: sums of all harmonics with random phases. Their spectrum falls by 6 dB per octave
above 0.12 Hz and ends near 2.5 Hz. A random change of the time axis, periodic as well, adds pauses. Nods are
added at known frames, so that `synthesis.nods` can move them to stressed syllables.

Measured on twelve real clips (60 s of a news anchor; 4 to 15 s of other people)::

                         yaw        pitch      roll       (degrees)
    anchor   std         2.5        2.1        3.5
             speed       4.9        5.0        4.0        (rms, degrees per second)
    others   std         2.7 - 6.9  1.7 - 5.3  2.1 - 4.6
             speed       11 - 21    7 - 18     5 - 9

The anchor's roll and slow shifts are mostly sway of the body, which does not move here: ``calm`` has less of
them. Knows neither photographs nor frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from newscaster.errors import InputError
from newscaster.face.geometry import smoothstep
from newscaster.types import ArrayF64, ArrayI64

MotionStyle = Literal["calm", "lively", "still"]
DEFAULT_SECONDS = 24.0
MIN_SECONDS = 4.0
MAX_ANGLE_DEGREES = 10.0
"""Bound of yaw, pitch and roll in every style."""

_CORNER_HZ, _END_HZ = 0.12, 2.5
_BREATH_SECONDS = 4.0
_BREATH_JITTER = 0.35
"""Irregularity of breaths, in radians of their phase."""
_INHALING = 0.6
"""Skew of a breath in radians: breathing in is quicker than out."""
_PAUSES = 0.75
"""Depth of the changes of the time axis: 1 would let it stop."""
_FIXATION_SECONDS, _FIXATION_SIGMA = 0.9, 0.55
"""Median and standard deviation of the logarithm of the time between saccades."""
_SACCADE_SECONDS = 0.04
_BLINK_SECONDS, _BLINK_SIGMA = 0.28, 0.18
_BLINK_LIMITS = (0.2, 0.4)
"""Durations of blinks in seconds: median, standard deviation of the logarithm, bounds."""
_INTERVAL_SIGMA = 0.5
_MIN_INTERVAL_SECONDS = 0.8
_DOUBLE, _DOUBLE_GAP_SECONDS = 0.12, (0.1, 0.25)
"""Fraction of blinks that are followed by another at once, and the time between the two."""
_CLOSING, _CLOSED = 0.32, 0.14
"""Fractions of a blink: lids close, and stay closed. They open in the rest."""
_FREE_SECONDS = 0.5
"""Time without blinks and nods at both ends of the loop."""
_NOD_SECONDS = (0.24, 0.42)
"""Times of the head's way down and back."""
_MIN_NOD_INTERVAL_SECONDS, _NOD_INTERVAL_SECONDS = 1.6, 1.0
"""Minimum time from nod to nod, and the mean of what is added to it."""
_NOD_DEPTHS = (0.7, 1.2)


@dataclass(frozen=True)
class _Amplitudes:
    angles: tuple[float, float, float]
    """Standard deviations of yaw, pitch and roll in degrees."""
    shift: tuple[float, float]
    """The same of the translation, in IOD."""
    scale: float
    gaze: tuple[float, float]
    """The same of the directions between saccades, in degrees."""
    blinks: float
    """Per second."""
    nod: float
    """Depth of a nod in degrees."""


_STYLES: dict[MotionStyle, _Amplitudes] = {
    "calm": _Amplitudes((2.3, 1.6, 1.3), (0.018, 0.012), 0.004, (1.0, 0.6), 0.33, 2.2),
    "lively": _Amplitudes((3.8, 2.5, 2.1), (0.028, 0.020), 0.007, (1.4, 0.9), 0.40, 3.2),
    "still": _Amplitudes((0.6, 0.5, 0.35), (0.005, 0.004), 0.001, (0.7, 0.4), 0.28, 0.8),
}


@dataclass(frozen=True)
class HeadMotion:
    """Motion in F frames. All zeros (scale 1) is the photograph itself."""

    angles: ArrayF64
    """Yaw, pitch and roll in degrees relative to the photograph, (F, 3); signs as in ``Poses.angles``."""
    shift: ArrayF64
    """Translation of the head, (F, 2) IOD, right and down."""
    scale: ArrayF64
    """Size relative to the photograph, (F,)."""
    breath: ArrayF64
    """How far the shoulders are raised, (F,), 0 to 1."""
    gaze: ArrayF64
    """Rotation of the eyes relative to the viewer, (F, 2) degrees, right and down."""
    closure: ArrayF64
    """Closure of the eyelids, (F,): 0 as in the photograph, 1 closed."""
    nods: ArrayI64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """(n,) frames at which a nod, which the angles contain, is at its lowest; rising."""

    def __post_init__(self) -> None:
        frames = len(self.closure)
        shapes = [(frames, 3), (frames, 2), (frames,), (frames,), (frames, 2), (frames,)]
        arrays = (self.angles, self.shift, self.scale, self.breath, self.gaze, self.closure)
        if [array.shape for array in arrays] != shapes or not frames:
            raise ValueError(f"motion has arrays {[array.shape for array in arrays]}; expected {shapes}")

    def __len__(self) -> int:
        return len(self.closure)

    @staticmethod
    def rest(frames: int) -> HeadMotion:
        """Return no motion."""
        flat = np.zeros((frames, 2))
        still = flat[:, 0]
        return HeadMotion(np.zeros((frames, 3)), flat, still + 1, still, flat, still)

    @staticmethod
    def generate(
        *,
        fps: float,
        seconds: float = DEFAULT_SECONDS,
        style: MotionStyle = "calm",
        blinks: bool = True,
        seed: int = 0,
    ) -> HeadMotion:
        """Return a loop of motion.

        Args:
            fps: frames per second.
            seconds: length of the loop; the frame after the last one is the first.
            style: "calm" as a news anchor, "lively" as in a conversation, "still" as someone who waits.
            blinks: whether the eyes blink.
            seed: of the random numbers.

        Raises:
            InputError: the style is unknown, or a number is out of range.
        """
        if style not in get_args(MotionStyle):
            raise InputError(f"style is {style!r}; expected one of {', '.join(get_args(MotionStyle))}")
        if not 1 <= fps <= 240:
            raise InputError(f"fps is {fps}; expected 1 to 240")
        if not MIN_SECONDS <= seconds <= 3600:
            raise InputError(f"seconds is {seconds}; expected {MIN_SECONDS:.0f} to 3600")
        sizes = _STYLES[style]
        frames = round(seconds * fps)
        clock = _Clock(frames, fps)
        rng = {
            name: np.random.default_rng([seed, i])
            for i, name in enumerate(("head", "air", "gaze", "lids", "nods"))
        }
        turned = _with_pauses(clock, rng["head"])
        angles = np.stack([_noise(turned, clock, rng["head"]) for _ in range(3)], axis=1) * sizes.angles
        shift = np.stack([_noise(turned, clock, rng["head"]) for _ in range(2)], axis=1) * sizes.shift
        nods, course = _nods(clock, rng["nods"])
        angles[:, 1] -= sizes.nod * course  # down
        scale = 1 + sizes.scale * _noise(turned, clock, rng["head"])
        return HeadMotion(
            MAX_ANGLE_DEGREES * np.tanh(angles / MAX_ANGLE_DEGREES),
            shift,
            scale,
            _breath(clock, rng["air"]),
            _gaze(clock, rng["gaze"]) * sizes.gaze,
            _blinks(clock, rng["lids"], sizes.blinks) if blinks else np.zeros(frames),
            nods,
        )


class _Clock:
    """Times of the frames of a loop."""

    def __init__(self, frames: int, fps: float) -> None:
        self.seconds: float = frames / fps
        self.times: ArrayF64 = np.arange(frames) / fps


def _noise(times: ArrayF64, clock: _Clock, rng: np.random.Generator, end_hz: float = _END_HZ) -> ArrayF64:
    """Return periodic noise at times (F,), with standard deviation 1 and mean 0 over the loop."""
    harmonics = np.arange(1, max(2, int(2.5 * end_hz * clock.seconds)))
    hz = harmonics / clock.seconds
    size = np.exp(-0.5 * (hz / end_hz) ** 2) / np.hypot(1, hz / _CORNER_HZ)
    size = size * np.sqrt(rng.chisquare(4, len(hz)) / 4)
    phases = rng.uniform(0, 2 * np.pi, len(hz))
    noise = np.cos(2 * np.pi * np.outer(times, hz) + phases) @ size
    noise -= noise.mean()
    return np.asarray(noise / noise.std())


def _with_pauses(clock: _Clock, rng: np.random.Generator) -> ArrayF64:
    """Return times (F,) that pass at a varying speed, but never backwards; whole loops stay whole."""
    rate = _PAUSES * np.tanh(1.2 * _noise(clock.times, clock, rng, end_hz=0.5))
    rate -= rate.mean()
    passed = np.cumsum(1 + rate) * (clock.seconds / len(rate))
    return np.asarray(passed - passed[0])


def _nods(clock: _Clock, rng: np.random.Generator) -> tuple[ArrayI64, ArrayF64]:
    """Return the frames at which nods are at their lowest, and the course of all (F,), about 0 to 1."""
    lowest: list[int] = []
    course, at = np.zeros(len(clock.times)), 0.0
    while True:
        at += _MIN_NOD_INTERVAL_SECONDS + float(rng.exponential(_NOD_INTERVAL_SECONDS))
        if at > clock.seconds - _NOD_SECONDS[1] - _FREE_SECONDS:
            return np.array(lowest, np.int64), course
        frame = round(at / clock.seconds * len(course))
        since = clock.times - clock.times[frame]
        down = smoothstep(1 + since / _NOD_SECONDS[0]) * (1 - smoothstep(since / _NOD_SECONDS[1]))
        course += float(rng.uniform(*_NOD_DEPTHS)) * down
        lowest.append(frame)


def _breath(clock: _Clock, rng: np.random.Generator) -> ArrayF64:
    count = max(1, round(clock.seconds / _BREATH_SECONDS))
    phase = 2 * np.pi * count * clock.times / clock.seconds
    phase += _BREATH_JITTER * _noise(clock.times, clock, rng, end_hz=0.15) + rng.uniform(0, 2 * np.pi)
    depth = 0.85 + 0.15 * np.tanh(_noise(clock.times, clock, rng, end_hz=0.15))
    return np.asarray(depth * (0.5 - 0.5 * np.cos(phase + _INHALING * np.sin(phase))))


def _gaze(clock: _Clock, rng: np.random.Generator) -> ArrayF64:
    """Return directions (F, 2) with standard deviation 1: steps between fixations."""
    gaze, start, level = np.zeros((len(clock.times), 2)), 0.0, np.zeros(2)
    while True:
        start += float(rng.lognormal(np.log(_FIXATION_SECONDS), _FIXATION_SIGMA))
        last = start > clock.seconds - _FREE_SECONDS
        start = min(start, clock.seconds - _FREE_SECONDS)
        target = np.zeros(2) if last else np.clip(rng.normal(size=2), -2.2, 2.2)
        done = smoothstep((clock.times - start) / _SACCADE_SECONDS)[:, None]
        gaze += done * (target - level)
        level = target
        if last:
            return gaze


def _blinks(clock: _Clock, rng: np.random.Generator, rate: float) -> ArrayF64:
    """Return the closure of the lids (F,), for so many blinks per second."""
    closure = np.zeros(len(clock.times))
    # A double blink counts as two, and an interval starts when the blink before it ends.
    pause = (1 + _DOUBLE) / rate - (1 + _DOUBLE) * _BLINK_SECONDS - _MIN_INTERVAL_SECONDS
    mu = np.log(pause) - _INTERVAL_SIGMA**2 / 2
    start = _FREE_SECONDS + float(rng.uniform(0, pause))
    while True:
        for _ in range(2 if rng.random() < _DOUBLE else 1):
            length = float(np.clip(rng.lognormal(np.log(_BLINK_SECONDS), _BLINK_SIGMA), *_BLINK_LIMITS))
            if start + length > clock.seconds - _FREE_SECONDS:
                return closure
            closure = np.maximum(closure, _lid_course((clock.times - start) / length))
            start += length + float(rng.uniform(*_DOUBLE_GAP_SECONDS))
        start += _MIN_INTERVAL_SECONDS + float(rng.lognormal(mu, _INTERVAL_SIGMA))


def _lid_course(part: ArrayF64) -> ArrayF64:
    """Return the closure at fractions of a blink."""
    opening = (part - _CLOSING - _CLOSED) / (1 - _CLOSING - _CLOSED)
    return np.asarray(smoothstep(part / _CLOSING) * (1 - smoothstep(np.clip(opening, 0, 1) ** 0.8)))
