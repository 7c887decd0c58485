"""The file of a dubbed video: the mouths of all people, one after another, on frames that are decoded once.

::

    decoded frames ─► mouth of the first person ─► mouth of the next ─► overlays ─► encoder

Frames in which no mouth is rewritten keep every decoded sample, except for a name strap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.prepare.video_track import VideoTrack
from newscaster.provenance import FurtherPerson, Statement
from newscaster.speech.captions import caption_cues
from newscaster.synthesis.background import Background
from newscaster.synthesis.dub_audio import AudioPlan, like, write_dub_audio
from newscaster.synthesis.dub_loudness import speech_gain
from newscaster.synthesis.dub_options import (
    DubbedFace,
    DubOptions,
    KeptFrames,
    SpeechGain,
    check_part_start,
)
from newscaster.synthesis.dub_order import extended_order, kept_frames
from newscaster.synthesis.dub_roles import Role, Speeches
from newscaster.synthesis.dub_tracks import DubTracks, open_dub_tracks
from newscaster.synthesis.dubbed_mouth import DubbedMouth
from newscaster.synthesis.frame_strip import FrameStrip
from newscaster.synthesis.frames import render_mouths
from newscaster.synthesis.labelling import label_text, place_label
from newscaster.synthesis.motion import frame_count
from newscaster.synthesis.motion_log import MotionLog, SynthesisedFrames, save_logs
from newscaster.synthesis.name_strap import strap_of
from newscaster.synthesis.options import Outputs, Style
from newscaster.synthesis.output_paths import OutputPaths
from newscaster.synthesis.overlays import Overlays
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.signing import Signing, SpeechSource
from newscaster.synthesis.speech_found import warn_without_speech
from newscaster.synthesis.speech_input import Speech
from newscaster.synthesis.video_matte import video_compositor
from newscaster.synthesis.video_reader import read_in_order
from newscaster.synthesis.video_target import VideoTarget
from newscaster.types import ArrayBool, ArrayI64, Progress
from newscaster.watermark import Watermark

_UNHEARD_SECONDS = 0.1
"""An end of speech this short may be cut off without a word."""


@dataclass(frozen=True, kw_only=True)
class WrittenVideo:
    """What was written."""

    frames: int
    rewritten: int
    kept: tuple[KeptFrames, ...]
    faces: tuple[DubbedFace, ...]
    speech_gain: SpeechGain | None
    """Of a part."""
    warnings: tuple[str, ...]
    strip: FrameStrip | None
    """Frames for the report, if there is one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DubbedVideo:
    """A dubbed video on its way into its file."""

    roles: Sequence[Role]
    """Whose mouths are rewritten; the first is named by the watermark."""
    people: Sequence[LoadedPerson]
    """Of the roles."""
    targets: Sequence[VideoTarget]
    """The video, for each of them."""
    is_plain: bool
    """Whether all frames become 8-bit 4:2:0: for a background, or for the codec."""
    speeches: Speeches
    options: DubOptions
    outputs: Outputs
    style: Style
    paths: OutputPaths

    def write(self, stack: ExitStack, signer: Signing, progress: Progress | None) -> WrittenVideo:
        """Write the file, and those beside it."""
        total = self._total_frames()
        mouths = self._mouths(stack)
        targets = [mouth.target for mouth in mouths]
        order = extended_order(targets, total, self.options.extend)
        weights = np.stack([target.weights[order] for target in targets])
        rewritten = np.asarray((weights > 0).any(axis=0))
        overlays = self._overlays(targets).ending(total)
        reasons = [target.reasons() for target in targets]
        kept = kept_frames(reasons, order)
        strip = self._strip(targets, order, kept)
        tracks = stack.enter_context(
            open_dub_tracks(
                self._track,
                self.paths.video,
                self.options,
                frames=total,
                own_audio=self.speeches.is_own_audio,
                like=self._first,
            )
        )
        audio, gain = (None, None) if tracks.kept.has_main_audio else self._audio(stack, total)
        frames: Iterable[media.YuvFrame] = self._frames(stack, mouths, order, strip)
        background = Background.of(self.style.background)
        faces = [target.track for target in targets]
        compositor = video_compositor(
            background, faces, stack, like=self._first, cache=self.options.cache, progress=progress
        )
        if compositor is not None:
            frames = compositor.on_all(frames, order.tolist())

        def finish(path: Path) -> None:
            self.speeches.check_unchanged()
            counts = [mouth.log.synthesised.count for mouth in mouths]
            if any(count != total for count in counts):
                raise MediaError(
                    f"the speech changed while it was dubbed: {total} frames were planned, and {min(counts)} "
                    "were made. Run this again when the file no longer changes"
                )
            sign = signer.finishing(self.paths.video, lambda: self._statement(rewritten))
            if sign is not None:
                sign(path)

        finished = _marked(frames, rewritten, overlays)
        if strip is not None:
            finished = strip.after(finished)
        count = self._encode(_counted(finished, total, progress), audio, tracks, overlays, finish)
        self._write_beside(mouths, overlays)
        return WrittenVideo(
            frames=count,
            rewritten=int(rewritten.sum()),
            kept=kept,
            faces=tuple(
                _dubbed_face(mouth, order, kept_frames([why], order))
                for mouth, why in zip(mouths, reasons, strict=True)
            ),
            speech_gain=gain,
            warnings=(*tracks.notes, *self._warnings(mouths)),
            strip=strip,
        )

    def _encode(
        self,
        frames: Iterable[media.YuvFrame],
        audio: Path | None,
        tracks: DubTracks,
        overlays: Overlays,
        finish: Callable[[Path], None],
    ) -> int:
        synthetic = any(speech.synthetic for speech in self.speeches.spoken)
        return media.write_video(
            self.paths.video,
            frames,
            fps=self._fps,
            audio=audio,
            metadata=tracks.tags(self.people, synthetic_voice=synthetic),
            subtitles=self._subtitles(overlays),
            kept=tracks.kept,
            audio_tags=tracks.audio_tags(language=self._language, keeps_speaker=self._keeps_own_audio),
            codec=tracks.codec,
            crf=self.outputs.crf,
            finish=finish,
        )

    def _write_beside(self, mouths: Sequence[DubbedMouth], overlays: Overlays) -> None:
        save_logs([mouth.log for mouth in mouths], fps=self._fps)
        if self.paths.speech is not None:
            media.copy_as_wav(self.speeches.audible.audio_file, self.paths.speech)
        for path in self.paths.captions:
            media.write_captions(path, self._cues(overlays))

    @cached_property
    def _first(self) -> media.YuvFrame:
        """The first frame of the video; only to read."""
        return next(media.read_yuv_frames(self._track.path, fps=self._fps, stop_frame=1, plain=self.is_plain))

    @property
    def _track(self) -> VideoTrack:
        """The video, as any of the tracks describes it."""
        return self.targets[0].track

    @property
    def _fps(self) -> Fraction:
        return self._track.fps

    @property
    def _start_seconds(self) -> float:
        return self.options.start_seconds or 0.0

    @property
    def _stop_seconds(self) -> float:
        stop = self.options.stop_seconds
        return self._track.seconds if stop is None else min(stop, self._track.seconds)

    def _total_frames(self) -> int:
        """Return the number of frames of the result."""
        track = self._track
        check_part_start(self._start_seconds, track.path, track.seconds)
        if self.options.is_part:
            return len(track)
        spoken = max(frame_count(s.samples, s.rate, track.fps) for s in self.speeches.spoken)
        if spoken == 0:
            raise SpeechError("the speech is shorter than one frame. Give at least one sentence")
        by_fit = {
            "video": max(len(track), spoken),
            "speech": spoken,
            "shortest": min(len(track), spoken),
        }
        return by_fit[self.options.fit]

    def _mouths(self, stack: ExitStack) -> list[DubbedMouth]:
        mouths = []
        for person, target, speech in zip(self.people, self.targets, self.speeches.by_role, strict=True):
            stream = person.motion_stream(
                articulation=self.style.articulation,
                look_ahead_ms=self.style.look_ahead_ms,
                fps=self._fps,
            )
            log = stack.enter_context(MotionLog(self.paths.motion))
            mouths.append(
                DubbedMouth(
                    person=person,
                    speech=speech,
                    target=self._part_of(target, person),
                    stream=stream,
                    log=log,
                )
            )
        return mouths

    def _part_of(self, target: VideoTarget, person: LoadedPerson) -> VideoTarget:
        """Return the target in the part that is rewritten; raise InputError if it has no frame."""
        if self.options.is_part:
            target = target.within(self._start_seconds, self._stop_seconds)
        if not (target.weights > 0).any():
            name = f" for '{person.info.name}'" if len(self.roles) > 1 else ""
            reasons = ", ".join(sorted(set(target.reasons().tolist()) - {""}))
            raise InputError(
                f"no frame of '{target.track.path}' can be rewritten{name}: {reasons}. Give a part of the "
                "video, or a video, that shows the face from the front"
            )
        return target

    def _frames(
        self, stack: ExitStack, mouths: Sequence[DubbedMouth], order: ArrayI64, strip: FrameStrip | None
    ) -> Iterator[media.YuvFrame]:
        """Yield the frames with all new mouths; their generators are closed by the stack."""
        frames = read_in_order(self._track, order.tolist(), plain=self.is_plain)
        if strip is not None:
            frames = strip.before(frames)
        start_frame = round(self._start_seconds * self._fps)
        for mouth in mouths:
            placed = mouth.placed(order, start_frame=start_frame)
            frames = stack.enter_context(
                closing(render_mouths(mouth.person.renderer, placed, mouth.target.on(frames)))
            )
        return frames

    def _strip(
        self, targets: Sequence[VideoTarget], order: ArrayI64, kept: Sequence[KeptFrames]
    ) -> FrameStrip | None:
        if self.paths.report is None or self.paths.report.suffix.lower() == ".json":
            return None
        return FrameStrip([target.track for target in targets], order, kept)

    def _overlays(self, targets: Sequence[VideoTarget]) -> Overlays:
        """Return label, name strap and watermark, which are put on once, however many mouths are new."""
        label = watermark = None
        landmarks, size = [target.landmarks for target in targets], self._track.size
        every = landmarks[0] if len(landmarks) == 1 else np.concatenate(landmarks)
        if (text := self._label_text) is not None:
            label = place_label(text, every, size=size)
        strap = strap_of(self.style, every, size=size, fps=self._fps, label=label)
        if self.style.watermark:
            watermark = Watermark(self.people[0].origin.person_id, like=self._first)
        return Overlays(label=label, strap=strap, watermark=watermark)

    @property
    def _label_text(self) -> str | None:
        return label_text(self.style.label, bundled=any(person.is_bundled for person in self.people))

    def _audio(self, stack: ExitStack, total: int) -> tuple[Path, SpeechGain | None]:
        """Return a file of the audio: the speech's own, unless it must be cut or mixed; and its gain."""
        speech = self.speeches.audible
        seconds = float(total / self._fps)
        mixes = self._keeps_own_audio
        if not mixes and speech.seconds <= seconds:
            return speech.audio_file, None
        has_own = mixes and media.probe(self._track.path, header_only=True).audio is not None
        rate, channels = like(self._track.path if has_own else speech.audio_file)
        own_gain = 0.0 if self.options.mix_db is None else 10 ** (self.options.mix_db / 20)
        path = stack.enter_context(media.scratch_folder()) / "audio.wav"
        plan = AudioPlan(
            speech=speech.audio_file,
            own=self._track.path if has_own else None,
            seconds=seconds,
            start_seconds=self._start_seconds,
            stop_seconds=self._stop_seconds if self.options.is_part else seconds,
            own_gain=own_gain,
            rate=rate,
            channels=channels,
        )
        gain = speech_gain(plan) if self.options.is_part and not self.speeches.is_own_audio else None
        if gain is not None:
            plan = replace(plan, speech_gain=10 ** (gain.decibels / 20))
        write_dub_audio(plan, path)
        return path, gain

    @property
    def _keeps_own_audio(self) -> bool:
        return self.options.mix_db is not None or self.options.is_part

    @property
    def _language(self) -> str | None:
        """The language of a text that is read aloud, three letters; None if unknown."""
        languages = set()
        for role, speech in zip(self.roles, self.speeches.by_role, strict=True):
            if speech is None:
                continue
            reading = role.reading
            if not speech.synthetic or reading is None:
                return None
            # "eng" is the default, which need not be true of a voice that the user brings.
            if reading.language == "eng" and (reading.voice or reading.command):
                return None
            languages.add(reading.language)
        return languages.pop() if len(languages) == 1 else None

    def _cues(self, overlays: Overlays) -> list[media.Cue]:
        """Return captions of the one speech, if it is read aloud, clear of the name strap.

        Their times are those of the video. They end with the part that is rewritten.
        """
        start, sentences = self._start_seconds, self.speeches.spoken[0].sentences
        if self.options.is_part:
            sentences = tuple(
                replace(
                    sentence,
                    start_seconds=sentence.start_seconds + start,
                    stop_seconds=min(sentence.stop_seconds + start, self._stop_seconds),
                )
                for sentence in sentences
                if sentence.start_seconds + start < self._stop_seconds
            )
        return overlays.free_cues(caption_cues(sentences))

    def _subtitles(self, overlays: Overlays) -> media.Subtitles | None:
        if not self.outputs.subtitles:
            return None
        reading = next(role.reading for role in self.roles if role.is_read_aloud)
        language = reading.language if reading is not None else "eng"
        return media.Subtitles(cues=self._cues(overlays), language=language)

    def _warnings(self, mouths: Sequence[DubbedMouth]) -> tuple[str, ...]:
        rests = self.style.articulation.rests
        return self._cut_warning() + tuple(
            line
            for mouth in mouths
            if mouth.speech is not None
            for line in warn_without_speech(mouth.speech, mouth.stream, rests=rests)
        )

    def _cut_warning(self) -> tuple[str, ...]:
        """Return what a part is too short for."""
        if self.speeches.is_own_audio or not self.options.is_part:
            return ()
        lost_seconds = self.speeches.audible.seconds - (self._stop_seconds - self._start_seconds)
        if lost_seconds < _UNHEARD_SECONDS:
            return ()
        return (f"the speech is {lost_seconds:.1f} s longer than the part; its end is cut off",)

    def _statement(self, rewritten: ArrayBool) -> Statement:
        """Return the claims about the whole video: all people, and the frames with any new mouth."""
        synthesised = SynthesisedFrames()
        synthesised.add(rewritten)
        speech = self.speeches.by_role[0]
        assert speech is not None, "the first role speaks"
        statement = self.people[0].dub_statement(
            self.paths.video.name,
            frames=synthesised,
            speech=SpeechSource.of(speech),
            style=self.style,
            fps=self._fps,
            source=(self._track.path.name, self._track.sha256),
        )
        others = zip(self.people[1:], self.speeches.by_role[1:], strict=True)
        return replace(
            statement,
            label=self._label_text,
            others=tuple(_further_person(person, speech) for person, speech in others),
        )


