"""Speech to mouth shapes, chunk by chunk: features, the motion network, the anchor's frame rate.

What comes out does not depend on how the sound was cut. Memory is that of one chunk. Leaves where the shapes
are put to `stage`.

::

    sound at 16 kHz ─► Leveller
                         │
                     ┌───┘
                     ├► coefficients at 25 Hz ─────────────┬► at the anchor's fps ──► shapes
                     │  _WholeContext or LookAhead;        │  _Interpolator           Articulation
                     │  Smoother                           │
                     └► gains at 25 Hz ────────────────────┘
                        Gate
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, FeatureSpec, FeatureStream, check_speech
from newscaster.speech.level import Leveller
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voice_activity import VoiceActivity
from newscaster.synthesis.articulation import AS_TRAINED, Articulation, Smoother
from newscaster.synthesis.gate import AHEAD_STEPS, Gate, ahead_steps_within
from newscaster.synthesis.look_ahead import LookAhead

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_ONCE = np.ones(1)
CHUNK_STEPS = 50
"""Motion steps computed at once in files; more wait longer, fewer compute the context more often."""
_PUSH_SAMPLES = 2 * SAMPLE_RATE


def frame_count(samples: int, rate: int, fps: Fraction) -> int:
    """Frames of a video with this much sound: round(N * fps / rate), halves to the even number."""
    return round(samples * fps / rate)


class MotionStream:
    """Mouth shapes at the anchor's frame rate, of speech that comes in pieces.

    Args:
        session: the motion network, `features` (B, T, D) to `coefficients` (B, T, K).
        features: what the network hears.
        encoder: the speech encoder, where the features need one.
        basis: what the coefficients refer to.
        fps: frames per second wanted.
        context_steps: steps on either side that make a step of the network exact.
        chunk_steps: new steps to wait for before the network is run.
        activity: tells speech from other sound, where the mouth stays at rest; without it the mouth is never
            held.
        ahead_steps: steps before speech in which the mouth may begin to open; the motion waits for them.
        articulation: how far and how softly the mouth moves.
        look_ahead_ms: how much sound a motion step may wait for, from its own begin: a multiple of 40 from
            80 to 1000. None: all that the features and the network can use, seconds. The gate then looks no
            further ahead than that allows; its least is 104 ms. Smoothness above 1 waits for up to three
            steps (120 ms) more, a frame rate other than 25 for two.

    Raises:
        AnchorError: the network takes or gives something else.
        InputError: `look_ahead_ms` is out of range.
    """

    def __init__(
        self,
        session: Session,
        *,
        features: FeatureSpec,
        encoder: SpeechEncoder | None,
        basis: MouthBasis,
        fps: Fraction,
        context_steps: int,
        chunk_steps: int = CHUNK_STEPS,
        activity: VoiceActivity | None = None,
        ahead_steps: int = AHEAD_STEPS,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> None:
        _check_network(session, features.width, basis.size)
        kernel = articulation.kernel
        self._source: _WholeContext | LookAhead
        if look_ahead_ms is None:
            self._source = _WholeContext(
                session,
                features=features,
                encoder=encoder,
                size=basis.size,
                context_steps=context_steps,
                chunk_steps=chunk_steps,
            )
        else:
            # What is crisper than trained need not wait: the next step is in the window.
            within, kernel = (kernel, _ONCE) if articulation.smoothness < 1 else (_ONCE, kernel)
            self._source = LookAhead(
                session, features=features, encoder=encoder, look_ahead_ms=look_ahead_ms, kernel=within
            )
            ahead_steps = min(ahead_steps, ahead_steps_within(look_ahead_ms))
        self._leveller = Leveller()
        self._smoother = Smoother(kernel, basis.size)
        self._gate = None if activity is None else Gate(activity, ahead_steps=ahead_steps)
        self._held = _Held(self._gate, basis.size, rests=articulation.rests)
        self._interpolator = _Interpolator(fps, basis.size)
        self._basis = basis
        self._articulation = articulation
        self._fps = fps
        self._samples = 0

    @property
    def delay_seconds(self) -> float:
        """The longest from a frame's own time to the moment its last needed sample is heard."""
        moved = self._source.delay_seconds + self._smoother.delay_seconds
        rests = self._articulation.rests
        held = self._gate.delay_seconds if self._gate is not None and rests else 0.0
        return max(moved, held) + self._interpolator.delay_seconds

    @property
    def speech_seconds(self) -> float:
        """How much speech has been found in what was pushed; all of it without voice activity."""
        return self._samples / SAMPLE_RATE if self._gate is None else self._gate.speech_seconds

    def expect_level(self, loud: float) -> None:
        """Set the level of the speech before any is pushed: see :class:`Leveller`.

        Ignored with `look_ahead_ms`: such a stream goes by what live speech can know.
        """
        assert not self._samples
        if isinstance(self._source, _WholeContext):
            self._leveller = Leveller(loud)

    def push(self, samples: Floats) -> Array:
        """The shapes that have become certain with these samples.

        Args:
            samples: (n,) float32 mono at 16 kHz, n of any size.

        Returns:
            (f, 57, 2) in head units, f >= 0.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
        """
        pieces = []
        for first in range(0, max(1, len(samples)), _PUSH_SAMPLES):
            piece = samples[first : first + _PUSH_SAMPLES]
            self._samples += len(piece)
            check_speech(piece)
            piece = self._leveller.push(piece)
            coefficients = self._smoother.push(self._source.push(piece))
            pieces.append(self._interpolator.push(self._held.push((coefficients, piece))))
        return self._articulation.shapes(np.concatenate(pieces), self._basis)

    def flush(self, *, total_frames: int | None = None) -> Array:
        """Return the rest; the last motion is held if the audio ends before the last frame.

        Args:
            total_frames: frames of the whole audio, pushed ones included; by default `frame_count` of the
                samples pushed. Audio that had another rate has its own count, which may differ by one.

        Returns:
            (f, 57, 2) in head units.
        """
        if total_frames is None:
            total_frames = frame_count(self._samples, SAMPLE_RATE, self._fps)
        last = np.concatenate([self._smoother.push(self._source.flush()), self._smoother.flush()])
        none: Floats = np.zeros(0, np.float32)
        gated = np.concatenate([self._held.push((last, none)), self._held.flush()])
        before = self._interpolator.push(gated)
        self._interpolator.total_frames = total_frames
        frames = np.concatenate([before, self._interpolator.flush()])
        # The last push may already have reached beyond the end by a frame.
        frames = frames[: max(0, len(frames) - (self._interpolator.given - total_frames))]
        return self._articulation.shapes(frames, self._basis)

    def finish(self, total_frames: int | None = None) -> Array:
        """Use :meth:`flush`; this name is deprecated."""
        warnings.warn("MotionStream.finish is now flush", DeprecationWarning, stacklevel=2)
        return self.flush(total_frames=total_frames)


