"""Footage: which files there are, at what rate they are read, and into which clips they are cut.

Decodes no more than first frames. Leaves pictures and sound to ``tracking``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median_low

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError, MediaError
from newscaster.media import MeasuredScan, VideoInfo, probe, read_frames
from newscaster.media.containers import footage_suffixes, listed

MIN_SECONDS = 10.0
"""With less there is no learning a mouth: a person says some 100 phonemes in it."""
MAX_CLIP_SECONDS = 40.0
SEGMENT_SECONDS = 20.0
"""A file longer than the one is cut into clips of about the other: all cores work, and a kill loses
little."""
MIN_PART_SECONDS = 0.5
"""Shorter runs of frames between gaps are left out: no motion is learnt from so few."""
_MAX_NAME = 50
"""Characters of a file's name that its clips are called by: a folder's name has 255 bytes."""
_FILES_NAMED = 3
_GAPS_NAMED = 3
_SAME_RATE = Fraction(1, 100)
_NTSC = Fraction(30_000, 1001)
_NTSC_TOLERANCE = 0.015
"""Frames per second: closer to 29.97 than to 30."""


@dataclass(frozen=True)
class Footage:
    """One file of footage."""

    path: Path
    video: VideoInfo
    has_audio: bool
    size_bytes: int
    mtime_ns: int

    @property
    def seconds(self) -> float:
        """The time in which there are frames; 0 if it was not measured."""
        return self.video.duration_seconds or 0.0

    @property
    def end_seconds(self) -> float:
        """End of the last frame, counted from the first one, gaps included; 0 if it was not measured."""
        return self.video.end_seconds or 0.0

    @property
    def fps(self) -> Fraction:
        """Frames per second as recorded: gaps and dropped frames lower the stated rate, which is a mean."""
        stated, measured = self.video.fps, self.video.nominal_fps
        return stated if measured is None or abs(measured / stated - 1) < _SAME_RATE else measured

    def parts(self, fps: Fraction) -> list[tuple[int, int | None]]:
        """Runs of frames without a gap, at a rate: start and stop; a stop of None reads to the end.

        In a gap a reader repeats the frames at its ends. They are not footage.
        """
        gaps = self.video.gaps
        starts = [0.0, *(stop for _, stop in gaps)]
        stops = [*(start for start, _ in gaps), self.end_seconds]
        lengths = [stop - start for start, stop in zip(starts, stops, strict=True)]
        least = min(MIN_PART_SECONDS, max(lengths)) - 0.5 / float(fps)  # time stamps are rounded
        last = len(lengths) - 1
        return [
            (round(starts[i] * fps), None if i == last else round(stops[i] * fps))
            for i, length in enumerate(lengths)
            if length >= least
        ]


@dataclass(frozen=True)
class Segment:
    """A stretch of footage that becomes one clip."""

    name: str
    footage: Footage
    start_frame: int
    stop_frame: int | None
    """One past the last frame; None reads to the end of the file."""
    fps: Fraction

    @property
    def expected_frames(self) -> int:
        """About so many; for progress only."""
        end = round(self.footage.end_seconds * self.fps) if self.stop_frame is None else self.stop_frame
        return max(0, end - self.start_frame)

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The pictures (H, W, 3), uint8 RGB."""
        return read_frames(
            self.footage.path, fps=self.fps, start_frame=self.start_frame, stop_frame=self.stop_frame
        )


def segments_without_gaps(footage: Footage, fps: Fraction) -> list[Segment]:
    """All of a file that has frames: one segment for each run of them."""
    return [Segment(f"run {i}", footage, *part, fps) for i, part in enumerate(footage.parts(fps))]


def sampled_segments(
    footage: Footage, fps: Fraction, *, seconds: float, places: Sequence[float]
) -> list[Segment]:
    """Some of a file: `seconds` from each of these places, from 0 (its start) to 1 (its end).

    Places are those of the time with frames. What reaches into a gap is cut there, so it may be shorter.
    """
    runs = [
        (start, round(footage.end_seconds * fps) if stop is None else stop)
        for start, stop in footage.parts(fps)
    ]
    length = max(1, round(seconds * fps))
    total = sum(stop - start for start, stop in runs)
    segments: list[Segment] = []
    for place in places:
        left = round(place * max(0, total - length))
        for start, stop in runs:
            if left < stop - start:
                first = start + left
                end = min(first + length, stop)
                segments.append(Segment(f"part {len(segments)}", footage, first, end, fps))
                break
            left -= stop - start
    return segments


