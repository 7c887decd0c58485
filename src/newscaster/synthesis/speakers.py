"""Several people in one dubbed video, each with an anchor and a speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from newscaster.errors import InputError
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.dub import dub_to_file
from newscaster.synthesis.dub_options import DubOptions, DubResult
from newscaster.synthesis.dub_people import FromAnchor
from newscaster.synthesis.dub_roles import Role
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.speak import SpeechRequest
from newscaster.synthesis.speech_input import SpeechInput
from newscaster.types import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """A person in a video that is dubbed: who they are, and what they say.

    Without `speech`, `text` and `script`, the person is silent; see :attr:`DubOptions.others`.
    """

    anchor: Anchor
    speech: SpeechInput | None = None
    """As in :meth:`Anchor.speak`. It starts with the video, or with the part that is rewritten."""
    text: str | None = None
    """Text to read aloud, instead of `speech`."""
    script: str | Path | None = None
    """Captions, .srt or .vtt, instead of `speech`: each is spoken in its time."""
    rate: int = SAMPLE_RATE
    """Sampling rate of samples given as an array, in Hz."""
    face: int | None = None
    """Number of the face in the video; 0 is the leftmost. None: found by the anchor's person."""
    reading: Reading | None = None
    """How a text is read aloud: a voice for each person. None: as the style says."""


def dub(
    video: str | Path,
    speakers: Sequence[Speaker],
    out: str | Path,
    *,
    options: DubOptions | None = None,
    outputs: Outputs | None = None,
    signing: SigningOptions | None = None,
    style: Style | None = None,
    progress: Progress | None = None,
) -> DubResult:
    """Rewrite the lips of several people in a video. For one person, see :meth:`Anchor.dub`.

    The audio is the sum of the speeches, each from its own start. If the sum would be clipped, all of it is
    made quieter. Label and watermark appear once; the watermark names the anchor of the first speaker who has
    a speech. The manifest names all anchors whose mouths are rewritten.

    Args:
        video: any video of these people, at its own size and frame rate.
        speakers: the people. At least one has a speech.
        out: video to write.
        options: length, part, mix, silent people, cache and report; not `face` and `script`.
        outputs: as in :meth:`Anchor.dub`. Captions need exactly one speech. The motion file has the arrays of
            the second mouth as `landmarks_2` and so on.
        signing: as in :meth:`Anchor.dub`.
        style: as in :meth:`Anchor.dub`, for all people.
        progress: called with the phase, "track" or "render", the frames done and the total.

    Raises:
        ConsentError: the consent of one of the people has ended or was withdrawn; raised before any work.
        FootageError: the video does not show one of the people, or two of them are the same face.
        NewscasterError: as in :meth:`Anchor.dub`.
    """
    if not speakers:
        raise InputError("there are no speakers; expected one or more")
    if options is not None and (options.face is not None or options.script is not None):
        raise InputError("options has a face or a script; expected them in the speakers")
    roles = [_role(speaker, style or Style()) for speaker in speakers]
    if style is not None and style.reading is not None and not any(role.is_read_aloud for role in roles):
        raise InputError(
            "a voice or its speed is given, but no speaker has a text to read aloud. Give a text, or omit "
            "voice and speed"
        )
    return dub_to_file(
        roles, video, out, options=options, outputs=outputs, signing=signing, style=style, progress=progress
    )


def _role(speaker: Speaker, style: Style) -> Role:
    """Return the role of a speaker; the style's reading is for texts alone."""
    role = Role(
        source=FromAnchor(speaker.anchor.checked()),
        request=SpeechRequest(speech=speaker.speech, text=speaker.text, rate=speaker.rate),
        script=None if speaker.script is None else Path(speaker.script),
        face=speaker.face,
        reading=speaker.reading,
    )
    if role.reading is not None or not role.is_read_aloud:
        return role
    return replace(role, reading=style.reading)
