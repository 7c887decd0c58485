"""The current consent to an anchor, read again from its file before each use.

An anchor may be open for months; its consent can end or be withdrawn meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from newscaster.errors import AnchorError
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.anchor_info import AnchorInfo


class ConsentGuard:
    """The consent to one anchor, checked before each synthesis.

    Args:
        file: the anchor's file.
    """

    def __init__(self, file: AnchorFile) -> None:
        self._path = file.path
        self._identity = file.identity
        self._info: AnchorInfo = file.info
        self._stamp = _stamp(file.path)

    def check(self) -> None:
        """Check that synthesis is allowed now.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn.
        """
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._reload()
        self._info.check_consent()

    def _reload(self) -> None:
        """Read the header again. Ignore a file that is missing or holds another anchor."""
        try:
            file = AnchorFile(self._path)
        except AnchorError:
            return
        if file.identity == self._identity:
            self._info = file.info


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return values that change when a file is replaced; None if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