def find_footage(footage: Path | str | Iterable[Path | str]) -> tuple[list[Footage], list[str]]:
    """The video files among files and folders (searched with what is below them), in order, each once.

    Sound is not required.

    What is named must be a video. In a folder, files that cannot be read are left out; the second value
    returned says which and why.

    Raises:
        MediaError: a file that is named is missing or cannot be read.
        FootageError: it has no video, or there is no video at all.
    """
    named = need_footage(footage)
    found: dict[Path, Footage] = {}
    left_out: list[str] = []
    for path in named:
        if path.is_dir():
            for file in _videos_below(path):
                try:
                    found.setdefault(file.resolve(), read_footage(file))
                except (MediaError, FootageError) as error:
                    left_out.append(f"left out: {error}")
        else:
            found.setdefault(path.resolve(), read_footage(path))
    if not found:
        places = ", ".join(f"'{p}'" for p in named) or "what was given (nothing)"
        unread = f" ({len(left_out)} cannot be read)" if left_out else ""
        raise FootageError(
            f"there is no video in {places}{unread}. Give video files, or folders with files ending in "
            f"{listed(footage_suffixes())}"
        )
    return list(found.values()), left_out


def need_footage(footage: Path | str | Iterable[Path | str]) -> list[Path]:
    """The paths named; raises MediaError where one of them does not exist. Nothing is opened."""
    named = [footage] if isinstance(footage, str | Path) else footage
    paths = [Path(path) for path in named]
    for path in paths:
        if not path.exists():
            raise MediaError(
                f"no such file or folder: '{path}'. Give video files of one person talking, or folders with "
                f"such files"
            )
    return paths


def _videos_below(folder: Path) -> list[Path]:
    suffixes = footage_suffixes()
    files = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def read_footage(path: Path) -> Footage:
    """What one file holds.

    Raises:
        MediaError: it is missing or cannot be read.
        FootageError: it holds no video.
    """
    info = probe(path)
    if info.video is None:
        raise FootageError(f"'{path}' holds sound but no video. Give a video file of one person talking")
    stat = path.stat()
    return Footage(path.resolve(), info.video, info.audio is not None, stat.st_size, stat.st_mtime_ns)


def scan_notes(scans: Mapping[Path, MeasuredScan]) -> list[str]:
    """A line for each way in which files are scanned otherwise than they are marked."""
    lines: dict[str, list[str]] = {}
    for path, scan in scans.items():
        if scan.is_mixed:
            line = "interlaced in part, deinterlaced there"
        elif scan.unmarked in ("top first", "bottom first"):
            line = f"interlaced ({scan.unmarked[:-6]} field first) without being marked so, deinterlaced"
        elif scan.marked == "progressive":
            line = "marked as interlaced, but not interlaced, used as it is"
        else:
            continue
        lines.setdefault(line, []).append(f"'{path.name}'")
    return [
        f"{line}: {', '.join(names[:_FILES_NAMED])}"
        + (f" and {len(names) - _FILES_NAMED} more" if len(names) > _FILES_NAMED else "")
        for line, names in lines.items()
    ]


def gap_notes(footage: Iterable[Footage]) -> list[str]:
    """A line for each file of which some time has no frames."""
    notes = []
    for file in footage:
        gaps = file.video.gaps
        if not gaps:
            continue
        shown = ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in gaps[:_GAPS_NAMED])
        more = f" and {len(gaps) - _GAPS_NAMED} more" if len(gaps) > _GAPS_NAMED else ""
        seconds = sum(stop - start for start, stop in gaps)
        notes.append(f"'{file.path.name}' has no frames for {seconds:.1f} s, left out: {shown}{more}")
    return notes


def choose_fps(rates: Sequence[Fraction]) -> Fraction:
    """The frame rate to prepare footage of these rates at: 25, 30000/1001 or 30, whichever their median is
    kin to.

    Half the rate of 50 and 60 (and 100, 120) is taken: mouths are seen well enough at 25 to 30.
    """
    rate = median_low(rates)
    while rate > 35:
        rate /= 2
    if rate <= 26:
        return Fraction(25)
    return _NTSC if abs(float(rate - _NTSC)) < _NTSC_TOLERANCE else Fraction(30)


def cut(footage: Sequence[Footage], fps: Fraction, *, taken: Iterable[str] = ()) -> list[Segment]:
    """The clips of this footage, with names that are the same each time."""
    names = {name.casefold() for name in taken}
    segments = []
    for file in footage:
        plain = re.sub(r"[^\w.-]+", "_", file.path.stem[:_MAX_NAME]).strip("._") or "clip"
        name = _unique(plain, names)
        bounds = [piece for part in file.parts(fps) for piece in _pieces(part, file, fps)]
        for i, (start, stop) in enumerate(bounds):
            segments.append(Segment(name if len(bounds) == 1 else f"{name}-{i:04}", file, start, stop, fps))
    return segments


def _pieces(part: tuple[int, int | None], file: Footage, fps: Fraction) -> list[tuple[int, int | None]]:
    """A run of frames cut into pieces of about `SEGMENT_SECONDS`, if it is long."""
    start, stop = part
    frames = (round(file.end_seconds * fps) if stop is None else stop) - start
    count = round(frames / fps / SEGMENT_SECONDS) if frames > MAX_CLIP_SECONDS * fps else 1
    starts = [start + round(i * frames / count) for i in range(count)]
    return list(zip(starts, [*starts[1:], stop], strict=True))


def _unique(name: str, names: set[str]) -> str:
    candidate, number = name, 2
    while candidate.casefold() in names:
        candidate, number = f"{name}~{number}", number + 1
    names.add(candidate.casefold())
    return candidate
