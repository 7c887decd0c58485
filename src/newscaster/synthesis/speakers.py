"""The people in a dubbed video, each with a speech, and with an anchor or without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from newscaster.consent import Consent, valid_consent
from newscaster.errors import InputError
from newscaster.formats.anchor_info import check_labels
from newscaster.inference import backend_named
from newscaster.prepare.clips import need_video
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.dub import dub_to_file
from newscaster.synthesis.dub_options import DubOptions, DubResult
from newscaster.synthesis.dub_people import FromAnchor, FromVideo, PersonSource
from newscaster.synthesis.dub_roles import Role
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.synthesis.speak import SpeechRequest
from newscaster.synthesis.speech_input import SpeechInput
from newscaster.texts import shown
from newscaster.types import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class Speaker:
    """A person in a video that is dubbed: who they are, and what they say.

    Without an anchor, the person is known from the video alone, and `consent` is needed. Without `speech`,
    `text` and `script`, the person is silent; see :attr:`DubOptions.others`.
    """

    anchor: Anchor | None = None
    consent: str | Consent | None = None
    """Without an anchor: who agreed to the rewriting of their lips, when, for what and until when. See
    :meth:`newscaster.Consent.of` for texts that are records."""
    name: str | None = None
    """Without an anchor: name of the person. None: the name of the video without its suffix."""
    speech: SpeechInput | None = None
    """As in :meth:`Anchor.speak`. It starts with the video, or with the part that is rewritten."""
    text: str | None = None
    """Text to read aloud, instead of `speech`."""
    script: str | Path | None = None
    """Captions, .srt or .vtt, instead of `speech`: each is spoken in its time."""
    rate: int = SAMPLE_RATE
    """Sampling rate of samples given as an array, in Hz."""
    face: int | None = None
    """Number of the face in the video; 0 is the leftmost. None: found by the anchor's person; without an
    anchor, the person who is visible and speaks most."""
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
    workers: int | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
) -> DubResult:
    """Rewrite the lips of people in a video, with anchors of them or without. See also :meth:`Anchor.dub`.

    Without an anchor, nothing is trained: mouths are copied from other frames of the video, and move as the
    base motion network of the package predicts. What the video never shows, such as wide open mouths, is made
    by stretching what it shows.

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
        workers: threads for rendering people without an anchor; by default one per core, up to 8.
        backend: inference backend for them, see :func:`newscaster.open`.
        progress: called with the phase, "track" or "render", the frames done and the total.

    Raises:
        ConsentError: the consent of one of the people has ended or was withdrawn; raised before any work.
        FootageError: the video does not show one of the people, or two of them are the same face; or it shows
            less than a second of the free mouth of someone without an anchor.
        InputError: someone without an anchor has no consent, or one that is not valid today.
        NewscasterError: as in :meth:`Anchor.dub`.
    """
    if not speakers:
        raise InputError("there are no speakers; expected one or more")
    if options is not None and (options.face is not None or options.script is not None):
        raise InputError("options has a face or a script; expected them in the speakers")
    need_video(Path(video))  # a folder has no name to take
    sources = [
        _source(speaker, Path(video), several=len(speakers) > 1, workers=workers, backend=backend)
        for speaker in speakers
    ]
    roles = [
        _role(speaker, source, style or Style()) for speaker, source in zip(speakers, sources, strict=True)
    ]
    if style is not None and style.reading is not None and not any(role.is_read_aloud for role in roles):
        raise InputError(
            "a voice or its speed is given, but no speaker has a text to read aloud. Give a text, or omit "
            "voice and speed"
        )
    return dub_to_file(
        roles, video, out, options=options, outputs=outputs, signing=signing, style=style, progress=progress
    )


def _source(
    speaker: Speaker, video: Path, *, several: bool, workers: int | None, backend: str | None
) -> PersonSource:
    """Return where a speaker's face comes from, with the consent checked."""
    if speaker.anchor is not None:
        if speaker.consent is not None or speaker.name is not None:
            raise InputError(
                f"a speaker has the anchor '{speaker.anchor.name}' and also a name or consent. Omit them: "
                "the anchor has its own"
            )
        return FromAnchor(speaker.anchor.checked())
    if speaker.consent is None:
        raise InputError(
            "a speaker has neither an anchor nor consent; expected one of them. Without an anchor, say who "
            "agreed, and to which use: consent='Ada Byron, 2026-11-02: dubbed interviews on our site'"
        )
    name = speaker.name
    if name is None:
        name = shown(video.stem)
        if several and speaker.face is not None:
            name = f"{name}, face {speaker.face}"
    check_labels(name, ())
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; expected 1 or more, or None for one per core")
    return FromVideo(
        name=name,
        consent=valid_consent(speaker.consent),
        workers=workers,
        backend=backend_named(backend),
    )


def _role(speaker: Speaker, source: PersonSource, style: Style) -> Role:
    """Return the role of a speaker; the style's reading is for texts alone."""
    role = Role(
        source=source,
        request=SpeechRequest(speech=speaker.speech, text=speaker.text, rate=speaker.rate),
        script=None if speaker.script is None else Path(speaker.script),
        face=speaker.face,
        reading=speaker.reading,
    )
    if role.reading is not None or not role.is_read_aloud:
        return role
    return replace(role, reading=style.reading)
