"""Speech to mouth shapes, chunk by chunk: features, the motion network, the frame rate of the anchor.

The output does not depend on how the audio was cut. Memory is that of one chunk. `target` places the shapes
on frames.

::

    audio at 16 kHz ─► Leveller
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

import numpy as np

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
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

_ONCE = np.ones(1)
CHUNK_STEPS = 50
"""Motion steps per call of the network in files; more add delay, fewer compute the context more often."""
_PUSH_SAMPLES = 2 * SAMPLE_RATE


def frame_count(samples: int, rate: int, fps: Fraction) -> int:
    """Return the frames of a video with N samples of audio: round(N * fps / rate), half to even."""
    return round(samples * fps / rate)


class MotionStream:
    """Mouth shapes at the frame rate of the anchor, for speech that arrives in pieces.

    Args:
        session: the motion network, `features` (B, T, D) to `coefficients` (B, T, K).
        features: input features of the network.
        encoder: the speech encoder, if the features need one.
        basis: basis of the coefficients.
        fps: output frames per second.
        context_steps: receptive field of the network on either side, in steps.
        chunk_steps: new steps per call of the network.
        activity: voice activity detection, which keeps the mouth at rest without speech. None: no gate.
        ahead_steps: steps before speech during which the mouth may start to open; the motion waits for them.
        articulation: amplitude and smoothness of the mouth.
        look_ahead_ms: audio look-ahead of a motion step, from its own start: a multiple of 40 from 80 to
            1000. None: full context, which is seconds. The gate then uses no more look-ahead; its minimum is
            104 ms. Smoothness above 1 adds up to three steps (120 ms), a frame rate other than 25 two.

    Raises:
        AnchorError: the inputs or outputs of the network do not fit.
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
            # A crisper kernel adds no delay: its next step is in the window.
            within, kernel = (kernel, _ONCE) if articulation.smoothness < 1 else (_ONCE, kernel)
            self._source = LookAhead(
                session, features=features, encoder=encoder, look_ahead_ms=look_ahead_ms, kernel=within
            )
            ahead_steps = min(ahead_steps, ahead_steps_within(look_ahead_ms))
        self._leveller = Leveller()
        self._smoother = Smoother(kernel, basis.size)
        self._gate = None if activity is None else Gate(activity, ahead_steps=ahead_steps)
        self._gated = _GatedCoefficients(self._gate, basis.size, rests=articulation.rests)
        self._interpolator = _Interpolator(fps, basis.size)
        self._basis = basis
        self._articulation = articulation
        self._fps = fps
        self._samples = 0

    @property
    def delay_seconds(self) -> float:
        """Longest time from a frame to the last sample that it depends on."""
        motion = self._source.delay_seconds + self._smoother.delay_seconds
        rests = self._articulation.rests
        gate = self._gate.delay_seconds if self._gate is not None and rests else 0.0
        return max(motion, gate) + self._interpolator.delay_seconds

    @property
    def hop_seconds(self) -> float:
        """Audio that one call of the motion network adds."""
        return self._source.hop_seconds

    @property
    def lead_seconds(self) -> float:
        """How long before speech the mouth may open, as far as the gate looks ahead; 0 without a gate."""
        return 0.0 if self._gate is None else self._gate.lead_seconds

    @property
    def speech_seconds(self) -> float:
        """Speech in the pushed audio by voice activity detection; all of it without detection."""
        return self._samples / SAMPLE_RATE if self._gate is None else self._gate.speech_seconds

    def expect_level(self, loud: float) -> None:
        """Set the level of the speech before the first push: see :class:`Leveller`.

        Ignored with `look_ahead_ms`: the level of live speech is not known in advance.
        """
        assert not self._samples
        if isinstance(self._source, _WholeContext):
            self._leveller = Leveller(loud)

    def start_closed(self, *, at_rest: bool = False) -> None:
        """Start with closed lips, before the first push: otherwise, the mouth would jump open.

        Args:
            at_rest: whether a mouth at rest was shown before, as in live speech; its first step may move.
        """
        assert not self._samples
        if self._gate is not None:
            self._gate.start_closed(at_rest=at_rest)

    def continue_level(self, previous: MotionStream) -> None:
        """Start with the level of earlier speech of the same voice, before the first push.

        Without it, audio gets the gain of the quietest speech until louder samples arrive.
        """
        assert not self._samples
        self._leveller = previous._leveller.successor()

    def push(self, samples: ArrayF32, *, skip: bool = False) -> ArrayF64:
        """Return the shapes that are complete with these samples.

        Args:
            samples: (n,) float32 mono at 16 kHz, n of any size.
            skip: repeat the last coefficients instead of computing new ones, for frames that no one will see.
                Without `look_ahead_ms` it has no effect.

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
            coefficients = self._smoother.push(self._coefficients(piece, skip=skip))
            pieces.append(self._interpolator.push(self._gated.push((coefficients, piece))))
        return self._articulation.shapes(np.concatenate(pieces), self._basis)

    def _coefficients(self, piece: ArrayF32, *, skip: bool) -> ArrayF32:
        if isinstance(self._source, LookAhead):
            return self._source.push(piece, skip=skip)
        return self._source.push(piece)

    def flush(self, *, total_frames: int | None = None) -> ArrayF64:
        """Return the rest; the last step is repeated if the audio ends before the last frame.

        Args:
            total_frames: frames of the whole audio, returned ones included; by default `frame_count` of the
                pushed samples. The count of audio with another original rate may differ by one.

        Returns:
            (f, 57, 2) in head units.
        """
        if total_frames is None:
            total_frames = frame_count(self._samples, SAMPLE_RATE, self._fps)
        last = np.concatenate([self._smoother.push(self._source.flush()), self._smoother.flush()])
        no_samples: ArrayF32 = np.zeros(0, np.float32)
        gated = np.concatenate([self._gated.push((last, no_samples)), self._gated.flush()])
        before = self._interpolator.push(gated)
        self._interpolator.total_frames = total_frames
        frames = np.concatenate([before, self._interpolator.flush()])
        # The last push may have returned one frame beyond the end.
        frames = frames[: max(0, len(frames) - (self._interpolator.count - total_frames))]
        return self._articulation.shapes(frames, self._basis)

    def finish(self, total_frames: int | None = None) -> ArrayF64:
        """Use :meth:`flush`; this name is deprecated."""
        warnings.warn("MotionStream.finish is now flush", DeprecationWarning, stacklevel=2)
        return self.flush(total_frames=total_frames)


def _check_network(session: Session, width: int, size: int) -> None:
    features, coefficients = session.inputs.get("features", ()), session.outputs.get("coefficients", ())
    if features[2:] != (width,) or coefficients[2:] != (size,):
        raise AnchorError(
            f"{session!r} is not this anchor's motion network; expected features (B, T, {width}) -> "
            f"coefficients (B, T, {size})"
        )


class _WholeContext:
    """The motion network over a stream of features, each step with its full context.

    ::

        held     |-- context --|------ new ------|-- context --|
        output                 |=================|              `new` has chunk_steps, or fewer at the end
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
        self._held: ArrayF32 = np.zeros((0, features.width), np.float32)
        self._done = 0  # steps of `held` that were returned: context of later ones

    @property
    def delay_seconds(self) -> float:
        """Longest time from the start of a step to the last sample that it depends on."""
        context = float((self._context + self._chunk - 1) / Fraction(MOTION_HZ))
        return self._features.spec.delay_seconds + context

    @property
    def hop_seconds(self) -> float:
        """Audio between the starts of two chunks."""
        return float(self._chunk / Fraction(MOTION_HZ))

    def push(self, samples: ArrayF32) -> ArrayF32:
        """Return coefficients (t, K) of the chunks whose context is complete with these samples (n,)."""
        self._held = np.concatenate([self._held, self._features.push(samples)])
        return self._complete()

    def flush(self) -> ArrayF32:
        """Return the coefficients of the remaining steps."""
        self._held = np.concatenate([self._held, self._features.flush()])
        before = self._complete()
        if len(self._held) == self._done:
            return before
        return np.concatenate([before, self._run(len(self._held) - self._done, after=0)])

    def _complete(self) -> ArrayF32:
        """Return the coefficients of complete chunks.

        All chunks have the same steps, however the audio was cut: the network quantises to steps that the
        largest values of a call set.
        """
        parts = [np.zeros((0, self._size), np.float32)]
        while len(self._held) - self._context - self._done >= self._chunk:
            parts.append(self._run(self._chunk, after=self._context))
        return np.concatenate(parts)

    def _run(self, new: int, *, after: int) -> ArrayF32:
        """Return the coefficients of `new` steps, computed with `after` steps of context after them."""
        until = self._done + new
        features = self._held[: until + after]
        shape = (1, len(features), self._size)
        coefficients = self._session.run_one("coefficients", shape, features=features[None])[0]
        steps = slice(self._done, until)
        keep = max(0, until - self._context)
        self._held, self._done = self._held[keep:].copy(), until - keep
        return np.asarray(coefficients[steps], np.float32)


