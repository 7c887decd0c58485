"""The anchors that the package brings: their names, and the files behind them."""

from __future__ import annotations

from pathlib import Path

from newscaster.errors import AnchorError

BUNDLED = "builtin"
"""Name of the default bundled anchor, accepted in place of an anchor's file."""

BUNDLED_ANCHORS = {"grid-s4": "grid-s4.anchor", "grid-s1": "grid-s1.anchor"}
"""Names of all bundled anchors, accepted likewise, and their files. The first one is the default."""


def bundled_anchor() -> Path:
    """Return the file of the default bundled anchor.

    Raises:
        AnchorError: this installation lacks it.
    """
    return _bundled_file(next(iter(BUNDLED_ANCHORS)))


def is_bundled(path: Path) -> bool:
    """Return whether a file is a bundled anchor."""
    try:
        if path.resolve() == bundled_anchor().resolve():
            return True
    except AnchorError:
        pass
    return path.resolve() in [_data_file(name).resolve() for name in BUNDLED_ANCHORS]


def bundled_name(anchor: object) -> str | None:
    """Return which of :data:`BUNDLED_ANCHORS` is named; None: it is a file, which ./grid-s1 is, too."""
    if anchor == BUNDLED:
        return next(iter(BUNDLED_ANCHORS))
    return anchor if isinstance(anchor, str) and anchor in BUNDLED_ANCHORS else None


def anchor_path(anchor: str | Path) -> Path:
    """Return the file of an anchor, which may be the name of a bundled one.

    Raises:
        AnchorError: this installation lacks the bundled anchor.
    """
    name = bundled_name(anchor)
    if name is None:
        return Path(anchor)
    return bundled_anchor() if name == next(iter(BUNDLED_ANCHORS)) else _bundled_file(name)


def _data_file(name: str) -> Path:
    return Path(__file__).parents[1] / "data" / BUNDLED_ANCHORS[name]


def _bundled_file(name: str) -> Path:
    path = _data_file(name)
    if not path.is_file():
        raise AnchorError(
            f"this installation of newscaster lacks the bundled anchor ('{path}'). Install newscaster "
            "again, or give your own anchor, NAME.anchor"
        )
    return path
