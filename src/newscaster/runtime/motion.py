"""Speech to mouth shapes, chunk by chunk: features, the motion network, the anchor's frame rate.

What comes out does not depend on how the sound was cut. Memory is that of one chunk. Leaves where the shapes
are put to `stage`.

::

    sound at 16 kHz ──► features at 25 Hz ──► coefficients at 25 Hz ──► at the anchor's fps ──► shapes
                        FeatureStream         _Network                  _Interpolator           MouthBasis
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.mouth import MouthBasis
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, FeatureSpec, FeatureStream
from newscaster.speech.spectral import SAMPLE_RATE

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

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

    Raises:
        AnchorError: the network takes or gives something else.
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
    ) -> None:
        self._features = FeatureStream(features, encoder)
        self._network = _Network(
            session,
            width=features.width,
            size=basis.size,
            context_steps=context_steps,
            chunk_steps=chunk_steps,
        )
        self._interpolator = _Interpolator(fps, basis.size)
        self._basis = basis
        self._fps = fps
        self._samples = 0

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
            coefficients = self._network.push(self._features.push(piece))
            pieces.append(self._interpolator.push(coefficients))
        return self._basis.reconstruct(np.concatenate(pieces))

    def finish(self, total_frames: int | None = None) -> Array:
        """The rest, up to `total_frames` in all; the last motion is held where the sound ends sooner.

        Args:
            total_frames: frames of the whole sound, pushed ones included; by default `frame_count` of the
                samples pushed. Sound that had another rate has its own count, which may differ by one.

        Returns:
            (f, 57, 2) in head units.
        """
        if total_frames is None:
            total_frames = frame_count(self._samples, SAMPLE_RATE, self._fps)
        coefficients = self._network.push(self._features.flush())
        coefficients = np.concatenate([coefficients, self._network.flush()])
        return self._basis.reconstruct(self._interpolator.finish(coefficients, total_frames))


class _Network:
    """The motion network over a stream of features, each step with its full context.

    ::

        held     |-- context --|------ new ------|-- context --|
        given                  |=================|              when `new` has chunk_steps, or at the end
    """

    def __init__(
        self, session: Session, *, width: int, size: int, context_steps: int, chunk_steps: int
    ) -> None:
        takes, gives = session.inputs.get("features", ()), session.outputs.get("coefficients", ())
        if takes[2:] != (width,) or gives[2:] != (size,):
            raise AnchorError(
                f"{session!r} is not this anchor's motion network; expected features (B, T, {width}) -> "
                f"coefficients (B, T, {size})"
            )
        assert chunk_steps > 0
        self._session = session
        self._context = context_steps
        self._chunk = chunk_steps
        self._size = size
        self._held: Floats = np.zeros((0, width), np.float32)
        self._done = 0  # steps of `held` that have been given: context of those to come

    def push(self, features: Floats) -> Floats:
        """Coefficients (t, K) of the steps that have their context now."""
        self._held = np.concatenate([self._held, features])
        if len(self._held) - self._context - self._done < self._chunk:
            return np.zeros((0, self._size), np.float32)
        return self._run(len(self._held) - self._context)

    def flush(self) -> Floats:
        """Coefficients of the steps that are left."""
        if len(self._held) == self._done:
            return np.zeros((0, self._size), np.float32)
        return self._run(len(self._held))

    def _run(self, until: int) -> Floats:
        given = self._session.run(features=self._held[None])["coefficients"][0, self._done : until]
        keep = max(0, until - self._context)
        self._held, self._done = self._held[keep:].copy(), until - keep
        return np.asarray(given, np.float32)


class _Interpolator:
    """Coefficients at 25 Hz to frames: Catmull-Rom splines (Catmull and Rom 1974), exact at 25 fps.

    Frame i lies at step 25 i / fps; between steps j and j + 1 the spline takes steps j - 1 to j + 2, and
    beyond either end the end's step.
    """

    def __init__(self, fps: Fraction, size: int) -> None:
        self._steps_per_frame = MOTION_HZ / fps
        self._steps: Array = np.zeros((0, size))
        self._first = 0  # number of the first step held
        self._frame = 0  # number of the next frame

    def push(self, steps: npt.NDArray[np.floating[Any]]) -> Array:
        """Frames (f, K) whose steps are all there."""
        self._steps = np.concatenate([self._steps, steps])
        # Step j + 2 must be there for a frame that lies between j and j + 1; and half a frame more of sound,
        # since there is no frame for less than half a frame of sound at the end.
        stop = math.ceil((self._first + len(self._steps) - 2) / self._steps_per_frame - Fraction(1, 2))
        frames = self._between(max(stop, self._frame))
        unneeded = int(self._frame * self._steps_per_frame) - 1 - self._first
        drop = max(0, min(unneeded, len(self._steps) - 1))
        self._steps, self._first = self._steps[drop:].copy(), self._first + drop
        return frames

    def finish(self, steps: npt.NDArray[np.floating[Any]], total_frames: int) -> Array:
        """The frames that are left of `total_frames`."""
        frames = np.concatenate([self.push(steps), self._between(max(total_frames, self._frame))])
        return frames[: max(0, len(frames) - (self._frame - total_frames))]

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
