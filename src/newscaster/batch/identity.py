"""Content of inputs: whether a row must be done again depends on it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from newscaster.stores.remote import is_url, local_path, remote_identity
from newscaster.system.files import file_sha256


class Identities:
    """Identities of inputs: the hash of a file's content, what a store says of an object, or the text itself.

    A file or an object that many rows name, such as an anchor, is looked at once.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def is_local_file(self, value: str) -> bool:
        """Return whether a value is the path of an existing file or folder."""
        return self.identity(value).startswith(("file:", "folder:"))

    def identity(self, value: str) -> str:
        """Return a text that changes when the content does.

        Raises:
            InputError: there is no such object.
            StoreError: the store cannot be reached.
        """
        known = self._known.get(value)
        if known is None:
            known = remote_identity(value) if is_url(value) else _local_identity(value)
            if not known.startswith("text:"):
                self._known[value] = known
        return known


def _local_identity(value: str) -> str:
    path = local_path(value)
    try:
        if path.is_file():
            return f"file:{file_sha256(path)}"
        if path.is_dir():
            return f"folder:{_folder_hash(path)}"
    except (OSError, ValueError):  # unreadable, or no file name at all
        pass
    return f"text:{value}"


def _folder_hash(folder: Path) -> str:
    """Return a hash of names, sizes and times of the files in a folder."""
    digest = hashlib.sha256()
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            info = path.stat()
            digest.update(f"{path.relative_to(folder)}\0{info.st_size}\0{info.st_mtime_ns}\0".encode())
    return digest.hexdigest()
