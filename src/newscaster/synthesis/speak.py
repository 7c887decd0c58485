"""One video file of an anchor that speaks: steps, outputs, captions, signature.

Arguments and files are checked before any work. `frames` makes the frames, `output_paths` holds the paths,
`signing` the credentials.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.provenance import Statement
from newscaster.speech.captions import caption_cues
from newscaster.synthesis.background import Background, Compositor
from newscaster.synthesis.frames import PlacedMouths, count_frames, render_mouths, speech_mouths, speech_order
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion_log import MotionLog
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.output_paths import OutputPaths, inputs_of
from newscaster.synthesis.overlays import Overlays
from newscaster.synthesis.result import SpeakResult, tags
from newscaster.synthesis.script_file import is_script
from newscaster.synthesis.signing import Signing, SpeechSource
from newscaster.synthesis.speech_found import warn_without_speech
from newscaster.synthesis.speech_input import Speech, SpeechInput, open_speech
from newscaster.types import FrameProgress

_LEAD_SECONDS = 0.4
"""Silence before a text. Given audio keeps its length, so that the video fits what was cut for it."""


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """A speech or a text. See :meth:`newscaster.Anchor.speak`."""

    speech: SpeechInput | None
    text: str | None
    rate: int
    """Sampling rate of samples given as an array, in Hz."""
    opened: Speech | None = None
    """Speech that is open already, instead of `speech` and `text`."""

    @property
    def is_read_aloud(self) -> bool:
        """Whether a voice reads it aloud."""
        return self.speech is None or is_script(self.speech)


def speak_to_file(
    anchor: LoadedAnchor,
    request: SpeechRequest,
    out: str | Path,
    *,
    outputs: Outputs | None = None,
    signing: SigningOptions | None = None,
    style: Style | None = None,
    progress: FrameProgress | None = None,
) -> SpeakResult:
    """Write a video file of an anchor that speaks. See :meth:`newscaster.Anchor.speak`."""
    started = time.perf_counter()
    outputs, signing, style = outputs or Outputs(), signing or SigningOptions(), style or Style()
    paths, background = OutputPaths.of(out, outputs), Background.of(style.background)
    inputs = inputs_of(
        speech=request.speech,
        anchor=anchor.path,
        sign=signing.files,
        voice=None if style.reading is None else style.reading.voice,
        background=None if background is None else background.path,
    )
    paths.check(inputs, background=background)
    paths.check_subtitles(outputs.subtitles)
    if (paths.captions or outputs.subtitles) and not request.is_read_aloud:
        raise InputError(
            "captions need a text that is read aloud, but the speech is audio. Give the text or a .txt file "
            "instead of the audio, or omit captions and subtitles"
        )
    if background is not None:
        background.check_file(like=anchor.target.image(0), fps=anchor.info.fps)
    _, marks = anchor.order(style.target_start), anchor.marks(style)
    signer = Signing.of_output(paths.video, signing.files, timestamp=signing.timestamp)
    stream = anchor.motion_stream(articulation=style.articulation, look_ahead_ms=style.look_ahead_ms)
    with (
        media.exclusive_output(paths.video),
        _open(request, style) as speech,
        MotionLog(paths.motion) as log,
    ):
        if not speech.samples:
            raise SpeechError("the speech is empty")
        video = _Video(
            anchor=anchor,
            speech=speech,
            total=count_frames(anchor, speech.samples, speech.rate),
            log=log,
            paths=paths,
            outputs=outputs,
            signer=signer,
            style=style,
            compositor=anchor.compositor(background, start=style.target_start),
            marks=marks,
        )
        order = speech_order(anchor, speech, style.target_start)
        mouths = speech_mouths(anchor, speech, stream, order)
        frames = video.write(_log_motion(mouths, log), progress)
        video.write_beside()
    warnings = warn_without_speech(speech, stream, rests=style.articulation.rests)
    return SpeakResult(
        path=paths.video,
        frames=frames,
        fps=anchor.info.fps,
        seconds=speech.seconds,
        wall_seconds=time.perf_counter() - started,
        speech_seconds=stream.speech_seconds,
        passthrough_frames=log.passthrough_frames,
        motion=paths.motion,
        kept_speech=paths.speech or paths.audio,
        captions=paths.captions,
        notes=(*speech.notes, *warnings),
        **signer.outcome(paths.video),
    )


def _open(request: SpeechRequest, style: Style) -> AbstractContextManager[Speech]:
    return open_speech(
        request.speech,
        text=request.text,
        rate=request.rate,
        reading=style.reading,
        lead_seconds=_LEAD_SECONDS,
    )


@dataclass(frozen=True, kw_only=True)
class _Video:
    """A video that is being written."""

    anchor: LoadedAnchor
    speech: Speech
    total: int
    """Frames of the whole speech."""
    log: MotionLog
    paths: OutputPaths
    outputs: Outputs
    signer: Signing
    style: Style
    compositor: Compositor | None
    marks: Overlays

    def write(self, mouths: Iterable[PlacedMouths], progress: FrameProgress | None) -> int:
        """Write the file; return how many frames it has."""
        anchor, speech = self.anchor, self.speech
        shown = IndexLog()
        with closing(render_mouths(anchor.renderer, shown.passing(mouths), anchor.target)) as frames:
            composed = frames if self.compositor is None else self.compositor.on_all(frames, shown)
            return media.write_video(
                self.paths.video,
                _report_progress(self.marks.ending(self.total).on_all(composed), self.total, progress),
                fps=anchor.info.fps,
                audio=speech.audio_file,
                metadata=tags(anchor.info, synthetic_voice=speech.synthetic),
                subtitles=self._subtitles,
                crf=self.outputs.crf,
                finish=self._finish,
            )

    def write_beside(self) -> None:
        """Write motion, audio and captions, if requested."""
        self.log.save(fps=self.anchor.info.fps)
        if self.paths.speech is not None:
            media.copy_as_wav(self.speech.audio_file, self.paths.speech)
        for path in self.paths.captions:
            media.write_captions(path, self._cues)

    @property
    def _cues(self) -> list[media.Cue]:
        """Captions of a text, clear of the name strap; empty for other speech."""
        return self.marks.ending(self.total).free_cues(caption_cues(self.speech.sentences))

    @property
    def _subtitles(self) -> media.Subtitles | None:
        if not self.outputs.subtitles:
            return None
        reading = self.style.reading
        return media.Subtitles(cues=self._cues, language=reading.language if reading is not None else "eng")

    def _finish(self, video: Path) -> None:
        """Check and sign the finished file before it gets its name."""
        self.speech.check_unchanged()
        if (frames := self.log.synthesised.count) != self.total:
            raise MediaError(
                f"the speech changed during synthesis: it had {self.total} frames, and {frames} were "
                "rendered. Run this again when the file is complete"
            )
        sign = self.signer.finishing(self.paths.video, self._statement)
        if sign is not None:
            sign(video)

    def _statement(self) -> Statement:
        return self.anchor.statement(
            self.paths.video.name,
            frames=self.log.synthesised,
            speech=SpeechSource.of(self.speech),
            style=self.style,
        )


def _log_motion(placed: Iterable[PlacedMouths], log: MotionLog) -> Iterator[PlacedMouths]:
    """Pass mouths on, and add each to the log."""
    for part in placed:
        log.add(part.points, part.shapes, part.indices, part.weights)
        yield part


class IndexLog:
    """Which frames of the target are being shown: logged as mouths pass, taken as frames are finished."""

    def __init__(self) -> None:
        self._indices: deque[int] = deque()

    def passing(self, placed: Iterable[PlacedMouths]) -> Iterator[PlacedMouths]:
        """Pass mouths on, which another thread may take."""
        for part in placed:
            self._indices.extend(part.indices.tolist())
            yield part

    def __iter__(self) -> Iterator[int]:
        """Yield the number of each finished frame."""
        while self._indices:
            yield self._indices.popleft()


def _report_progress(
    frames: Iterable[media.YuvFrame], total: int, progress: FrameProgress | None
) -> Iterator[media.YuvFrame]:
    """Pass frames on, and report each."""
    for count, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress(count, total)
