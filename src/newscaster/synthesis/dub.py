"""Dubbing: a given video with its lips rewritten to other speech.

The order of the work: track the person, place the mouths, render, encode, sign. Frames that are not rewritten
keep every decoded sample. Which frames those are is left to `video_target`, the audio to `dub_audio`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.geometry import runs
from newscaster.prepare.video_track import VideoTrack, track_video
from newscaster.provenance import Statement
from newscaster.speech.captions import caption_cues
from newscaster.synthesis.articulation import AS_TRAINED
from newscaster.synthesis.cued_speech import open_cued_speech
from newscaster.synthesis.dub_audio import AudioPlan, like, write_dub_audio
from newscaster.synthesis.dub_options import DubOptions, DubResult, Extend, KeptFrames
from newscaster.synthesis.dub_tracks import open_dub_tracks
from newscaster.synthesis.frames import PlacedMouths, place_mouths, render_mouths
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.labelling import place_label
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion import MotionStream, frame_count
from newscaster.synthesis.motion_log import MotionLog
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.output_paths import OutputPaths, inputs_of
from newscaster.synthesis.overlays import Overlays
from newscaster.synthesis.signing import Signing, SpeechSource
from newscaster.synthesis.speak import SpeechRequest
from newscaster.synthesis.speech_found import warn_without_speech
from newscaster.synthesis.speech_input import Speech, is_script, open_speech
from newscaster.synthesis.video_target import VideoTarget
from newscaster.types import ArrayF64, ArrayI64, Progress
from newscaster.watermark import Watermark

_MIN_LOOP_SECONDS = 1.0
_BLOCK_FRAMES = 64


def dub_to_file(
    anchor: LoadedAnchor,
    video: str | Path,
    request: SpeechRequest,
    out: str | Path,
    *,
    options: DubOptions | None = None,
    outputs: Outputs | None = None,
    signing: SigningOptions | None = None,
    style: Style | None = None,
    progress: Progress | None = None,
) -> DubResult:
    """Rewrite the lips of a video. See :meth:`newscaster.Anchor.dub`."""
    started = time.perf_counter()
    video, options = Path(video), options or DubOptions()
    outputs, signing, style = outputs or Outputs(), signing or SigningOptions(), style or Style()
    if options.script is not None and not (request.speech is None and request.text is None):
        raise InputError("captions and another speech are given; expected one of them")
    is_read = options.script is not None or request.text is not None or is_script(request.speech)
    paths = OutputPaths.of(out, outputs)
    voice = None if style.reading is None else style.reading.voice
    inputs = inputs_of(speech=request.speech, anchor=anchor.path, sign=signing.files, voice=voice)
    paths.check([(video, "the video"), (options.script, "the captions"), *inputs])
    if options.report is not None:
        media.check_output(options.report, suffixes=(".json",))
    if (paths.captions or outputs.subtitles) and not is_read:
        raise InputError(
            "captions need a text that is read aloud, but the speech is audio. Give the text or a .txt file "
            "instead of the audio, or omit captions and subtitles"
        )
    signer = Signing.begin(signing.files, timestamp=signing.timestamp)
    with ExitStack() as stack:
        stack.enter_context(media.exclusive_output(paths.video))
        speech = stack.enter_context(_open(request, video, options, style))
        if not speech.samples:
            raise SpeechError("the speech is empty")
        report = None if progress is None else lambda done, total: progress("track", done, total)
        track = track_video(
            video,
            person=None if options.face is not None else anchor_descriptor(anchor.target),
            name=anchor.info.name,
            face=options.face,
            cache=options.cache,
            progress=report,
        )
        tracked = time.perf_counter()
        dub = _Dub(
            anchor=anchor,
            track=track,
            speech=speech,
            options=options,
            outputs=outputs,
            style=style,
            paths=paths,
            uses_own_audio=options.script is None and request.speech is None and request.text is None,
        )
        result = dub.write(stack, signer, progress)
    notes = (*media.yuv_notes(video), *track.notes, *speech.notes, *result.warnings)
    made = DubResult(
        path=paths.video,
        frames=result.frames,
        fps=track.fps,
        rewritten_frames=result.rewritten,
        kept=result.kept,
        cuts=track.cuts,
        wall_seconds=time.perf_counter() - started,
        track_seconds=tracked - started,
        speech_seconds=result.speech_seconds,
        notes=notes,
        **signer.outcome(paths.video),
    )
    if options.report is not None:
        _write_report(options.report, made)
    return made


@contextmanager
def _open(request: SpeechRequest, video: Path, options: DubOptions, style: Style) -> Iterator[Speech]:
    """Open captions, the speech, or the video's own audio if neither is given."""
    if options.script is not None:
        with open_cued_speech(options.script, style.reading) as speech:
            yield speech
    elif request.speech is not None or request.text is not None:
        with open_speech(
            request.speech, text=request.text, rate=request.rate, reading=style.reading
        ) as speech:
            yield speech
    else:
        with _own_audio(video, options) as path, open_speech(path, reading=style.reading) as speech:
            yield speech