class _GatedCoefficients:
    """Coefficients times the gains of the gate; whichever arrives first waits for the other.

    Without `rests`, the gate measures speech, but does not change coefficients.
    """

    def __init__(self, gate: Gate | None, size: int, *, rests: bool) -> None:
        self._gate = gate
        self._rests = rests
        self._coefficients: ArrayF64 = np.zeros((0, size))
        self._gains: ArrayF64 = np.zeros(0)

    def push(self, piece: tuple[ArrayF64, ArrayF32]) -> ArrayF64:
        """Return the coefficients (t, K) whose gains are known with these coefficients and samples."""
        coefficients, samples = piece
        return coefficients if self._gate is None else self._apply(coefficients, self._gate.push(samples))

    def flush(self) -> ArrayF64:
        """Return the rest."""
        empty = self._coefficients[:0]
        return empty if self._gate is None else self._apply(empty, self._gate.flush())

    def _apply(self, coefficients: ArrayF64, gains: ArrayF64) -> ArrayF64:
        if not self._rests:
            return coefficients
        self._coefficients = np.concatenate([self._coefficients, coefficients])
        self._gains = np.concatenate([self._gains, gains])
        count = min(len(self._coefficients), len(self._gains))
        gated = self._coefficients[:count] * self._gains[:count, None]
        self._coefficients, self._gains = self._coefficients[count:].copy(), self._gains[count:].copy()
        return gated


