"""Copies of objects on this machine: those that were used longest ago are removed first."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from newscaster.errors import OutputError
from newscaster.stores.remote import opened, remote_identity, store_errors
from newscaster.system.durable import PRIVATE_FOLDER, make_folder, rename_unless_there
from newscaster.system.files import listed_temporary
from newscaster.system.os_errors import why

_CACHE_BYTES = 8 << 30
_CACHE_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class FileCache:
    """Copies of objects in a folder, which several processes may share."""

    folder: Path
    """Created when it is needed."""
    max_bytes: int = _CACHE_BYTES
    """Size of all copies beyond which unused ones are removed."""
    unused_seconds: float = _CACHE_SECONDS
    """Time since its last use for which a copy is kept in any case."""
    next_step: str = "Free some space"
    """What to do if the folder cannot be written to."""

    def fetched(self, url: str, *, keep: Collection[Path] = ()) -> Path:
        """Return a copy of an object, or of a folder of objects.

        Args:
            url: its URL.
            keep: copies that are not removed for it.

        Raises:
            InputError: there is no such object.
            MissingExtraError: the package of the store is not installed.
            OutputError: there is no room for the copy.
            StoreError: the store cannot be reached, or failed.
        """
        identity = f"{url}\0{remote_identity(url)}"
        self._make_folder()
        folder = self.folder / hashlib.sha256(identity.encode()).hexdigest()[:32]
        target = folder / (url.rstrip("/").rpartition("/")[2] or "input")
        if not target.exists():
            with temporary_folder(self.folder) as temporary:
                with store_errors(url):
                    system, path = opened(url)
                    copy = temporary / target.name
                    system.get(path, str(copy), recursive=system.isdir(path))
                make_folder(folder, mode=PRIVATE_FOLDER)
                rename_unless_there(copy, target)
            self._remove_unused({folder, *(path.parent for path in keep)})
        os.utime(folder)
        return target

    def _make_folder(self) -> None:
        try:
            make_folder(self.folder, mode=PRIVATE_FOLDER)
        except OSError as error:
            raise OutputError(
                f"'{self.folder}' cannot be written to ({why(error)}). {self.next_step}"
            ) from error

    def _remove_unused(self, keep: Collection[Path]) -> None:
        """Remove the copies that were used longest ago until the rest takes at most `max_bytes`."""
        copies = []
        for folder in self.folder.iterdir():
            with suppress(OSError):
                size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                copies.append((folder.stat().st_mtime, size, folder))
        total = sum(size for _, size, _ in copies)
        for used, size, folder in sorted(copies):
            if total <= self.max_bytes or time.time() - used < self.unused_seconds:
                break
            if folder not in keep:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


def fetched(url: str) -> Path:
    """Return a copy that all processes of this user share; see :meth:`FileCache.fetched`.

    Copies that were not used for an hour are removed when they take more than 8 GB together.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir(), f"newscaster-inputs-{user}")
    return FileCache(folder=folder, max_bytes=_CACHE_BYTES, next_step="Set TMPDIR").fetched(url)


@contextmanager
def temporary_folder(parent: Path) -> Generator[Path]:
    """Return a context: a new folder, removed afterwards.

    Raises:
        OutputError: the parent cannot be written to.
    """
    try:
        make_folder(parent)
        folder = Path(tempfile.mkdtemp(prefix="newscaster-", dir=parent))
    except OSError as error:
        raise OutputError(f"'{parent}' cannot be written to ({why(error)}). Free some space") from error
    with listed_temporary(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