@contextmanager
def _own_audio(video: Path, options: DubOptions) -> Iterator[Path]:
    """Yield a file with the video's own audio, from the time at which the new mouth starts."""
    info = media.probe(video)
    if info.video is None or info.audio is None:
        yield video  # refused as speech, in the usual words
        return
    offset = info.audio.start_seconds - info.video.start_seconds
    if not options.is_part and abs(offset) < 0.5 / info.video.fps:
        yield video
        return
    end = info.video.end_seconds or info.audio.duration_seconds or 0.0
    start = options.start_seconds or 0.0
    stop = end if options.stop_seconds is None else min(options.stop_seconds, end)
    if stop <= start:
        raise InputError(
            f"the part to rewrite starts at {start:g} s, and '{video}' has {end:.2f} s; expected an earlier "
            "start"
        )
    with media.scratch_folder() as folder:
        path = folder / f"{video.stem}.wav"
        rate, channels = like(video)
        plan = AudioPlan(
            speech=None,
            own=video,
            seconds=stop - start,
            own_gain=1.0,
            own_from_seconds=start,
            rate=rate,
            channels=channels,
        )
        write_dub_audio(plan, path)
        yield path


def _write_report(path: Path, made: DubResult) -> None:
    with media.atomic_write(path) as temporary:
        temporary.write_text(json.dumps(made.to_json(), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class _Written:
    frames: int
    rewritten: int
    kept: tuple[KeptFrames, ...]
    speech_seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Dub:
    """A dubbed video on its way into its file."""

    anchor: LoadedAnchor
    track: VideoTrack
    speech: Speech
    options: DubOptions
    outputs: Outputs
    style: Style
    paths: OutputPaths
    uses_own_audio: bool
    """Whether the speech is the video's own audio."""

    def write(self, stack: ExitStack, signer: Signing, progress: Progress | None) -> _Written:
        """Write the file."""
        total = self._total_frames()
        target = VideoTarget.of(self.track, self.anchor.face, self.anchor.info.crop)
        if self.options.is_part:
            target = target.within(self._start_seconds, self._stop_seconds)
        if not (target.weights > 0).any():
            raise InputError(
                f"no frame of '{self.track.path}' can be rewritten: {_reasons(target)}. Give a part "
                "of the video, or a video, that shows the face from the front"
            )
        order = extended_order(target, total, self.options.extend)
        stream = self.anchor.motion_stream(
            articulation=self.style.articulation,
            look_ahead_ms=self.style.look_ahead_ms,
            fps=self.track.fps,
        )
        record = stack.enter_context(MotionLog(self.paths.motion))
        mouths = _recorded(self._mouths(target, stream, order, total), record)
        overlays = self._overlays(target)
        tracks = stack.enter_context(
            open_dub_tracks(
                self.track, self.paths.video, self.options, frames=total, own_audio=self.uses_own_audio
            )
        )
        audio = None if tracks.kept.has_main_audio else self._audio(stack, total)

        def finish(path: Path) -> None:
            self.speech.check_unchanged()
            if record.synthesised.count != total:
                raise MediaError(
                    f"the speech changed while it was dubbed: {total} frames were planned, and "
                    f"{record.synthesised.count} were made. Run this again when the file no longer changes"
                )
            sign = signer.finishing(self.paths.video, lambda: self._statement(record))
            if sign is not None:
                sign(path)

        with closing(render_mouths(self.anchor, mouths, target)) as frames:
            count = media.write_video(
                self.paths.video,
                _counted(_marked(frames, order, target, overlays), total, progress),
                fps=self.track.fps,
                audio=audio,
                metadata=tracks.tags(self.anchor.info, synthetic_voice=self.speech.synthetic),
                subtitles=self._subtitles,
                kept=tracks.kept,
                audio_tags=tracks.audio_tags(language=self._language, keeps_speaker=self._keeps_own_audio),
                codec=tracks.codec,
                crf=self.outputs.crf,
                finish=finish,
            )
        record.save(fps=self.track.fps)
        if self.paths.speech is not None:
            media.copy_as_wav(self.speech.audio_file, self.paths.speech)
        for path in self.paths.captions:
            media.write_captions(path, caption_cues(self.speech.sentences))
        shown = target.weights[order]
        return _Written(
            frames=count,
            rewritten=int((shown > 0).sum()),
            kept=kept_frames(target, order),
            speech_seconds=stream.speech_seconds,
            warnings=(
                *tracks.notes,
                *warn_without_speech(self.speech, stream, rests=self.style.articulation.rests),
            ),
        )

    @property
    def _start_seconds(self) -> float:
        return self.options.start_seconds or 0.0

    @property
    def _stop_seconds(self) -> float:
        stop = self.options.stop_seconds
        return self.track.seconds if stop is None else min(stop, self.track.seconds)

    def _total_frames(self) -> int:
        """Return the number of frames of the result."""
        if self._start_seconds >= self.track.seconds:
            raise InputError(
                f"the part to rewrite starts at {self._start_seconds:g} s, and '{self.track.path}' has "
                f"{self.track.seconds:.2f} s; expected an earlier start"
            )
        if self.options.is_part:
            return len(self.track)
        spoken = frame_count(self.speech.samples, self.speech.rate, self.track.fps)
        if spoken == 0:
            raise SpeechError("the speech is shorter than one frame. Give at least one sentence")
        by_fit = {
            "video": max(len(self.track), spoken),
            "speech": spoken,
            "shortest": min(len(self.track), spoken),
        }
        return by_fit[self.options.fit]

    def _mouths(
        self, target: VideoTarget, stream: MotionStream, order: ArrayI64, total: int
    ) -> Iterator[PlacedMouths]:
        """Yield the mouths of all frames: at rest before and after the speech."""
        first = round(self._start_seconds * self.track.fps)
        basis = self.anchor.face.basis
        rest = AS_TRAINED.shapes(np.zeros((1, basis.size)), basis)
        numbers = iter(order.tolist())
        done = 0

        def place(shapes: ArrayF64) -> Iterator[PlacedMouths]:
            nonlocal done
            some = shapes[: total - done]
            done += len(some)
            yield from place_mouths(some, target, numbers)

        def resting(until: int) -> Iterator[PlacedMouths]:
            while done < until:
                yield from place(np.repeat(rest, min(_BLOCK_FRAMES, until - done), axis=0))

        yield from resting(first)
        stream.expect_level(self.speech.loud)
        for block in self.speech.blocks():
            yield from place(stream.push(block))
        spoken = frame_count(self.speech.samples, self.speech.rate, self.track.fps)
        yield from place(stream.flush(total_frames=spoken))
        yield from resting(total)

    def _overlays(self, target: VideoTarget) -> Overlays:
        text = self.anchor.label_text(self.style)
        first = next(media.read_yuv_frames(self.track.path, fps=self.track.fps, stop_frame=1))
        return Overlays(
            label=None if text is None else place_label(text, target.landmarks, size=target.size),
            watermark=Watermark(self.anchor.origin.anchor_id, like=first) if self.style.watermark else None,
        )

    def _audio(self, stack: ExitStack, total: int) -> Path:
        """Return a file of the audio: the speech's own, unless it must be cut or mixed."""
        seconds = float(total / self.track.fps)
        mixes = self._keeps_own_audio
        if not mixes and self.speech.seconds <= seconds:
            return self.speech.audio_file
        has_own = mixes and media.probe(self.track.path, header_only=True).audio is not None
        rate, channels = like(self.track.path if has_own else self.speech.audio_file)
        gain = 0.0 if self.options.mix_db is None else 10 ** (self.options.mix_db / 20)
        path = stack.enter_context(media.scratch_folder()) / "audio.wav"
        plan = AudioPlan(
            speech=self.speech.audio_file,
            own=self.track.path if has_own else None,
            seconds=seconds,
            start_seconds=self._start_seconds,
            stop_seconds=self._stop_seconds if self.options.is_part else seconds,
            own_gain=gain,
            rate=rate,
            channels=channels,
        )
        write_dub_audio(plan, path)
        return path

    @property
    def _keeps_own_audio(self) -> bool:
        return self.options.mix_db is not None or self.options.is_part

    @property
    def _language(self) -> str | None:
        """The language of a text that is read aloud, three letters; None if unknown."""
        reading = self.style.reading
        if not self.speech.synthetic or reading is None:
            return None
        # "eng" is the default, which need not be true of a voice that the user brings.
        is_default = reading.language == "eng" and (reading.voice or reading.command)
        return None if is_default else reading.language

    @property
    def _subtitles(self) -> media.Subtitles | None:
        if not self.outputs.subtitles:
            return None
        reading = self.style.reading
        cues = caption_cues(self.speech.sentences)
        return media.Subtitles(cues=cues, language=reading.language if reading is not None else "eng")

    def _statement(self, record: MotionLog) -> Statement:
        return self.anchor.on_target(self.anchor.target).statement(
            self.paths.video.name,
            frames=record.synthesised,
            speech=SpeechSource.of(self.speech),
            style=self.style,
            fps=self.track.fps,
            source=(self.track.path.name, self.track.sha256),
        )


def extended_order(target: VideoTarget, total: int, extend: Extend) -> ArrayI64:
    """Return which frame of a video each frame of the result shows, (total,).

    Args:
        target: the video.
        total: frames of the result; those beyond the video are repeated ones.
        extend: see :class:`DubOptions`.
    """
    frames = np.arange(len(target), dtype=np.int64)
    if total <= len(frames):
        return frames[:total]
    if extend == "freeze":
        again = frames[-1:]
    elif extend == "loop":
        again = frames
    else:
        again = frames[_best_return(target) :]
    more = itertools.islice(itertools.cycle(again.tolist()), total - len(frames))
    return np.concatenate([frames, np.fromiter(more, np.int64)])


def _best_return(target: VideoTarget) -> int:
    """Return the frame of the last shot that follows best on the last frame of the video."""
    start, stop = target.track.shots[-1]
    present = target.track.present[start:stop]
    shortest = round(_MIN_LOOP_SECONDS * target.track.fps)
    candidates = np.flatnonzero(present[: max(0, stop - start - shortest)])
    if not present[-1] or not len(candidates):
        return start
    shot = np.arange(start, stop)
    landmarks = np.nan_to_num(target.track.landmarks[start:stop])
    similarity = FrameSimilarity.of(
        landmarks, target.poses[shot], target.face.head, fps=float(target.track.fps)
    )
    change = similarity.change(np.full(len(candidates), stop - start - 1), candidates)
    return start + int(candidates[int(np.argmin(change))])


def kept_frames(target: VideoTarget, order: ArrayI64) -> tuple[KeptFrames, ...]:
    """Return the runs of frames of a result that keep their mouth, and why."""
    reasons = target.reasons()[order]
    out = []
    for name in sorted(set(reasons.tolist()) - {""}):
        out += [KeptFrames(start=a, stop=b, reason=name) for a, b in runs(reasons == name)]
    return tuple(sorted(out, key=lambda kept: kept.start))


def _reasons(target: VideoTarget) -> str:
    return ", ".join(sorted(set(target.reasons().tolist()) - {""}))


def _recorded(placed: Iterable[PlacedMouths], record: MotionLog) -> Iterator[PlacedMouths]:
    for part in placed:
        record.add(part.points, part.shapes, part.indices, part.weights)
        yield part


def _marked(
    frames: Iterable[media.YuvFrame],
    order: ArrayI64,
    target: VideoTarget,
    overlays: Overlays,
) -> Iterator[media.YuvFrame]:
    """Mark the frames that are rewritten; the others stay as they are."""
    for index, frame in zip(order.tolist(), frames, strict=False):
        yield overlays.put_on(frame) if target.weights[index] > 0 else frame


def _counted(
    frames: Iterable[media.YuvFrame], total: int, progress: Progress | None
) -> Iterator[media.YuvFrame]:
    for count, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress("render", count, total)
