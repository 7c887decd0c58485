"""The report on a dubbed video: as JSON, or as a self-contained page with frames before and after."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path

from newscaster import media
from newscaster.prepare.thumbnails import data_uri
from newscaster.reports.page import PAGE_SUFFIXES, need_jinja, rendered_page, write_page
from newscaster.synthesis.dub_options import DubResult, KeptFrames
from newscaster.synthesis.faces_found import FaceImage
from newscaster.synthesis.frame_strip import FramePair, FrameStrip


@dataclass(frozen=True)
class _Shown:
    """A frame of the page."""

    seconds: float
    state: str
    original: str
    """Data URI, as `result`."""
    result: str


def is_page(report: Path | None) -> bool:
    """Return whether the report is a page rather than JSON."""
    return report is not None and report.suffix.lower() in PAGE_SUFFIXES


def check_report(report: Path | None) -> None:
    """Raise MissingExtraError if a page is asked for and cannot be rendered."""
    if is_page(report):
        need_jinja()


def write_report(path: Path, result: DubResult, strip: FrameStrip | None, *, video: Path) -> None:
    """Write the report on a finished video.

    Args:
        path: .html or .json.
        result: what was made.
        strip: frames of it, for a page.
        video: the video whose lips were rewritten.

    Raises:
        OutputError: the file cannot be written.
    """
    if not is_page(path):
        values = {**result.to_json(), **_beside(path, path=result.path, sidecar=result.sidecar)}
        with media.atomic_write(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        return
    pairs = [] if strip is None else strip.pairs()
    shown = [_shown(pair, result.kept, result.fps) for pair in pairs]
    write_page(
        path,
        lambda: rendered_page(_template("dub.html"), result=result, shown=shown, video=video.name),
    )


def _beside(report: Path, **files: Path | None) -> dict[str, str | None]:
    """Return paths as seen from the report, so that all can be moved together."""
    folder = report.absolute().parent
    return {name: None if file is None else _relative(file, folder) for name, file in files.items()}


def _relative(file: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(file.absolute(), folder)).as_posix()
    except ValueError:  # another drive of Windows
        return str(file)


def write_people_page(path: Path, message: str, images: Sequence[FaceImage]) -> None:
    """Write the page about a video that shows other people than the anchor's.

    Raises:
        OutputError: the file cannot be written.
    """
    faces = [(image.caption, data_uri(image.image)) for image in images]
    write_page(path, lambda: rendered_page(_template("dub_people.html"), message=message, faces=faces))


def _template(name: str) -> str:
    return resources.files("newscaster.synthesis").joinpath(name).read_text(encoding="utf-8")


def _shown(pair: FramePair, kept: Sequence[KeptFrames], fps: Fraction) -> _Shown:
    reasons = [run.reason for run in kept if run.start <= pair.number < run.stop]
    return _Shown(
        seconds=float(pair.number / fps),
        state=f"kept: {reasons[0]}" if reasons else "new mouth",
        original=data_uri(pair.original),
        result=data_uri(pair.result),
    )
