"""One video file of an anchor who speaks: the order of the work, outputs, captions, signature.

All that can be refused is refused before any work. What the frames show is left to `frames`, where files go
to `places`, what they are signed with to `signing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.provenance import Statement
from newscaster.speech.captions import caption_cues
from newscaster.synthesis.frames import PlacedMouths, count_frames, render_mouths, speech_mouths
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion_log import MotionLog
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.output_paths import OutputPaths, inputs_of
from newscaster.synthesis.overlays import Overlays
from newscaster.synthesis.result import SpeakResult, tags
from newscaster.synthesis.signing import Signing, SpeechSource
from newscaster.synthesis.speech_found import warn_without_speech
from newscaster.synthesis.speech_input import Speech, SpeechInput, is_script, open_speech

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""


@dataclass(frozen=True, kw_only=True)
class SpeechRequest:
    """What is to be spoken: a `speech` or a `text`. See :meth:`newscaster.Anchor.speak`."""

    speech: SpeechInput | None
    text: str | None
    rate: int
    """Of samples given as an array, in Hz."""

    @property
    def is_read_aloud(self) -> bool:
        """Whether a voice reads it."""
        return self.speech is None or is_script(self.speech)


def speak_to_file(
    anchor: LoadedAnchor,
    request: SpeechRequest,
    out: str | Path,
    *,
    outputs: Outputs | None = None,
    signing: SigningOptions | None = None,
    style: Style | None = None,
    progress: Progress | None = None,
) -> SpeakResult:
    """Make a video file of an anchor who speaks. See :meth:`newscaster.Anchor.speak`."""
    started = time.perf_counter()
    outputs, signing, style = outputs or Outputs(), signing or SigningOptions(), style or Style()
    places = OutputPaths.of(out, outputs)
    voice = None if style.reading is None else style.reading.voice
    places.check(inputs_of(speech=request.speech, anchor=anchor.path, sign=signing.files, voice=voice))
    if (places.captions or outputs.subtitles) and not request.is_read_aloud:
        raise InputError(
            "captions show the text that is read aloud, and the speech is a sound. "
            "Give the text, or a .txt file, in place of the sound, or leave captions and subtitles out"
        )
    order, marks = anchor.order(style.target_start), anchor.marks(style)
    signer = Signing.begin(signing.files, timestamp=signing.timestamp)
    stream = anchor.motion_stream(articulation=style.articulation, look_ahead_ms=style.look_ahead_ms)
    with (
        media.exclusive_output(places.video),
        open_speech(request.speech, text=request.text, rate=request.rate, reading=style.reading) as speech,
        MotionLog(places.motion) as record,
    ):
        if not speech.samples:
            raise SpeechError("the speech is empty")
        video = _Video(
            anchor=anchor,
            speech=speech,
            total=count_frames(anchor, speech.samples, speech.rate),
            record=record,
            places=places,
            outputs=outputs,
            signer=signer,
            style=style,
        )
        mouths = _recorded(speech_mouths(anchor, speech, stream, order), record)
        frames = video.write(mouths, marks, progress)
        video.write_beside()
    warnings = warn_without_speech(speech, stream, rests=style.articulation.rests)
    return SpeakResult(
        path=places.video,
        frames=frames,
        fps=anchor.info.fps,
        seconds=speech.seconds,
        wall_seconds=time.perf_counter() - started,
        speech_seconds=stream.speech_seconds,
        passthrough_frames=record.passthrough_frames,
        motion=places.motion,
        kept_speech=places.speech,
        captions=places.captions,
        notes=(*speech.notes, *warnings),
        **signer.outcome(places.video),
    )


@dataclass(frozen=True, kw_only=True)
class _Video:
    """A video on its way into its file."""

    anchor: LoadedAnchor
    speech: Speech
    total: int
    """Frames that the speech takes."""
    record: MotionLog
    places: OutputPaths
    outputs: Outputs
    signer: Signing
    style: Style

    def write(self, mouths: Iterable[PlacedMouths], marks: Overlays, progress: Progress | None) -> int:
        """Write the file; return how many frames it has."""
        anchor, speech = self.anchor, self.speech
        with closing(render_mouths(anchor, mouths)) as frames:
            return media.write_video(
                self.places.video,
                _counted(marks.on_all(frames), self.total, progress),
                fps=anchor.info.fps,
                audio=speech.audio_file,
                metadata=tags(anchor.info, synthetic_voice=speech.synthetic),
                subtitles=self._subtitles,
                crf=self.outputs.crf,
                finish=self._finish,
            )

    def write_beside(self) -> None:
        """Write motion, audio and captions, each where it is asked for."""
        self.record.save(fps=self.anchor.info.fps)
        if self.places.speech is not None:
            media.copy_as_wav(self.speech.audio_file, self.places.speech)
        for path in self.places.captions:
            media.write_captions(path, self._cues)

    @property
    def _cues(self) -> list[media.Cue]:
        """The captions of a text; none of other speech."""
        return caption_cues(self.speech.sentences)

    @property
    def _subtitles(self) -> media.Subtitles | None:
        if not self.outputs.subtitles:
            return None
        reading = self.style.reading
        return media.Subtitles(cues=self._cues, language=reading.language if reading is not None else "eng")

    def _finish(self, video: Path) -> None:
        """Check and sign the finished file, before it gets its name."""
        self.speech.check_unchanged()
        if (made := self.record.synthesised.count) != self.total:
            raise MediaError(
                f"the speech has changed while it was spoken: it had {self.total} frames, and {made} were "
                "made. Run this again when it is whole"
            )
        sign = self.signer.finishing(self.places.video, self._statement)
        if sign is not None:
            sign(video)

    def _statement(self) -> Statement:
        heard = SpeechSource.of(self.speech)
        return self.anchor.statement(
            self.places.video.name, frames=self.record.synthesised, heard=heard, style=self.style
        )


def _recorded(placed: Iterable[PlacedMouths], record: MotionLog) -> Iterator[PlacedMouths]:
    for part in placed:
        record.add(part.points, part.shapes, part.indices, part.weights)
        yield part


def _counted(
    frames: Iterable[media.YuvFrame], total: int, progress: Progress | None
) -> Iterator[media.YuvFrame]:
    for count, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress(count, total)