def _check_network(session: Session, width: int, size: int) -> None:
    expected, gives = session.inputs.get("features", ()), session.outputs.get("coefficients", ())
    if expected[2:] != (width,) or gives[2:] != (size,):
        raise AnchorError(
            f"{session!r} is not this anchor's motion network; expected features (B, T, {width}) -> "
            f"coefficients (B, T, {size})"
        )


class _WholeContext:
    """The motion network over a stream of features, each step with its full context.

    ::

        held     |-- context --|------ new ------|-- context --|
        given                  |=================|              when `new` has chunk_steps, or at the end
    """

    def __init__(
        self,
        session: Session,
        *,
        features: FeatureSpec,
        encoder: SpeechEncoder | None,
        size: int,
        context_steps: int,
        chunk_steps: int,
    ) -> None:
        assert chunk_steps > 0
        self._features = FeatureStream(features, encoder)
        self._session = session
        self._context = context_steps
        self._chunk = chunk_steps
        self._size = size
        self._held: Floats = np.zeros((0, features.width), np.float32)
        self._done = 0  # steps of `held` that have been given: context of those to come

    @property
    def delay_seconds(self) -> float:
        """The longest from a step's begin to the sample that makes it certain."""
        waited = float((self._context + self._chunk - 1) / Fraction(MOTION_HZ))
        return self._features.spec.delay_seconds + waited

    def push(self, samples: Floats) -> Floats:
        """Coefficients (t, K) of the steps that have their context with these samples (n,)."""
        self._held = np.concatenate([self._held, self._features.push(samples)])
        if len(self._held) - self._context - self._done < self._chunk:
            return np.zeros((0, self._size), np.float32)
        return self._run(len(self._held) - self._context)

    def flush(self) -> Floats:
        """Coefficients of the steps that are left."""
        self._held = np.concatenate([self._held, self._features.flush()])
        if len(self._held) == self._done:
            return np.zeros((0, self._size), np.float32)
        return self._run(len(self._held))

    def _run(self, until: int) -> Floats:
        shape = (1, len(self._held), self._size)
        given = self._session.run_one("coefficients", shape, features=self._held[None])[0, self._done : until]
        keep = max(0, until - self._context)
        self._held, self._done = self._held[keep:].copy(), until - keep
        return np.asarray(given, np.float32)


