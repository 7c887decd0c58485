"""The anchors of a studio: named to clients by short ids, opened once, when they are first wanted."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from newscaster import media
from newscaster.errors import NewscasterError
from newscaster.formats.anchor import BUNDLED, TARGET, AnchorFile, anchor_path
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.server.http_errors import NOT_FOUND, RefusedError
from newscaster.speech.voices import Reading, voice_names, voice_of_a_man
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.consent_guard import ConsentGuard
from newscaster.synthesis.live_voice import SharedVoices
from newscaster.texts import quoted

_POSTER_QUALITY = 88


@dataclass
class _Entry:
    path: Path
    info: AnchorInfo
    permission: ConsentGuard
    lock: threading.Lock = field(default_factory=threading.Lock)
    anchor: Anchor | None = None
    poster: bytes | None = None


class Library:
    """Anchors by id. Safe to use from several threads.

    Args:
        anchors: files, or `builtin`; every one is checked.
        backend: see `newscaster.open`.

    Raises:
        AnchorError: one is missing or damaged.
        ConsentError: the consent to one has ended, or was withdrawn.
    """

    def __init__(self, anchors: Sequence[str], *, backend: str | None = None) -> None:
        self._backend = backend
        self.voices = SharedVoices()
        """Those of all anchors."""
        self._entries: dict[str, _Entry] = {}
        for given in anchors:
            path = anchor_path(given)
            known = self._new_id(BUNDLED if given == BUNDLED else path.stem)
            file = AnchorFile(path)
            file.info.check_consent()
            self._entries[known] = _Entry(path, file.info, ConsentGuard(file))

    def _new_id(self, name: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "anchor"
        number = 1
        while (known := plain if number == 1 else f"{plain}-{number}") in self._entries:
            number += 1
        return known

    @property
    def ids(self) -> tuple[str, ...]:
        """The anchors' ids; the first is the default."""
        return tuple(self._entries)

    def resolve(self, anchor: str | None) -> str:
        """The id of an anchor that something may be made with: the default's where none is given.

        Raises:
            RefusedError: there is no such anchor.
            ConsentError: its consent has ended, or was withdrawn since it was opened.
        """
        known = self.ids[0] if anchor is None else anchor
        self._entry(known).permission.check()
        return known

    def info(self, anchor: str) -> AnchorInfo:
        """What an anchor says of itself."""
        return self._entry(anchor).info

    def path(self, anchor: str) -> Path:
        """Its file."""
        return self._entry(anchor).path

    def open(self, anchor: str) -> Anchor:
        """The anchor, ready to speak; takes a second where it is the first time."""
        entry = self._entry(anchor)
        with entry.lock:
            if entry.anchor is None:
                entry.anchor = Anchor.open(entry.path, backend=self._backend)
                entry.anchor.use_voices(self.voices)
            return entry.anchor

    def poster(self, anchor: str) -> bytes:
        """JPEG of the stage's first frame."""
        entry = self._entry(anchor)
        with entry.lock:
            if entry.poster is None:
                target = media.TargetVideo(AnchorFile(entry.path).read(TARGET), name=TARGET)
                entry.poster = jpeg(target.image(0), quality=_POSTER_QUALITY)
            return entry.poster

    def _entry(self, anchor: str) -> _Entry:
        try:
            return self._entries[anchor]
        except KeyError:
            raise RefusedError(
                f"there is no anchor {quoted(anchor)}; this studio has {', '.join(self.ids)}",
                status=NOT_FOUND,
            ) from None


def jpeg(image: media.YuvFrame, *, quality: int = 80) -> bytes:
    """A picture as JPEG."""
    file = io.BytesIO()
    Image.fromarray(image.rgb()).save(file, "JPEG", quality=quality)
    return file.getvalue()


def voices() -> tuple[str, ...]:
    """The voices that are installed and can speak; the default first."""
    usable = []
    for name in voice_names():
        try:
            Reading(voice=name).load()
        except NewscasterError:
            continue
        usable.append(name)
    return tuple(usable)


def reading_for(anchor: str, *, voice: str | None, speed: float, known: Sequence[str]) -> Reading:
    """How a text is read for an anchor.

    Only names of voices are taken from clients: a `Reading` would also take files and programs.

    Raises:
        RefusedError: there is no such voice here.
        InputError: the speed is out of range.
    """
    if voice is None:
        voice = (voice_of_a_man() if anchor == BUNDLED else None) or (known[0] if known else None)
    elif voice not in known:
        here = ", ".join(known) or "none: install one with: pip install 'newscaster[tts]'"
        raise RefusedError(f"there is no voice {quoted(voice)} here; installed are {here}", status=NOT_FOUND)
    return Reading(voice=voice, speed=speed)
