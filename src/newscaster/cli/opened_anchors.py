"""Opening anchors. A worker process of a batch keeps those that it has opened for further rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newscaster.synthesis.anchor import Anchor

_KEPT = 4
_keeping = False


@contextmanager
def keeping_anchors() -> Iterator[None]:
    """Have :func:`open_anchor` keep what it opens during the block, for this block and later ones."""
    global _keeping
    before, _keeping = _keeping, True
    try:
        yield
    finally:
        _keeping = before


def open_anchor(anchor: str, *, workers: int | None, backend: str | None) -> Anchor:
    """Open an anchor; or return one that was kept, if its file is unchanged.

    Raises:
        AnchorError: see :func:`newscaster.open`.
        InputError: see :func:`newscaster.open`.
    """
    import newscaster
    from newscaster.formats.bundled_anchors import anchor_path

    path = anchor_path(anchor)
    if not _keeping or not path.is_file():
        return newscaster.open(anchor, workers=workers, backend=backend)
    info = path.stat()
    identity = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    return _kept(anchor, path, identity, workers, backend)


@lru_cache(maxsize=_KEPT)
def _kept(
    anchor: str, path: Path, identity: tuple[int, ...], workers: int | None, backend: str | None
) -> Anchor:
    import newscaster

    return newscaster.open(anchor, workers=workers, backend=backend)
