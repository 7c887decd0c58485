"""A preview of a dub: a few seconds of the video with the speech that falls into them.

::

    video    |-----------|=========|--------------|      =: the window that is cut out and dubbed
    speech          |~~~~|~~~~~~~~~|~~~|                 ~: starts where the part to rewrite starts

The window is cut as a file of its own, so that its cost does not depend on the length of the video.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import FootageError, InputError, NewscasterError, SpeechError
from newscaster.prepare.clips import Footage, read_footage
from newscaster.prepare.people import Person
from newscaster.prepare.persons import choose_known
from newscaster.prepare.work import people_in
from newscaster.speech.cued_script import parse_cues
from newscaster.synthesis.cued_speech import open_cued_speech
from newscaster.synthesis.dub import dub_to_file
from newscaster.synthesis.dub_audio import AudioPlan, write_dub_audio
from newscaster.synthesis.dub_loudness import speech_gain
from newscaster.synthesis.dub_options import DubOptions, DubResult, SpeechGain, check_part_start
from newscaster.synthesis.dub_people import FromAnchor
from newscaster.synthesis.dub_roles import Role
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.script_file import is_script, read_script
from newscaster.synthesis.speak import SpeechRequest
from newscaster.synthesis.speech_input import Speech, measure_speech, open_speech
from newscaster.synthesis.video_faces import choose_face
from newscaster.types import AudioF32, Progress

SECONDS = 3.0
"""Length of a preview."""
_CRF = 10
"""Quality of the cut video and of the original beside it."""
_RATE = 48_000
_MAX_CHARACTERS_PER_SECOND = 80
"""No voice reads faster: more of a long text is not needed for a preview."""
_MORE_CHARACTERS = 400
"""Of a text, which may have signs and addresses that are not read."""
_LEAD_SECONDS = 0.2
"""Before the first caption, if a preview starts with it."""


@dataclass(frozen=True, kw_only=True)
class PreviewPlan:
    """Which part of a video is dubbed as a preview."""

    first: int
    """Its first frame."""
    stop: int
    """One past its last frame."""
    fps: Fraction
    speech_seconds: float
    """Time in the speech that is spoken when the window starts; below 0: the speech starts later."""

    @property
    def start_seconds(self) -> float:
        return float(self.first / self.fps)

    @property
    def stop_seconds(self) -> float:
        return float(self.stop / self.fps)


def preview_to_file(
    anchor: LoadedAnchor,
    video: Path,
    request: SpeechRequest,
    out: Path,
    *,
    original: Path,
    at_seconds: float | None = None,
    options: DubOptions | None = None,
    style: Style | None = None,
    signing: SigningOptions | None = None,
    progress: Progress | None = None,
) -> DubResult:
    """Dub a few seconds of a video, at most `SECONDS`.

    Args:
        anchor: the anchor.
        video: the whole video.
        request: the whole speech; neither speech nor text is the video's own audio.
        out: file of the dubbed window.
        original: file of the same window of the video as it is, which any browser plays.
        at_seconds: time in the middle of the window. None: the first time at which the person is seen in the
            part to rewrite.
        options: those of the whole dub; `cache` and `report` are not used.
        style: as in :meth:`newscaster.Anchor.dub`.
        signing: as in :meth:`newscaster.Anchor.dub`.
        progress: as in :meth:`newscaster.Anchor.dub`.

    Raises:
        InputError: the window lies outside the video or the part to rewrite.
        SpeechError: the speech is over before the window starts.
        NewscasterError: as in :meth:`newscaster.Anchor.dub`.
    """
    options, style = options or DubOptions(), style or Style()
    footage = read_footage(Path(video))
    person = anchor_descriptor(anchor.target)
    persons = people_in(footage) if at_seconds is None or options.face is not None else ()
    chosen = None
    if persons or at_seconds is None:
        chosen = choose_face(persons, options.face, person, footage.path, anchor.info.name)
    plan = plan_preview(footage, options, at_seconds, None if chosen is None else persons[chosen])
    with ExitStack() as stack:
        folder = stack.enter_context(media.scratch_folder())
        stack.enter_context(_without_folder(folder))
        cut = folder / f"{footage.path.stem} from {plan.start_seconds:.2f} s.mp4"
        own = _cut_video(footage, plan, cut)
        face = None
        if options.face is not None and chosen is not None:
            face = _face_in_cut(cut, persons[chosen], plan)
        speech = stack.enter_context(_open_window(request, options, style, plan, own, folder))
        gain: SpeechGain | None = None
        in_cut = _options_in_cut(options, plan, face)
        is_new = options.script is not None or request.speech is not None or request.text is not None
        if options.is_part and not in_cut.is_part and is_new and own is not None:
            speech, gain = _levelled(speech, own, folder)
        opened = SpeechRequest(speech=None, text=None, rate=request.rate, opened=speech)
        made = dub_to_file(
            [Role(source=FromAnchor(anchor), request=opened, face=face)],
            cut,
            out,
            options=in_cut,
            outputs=Outputs(),
            style=style,
            signing=signing,
            progress=progress,
        )
        with media.atomic_write(original) as temporary:
            temporary.write_bytes(cut.read_bytes())
    notes = tuple(note.replace(f"{folder}{os.sep}", "") for note in made.notes)
    return replace(made, notes=notes, speech_gain=gain or made.speech_gain)


@contextmanager
def _without_folder(folder: Path) -> Iterator[None]:
    """Raise errors without the scratch folder in their messages."""
    try:
        yield
    except NewscasterError as error:
        message = str(error)
        if str(folder) not in message:
            raise
        raise type(error)(message.replace(f"{folder}{os.sep}", "")) from error


def plan_preview(
    footage: Footage, options: DubOptions, at_seconds: float | None, person: Person | None
) -> PreviewPlan:
    """Return the window of a preview. See :func:`preview_to_file`."""
    fps, end = footage.fps, footage.end_seconds
    part_start = options.start_seconds or 0.0
    part_stop = end if options.stop_seconds is None else min(options.stop_seconds, end)
    check_part_start(part_start, footage.path, end)
    if at_seconds is not None:
        if not 0 <= at_seconds <= end:
            raise InputError(
                f"the preview is asked for at {at_seconds:g} s, and '{footage.path}' has {end:.2f} s; "
                f"expected 0 to {end:.2f}"
            )
        start = at_seconds - SECONDS / 2
    else:
        earliest = max(part_start, _first_caption_seconds(options.script, part_start))
        seen = () if person is None else person.seconds
        start = max(earliest, next((s for s in seen if earliest - 1 < s < part_stop), earliest))
    start = max(0.0, min(start, end - SECONDS))
    first = round(start * fps)
    stop = max(first + 1, min(first + round(SECONDS * fps), round(end * fps)))
    plan = PreviewPlan(first=first, stop=stop, fps=fps, speech_seconds=float(first / fps) - part_start)
    if plan.stop_seconds <= part_start or plan.start_seconds >= part_stop:
        raise InputError(
            f"the preview from {plan.start_seconds:.2f} to {plan.stop_seconds:.2f} s lies outside the part "
            f"to rewrite, {part_start:g} to {part_stop:g} s. Choose a time within it"
        )
    return plan


def _first_caption_seconds(script: Path | None, part_start: float) -> float:
    if script is None:
        return 0.0
    cues = parse_cues(read_script(script), name=str(script))
    first = next((cue for cue in cues if cue.start_ms >= round(1000 * part_start)), cues[-1])
    return max(0.0, first.start_ms / 1000 - _LEAD_SECONDS)


def _options_in_cut(options: DubOptions, plan: PreviewPlan, face: int | None) -> DubOptions:
    """Return the options of the whole dub on the clock of the cut video."""
    start, stop = options.start_seconds, options.stop_seconds
    if start is not None:
        start = start - plan.start_seconds if start > plan.start_seconds else None
    if stop is not None:
        stop = stop - plan.start_seconds if stop < plan.stop_seconds else None
    return replace(
        options, start_seconds=start, stop_seconds=stop, face=face, script=None, cache=None, report=None
    )


def _cut_video(footage: Footage, plan: PreviewPlan, path: Path) -> Path | None:
    """Write the window as a file that browsers play; return a file of its audio, if it has any."""
    own = None
    if footage.has_audio:
        samples = media.read_audio(
            footage.path, rate=_RATE, start_seconds=plan.start_seconds, stop_seconds=plan.stop_seconds
        )
        if len(samples):
            own = path.with_name("own.wav")
            media.write_wav(own, np.nan_to_num(samples), _RATE)
    frames = media.read_yuv_frames(
        footage.path, fps=plan.fps, start_frame=plan.first, stop_frame=plan.stop, plain=True
    )
    media.write_video(path, frames, fps=plan.fps, audio=own, crf=_CRF)
    return own


def _face_in_cut(cut: Path, person: Person, plan: PreviewPlan) -> int:
    """Return the number that a face of the whole video has within the window."""
    persons = people_in(read_footage(cut))
    is_known = person.descriptor is not None
    found = choose_known(persons, person.descriptor) if person.descriptor is not None else None
    if not is_known and persons:
        middle = np.median(person.boxes, axis=0)
        found = min(range(len(persons)), key=lambda i: persons[i].distance(middle))
    if found is None:
        raise FootageError(
            f"the selected face is not seen from {plan.start_seconds:.2f} to {plan.stop_seconds:.2f} s. "
            "Choose another time for the preview"
        )
    return found


@contextmanager
def _open_window(
    request: SpeechRequest,
    options: DubOptions,
    style: Style,
    plan: PreviewPlan,
    own: Path | None,
    folder: Path,
) -> Iterator[Speech]:
    """Open the speech that falls into the window."""
    start = max(0.0, plan.speech_seconds)
    stop = plan.speech_seconds + float((plan.stop - plan.first) / plan.fps)
    if options.script is not None:
        part_start = options.start_seconds or 0.0  # captions have the times of the video
        start, stop = start + part_start, stop + part_start
        first, last = _captions_around(options.script, start, stop)
        with open_cued_speech(
            options.script, style.reading, start_seconds=first, stop_seconds=last
        ) as speech:
            yield _cut_speech(speech, start - first, stop - first, folder)
    elif request.speech is None and request.text is None:
        if own is None:
            raise SpeechError(
                "the video has no audio that the lips could follow here. Give text, audio or captions"
            )
        first = max(0.0, -plan.speech_seconds)
        whole = measure_speech(own, name="the audio of the video in the preview")
        yield _cut_speech(whole, first, float((plan.stop - plan.first) / plan.fps), folder)
    else:
        text, speech_input = request.text, request.speech
        if is_script(speech_input):
            text, speech_input = read_script(Path(speech_input)), None
        if text is not None:
            text = _beginning(text, stop)
        with open_speech(speech_input, text=text, rate=request.rate, reading=style.reading) as speech:
            yield _cut_speech(speech, start, stop, folder)


def _levelled(speech: Speech, own: Path, folder: Path) -> tuple[Speech, SpeechGain]:
    """Return the speech of a window within a part, as loud as what it replaces there, and its gain.

    The cut video has no part of its own, in which the dub would do so.
    """
    plan = AudioPlan(speech=speech.audio_file, own=own, seconds=speech.seconds)
    measured = speech_gain(plan)
    gain = 10 ** (measured.decibels / 20)
    path = folder / "levelled.wav"
    write_dub_audio(replace(plan, own=None, speech_gain=gain), path)
    levelled = measure_speech(path, name="the speech in the preview")
    loud = min(1.0, gain * speech.loud)
    return replace(levelled, loud=loud, sentences=speech.sentences, notes=speech.notes), measured


def _beginning(text: str, seconds: float) -> str:
    """Return at least as much of a text as can be read in these seconds; words stay whole."""
    count = _MORE_CHARACTERS + round(seconds * _MAX_CHARACTERS_PER_SECOND)
    while count < len(text) and not text[count].isspace():
        count += 1
    return text[:count]


def _captions_around(path: Path, start: float, stop: float) -> tuple[float, float | None]:
    """Return start and end of the part whose captions are spoken in a window, all in seconds.

    The next caption belongs to it, as it ends the last one; None: there is none.
    """
    cues = parse_cues(read_script(path), name=str(path))
    spoken = [cue for cue in cues if cue.start_ms < 1000 * stop and cue.stop_ms > 1000 * (start - 1)]
    if not spoken:
        raise SpeechError(
            f"no caption is spoken from {start:.2f} to {stop:.2f} s. Choose another time for the preview"
        )
    following = next((cue.stop_ms / 1000 for cue in cues if cue.start_ms >= 1000 * stop), None)
    return min(start, spoken[0].start_ms / 1000), following


def _cut_speech(speech: Speech, start: float, stop: float, folder: Path) -> Speech:
    """Return the part of a speech from one time to another."""
    if start >= speech.seconds:
        raise SpeechError(
            f"the speech is over after {speech.seconds:.2f} s, before the preview starts. Choose an earlier "
            "time for the preview"
        )
    first, end = round(start * _RATE), round(stop * _RATE)
    parts: list[AudioF32] = []
    position = 0
    for block in media.read_audio_blocks(speech.audio_file, rate=_RATE, block_samples=_RATE):
        parts.append(block[max(0, first - position) : max(0, end - position)])
        position += len(block)
        if position >= end:
            break
    path = folder / "speech.wav"
    media.write_wav(path, np.concatenate(parts), _RATE)
    part = measure_speech(path, name="the speech in the preview")
    sentences = tuple(
        replace(
            sentence,
            start_seconds=max(0.0, sentence.start_seconds - start),
            stop_seconds=min(stop, sentence.stop_seconds) - start,
        )
        for sentence in speech.sentences
        if sentence.stop_seconds > start and sentence.start_seconds < stop
    )
    return replace(part, loud=speech.loud, sentences=sentences, notes=speech.notes)
