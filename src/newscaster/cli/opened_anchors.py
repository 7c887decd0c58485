"""Anchors that this process has opened: a worker process of a batch uses one for many rows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newscaster.synthesis.anchor import Anchor

_KEPT = 4


def open_anchor(anchor: str, *, workers: int | None, backend: str | None) -> Anchor:
    """Open an anchor, or return it if this process has opened the unchanged file before.

    Raises:
        AnchorError: see :func:`newscaster.open`.
        InputError: see :func:`newscaster.open`.
    """
    from newscaster.formats.anchor import anchor_path

    path = anchor_path(anchor)
    try:
        info = path.stat()
    except OSError:
        return _opened(anchor, path, (), workers, backend)
    identity = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    return _opened(anchor, path, identity, workers, backend)


@lru_cache(maxsize=_KEPT)
def _opened(
    anchor: str, path: Path, identity: tuple[int, ...], workers: int | None, backend: str | None
) -> Anchor:
    import newscaster

    return newscaster.open(anchor, workers=workers, backend=backend)
