"""Dubbing: a given video with its lips rewritten to other speech.

The order of the work: check, open the speeches, track the people, write the video, report. Who says what is
left to `dub_roles`, the frames to `dub_video`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import FootageError, InputError, OutputError
from newscaster.prepare.clips import need_video
from newscaster.prepare.video_track import OtherPersonError, VideoTrack, track_people
from newscaster.synthesis.background import Background
from newscaster.synthesis.dub_options import DubOptions, DubResult, OwnAudioLag, check_part_start
from newscaster.synthesis.dub_people import FoundPerson
from newscaster.synthesis.dub_report import check_report, is_page, write_people_page, write_report
from newscaster.synthesis.dub_roles import Role, Speeches, open_speeches
from newscaster.synthesis.dub_video import DubbedVideo
from newscaster.synthesis.faces_found import face_images, write_faces
from newscaster.synthesis.labelling import check_label
from newscaster.synthesis.name_strap import check_strap
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.output_paths import OutputPaths, inputs_of
from newscaster.synthesis.own_audio import measure_own_lag
from newscaster.synthesis.signing import Signing
from newscaster.types import Progress


def dub_to_file(
    roles: Sequence[Role],
    video: str | Path,
    out: str | Path,
    *,
    options: DubOptions | None = None,
    outputs: Outputs | None = None,
    signing: SigningOptions | None = None,
    style: Style | None = None,
    progress: Progress | None = None,
) -> DubResult:
    """Rewrite the lips of people in a video. See :meth:`newscaster.Anchor.dub` and :func:`newscaster.dub`."""
    started = time.perf_counter()
    job = _Job(
        video=Path(video),
        options=options or DubOptions(),
        outputs=outputs or Outputs(),
        signing=signing or SigningOptions(),
        style=style or Style(),
        paths=OutputPaths.of(out, outputs or Outputs(), report=None if options is None else options.report),
    )
    job.check(roles)
    active, silent = _active(roles, job.options)
    signer = Signing.of_output(job.paths.video, job.signing.files, timestamp=job.signing.timestamp)
    with ExitStack() as stack:
        stack.enter_context(media.exclusive_output(job.paths.video))
        speeches = stack.enter_context(open_speeches(active, job.video, job.options))
        found = job.find(active, progress)
        tracks = [one.target.track for one in found]
        tracked = time.perf_counter()
        own_lag = job.own_lag(tracks[0], speeches)
        dubbed = DubbedVideo(
            roles=active,
            people=[one.person for one in found],
            targets=[one.target for one in found],
            is_plain=job.is_plain,
            speeches=speeches,
            options=job.options,
            outputs=job.outputs,
            style=job.style,
            paths=job.paths,
        )
        written = dubbed.write(stack, signer, progress)
        notes = (*job.notes(found), *silent, *speeches.notes, *written.warnings)
    result = DubResult(
        path=job.paths.video,
        frames=written.frames,
        fps=tracks[0].fps,
        rewritten_frames=written.rewritten,
        kept=written.kept,
        cuts=tracks[0].cuts,
        wall_seconds=time.perf_counter() - started,
        track_seconds=tracked - started,
        speech_seconds=sum(face.speech_seconds for face in written.faces),
        faces=written.faces,
        own_audio=own_lag,
        speech_gain=written.speech_gain,
        notes=tuple(dict.fromkeys(notes)),
        **signer.outcome(job.paths.video),
    )
    if job.paths.report is not None:
        write_report(job.paths.report, result, written.strip, video=job.video)
    return result


def _active(roles: Sequence[Role], options: DubOptions) -> tuple[list[Role], list[str]]:
    """Return the roles whose mouths are rewritten, those who speak first, and a note for each other one."""
    if len(roles) == 1:
        return list(roles), []
    speaking = [role for role in roles if role.has_speech]
    silent = [role for role in roles if not role.has_speech]
    if options.others == "rest" or not speaking:  # without any speech, this is an error of its own
        return [*speaking, *silent], []
    return speaking, [
        f"'{role.source.name}' has no speech and keeps their own mouth (others: keep)" for role in silent
    ]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Files and options of a dub."""

    video: Path
    options: DubOptions
    outputs: Outputs
    signing: SigningOptions
    style: Style
    paths: OutputPaths

    def check(self, roles: Sequence[Role]) -> None:
        """Check files and options before any work."""
        for role in roles:
            role.check()
        check_strap(self.style.title, self.style.subtitle)
        check_label(self.style.label)
        need_video(self.video)
        self._check_start()
        background = Background.of(self.style.background)
        inputs = [*self._inputs(roles), (None if background is None else background.path, "the background")]
        self.paths.check(inputs, background=background)
        self.paths.check_subtitles(self.outputs.subtitles)
        check_report(self.paths.report)
        if not (self.paths.captions or self.outputs.subtitles):
            return
        speaking = [role for role in roles if role.has_speech]
        if len(speaking) > 1:
            raise InputError(
                f"captions and subtitles are of one speech, and {len(speaking)} people speak. Omit them"
            )
        if not any(role.is_read_aloud for role in speaking):
            raise InputError(
                "captions need a text that is read aloud, but the speech is audio. Give the text or a .txt "
                "file instead of the audio, or omit captions and subtitles"
            )

    def _check_start(self) -> None:
        """Check the start of a part against the length of the video, if its header has one."""
        start = self.options.start_seconds
        if not start:
            return
        info = media.probe(self.video).video
        if info is not None and info.end_seconds is not None:
            check_part_start(start, self.video, info.end_seconds)

    @property
    def is_plain(self) -> bool:
        """Whether all frames become 8-bit 4:2:0: for a background, or for the codec."""
        container = media.containers.container_of(self.paths.video)
        assert container is not None  # the paths were checked
        return self.style.background is not None or not container.keeps_layout

    def _inputs(self, roles: Sequence[Role]) -> Iterator[tuple[object, str]]:
        yield self.video, "the video"
        for role in roles:
            voice = None if role.reading is None else role.reading.voice
            yield role.script, "the captions"
            yield from inputs_of(
                speech=role.request.speech,
                anchor=role.source.path,
                sign=self.signing.files,
                voice=voice,
            )

    def find(self, roles: Sequence[Role], progress: Progress | None) -> list[FoundPerson]:
        """Track the people of the roles, and make those who are known from the video alone.

        Raises:
            FootageError: one is not in the video, and an image of those who are is written; or the video
                shows too little of one.
        """
        tracks = self._track(roles, progress)
        return [
            role.source.found(track, plain=self.is_plain, cache=self.options.cache)
            for role, track in zip(roles, tracks, strict=True)
        ]

    def own_lag(self, track: VideoTrack, speeches: Speeches) -> OwnAudioLag | None:
        """Measure the lag of the video's own audio; None if another speech drives the mouth."""
        if not speeches.is_own_audio:
            return None
        start = self.options.start_seconds or 0.0
        return measure_own_lag(track, speeches.audible, start_seconds=start)

    def _track(self, roles: Sequence[Role], progress: Progress | None) -> tuple[VideoTrack, ...]:
        wanted = [role.source.wanted(role.face) for role in roles]
        report = None if progress is None else lambda done, total: progress("track", done, total)
        try:
            return track_people(self.video, wanted, cache=self.options.cache, progress=report)
        except OtherPersonError as error:
            role = next(role for role, person in zip(roles, wanted, strict=True) if person is error.wanted)
            raise FootageError(f"{error}. {self._write_faces(role, error)}") from error

    def _write_faces(self, role: Role, error: OtherPersonError) -> str:
        """Write an image of the people in the video beside the anchor's; return a sentence with its path."""
        images = [*role.source.images(), *face_images(error.path, error.persons)]
        try:
            if self.paths.report is not None and is_page(self.paths.report):
                write_people_page(self.paths.report, str(error), images)
                return f"The faces are shown in '{self.paths.report}'"
            return f"The faces are shown in '{write_faces(images, self.paths.video)}'"
        except OutputError as failure:
            return f"An image of the faces could not be written: {failure}"

    def notes(self, found: Sequence[FoundPerson]) -> Iterator[str]:
        """Yield what the conversion of frames and the tracking changed or skipped, and what is missing."""
        yield from media.yuv_notes(self.video, plain=self.is_plain)
        for one in found:
            yield from one.target.track.notes
        for one in found:
            yield from one.notes
