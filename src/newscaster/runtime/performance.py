"""An anchor at work: speech in, pictures out, or a video file.

One chain of generators from blocks of sound to the encoder, so that memory does not grow with the speech.
Knows the order of the work; each step's own knowledge lies in the other modules of `runtime`.

::

    blocks of sound ─► MotionStream ─► shapes ─┐
                          Stage.order ─► frames ┴─► Job ─► Renderer ─► pictures ─► media.write_video
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.anchor import (
    MOTION,
    RENDERER,
    SPEECH_ENCODER,
    STAGE,
    AnchorFace,
    AnchorFile,
    anchor_path,
    is_builtin,
)
from newscaster.anchor_info import AnchorInfo
from newscaster.errors import AnchorError, InputError, MediaError, SpeechError
from newscaster.inference import Session, backend_named
from newscaster.provenance import Statement
from newscaster.runtime.articulation import AS_TRAINED, Articulation
from newscaster.runtime.gate import AHEAD_STEPS
from newscaster.runtime.labelling import label_text, place_label
from newscaster.runtime.live import Live
from newscaster.runtime.live_painting import LivePainter
from newscaster.runtime.live_voice import MADE_AHEAD_SECONDS, SharedVoices
from newscaster.runtime.made import Performance, tags
from newscaster.runtime.marks import Marks
from newscaster.runtime.motion import MotionStream, frame_count
from newscaster.runtime.pacing import Clock
from newscaster.runtime.permission import Permission
from newscaster.runtime.places import Places, inputs_of
from newscaster.runtime.record import MotionRecord, SynthesisedFrames
from newscaster.runtime.renderer import Job, Renderer, default_workers
from newscaster.runtime.signing import Heard, Origin, Signing, SignWith, statement
from newscaster.runtime.source import (
    Samples,
    Speech,
    SpeechInput,
    check_samples,
    is_script,
    open_speech,
)
from newscaster.runtime.speech_found import warn_without_speech
from newscaster.runtime.stage import Stage
from newscaster.runtime.trial import try_encoder, try_motion, try_renderer
from newscaster.speech.captions import caption_cues
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.watermark import Watermark, id_of

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with the frames done and the frames in all."""

_FRAMES_AT_ONCE = 64


@dataclass(frozen=True)
class _Shown:
    """Mouths on the stage: f frames of a performance."""

    indices: npt.NDArray[np.int64]
    """(f,) frames of the stage."""
    shapes: Array
    """(f, 57, 2) in head units."""
    points: Array
    """(f, 57, 2) in pixels on the picture."""
    shares: npt.NDArray[np.float32]
    """(f,): how much of the new mouth is taken."""