def _further_person(person: LoadedPerson, speech: Speech | None) -> FurtherPerson:
    info, origin = person.info, person.origin
    source = None if speech is None else SpeechSource.of(speech)
    return FurtherPerson(
        anchor=info.name,
        anchor_id=origin.person_id,
        anchor_created=info.created,
        from_source=origin.from_video,
        consent=info.consent,
        attribution=info.attribution,
        speech_sha256=None if source is None else source.sha256,
        speech_seconds=0.0 if source is None else source.seconds,
        synthetic_voice=source is not None and source.synthetic_voice,
    )


def _dubbed_face(mouth: DubbedMouth, order: ArrayI64, kept: tuple[KeptFrames, ...]) -> DubbedFace:
    return DubbedFace(
        anchor=mouth.person.info.name,
        face=mouth.target.track.face,
        speaks=mouth.speech is not None,
        rewritten_frames=int((mouth.target.weights[order] > 0).sum()),
        kept=kept,
        speech_seconds=mouth.stream.speech_seconds if mouth.speech is not None else 0.0,
    )


def _marked(
    frames: Iterable[media.YuvFrame], rewritten: ArrayBool, overlays: Overlays
) -> Iterator[media.YuvFrame]:
    """Put overlays on frames; those that are not rewritten get the name strap alone."""
    for number, (is_new, frame) in enumerate(zip(rewritten.tolist(), frames, strict=False)):
        yield overlays.put_on(frame, number, is_synthetic=is_new)


def _counted(
    frames: Iterable[media.YuvFrame], total: int, progress: Progress | None
) -> Iterator[media.YuvFrame]:
    for count, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress("render", count, total)
