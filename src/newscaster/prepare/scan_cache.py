"""The measured scan of a video in the cache of its tracks, so that a second dub does not measure it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from newscaster.media import MeasuredScan, Scan, measured_scan, remember_scan
from newscaster.system.files import atomic_write
from newscaster.system.folders import make_cache_folder

_VERSION = 1
"""Changes with the measurement."""
_MAX_BYTES = 1 << 20


def use_cached_scan(cache: Path, path: Path, sha256: str) -> None:
    """Read the scan of a video from the cache, or measure and store it: `measured_scan` returns it at once.

    Args:
        cache: folder of the tracks.
        path: the video.
        sha256: hash of the video.

    Raises:
        MediaError: the video breaks off.
        OutputError: the cache cannot be written.
    """
    file = cache / f"{sha256[:32]}.scan"
    scan = _read(file)
    if scan is not None:
        remember_scan(path, scan)
        return
    scan = measured_scan(path)
    stored = {"version": _VERSION, "marked": scan.marked, "unmarked": scan.unmarked, "runs": scan.runs}
    make_cache_folder(cache)
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(stored), encoding="utf-8")


def _read(file: Path) -> MeasuredScan | None:
    """Return a stored scan; None if there is none, or if it is damaged."""
    try:
        with file.open("rb") as opened:
            stored = json.loads(opened.read(_MAX_BYTES))
        if stored["version"] != _VERSION:
            return None
        runs = tuple((float(start), _scan(scan)) for start, scan in stored["runs"])
        marked, unmarked = (
            None if stored[name] is None else _scan(stored[name]) for name in ("marked", "unmarked")
        )
        return MeasuredScan(marked, unmarked, runs)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _scan(value: object) -> Scan:
    for scan in get_args(Scan):
        if value == scan:
            return scan  # type: ignore[no-any-return]
    raise ValueError(f"{value!r} is no scan")