class Anchor:
    """Somebody who says what they are given. Made by :func:`newscaster.open`.

    Several threads may use it at a time: networks and stage are shared, and take turns where they must.

    Args:
        file: the anchor's file.
        workers: threads that render; by default one per core, up to 8.
        backend: what runs the rendering network, see :func:`newscaster.open`.

    Raises:
        AnchorError: the parts of the anchor do not fit each other.
        InputError: there is no such backend, or there are no workers.
    """

    def __init__(self, file: AnchorFile, *, workers: int | None = None, backend: str | None = None) -> None:
        self.path = file.path
        self.info: AnchorInfo = file.info
        self._face = file.face()
        self._origin = Origin.of(file)
        self._permission = Permission(file)
        if workers is not None and workers < 1:
            raise InputError(f"workers is {workers}; expected 1 or more, or None for one per core")
        backend = backend_named(backend)
        try:
            self._load(file, workers or default_workers(), backend)
        except (InputError, ValueError) as error:
            raise AnchorError(
                f"'{file.path}' cannot be used: {error}. Copy the file again from where it came, "
                "or train it again"
            ) from error

    def _load(self, file: AnchorFile, workers: int, backend: str) -> None:
        info = self.info
        # One thread each: several would cost a third more, and there is always something beside them to do.
        self._encoder: SpeechEncoder | None = None
        if info.features.needs_encoder:
            shared = info.shared_encoder is not None
            session = Session(file.speech_encoder(), threads=1, name=SPEECH_ENCODER, trusted=shared)
            self._encoder = SpeechEncoder(session, info.features.windowing)
        self._motion = Session(file.read(MOTION), threads=1, name=MOTION)
        self._activity = load_voice_activity()
        video = media.StageVideo(file.read(STAGE), name=STAGE)
        if video.fps != info.fps:
            raise AnchorError(f"{STAGE} has {video.fps} frames per second; expected {info.fps}")
        self._stage = Stage(video, self._face, region=info.region, size=info.size, loops=info.stage_loops)
        self._renderer = Renderer(
            Session(file.read(RENDERER), threads=1, name=RENDERER, backend=backend, callers=workers),
            side=info.region.side,
            map_side=info.map_side,
            grain=info.grain,
            workers=workers,
        )
        self._voices = SharedVoices()
        self._painter = self._live_painter()
        self._mark: Watermark | None = None  # the same for all of a stage: made when first asked for
        self.motion_stream()  # the networks fit the features and the basis, or an error says so now
        if is_builtin(file.path):
            return  # see `trial`
        if self._encoder is not None and info.shared_encoder is None:
            try_encoder(self._encoder, info.features)
        try_motion(self._motion, width=info.features.width, basis=self._face.basis)
        try_renderer(self._renderer, self._stage, self._face, pixels_per_unit=info.region.pixels_per_unit)

    @staticmethod
    def open(path: str | Path, *, workers: int | None = None, backend: str | None = None) -> Anchor:
        """Open an anchor and make it ready; `builtin` is the one that comes with newscaster.

        Raises:
            AnchorError: the file is missing, not an anchor, damaged, or of another version.
        """
        return Anchor(AnchorFile(anchor_path(path)), workers=workers, backend=backend)

    def __repr__(self) -> str:
        width, height = self.size
        seconds = self.info.stage_seconds
        return f"Anchor({self.name!r}: {width}x{height} at {self.fps} fps, {seconds:.1f} s of stage)"

    @property
    def name(self) -> str:
        """What the anchor is called."""
        return self.info.name

    @property
    def fps(self) -> Fraction:
        """Frames per second of the pictures."""
        return self.info.fps

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in pixels."""
        return self.info.size

    @property
    def face(self) -> AnchorFace:
        """The person's head, mouth basis and mask, and the head's poses on the stage."""
        return self._face

    @property
    def stage(self) -> Stage:
        """The footage that the mouth is rewritten on."""
        return self._stage

    def motion_stream(
        self,
        *,
        articulation: Articulation = AS_TRAINED,
        ahead_steps: int = AHEAD_STEPS,
        look_ahead_ms: int | None = None,
    ) -> MotionStream:
        """A fresh stream from sound to mouth shapes, for speech that comes in pieces.

        Args:
            articulation: how far and how softly the mouth moves.
            ahead_steps: motion steps (40 ms) before speech in which the mouth may begin to open.
            look_ahead_ms: how much sound the motion may wait for, a multiple of 40 from 80 to 1000; None: all
                that it can use. `delay_seconds` of the stream says what that comes to.

        Raises:
            InputError: `look_ahead_ms` is out of range.
        """
        return MotionStream(
            self._motion,
            features=self.info.features,
            encoder=self._encoder,
            basis=self._face.basis,
            fps=self.fps,
            context_steps=self.info.context_steps,
            activity=self._activity,
            ahead_steps=ahead_steps,
            articulation=articulation,
            look_ahead_ms=look_ahead_ms,
        )

    def motion(
        self,
        samples: Samples,
        rate: int = SAMPLE_RATE,
        *,
        stage_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> Array:
        """The mouth of every frame: (F, 57, 2) pixels on the pictures that :meth:`render` gives.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: in Hz.
            stage_start: the stage's frame to begin with.
            articulation: how far and how softly the mouth moves.
            look_ahead_ms: as in :meth:`motion_stream`.

        Raises:
            SpeechError: the samples cannot drive an anchor.
        """
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        with open_speech(samples, rate=rate, audible=False) as speech:
            shown = list(self._perform(speech, stage_start, stream))
        return np.concatenate([part.points for part in shown])

    def render(
        self,
        samples: Samples,
        rate: int = SAMPLE_RATE,
        *,
        stage_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
    ) -> Iterator[Image]:
        """The pictures that go with speech: round(N * fps / rate) of (H, W, 3) uint8 RGB, one by one.

        Args:
            samples: (N,) float mono in [-1, 1].
            rate: in Hz.
            stage_start: the stage's frame to begin with.
            articulation: how far and how softly the mouth moves.
            look_ahead_ms: as in :meth:`motion_stream`.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn; raised at once.
            SpeechError: the samples cannot drive an anchor; raised at once.
        """
        self._permission.check()
        checked = check_samples(samples, rate)
        self._frames_of(len(checked), rate)
        self._check_start(stage_start)
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        return self._rendered(checked, rate, stage_start, stream)

    def on_stage(self, stage: Stage) -> Anchor:
        """The same person on another stage, such as footage that the anchor has never seen."""
        other = copy.copy(self)
        other._stage = stage
        other._mark = None
        other._origin = replace(self._origin, stage_sha256=None)
        other._painter = other._live_painter()
        return other

    def share_voices(self, voices: SharedVoices) -> None:
        """Read texts to later listeners with voices that other anchors use, too: each is loaded once."""
        self._voices = voices

    def _live_painter(self) -> LivePainter:
        basis = self._face.basis
        rest = AS_TRAINED.shapes(np.zeros((1, basis.size)), basis)[0]
        return LivePainter(self._stage, self._renderer, rest=rest)

    def show(self, shapes: npt.NDArray[np.floating[Any]], *, stage_start: int = 0) -> Iterator[media.Picture]:
        """The pictures of a mouth in these shapes, one by one, as :meth:`speak` encodes them.

        Args:
            shapes: (F, 57, 2) in head units, such as a :meth:`motion_stream` gives.
            stage_start: the stage's frame to begin with.
        """
        self._check_start(stage_start)
        return self._pictures(self._placed(shapes.astype(np.float64), self._stage.order(start=stage_start)))

    def speak(
        self,
        speech: SpeechInput | None,
        out: str | Path,
        *,
        text: str | None = None,
        rate: int = SAMPLE_RATE,
        reading: Reading | None = None,
        stage_start: int = 0,
        articulation: Articulation = AS_TRAINED,
        look_ahead_ms: int | None = None,
        motion_out: str | Path | None = None,
        keep_speech: str | Path | None = None,
        captions: str | Path | Sequence[str | Path] = (),
        subtitles: bool = False,
        crf: int = 18,
        sign: SignWith | None = None,
        timestamp: str | None = None,
        label: str | None = None,
        watermark: bool = True,
        progress: Progress | None = None,
    ) -> Performance:
        """Make a video file of the anchor saying something.

        Args:
            speech: a sound or video file, a .txt file to be read aloud, a binary stream that holds a sound
                file, or samples (N,) as an array. Its sound is heard in the video as it is.
            out: .mp4, .m4v, .mov or .mkv to write.
            text: what is to be said, in place of `speech`.
            rate: of samples given as an array, in Hz.
            reading: how a text is read aloud: the voice, its pace. The default voice needs the extra `tts`.
            stage_start: the stage's frame to begin with.
            articulation: how far and how softly the mouth moves.
            look_ahead_ms: as in :meth:`motion_stream`.
            motion_out: .npz to write the mouth's motion to: `landmarks` (F, 57, 2) pixels on the pictures,
                `shapes` (F, 57, 2) head units, `stage_frames` (F,), `shares` (F,), how much of the new mouth
                each frame shows, `fps` (numerator, denominator), `frames`.
            keep_speech: .wav to write the sound to, as it is heard, at its own rate.
            captions: .srt and .vtt files to write what is said to, timed by sentence; needs a text.
            subtitles: whether the video also holds captions that players can switch on; needs a text.
            crf: x264's quality, 0 to 51; lower is better and larger.
            sign: PEM files of a certificate chain and of its key, to sign the video's C2PA manifest with.
                None: those that NEWSCASTER_SIGN_CERT and NEWSCASTER_SIGN_KEY name, or a local certificate,
                made at first use. A .mkv has its manifest beside it, as .c2pa.
            timestamp: http:// or https:// address of a time-stamp authority (RFC 3161). It is sent a hash of
                a signature before any work, and of the video's. If it fails then, the video is signed without
                a time stamp, and `Performance.unstamped_because` says why. None: the network is not used.
            label: what is written in a corner of the pictures, away from the face; empty: nothing. None:
                "AI-generated" on the built-in anchor, nothing on others.
            watermark: whether pictures carry a mark that is not seen, which `newscaster verify` finds when
                the manifest is gone.
            progress: called after every frame.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn; raised before any work.
            OutputError: a file cannot be written, would replace an input, or is being written by another
                command; raised before any work.
            InputError: captions are wanted of a sound; a value is out of range; a voice cannot be used; the
                time-stamp authority gives no time stamp.
            SpeechError: the speech is empty, silent or not finite.
            MediaError: a file cannot be read.
            MissingExtraError: the voice is not installed.
        """
        began = time.perf_counter()
        self._permission.check()
        places = Places.of(video=out, motion=motion_out, speech=keep_speech, captions=captions)
        voice = None if reading is None else reading.voice
        places.check(inputs_of(speech=speech, anchor=self.path, sign=sign, voice=voice))
        if (places.captions or subtitles) and speech is not None and not is_script(speech):
            raise InputError(
                "captions show the text that is read aloud, and the speech is a sound. "
                "Give the text, or a .txt file, in place of the sound, or leave captions and subtitles out"
            )
        if not 0 <= crf <= 51:
            raise InputError(f"crf is {crf}; expected 0 (best) to 51 (smallest)")
        self._check_start(stage_start)
        marks = self._marks(label, watermark=watermark)
        signing = Signing.begin(sign, timestamp=timestamp)
        stream = self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
        with (
            media.sole_writer(places.video),
            open_speech(speech, text=text, rate=rate, reading=reading) as heard,
            MotionRecord(places.motion) as record,
        ):
            if not heard.samples:
                raise SpeechError("the speech is empty")
            total = self._frames_of(heard.samples, heard.rate)
            shown = _noted(self._perform(heard, stage_start, stream), record)
            sign_file = signing.finishing(
                places.video,
                lambda: self.statement(
                    places.video.name,
                    frames=record.synthesised,
                    heard=Heard.of(heard),
                    label=label,
                    watermark=watermark,
                ),
            )

            def finish(video: Path) -> None:
                heard.check_unchanged()
                if (made := record.synthesised.count) != total:
                    raise MediaError(
                        f"the speech has changed while it was spoken: it had {total} frames, and {made} were "
                        "made. Run this again when it is whole"
                    )
                if sign_file is not None:
                    sign_file(video)

            cues = caption_cues(heard.sentences)
            language = reading.language if reading is not None else "eng"
            with closing(self._pictures(shown)) as pictures:
                frames = media.write_video(
                    places.video,
                    _counted(marks.on_all(pictures), total, progress),
                    fps=self.fps,
                    audio=heard.sound_file,
                    metadata=tags(self.info, synthetic_voice=heard.synthetic),
                    subtitles=media.Subtitles(cues=cues, language=language) if subtitles else None,
                    crf=crf,
                    finish=finish,
                )
            record.save(fps=self.fps)
            if places.speech is not None:
                media.copy_as_wav(heard.sound_file, places.speech)
            for path in places.captions:
                media.write_captions(path, cues)
        warnings = warn_without_speech(heard, stream, rests=articulation.rests)
        return Performance(
            path=places.video,
            frames=frames,
            fps=self.fps,
            seconds=heard.seconds,
            wall_seconds=time.perf_counter() - began,
            speech_seconds=stream.speech_seconds,
            passed_through=record.passed_through,
            motion=places.motion,
            kept_speech=places.speech,
            captions=places.captions,
            notes=(*heard.notes, *warnings),
            **signing.outcome(places.video),
        )

    def live(
        self,
        *,
        look_ahead_ms: int = 200,
        articulation: Articulation = AS_TRAINED,
        stage_start: int = 0,
        rate: int = 48_000,
        reading: Reading | None = None,
        most_pushed_seconds: float = 120.0,
        most_text: int = 100_000,
        made_ahead_seconds: float = MADE_AHEAD_SECONDS,
        label: str | None = None,
        watermark: bool = True,
        clock: Clock | None = None,
    ) -> Live:
        """A stream for one listener: speech goes in as it comes, frames with their sound come out in time.

        Any number of listeners share this anchor's networks, stage and voices; each has its own state.

        Args:
            look_ahead_ms: as in :meth:`motion_stream`: what live speech waits for.
            articulation: how far and how softly the mouth moves.
            stage_start: the stage's frame to begin with.
            rate: of the sound that frames carry, in Hz.
            reading: how texts are read aloud; its voice is loaded now, in the background.
            most_pushed_seconds: pushed sound that may wait; more is refused.
            most_text: characters of text that may wait to be read; more is refused.
            made_ahead_seconds: sound of texts that is made before it is heard: less of it lets
                :meth:`Live.change` apply sooner, more of it outlasts a slow machine.
            label: as in :meth:`speak`.
            watermark: as in :meth:`speak`.
            clock: what the pace goes by; by default the machine's own.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn.
            InputError: a value is out of range.
        """
        self._permission.check()
        self._check_start(stage_start)
        return Live(
            self._painter.marked(self._marks(label, watermark=watermark)),
            self._stage.order(start=stage_start),
            lambda: self.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms),
            fps=self.fps,
            rate=rate,
            voices=self._voices,
            reading=reading,
            most_pushed_seconds=most_pushed_seconds,
            most_text=most_text,
            made_ahead_seconds=made_ahead_seconds,
            clock=clock,
        )

    def statement(
        self,
        title: str,
        *,
        frames: SynthesisedFrames,
        heard: Heard,
        label: str | None = None,
        watermark: bool = True,
    ) -> Statement:
        """What is said of a video of this anchor where it is signed.

        Args:
            title: the file's name.
            frames: of the video.
            heard: what it says.
            label: as in :meth:`speak`.
            watermark: whether the pictures carry it.
        """
        return statement(
            title,
            anchor=self.info,
            origin=self._origin,
            frames=frames,
            heard=heard,
            label=self._label_text(label),
            watermark=id_of(self._origin.anchor_id) if watermark else None,
        )

    def _rendered(self, samples: Samples, rate: int, start: int, stream: MotionStream) -> Iterator[Image]:
        with (
            open_speech(samples, rate=rate, audible=False) as speech,
            closing(self._pictures(self._perform(speech, start, stream))) as pictures,
        ):
            for picture in pictures:
                yield picture.rgb()

    def _check_start(self, stage_start: int) -> None:
        if not 0 <= stage_start < len(self._stage):
            raise InputError(f"stage_start is {stage_start}; expected 0 to {len(self._stage) - 1}")

    def _marks(self, label: str | None, *, watermark: bool) -> Marks:
        text = self._label_text(label)
        return Marks(
            label=None if text is None else place_label(text, self._stage.landmarks, size=self.size),
            watermark=self._watermark() if watermark else None,
        )

    def _watermark(self) -> Watermark:
        if self._mark is None:
            self._mark = Watermark(self._origin.anchor_id, like=self._stage.frame(0).picture)
        return self._mark

    def _label_text(self, given: str | None) -> str | None:
        return label_text(given, builtin=is_builtin(self.path))

    def _frames_of(self, samples: int, rate: int) -> int:
        total = frame_count(samples, rate, self.fps)
        if total == 0:
            raise SpeechError(
                f"the speech is {samples / rate * 1000:.1f} ms long, and one frame takes "
                f"{float(1000 / self.fps):.1f} ms. Give a sentence at least"
            )
        return total

    def _perform(self, speech: Speech, stage_start: int, stream: MotionStream) -> Iterator[_Shown]:
        """Mouths put on the stage, some frames at a time, as the speech is read."""
        order = self._stage.order(start=stage_start)
        stream.expect_level(speech.loud)
        shapes = (stream.push(block) for block in speech.blocks())
        last = (stream.flush(total_frames=total) for total in [self._frames_of(speech.samples, speech.rate)])
        for some in itertools.chain(shapes, last):
            yield from self._placed(some, order)

    def _placed(self, shapes: Array, order: Iterator[int]) -> Iterator[_Shown]:
        for first in range(0, len(shapes), _FRAMES_AT_ONCE):
            part = shapes[first : first + _FRAMES_AT_ONCE]
            indices = np.fromiter(itertools.islice(order, len(part)), np.int64, len(part))
            yield _Shown(indices, part, self._stage.place(part, indices), self._stage.shares(indices))

    def _pictures(self, shown: Iterable[_Shown]) -> Generator[media.Picture]:
        return self._renderer.render(self._jobs(shown))

    def _jobs(self, shown: Iterable[_Shown]) -> Iterator[Job]:
        for part in shown:
            in_region = self._stage.transforms(part.indices).apply(part.points)
            frames = self._stage.frames(part.indices.tolist())
            for frame, points, share in zip(frames, in_region, part.shares.tolist(), strict=True):
                yield Job(frame, points, share)


def _noted(shown: Iterable[_Shown], record: MotionRecord) -> Iterator[_Shown]:
    for part in shown:
        record.add(part.points, part.shapes, part.indices, part.shares)
        yield part


def _counted(
    items: Iterable[media.Picture], total: int, progress: Progress | None
) -> Iterator[media.Picture]:
    for count, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress(count, total)