class _Interpolator:
    """Coefficients at 25 Hz to frames: Catmull-Rom splines (Catmull and Rom 1974), exact at 25 fps.

    Frame i lies at step 25 i / fps. Between steps j and j + 1 the spline uses steps j - 1 to j + 2; the first
    and the last step are repeated beyond the ends. If every frame lies on a step, there is no delay.
    """

    def __init__(self, fps: Fraction, size: int) -> None:
        self._steps_per_frame = MOTION_HZ / fps
        self._reach = 0 if self._steps_per_frame.denominator == 1 else 2
        self._steps: ArrayF64 = np.zeros((0, size))
        self._first = 0  # number of the first step held
        self._frame = 0  # number of the next frame
        self.total_frames: int | None = None
        """Total number of frames, for `flush`; None: only frames whose steps are complete."""

    @property
    def count(self) -> int:
        """Frames returned so far."""
        return self._frame

    @property
    def delay_seconds(self) -> float:
        """Longest time from a frame to the start of the last step that it depends on."""
        half = self._steps_per_frame / 2
        return float(max(self._reach, math.floor(half) if self._reach == 0 else half) / MOTION_HZ)

    def push(self, steps: ArrayFloat) -> ArrayF64:
        """Return the frames (f, K) whose steps are complete."""
        self._steps = np.concatenate([self._steps, steps])
        # A frame between j and j + 1 needs step j + 2. It also needs more than half a frame of audio, since
        # the end has no frame for less. The audio covers the last step at least.
        count = self._first + len(self._steps)
        complete = math.ceil((count - self._reach) / self._steps_per_frame)
        stop = min(complete, math.ceil(count / self._steps_per_frame - Fraction(1, 2)))
        frames = self._interpolate(max(stop, self._frame))
        unneeded = int(self._frame * self._steps_per_frame) - 1 - self._first
        drop = max(0, min(unneeded, len(self._steps) - 1))
        self._steps, self._first = self._steps[drop:].copy(), self._first + drop
        return frames

    def flush(self) -> ArrayF64:
        """Return the rest of `total_frames`; the last step is repeated."""
        return self._interpolate(max(self.total_frames or 0, self._frame))

    def _interpolate(self, stop: int) -> ArrayF64:
        numbers = range(self._frame, stop)
        self._frame = stop
        if not numbers or not len(self._steps):
            return np.zeros((len(numbers), self._steps.shape[1]))
        positions = [number * self._steps_per_frame for number in numbers]
        steps = np.array([int(position) for position in positions])
        t = np.array([float(position - int(position)) for position in positions])[:, None]
        last = len(self._steps) - 1
        p0, p1, p2, p3 = (self._steps[np.clip(steps - self._first + k, 0, last)] for k in (-1, 0, 1, 2))
        curve = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
        return np.asarray(curve)
