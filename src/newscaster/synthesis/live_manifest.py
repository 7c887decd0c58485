"""What is told of live frames that go into a file: counted as they go by, for the file's signature."""

from __future__ import annotations

import hashlib

import numpy as np

from newscaster.provenance import Statement
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import Style
from newscaster.synthesis.signing import SpeechSource


class LiveAccount:
    """Follows the frames of one file, which begins with the first picture.

    Args:
        rate: of the frames' sound, in Hz.
        repeats: whether the file shows the last picture again where one was left out; otherwise it has none.
    """

    def __init__(self, *, rate: int, repeats: bool) -> None:
        self._rate, self._repeats = rate, repeats
        self._frames = SynthesisedFrames()
        self._audio = hashlib.sha256()
        self._samples = 0
        self._new = False

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self._samples / self._rate

    def add(self, frame: LiveFrame) -> None:
        """The next frame; it is the file's own to leave it out before the first picture."""
        if frame.image is None and not self._frames.count:
            return
        if frame.image is not None:
            self._new = frame.synthesised
        if frame.image is not None or self._repeats:
            self._frames.add(np.array([self._new]))
        self._audio.update(np.ascontiguousarray(frame.audio, "<f4").tobytes())
        self._samples += len(frame.audio)

    def statement(self, anchor: Anchor, title: str, *, synthetic_voice: bool, style: Style) -> Statement:
        """What is said of the file; its speech is known by the sound that it holds, as 32-bit floats."""
        heard = SpeechSource(
            sha256=self._audio.hexdigest(), seconds=self.seconds, synthetic_voice=synthetic_voice
        )
        return anchor.statement(title, frames=self._frames, heard=heard, style=style)
