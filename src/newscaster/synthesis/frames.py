"""Speech to frames: a chain of generators, so that memory does not grow with the length of the speech.

::

    blocks of audio ─► MotionStream ─► shapes ─┐
                         Target.order ─► frames ┴─► PlacedMouths ─► Job ─► Renderer ─► frames

Places mouths on the frames of a target. `motion` predicts their shapes, `target` the order of the frames,
`renderer` renders them.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from newscaster.errors import SpeechError
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.media import YuvFrame
from newscaster.speech.stress import stressed_times
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion import MotionStream, frame_count
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.synthesis.speech_input import Speech, check_samples, open_speech
from newscaster.synthesis.target import TargetFrame
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8

_FRAMES_AT_ONCE = 64


class MouthTarget(Protocol):
    """Frames that get new mouths: an anchor's own target video, or one that a user names."""

    def blend_weights(self, indices: npt.NDArray[np.integer[Any]]) -> ArrayF32:
        """Return the weights of the new mouths in these frames, (f,), 0 to 1."""

    def place(self, shapes: ArrayFloat, indices: npt.NDArray[np.integer[Any]]) -> ArrayF64:
        """Return mouth shapes (f, 57, 2) in head units as pixels of these frames, (f, 57, 2)."""

    def transforms(self, indices: npt.NDArray[np.integer[Any]]) -> SurfaceWarp:
        """Return the warps from frame to crop pixels."""

    def frames(self, indices: Iterable[int]) -> Iterator[TargetFrame]:
        """Yield these frames, in their order."""


@dataclass(frozen=True)
class PlacedMouths:
    """Mouths on f frames of a target."""

    indices: ArrayI64
    """(f,) frames of the target."""
    shapes: ArrayF64
    """(f, 57, 2) in head units."""
    points: ArrayF64
    """(f, 57, 2) in pixels of the frames."""
    weights: ArrayF32
    """(f,) blend weights of the new mouths, 0 to 1."""


def place_mouths(shapes: ArrayF64, target: MouthTarget, order: Iterator[int]) -> Iterator[PlacedMouths]:
    """Place mouth shapes (F, 57, 2) in head units on the next F frames of an order, in batches."""
    for first in range(0, len(shapes), _FRAMES_AT_ONCE):
        part = shapes[first : first + _FRAMES_AT_ONCE]
        indices = np.fromiter(itertools.islice(order, len(part)), np.int64, len(part))
        yield PlacedMouths(indices, part, target.place(part, indices), target.blend_weights(indices))


def speech_mouths(
    anchor: LoadedAnchor, speech: Speech, stream: MotionStream, order: Iterator[int]
) -> Iterator[PlacedMouths]:
    """Place the mouths of a speech on frames of the target, as the speech is read; the first one is closed.

    Args:
        anchor: the speaker.
        speech: checked speech.
        stream: a new stream; it has consumed the whole speech at the end.
        order: frame numbers of the target.

    Raises:
        SpeechError: the speech is shorter than a frame.
    """
    stream.expect_level(speech.loud)
    stream.start_closed()
    for block in speech.blocks():
        yield from place_mouths(stream.push(block), anchor.target, order)
    total = count_frames(anchor, speech.samples, speech.rate)
    yield from place_mouths(stream.flush(total_frames=total), anchor.target, order)


def render_mouths(
    renderer: Renderer, placed: Iterable[PlacedMouths], target: MouthTarget
) -> Generator[YuvFrame]:
    """Yield the frames of a target with their new mouths, in order. Close the generator to stop early."""
    return renderer.render(_jobs(target, placed))


def speech_order(anchor: LoadedAnchor, speech: Speech, target_start: int) -> Iterator[int]:
    """Return the order of the target's frames for a speech: its nods, if any, meet stressed syllables.

    Raises:
        InputError: the target has no frame `target_start`.
    """
    stresses = stressed_times(speech.blocks()) if anchor.info.nods else None
    return anchor.order(target_start, stresses=stresses)


def mouth_points(
    anchor: LoadedAnchor, samples: ArrayFloat, rate: int, stream: MotionStream, *, target_start: int
) -> ArrayF64:
    """Return the mouths of :func:`render_samples`, (F, 57, 2) in pixels of the frames."""
    with open_speech(samples, rate=rate, audible=False) as speech:
        order = speech_order(anchor, speech, target_start)
        placed = list(speech_mouths(anchor, speech, stream, order))
    return np.concatenate([part.points for part in placed])


def render_samples(
    anchor: LoadedAnchor, samples: ArrayFloat, rate: int, stream: MotionStream, *, target_start: int
) -> Iterator[ImageU8]:
    """Yield the frames for samples (N,), as (H, W, 3) uint8 RGB.

    Raises:
        SpeechError: the samples cannot drive an anchor; raised immediately.
        InputError: a value is out of range; raised immediately.
    """
    checked = check_samples(samples, rate)
    count_frames(anchor, len(checked), rate)
    anchor.order(target_start)

    def frames() -> Iterator[ImageU8]:
        with (
            open_speech(checked, rate=rate, audible=False) as speech,
            closing(
                render_mouths(
                    anchor.renderer,
                    speech_mouths(anchor, speech, stream, speech_order(anchor, speech, target_start)),
                    anchor.target,
                )
            ) as rendered,
        ):
            for frame in rendered:
                yield frame.rgb()

    return frames()


def render_shapes(anchor: LoadedAnchor, shapes: ArrayFloat, *, target_start: int) -> Iterator[YuvFrame]:
    """Yield the frames for mouth shapes (F, 57, 2) in head units.

    Raises:
        InputError: the target has no frame `target_start`; raised immediately.
    """
    order = anchor.order(target_start)
    placed = place_mouths(shapes.astype(np.float64), anchor.target, order)
    return render_mouths(anchor.renderer, placed, anchor.target)


def count_frames(anchor: LoadedAnchor, samples: int, rate: int) -> int:
    """Return how many frames a speech of `samples` samples takes.

    Raises:
        SpeechError: it is shorter than half a frame.
    """
    fps = anchor.info.fps
    total = frame_count(samples, rate, fps)
    if total == 0:
        raise SpeechError(
            f"the speech is {samples / rate * 1000:.1f} ms long, and one frame takes "
            f"{float(1000 / fps):.1f} ms. Give at least one sentence"
        )
    return total


def _jobs(target: MouthTarget, placed: Iterable[PlacedMouths]) -> Iterator[Job]:
    for part in placed:
        in_crop = target.transforms(part.indices).apply(part.points)
        frames = target.frames(part.indices.tolist())
        for frame, points, weight in zip(frames, in_crop, part.weights.tolist(), strict=True):
            yield Job(frame, points, weight)
