"""Whether something may be made with an anchor: its consent, as the file has it now.

An anchor may be open for months; its consent can end, or be withdrawn, meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from newscaster.errors import AnchorError
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.anchor_info import AnchorInfo


class ConsentGuard:
    """The consent to one anchor, asked for whenever something is made.

    Args:
        file: the anchor's file.
    """

    def __init__(self, file: AnchorFile) -> None:
        self._path = file.path
        self._identity = file.identity
        self._info: AnchorInfo = file.info
        self._stamp = _stamp(file.path)

    def check(self) -> None:
        """Make sure that something may be made now.

        Raises:
            ConsentError: the person's consent has ended, or was withdrawn.
        """
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        self._info.check_consent()

    def _read_again(self) -> None:
        """What the file says now; a file that is gone, or another anchor's, says nothing of this one."""
        try:
            file = AnchorFile(self._path)
        except AnchorError:
            return
        if file.identity == self._identity:
            self._info = file.info


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
