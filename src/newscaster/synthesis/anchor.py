"""The public interface of an anchor: speech in; frames, a video file or a live stream out.

A facade. `loading` loads the file, `frames` turns speech into frames, `speak` writes a video file, `live`
runs a stream.
"""

from __future__ import annotations

from pathlib import Path

from newscaster.deprecation import moved_keywords, renamed_attributes
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.provenance import Statement
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.anchor_frames import AnchorFrames
from newscaster.synthesis.clock import Clock
from newscaster.synthesis.dub_options import DubOptions, DubResult
from newscaster.synthesis.keywords import LIMITS, OUTPUTS, SIGNING, STYLE
from newscaster.synthesis.live import Live, open_live
from newscaster.synthesis.live_voice import SharedVoices
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import LiveLimits, Outputs, SigningOptions, Style
from newscaster.synthesis.result import SpeakResult
from newscaster.synthesis.signing import SpeechSource
from newscaster.synthesis.speak import SpeechRequest, speak_to_file
from newscaster.synthesis.speech_input import SpeechInput
from newscaster.types import FrameProgress, Progress


@renamed_attributes(stage="target", on_stage="on_target", share_voices="use_voices")
class Anchor(AnchorFrames):
    """A person who speaks any text or audio. Made by :func:`newscaster.open`.

    Thread-safe: networks and target are shared, and locked where necessary.

    Attributes:
        path: the anchor file.
        info: the header of the file.
        name: name of the anchor.
        fps: frames per second.
        size: width and height of the frames in pixels.
    """

    def __init__(self, file: AnchorFile, *, workers: int | None = None, backend: str | None = None) -> None:
        """Load an anchor. See :func:`newscaster.open` for arguments and errors."""
        info = file.info
        self.path, self.info = file.path, info
        self.name, self.fps, self.size = info.name, info.fps, info.size
        super().__init__(file, workers=workers, backend=backend)
        self._voices = SharedVoices()

    @staticmethod
    def open(path: str | Path, *, workers: int | None = None, backend: str | None = None) -> Anchor:
        """Open an anchor. See :func:`newscaster.open` for arguments and errors."""
        return Anchor(AnchorFile(anchor_path(path)), workers=workers, backend=backend)

    def __repr__(self) -> str:
        (width, height), seconds = self.size, self.info.target_seconds
        return f"Anchor({self.name!r}: {width}x{height} at {self.fps} fps, {seconds:.1f} s of target video)"

    def use_voices(self, voices: SharedVoices) -> None:
        """Use voices that are shared with other anchors for later live streams: each is loaded once."""
        self._voices = voices

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
        progress: FrameProgress | None = None,
    ) -> SpeakResult:
        """Write a video file of the anchor speaking.

        Args:
            speech: an audio or video file, a .txt file to read aloud, a binary stream of an audio file, or
                samples (N,) float mono in [-1, 1]. The video carries its audio unchanged.
            out: video to write, such as .mp4 or .mkv.
            text: text to read aloud, instead of `speech`.
            rate: sampling rate of samples given as an array, in Hz.
            outputs: further output files, and encoder settings.
            signing: who signs the manifest.
            style: voice, mouth, target, label and watermark.
            progress: called after every frame with the frames done and the total.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn; raised before any work.
            OutputError: a file cannot be written, would replace an input, or is being written by another
                command; raised before any work.
            InputError: captions are requested for audio; a value is out of range; a voice cannot be used; the
                time-stamp authority returns no time stamp.
            SpeechError: the speech is empty, silent or not finite.
            MediaError: a file cannot be read.
            MissingExtraError: the voice is not installed.
        """
        request = SpeechRequest(speech=speech, text=text, rate=rate)
        return speak_to_file(
            self.checked(), request, out, outputs=outputs, signing=signing, style=style, progress=progress
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
        progress: Progress | None = None,
    ) -> DubResult:
        """Rewrite the lips of a given video of the anchor's person. For several people: `newscaster.dub`.

        Frames without the person, turned away or covered keep every decoded sample.

        Args:
            video: any video of the person, at its own size and frame rate.
            speech: as in :meth:`speak`; without `speech` and `text`, the video's own audio.
            out: video to write.
            text: text to read aloud, instead of `speech`.
            rate: sampling rate of samples given as an array, in Hz.
            options: length, part, mix, face, cache and report.
            outputs: as in :meth:`speak`.
            signing: as in :meth:`speak`. The video is the parent ingredient.
            style: as in :meth:`speak`; `target_start` is not used.
            progress: called with the phase, "track" or "render", the frames done and the total.

        Raises:
            FootageError: the video shows no face, another person, or is shorter than a second.
            NewscasterError: as in :meth:`speak`.
        """
        from newscaster.synthesis.dub import dub_to_file  # imports face tracking
        from newscaster.synthesis.dub_people import FromAnchor
        from newscaster.synthesis.dub_roles import Role

        role = Role(
            source=FromAnchor(self.checked()),
            request=SpeechRequest(speech=speech, text=text, rate=rate),
            script=None if options is None else options.script,
            face=None if options is None else options.face,
            reading=None if style is None else style.reading,
        )
        return dub_to_file(
            [role],
            video,
            out,
            options=options,
            outputs=outputs,
            signing=signing,
            style=style,
            progress=progress,
        )

    def preview_dub(
        self,
        video: str | Path,
        speech: SpeechInput | None,
        out: str | Path,
        *,
        original: str | Path,
        at_seconds: float | None = None,
        text: str | None = None,
        rate: int = SAMPLE_RATE,
        options: DubOptions | None = None,
        signing: SigningOptions | None = None,
        style: Style | None = None,
        progress: Progress | None = None,
    ) -> DubResult:
        """Dub three seconds of a video, to judge the whole dub by. Its cost is that of three seconds.

        Args:
            video: as in :meth:`dub`, like the arguments that are not listed here.
            speech: the whole speech; the part of it that falls into the preview is spoken.
            out: .mp4 of the preview.
            original: .mp4 for the same three seconds as they were, in a form that browsers play.
            at_seconds: time in the middle of the preview. None: the first time at which the person is seen.
            text: text to read aloud, instead of `speech`.
            rate: sampling rate of samples given as an array, in Hz.
            options: those of the whole dub; `cache` and `report` are not used.
            signing: as in :meth:`dub`.
            style: as in :meth:`dub`.
            progress: as in :meth:`dub`.

        Raises:
            InputError: the preview lies outside the video, or outside the part to rewrite.
            SpeechError: no speech falls into the preview.
            NewscasterError: as in :meth:`dub`.
        """
        from newscaster.synthesis.dub_preview import preview_to_file  # imports face tracking

        self._permission.check()
        return preview_to_file(
            self._loaded,
            Path(video),
            SpeechRequest(speech=speech, text=text, rate=rate),
            Path(out),
            original=Path(original),
            at_seconds=at_seconds,
            options=options,
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
        """Return a live stream for one client: speech goes in as it arrives, frames and audio come out.

        Any number of clients share this anchor's networks, target and voices; each has its own state.

        Args:
            rate: sampling rate of the output audio, in Hz.
            style: voice, mouth, target, label and watermark. Its voice is loaded now, in the background.
            limits: limits on queued speech.
            clock: clock that paces the frames; by default the system clock.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn.
            InputError: a value is out of range.
        """
        return open_live(self.checked(), self._voices, rate=rate, style=style, limits=limits, clock=clock)

    def statement(
        self, title: str, *, frames: SynthesisedFrames, speech: SpeechSource, style: Style
    ) -> Statement:
        """Return the claims about a video of this anchor, for the manifest of the file named `title`."""
        return self._loaded.statement(title, frames=frames, speech=speech, style=style)
