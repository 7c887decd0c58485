"""The frames of an anchor in memory: speech to mouth shapes, and mouth shapes to frames.

The part of :class:`newscaster.Anchor` that writes no files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Self

from newscaster.deprecation import moved_keywords
from newscaster.formats.anchor import AnchorFace, AnchorFile
from newscaster.media import YuvFrame
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis import frames as chain
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.consent_guard import ConsentGuard
from newscaster.synthesis.gate import AHEAD_STEPS
from newscaster.synthesis.loading import LoadedAnchor, load_anchor
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.target import Target
from newscaster.types import ArrayF64, ArrayFloat, ImageU8


class AnchorFrames:
    """See :class:`newscaster.Anchor`."""

    def __init__(self, file: AnchorFile, *, workers: int | None = None, backend: str | None = None) -> None:
        self._permission = ConsentGuard(file)
        self._loaded = load_anchor(file, workers=workers, backend=backend)

    @property
    def face(self) -> AnchorFace:
        """Head, mouth basis and mask of the person, and the head poses in the target video."""
        return self._loaded.face

    @property
    def target(self) -> Target:
        """The target video, whose mouth is replaced."""
        return self._loaded.target

    @moved_keywords(stage="target")
    def on_target(self, target: Target) -> Self:
        """Return the same person on another target video, such as footage outside the training set."""
        other = copy.copy(self)
        other._loaded = self._loaded.on_target(target)
        return other

    def checked(self) -> LoadedAnchor:
        """Return the loaded parts, for synthesis.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn.
        """
        self._permission.check()
        return self._loaded

    def motion_stream(
        self,
        *,
        articulation: Articulation = AS_TRAINED,
        ahead_steps: int = AHEAD_STEPS,
        look_ahead_ms: int | None = None,
    ) -> MotionStream:
        """Return a new stream from audio to mouth shapes, for speech that arrives in pieces.

        Args:
            articulation: amplitude and smoothness of the mouth.
            ahead_steps: motion steps (40 ms) before speech during which the mouth may start to open.
            look_ahead_ms: audio look-ahead of the motion, a multiple of 40 from 80 to 1000. None: full
                context. `delay_seconds` of the stream is the resulting delay.

        Raises:
            InputError: `look_ahead_ms` is out of range.
        """
        return self._loaded.motion_stream(
            articulation=articulation, ahead_steps=ahead_steps, look_ahead_ms=look_ahead_ms
        )

    @moved_keywords(stage_start="target_start")
    def motion(
        self,
        samples: ArrayFloat,
        rate: int = SAMPLE_RATE,
        *,
        target_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> ArrayF64:
        """Return the mouth landmarks of all frames that :meth:`render` yields: (F, 57, 2) pixels.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: sampling rate in Hz. See :meth:`render` for the other arguments.

        Raises:
            SpeechError: the samples cannot drive an anchor.
            InputError: a value is out of range.
        """
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        return chain.mouth_points(self._loaded, samples, rate, stream, target_start=target_start)

    @moved_keywords(stage_start="target_start")
    def render(
        self,
        samples: ArrayFloat,
        rate: int = SAMPLE_RATE,
        *,
        target_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> Iterator[ImageU8]:
        """Yield the frames of speech: round(N * fps / rate) of (H, W, 3) uint8 RGB.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: sampling rate in Hz.
            target_start: frame of the target video to start with.
            articulation: amplitude and smoothness of the mouth.
            look_ahead_ms: as in :meth:`motion_stream`.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn. All errors are raised immediately.
            SpeechError: the samples cannot drive an anchor.
            InputError: a value is out of range.
        """
        self._permission.check()
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        return chain.render_samples(self._loaded, samples, rate, stream, target_start=target_start)

    @moved_keywords(stage_start="target_start")
    def show(self, shapes: ArrayFloat, *, target_start: int = 0) -> Iterator[YuvFrame]:
        """Yield the frames for mouth shapes, as :meth:`speak` encodes them.

        Args:
            shapes: (F, 57, 2) in head units, such as those of a :meth:`motion_stream`.
            target_start: frame of the target video to start with.

        Raises:
            InputError: the target video has no such frame; raised immediately.
        """
        return chain.render_shapes(self._loaded, shapes, target_start=target_start)