class _Held:
    """Coefficients times the gate's gains: whichever comes first waits for the other.

    Without `rests`, the gate hears the speech, and holds nothing.
    """

    def __init__(self, gate: Gate | None, size: int, *, rests: bool) -> None:
        self._gate = gate
        self._rests = rests
        self._coefficients: Array = np.zeros((0, size))
        self._gains: Array = np.zeros(0)

    def push(self, piece: tuple[Array, Floats]) -> Array:
        """Coefficients (t, K) that have both, with these coefficients and samples."""
        coefficients, samples = piece
        return coefficients if self._gate is None else self._joined(coefficients, self._gate.push(samples))

    def flush(self) -> Array:
        """The rest."""
        none = self._coefficients[:0]
        return none if self._gate is None else self._joined(none, self._gate.flush())

    def _joined(self, coefficients: Array, gains: Array) -> Array:
        if not self._rests:
            return coefficients
        self._coefficients = np.concatenate([self._coefficients, coefficients])
        self._gains = np.concatenate([self._gains, gains])
        count = min(len(self._coefficients), len(self._gains))
        given = self._coefficients[:count] * self._gains[:count, None]
        self._coefficients, self._gains = self._coefficients[count:].copy(), self._gains[count:].copy()
        return given


class _Interpolator:
    """Coefficients at 25 Hz to frames: Catmull-Rom splines (Catmull and Rom 1974), exact at 25 fps.

    Frame i lies at step 25 i / fps; between steps j and j + 1 the spline takes steps j - 1 to j + 2, and
    beyond either end the end's step. Where every frame lies on a step, it waits for no others.
    """

    def __init__(self, fps: Fraction, size: int) -> None:
        self._steps_per_frame = MOTION_HZ / fps
        self._reach = 0 if self._steps_per_frame.denominator == 1 else 2
        self._steps: Array = np.zeros((0, size))
        self._first = 0  # number of the first step held
        self._frame = 0  # number of the next frame
        self.total_frames: int | None = None
        """Frames in all, for `flush`; None: those whose steps are all there."""

    @property
    def given(self) -> int:
        """Frames that have been given."""
        return self._frame

    @property
    def delay_seconds(self) -> float:
        """The longest from a frame's own time to the start of the last step that it waits for."""
        half = self._steps_per_frame / 2
        return float(max(self._reach, math.floor(half) if self._reach == 0 else half) / MOTION_HZ)

    def push(self, steps: npt.NDArray[np.floating[Any]]) -> Array:
        """Frames (f, K) whose steps are all there."""
        self._steps = np.concatenate([self._steps, steps])
        # Step j + 2 must be there for a frame that lies between j and j + 1. And more than half a frame of
        # sound, since the end has no frame for less; the sound reaches to the last step's end at least.
        count = self._first + len(self._steps)
        complete = math.ceil((count - self._reach) / self._steps_per_frame)
        stop = min(complete, math.ceil(count / self._steps_per_frame - Fraction(1, 2)))
        frames = self._between(max(stop, self._frame))
        unneeded = int(self._frame * self._steps_per_frame) - 1 - self._first
        drop = max(0, min(unneeded, len(self._steps) - 1))
        self._steps, self._first = self._steps[drop:].copy(), self._first + drop
        return frames

    def flush(self) -> Array:
        """The frames that are left of `total_frames`; the last step goes on."""
        return self._between(max(self.total_frames or 0, self._frame))

    def _between(self, stop: int) -> Array:
        numbers = range(self._frame, stop)
        self._frame = stop
        if not numbers or not len(self._steps):
            return np.zeros((len(numbers), self._steps.shape[1]))
        places = [number * self._steps_per_frame for number in numbers]
        whole = np.array([int(place) for place in places])
        t = np.array([float(place - int(place)) for place in places])[:, None]
        last = len(self._steps) - 1
        p0, p1, p2, p3 = (self._steps[np.clip(whole - self._first + k, 0, last)] for k in (-1, 0, 1, 2))
        curve = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
        return np.asarray(curve)
