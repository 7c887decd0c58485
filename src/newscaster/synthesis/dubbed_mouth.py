"""One mouth of a dubbed video: whose it is, what it says, where it lies in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from newscaster.synthesis.articulation import AS_TRAINED
from newscaster.synthesis.frames import PlacedMouths, place_mouths
from newscaster.synthesis.motion import MotionStream, frame_count
from newscaster.synthesis.motion_log import MotionLog
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.speech_input import Speech
from newscaster.synthesis.video_target import VideoTarget
from newscaster.types import ArrayF64, ArrayI64

_BLOCK_FRAMES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class DubbedMouth:
    """A person in a dubbed video."""

    person: LoadedPerson
    speech: Speech | None
    """None: the mouth is at rest throughout."""
    target: VideoTarget
    stream: MotionStream
    """Of the speech; it has consumed all of it at the end."""
    log: MotionLog

    def placed(self, order: ArrayI64, *, start_frame: int) -> Iterator[PlacedMouths]:
        """Yield the mouths of all frames, and log them: at rest before and after the speech.

        Args:
            order: frames of the video, (F,).
            start_frame: the frame of the result at which the speech starts.
        """
        total = len(order)
        basis = self.person.face.basis
        rest = AS_TRAINED.shapes(np.zeros((1, basis.size)), basis)
        numbers = iter(order.tolist())
        done = 0

        def place(shapes: ArrayF64) -> Iterator[PlacedMouths]:
            nonlocal done
            shapes = shapes[: total - done]
            done += len(shapes)
            for part in place_mouths(shapes, self.target, numbers):
                self.log.add(part.points, part.shapes, part.indices, part.weights)
                yield part

        def resting(until: int) -> Iterator[PlacedMouths]:
            while done < until:
                yield from place(np.repeat(rest, min(_BLOCK_FRAMES, until - done), axis=0))

        if self.speech is not None:
            yield from resting(start_frame)
            self.stream.expect_level(self.speech.loud)
            self.stream.start_closed()
            for block in self.speech.blocks():
                yield from place(self.stream.push(block))
            yield from place(self.stream.flush(total_frames=self.spoken_frames))
        yield from resting(total)

    @property
    def spoken_frames(self) -> int:
        """Length of the speech in frames."""
        if self.speech is None:
            return 0
        return frame_count(self.speech.samples, self.speech.rate, self.target.track.fps)
