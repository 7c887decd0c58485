"""The manifest of a live recording, built from its frames as they are written."""

from __future__ import annotations

import hashlib

import numpy as np

from newscaster.provenance import Statement
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import Style
from newscaster.synthesis.signing import SpeechSource


class LiveManifestBuilder:
    """Collects the claims about one file, which starts with the first image.

    Args:
        rate: sampling rate of the audio of frames, in Hz.
        repeats: whether the file repeats the last image for a dropped frame. Otherwise it has none there.
    """

    def __init__(self, *, rate: int, repeats: bool) -> None:
        self._rate, self._repeats = rate, repeats
        self._frames = SynthesisedFrames()
        self._audio = hashlib.sha256()
        self._samples = 0
        self._synthesised = False

    @property
    def seconds(self) -> float:
        """Length of the file in seconds."""
        return self._samples / self._rate

    def add(self, frame: LiveFrame) -> None:
        """Add the next frame. Frames before the first image are ignored; the file must drop them, too."""
        if frame.image is None and not self._frames.count:
            return
        if frame.image is not None:
            self._synthesised = frame.synthesised
        if frame.image is not None or self._repeats:
            self._frames.add(np.array([self._synthesised]))
        self._audio.update(np.ascontiguousarray(frame.audio, "<f4").tobytes())
        self._samples += len(frame.audio)

    def statement(self, anchor: Anchor, title: str, *, synthetic_voice: bool, style: Style) -> Statement:
        """Return the claims about the file. Its speech is identified by its audio, as 32-bit floats."""
        speech = SpeechSource(
            sha256=self._audio.hexdigest(), seconds=self.seconds, synthetic_voice=synthetic_voice
        )
        return anchor.statement(title, frames=self._frames, speech=speech, style=style)
