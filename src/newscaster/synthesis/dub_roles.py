"""Who says what in a dubbed video: the people, and their opened speeches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import InputError, SpeechError
from newscaster.speech.voices import Reading
from newscaster.synthesis.cued_speech import open_cued_speech
from newscaster.synthesis.dub_options import DubOptions
from newscaster.synthesis.dub_people import PersonSource
from newscaster.synthesis.own_audio import own_audio
from newscaster.synthesis.script_file import is_script
from newscaster.synthesis.speak import SpeechRequest
from newscaster.synthesis.speech_input import Speech, measure_speech, open_speech
from newscaster.synthesis.speech_mix import mix_speeches


@dataclass(frozen=True, kw_only=True, eq=False)
class Role:
    """One person in a dubbed video."""

    source: PersonSource
    request: SpeechRequest
    script: Path | None = None
    """Captions in place of a speech."""
    face: int | None = None
    """Number of the face in the video; None: as the source of the person finds it."""
    reading: Reading | None = None
    """How a text is read aloud; None: by the default voice."""

    @property
    def has_speech(self) -> bool:
        """Whether the person has a speech of their own."""
        request = self.request
        given = (self.script, request.speech, request.text, request.opened)
        return any(speech is not None for speech in given)

    @property
    def is_read_aloud(self) -> bool:
        """Whether a voice reads a text aloud."""
        return self.script is not None or self.request.text is not None or is_script(self.request.speech)

    def check(self) -> None:
        """Raise InputError if there are two speeches."""
        if self.script is not None and not (self.request.speech is None and self.request.text is None):
            raise InputError("captions and another speech are given; expected one of them")


@dataclass(frozen=True, kw_only=True, eq=False)
class Speeches:
    """The opened speeches of a dub."""

    by_role: tuple[Speech | None, ...]
    """In the order of the roles; None: the person is silent."""
    audible: Speech
    """The one speech, or the sum of all."""
    is_own_audio: bool
    """Whether the speech is the video's own audio."""
    notes: tuple[str, ...]

    @property
    def spoken(self) -> list[Speech]:
        """The speeches without the silent people."""
        return [speech for speech in self.by_role if speech is not None]

    def check_unchanged(self) -> None:
        """Check that no file has changed since it was opened.

        Raises:
            MediaError: one has changed or is missing.
        """
        for speech in self.spoken:
            speech.check_unchanged()


@contextmanager
def open_speeches(roles: Sequence[Role], video: Path, options: DubOptions) -> Iterator[Speeches]:
    """Open the speeches of all roles. One role without a speech follows the video's own audio.

    Raises:
        InputError: none of several people has a speech.
        NewscasterError: as `open_speech`.
    """
    is_own = len(roles) == 1 and not roles[0].has_speech
    if not is_own and not any(role.has_speech for role in roles):
        raise InputError(
            f"none of {len(roles)} people has a speech; expected one for at least one of them: audio, a text "
            "or captions"
        )
    with ExitStack() as stack:
        if is_own:
            path = stack.enter_context(own_audio(video, options))
            by_role: list[Speech | None] = [stack.enter_context(open_speech(path, reading=roles[0].reading))]
        else:
            by_role = [
                stack.enter_context(_open(role, options)) if role.has_speech else None for role in roles
            ]
        spoken = [speech for speech in by_role if speech is not None]
        if not all(speech.samples for speech in spoken):
            raise SpeechError("the speech is empty")
        notes = [note for speech in spoken for note in speech.notes]
        audible = spoken[0]
        if len(spoken) > 1:
            audible = _mixed(spoken, stack, notes)
        yield Speeches(
            by_role=tuple(by_role), audible=audible, is_own_audio=is_own, notes=tuple(dict.fromkeys(notes))
        )


@contextmanager
def _open(role: Role, options: DubOptions) -> Iterator[Speech]:
    if role.script is not None:
        start, stop = options.start_seconds or 0.0, options.stop_seconds
        with open_cued_speech(role.script, role.reading, start_seconds=start, stop_seconds=stop) as speech:
            yield speech
        return
    request = role.request
    if request.opened is not None:
        yield request.opened
        return
    with open_speech(request.speech, text=request.text, rate=request.rate, reading=role.reading) as speech:
        yield speech


def _mixed(speeches: Sequence[Speech], stack: ExitStack, notes: list[str]) -> Speech:
    """Return the sum of several speeches; append to ``notes`` if it is quieter than they are."""
    path = stack.enter_context(media.scratch_folder()) / "speeches.wav"
    gain = mix_speeches([speech.audio_file for speech in speeches], path)
    if gain < 1:
        decibels = -20 * np.log10(gain)
        notes.append(f"the speeches are {decibels:.1f} dB quieter, so that their sum is not clipped")
    return measure_speech(path, name="the sum of the speeches")
