"""Where the anchors of a studio are: files on this machine, or objects that are fetched when used."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from newscaster.errors import InputError
from newscaster.formats.anchor import SUFFIX, AnchorFile
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.bundled_anchors import anchor_path, bundled_name
from newscaster.server.http_errors import NOT_FOUND, RefusedError, sentence
from newscaster.stores.cache import FileCache
from newscaster.stores.remote import is_url, local_path, objects_in, remote_identity
from newscaster.synthesis.consent_guard import ConsentGuard
from newscaster.texts import quoted

FRESH_SECONDS = 60.0
"""Time for which a copy of an object is used without asking the store whether it has changed."""


@dataclass(frozen=True)
class AnchorCopy:
    """An anchor's file, checked."""

    path: Path
    info: AnchorInfo
    permission: ConsentGuard


class AnchorSource:
    """One anchor. Safe to use from several threads.

    Args:
        place: a file, the name of a bundled anchor, or the URL of an object.
        cache: copies of objects.
        now: monotonic time in seconds.

    Raises:
        AnchorError: a file is missing or damaged.
        ConsentError: the consent to a file has expired or was withdrawn.
    """

    def __init__(self, place: str, cache: FileCache, *, now: Callable[[], float] = time.monotonic) -> None:
        self._place, self._cache, self._now = place, cache, now
        self._lock = threading.Lock()
        self._is_stored = is_url(place)
        self._checked = 0.0
        self.bundled = bundled_name(place)
        """Which bundled anchor it is; None: another one."""
        is_bundled = self.bundled is not None
        self.name = place if is_bundled else Path(place.rpartition("/")[2]).stem
        self.copy: AnchorCopy | None = None
        """The file, as last used; None: the object has not been fetched yet."""
        if not self._is_stored:
            self.copy = _checked(anchor_path(place if is_bundled else local_path(place)))

    def current(self, *, keep: Collection[Path] = ()) -> AnchorCopy:
        """Return the file; fetch the object if it is new or has changed. Blocks meanwhile.

        Args:
            keep: copies of other objects that are in use.

        Raises:
            AnchorError: the object is no anchor.
            ConsentError: the consent has expired or was withdrawn.
            OutputError: there is no room for the copy.
            RefusedError: the object no longer exists.
            StoreError: the store cannot be reached. Its copy is not used then: consent may be withdrawn.
        """
        with self._lock:
            if self.copy is None or (self._is_stored and not self._is_fresh()):
                try:
                    path = self._cache.fetched(self._place, keep=keep)
                except InputError as error:
                    raise RefusedError(sentence(error), status=NOT_FOUND) from error
                if self.copy is None or self.copy.path != path:
                    self.copy = _checked(path)
                self._checked = self._now()
            self.copy.permission.check()
            return self.copy

    def _is_fresh(self) -> bool:
        assert self.copy is not None
        return self._now() - self._checked < FRESH_SECONDS and self.copy.path.exists()


def _checked(path: Path) -> AnchorCopy:
    file = AnchorFile(path)
    file.info.check_consent()
    return AnchorCopy(path, file.info, ConsentGuard(file))


def sources(places: Iterable[str], cache: FileCache) -> dict[str, AnchorSource]:
    """Return the anchors by id, in order; the objects of a folder in the order of their names.

    Raises:
        AnchorError: a file is missing or damaged.
        ConsentError: the consent to a file has expired or was withdrawn.
        InputError: an object does not exist, or a folder has no anchor.
        MissingExtraError: the package of a store is not installed.
        StoreError: a store cannot be reached.
    """
    found: dict[str, AnchorSource] = {}
    for place in _single(places):
        source = AnchorSource(place, cache)
        found[_new_id(source.name, found)] = source
    return found


def _single(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        if not is_url(place):
            yield place
        elif place.endswith(SUFFIX):
            remote_identity(place)
            yield place
        else:
            objects = objects_in(place, suffix=SUFFIX)
            if not objects:
                raise InputError(f"there is no NAME{SUFFIX} in {quoted(place)}. Check the address")
            yield from objects


def _new_id(name: str, taken: Collection[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "anchor"
    number = 1
    while (anchor_id := plain if number == 1 else f"{plain}-{number}") in taken:
        number += 1
    return anchor_id
