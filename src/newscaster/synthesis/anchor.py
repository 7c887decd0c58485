"""An anchor at work: speech in, frames out, a video file or a live stream.

A facade. Loading is left to `loading`, the chain from speech to frames to `frames`, a video file to `speak`,
a stream to `live`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.formats.anchor import AnchorFace, AnchorFile, anchor_path
from newscaster.media import YuvFrame
from newscaster.provenance import Statement
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis import frames as chain
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.clock import Clock
from newscaster.synthesis.consent_guard import ConsentGuard
from newscaster.synthesis.dub_options import DubOptions, DubResult
from newscaster.synthesis.gate import AHEAD_STEPS
from newscaster.synthesis.keywords import LIMITS, OUTPUTS, SIGNING, STYLE, moved_keywords
from newscaster.synthesis.live import Live, open_live
from newscaster.synthesis.live_voice import SharedVoices
from newscaster.synthesis.loading import load_anchor
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import LiveLimits, Outputs, SigningOptions, Style
from newscaster.synthesis.result import SpeakResult
from newscaster.synthesis.signing import SpeechSource
from newscaster.synthesis.speak import Progress, SpeechRequest, speak_to_file
from newscaster.synthesis.speech_input import Samples, SpeechInput
from newscaster.synthesis.target import Target


class Anchor:
    """A person who says what they are given. Made by :func:`newscaster.open`.

    Several threads may use it at a time: networks and target are shared, and take turns where they must.

    Attributes:
        path: the anchor's file.
        info: what the file says of the anchor.
        name: what the anchor is called.
        fps: frames per second.
        size: width and height of the frames in pixels.
    """

    def __init__(self, file: AnchorFile, *, workers: int | None = None, backend: str | None = None) -> None:
        """Load an anchor. Arguments and errors are those of :func:`newscaster.open`."""
        info = file.info
        self.path, self.info = file.path, info
        self.name, self.fps, self.size = info.name, info.fps, info.size
        self._permission = ConsentGuard(file)
        self._loaded = load_anchor(file, workers=workers, backend=backend)
        self._voices = SharedVoices()

    @staticmethod
    def open(path: str | Path, *, workers: int | None = None, backend: str | None = None) -> Anchor:
        """Open an anchor. Arguments and errors are those of :func:`newscaster.open`."""
        return Anchor(AnchorFile(anchor_path(path)), workers=workers, backend=backend)

    def __repr__(self) -> str:
        (width, height), seconds = self.size, self.info.target_seconds
        return f"Anchor({self.name!r}: {width}x{height} at {self.fps} fps, {seconds:.1f} s of stage)"

    @property
    def face(self) -> AnchorFace:
        """The person's head, mouth basis and mask, and the head's poses in the target video."""
        return self._loaded.face

    @property
    def target(self) -> Target:
        """The target video, whose mouth is rewritten."""
        return self._loaded.target

    def on_target(self, target: Target) -> Anchor:
        """Return the same person on another target video, such as footage that the anchor has never seen."""
        other = copy.copy(self)
        other._loaded = self._loaded.on_target(target)
        return other

    def use_voices(self, voices: SharedVoices) -> None:
        """Read texts to later live streams with voices that other anchors use, too: each is loaded once."""
        self._voices = voices

    def motion_stream(
        self,
        *,
        articulation: Articulation = AS_TRAINED,
        ahead_steps: int = AHEAD_STEPS,
        look_ahead_ms: int | None = None,
    ) -> MotionStream:
        """Return a fresh stream from audio to mouth shapes, for speech that comes in pieces.

        Args:
            articulation: how far and how softly the mouth moves.
            ahead_steps: motion steps (40 ms) before speech in which the mouth may begin to open.
            look_ahead_ms: how much later audio the motion may wait for, a multiple of 40 from 80 to 1000.
                None: all that it can use. `delay_seconds` of the stream is the delay that results.

        Raises:
            InputError: `look_ahead_ms` is out of range.
        """
        return self._loaded.motion_stream(
            articulation=articulation, ahead_steps=ahead_steps, look_ahead_ms=look_ahead_ms
        )

    @moved_keywords(stage_start="target_start")
    def motion(
        self,
        samples: Samples,
        rate: int = SAMPLE_RATE,
        *,
        target_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return the mouth of every frame that :meth:`render` yields: (F, 57, 2) pixels.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: of the samples, in Hz. The other arguments are those of :meth:`render`.

        Raises:
            SpeechError: the samples cannot drive an anchor.
            InputError: a value is out of range.
        """
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        return chain.mouth_points(self._loaded, samples, rate, stream, target_start=target_start)

    @moved_keywords(stage_start="target_start")
    def render(
        self,
        samples: Samples,
        rate: int = SAMPLE_RATE,
        *,
        target_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the frames of speech: round(N * fps / rate) of (H, W, 3) uint8 RGB.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: of the samples, in Hz.
            target_start: frame of the target video to start with.
            articulation: how far and how softly the mouth moves.
            look_ahead_ms: as in :meth:`motion_stream`.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn. All errors are raised at once.
            SpeechError: the samples cannot drive an anchor.
            InputError: a value is out of range.
        """
        self._permission.check()
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        return chain.render_samples(self._loaded, samples, rate, stream, target_start=target_start)

    @moved_keywords(stage_start="target_start")
    def show(self, shapes: npt.NDArray[np.floating[Any]], *, target_start: int = 0) -> Iterator[YuvFrame]:
        """Yield the frames of mouth shapes as :meth:`speak` encodes them.

        Args:
            shapes: (F, 57, 2) in head units, such as a :meth:`motion_stream` gives.
            target_start: frame of the target video to start with.

        Raises:
            InputError: the target video has no such frame; raised at once.
        """
        return chain.render_shapes(self._loaded, shapes, target_start=target_start)

    @moved_keywords(OUTPUTS, SIGNING, STYLE)
    def speak(
        self,
        speech: SpeechInput | None,
        out: str | Path,
        *,
        text: str | None = None,
        rate: int = SAMPLE_RATE,
        outputs: Outputs | None = None,
        signing: SigningOptions | None = None,
        style: Style | None = None,
        progress: Progress | None = None,
    ) -> SpeakResult:
        """Make a video file of the anchor who speaks.

        Args:
            speech: an audio or video file, a .txt file to be read aloud, a binary stream that holds an audio
                file, or samples (N,) float mono in [-1, 1]. The video has its audio as it is.
            out: video to write, such as .mp4 or .mkv.
            text: what is read aloud, in place of `speech`.
            rate: of samples given as an array, in Hz.
            outputs: what is written beside the video, and how it is encoded.
            signing: who signs its manifest.
            style: voice, mouth, target, label and watermark.
            progress: called after every frame with the frames done and the frames in all.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn; raised before any work.
            OutputError: a file cannot be written, would replace an input, or is being written by another
                command; raised before any work.
            InputError: captions of audio are wanted; a value is out of range; a voice cannot be used; the
                time-stamp authority gives no time stamp.
            SpeechError: the speech is empty, silent or not finite.
            MediaError: a file cannot be read.
            MissingExtraError: the voice is not installed.
        """
        self._permission.check()
        request = SpeechRequest(speech=speech, text=text, rate=rate)
        return speak_to_file(
            self._loaded, request, out, outputs=outputs, signing=signing, style=style, progress=progress
        )

    def dub(
        self,
        video: str | Path,
        speech: SpeechInput | None,
        out: str | Path,
        *,
        text: str | None = None,
        rate: int = SAMPLE_RATE,
        options: DubOptions | None = None,
        outputs: Outputs | None = None,
        signing: SigningOptions | None = None,
        style: Style | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> DubResult:
        """Rewrite the lips of a given video of the anchor's person.

        Frames without the person, turned away or covered keep every decoded sample.

        Args:
            video: any video of the person, at its own size and frame rate.
            speech: as in :meth:`speak`; without `speech` and `text`, the video's own audio.
            out: video to write.
            text: what is read aloud, in place of `speech`.
            rate: of samples given as an array, in Hz.
            options: length, part, mix, face, cache and report.
            outputs: as in :meth:`speak`.
            signing: as in :meth:`speak`. The video is the parent ingredient.
            style: as in :meth:`speak`; `target_start` is not used.
            progress: called with the phase, "track" or "render", the frames done and the frames in all.

        Raises:
            FootageError: the video shows no face, somebody else's, or is shorter than a second.
            NewscasterError: as in :meth:`speak`.
        """
        from newscaster.synthesis.dub import dub_to_file  # loads what tracks faces

        self._permission.check()
        request = SpeechRequest(speech=speech, text=text, rate=rate)
        return dub_to_file(
            self._loaded,
            video,
            request,
            out,
            options=options,
            outputs=outputs,
            signing=signing,
            style=style,
            progress=progress,
        )

    @moved_keywords(STYLE, LIMITS)
    def live(
        self,
        *,
        rate: int = 48_000,
        style: Style | None = None,
        limits: LiveLimits | None = None,
        clock: Clock | None = None,
    ) -> Live:
        """Return a stream for one client: speech goes in as it comes, frames and audio come out in time.

        Any number of clients share this anchor's networks, target and voices; each has its own state.

        Args:
            rate: of the audio that frames carry, in Hz.
            style: voice, mouth, target, label and watermark. Its voice is loaded now, in the background.
            limits: how much speech may wait.
            clock: what paces the frames; by default the machine's own.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn.
            InputError: a value is out of range.
        """
        self._permission.check()
        return open_live(self._loaded, self._voices, rate=rate, style=style, limits=limits, clock=clock)

    def statement(
        self, title: str, *, frames: SynthesisedFrames, heard: SpeechSource, style: Style
    ) -> Statement:
        """Return the claims about a video of this anchor, for the manifest of the file of this name."""
        return self._loaded.statement(title, frames=frames, heard=heard, style=style)
