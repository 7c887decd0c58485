"""Footage: the files, the frame rate at which they are read, and the clips into which they are cut.

Decodes at most the first frames. ``tracking`` reads frames and audio.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median_low

from newscaster.errors import FootageError, MediaError
from newscaster.media import MeasuredScan, VideoInfo, probe, read_frames
from newscaster.media.containers import footage_suffixes, listed
from newscaster.types import ImageU8

MIN_SECONDS = 10.0
"""Minimum length of footage: a person says about 100 phonemes in it."""
MAX_CLIP_SECONDS = 40.0
"""Longer files are cut into clips."""
SEGMENT_SECONDS = 20.0
"""Approximate length of those clips: all cores get work, and little is lost if the process is killed."""
MIN_PART_SECONDS = 0.5
"""Shorter runs of frames between gaps are skipped: they are too short to learn motion from."""
_MAX_NAME = 50
"""Characters of the file name in the names of its clips: a folder's name has at most 255 bytes."""
_FILES_NAMED = 3
_GAPS_NAMED = 3
_SAME_RATE = Fraction(1, 100)
_NTSC = Fraction(30_000, 1001)
_NTSC_TOLERANCE = 0.015
"""Maximum difference from 29.97 fps of rates that are closer to it than to 30."""


PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif"}
)


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
        """Duration of all frames, without gaps; 0 if it was not measured."""
        return self.video.duration_seconds or 0.0

    @property
    def end_seconds(self) -> float:
        """End of the last frame, counted from the first one, gaps included; 0 if it was not measured."""
        return self.video.end_seconds or 0.0

    @property
    def fps(self) -> Fraction:
        """Frames per second as recorded; the stated rate is a mean, which gaps and dropped frames lower."""
        stated, measured = self.video.fps, self.video.nominal_fps
        return stated if measured is None or abs(measured / stated - 1) < _SAME_RATE else measured

    def parts(self, fps: Fraction) -> list[tuple[int, int | None]]:
        """Return runs of frames without a gap, at a rate: start and stop; a stop of None reads to the end.

        In a gap, a reader repeats the frames at its edges. These are not footage.
        """
        gaps = self.video.gaps
        starts = [0.0, *(stop for _, stop in gaps)]
        stops = [*(start for start, _ in gaps), self.end_seconds]
        lengths = [stop - start for start, stop in zip(starts, stops, strict=True)]
        min_length = min(MIN_PART_SECONDS, max(lengths)) - 0.5 / float(fps)  # time stamps are rounded
        last = len(lengths) - 1
        return [
            (round(starts[i] * fps), None if i == last else round(stops[i] * fps))
            for i, length in enumerate(lengths)
            if length >= min_length
        ]


@dataclass(frozen=True)
class Segment:
    """A segment of footage that becomes one clip."""

    name: str
    footage: Footage
    start_frame: int
    stop_frame: int | None
    """One past the last frame; None reads to the end of the file."""
    fps: Fraction

    @property
    def expected_frames(self) -> int:
        """Approximate number of frames, for progress only."""
        end = round(self.footage.end_seconds * self.fps) if self.stop_frame is None else self.stop_frame
        return max(0, end - self.start_frame)

    def frames(self) -> Iterator[ImageU8]:
        """Yield the frames (H, W, 3), uint8 RGB."""
        return read_frames(
            self.footage.path, fps=self.fps, start_frame=self.start_frame, stop_frame=self.stop_frame
        )


def segments_without_gaps(footage: Footage, fps: Fraction) -> list[Segment]:
    """Return one segment for each run of frames of a file."""
    return [Segment(f"run {i}", footage, *part, fps) for i, part in enumerate(footage.parts(fps))]


def sampled_segments(
    footage: Footage, fps: Fraction, *, seconds: float, places: Sequence[float]
) -> list[Segment]:
    """Return samples of a file: `seconds` at each of these places, from 0 (its start) to 1 (its end).

    Places count only time with frames. A segment that reaches into a gap is cut there and may be shorter.
    """
    runs = [
        (start, round(footage.end_seconds * fps) if stop is None else stop)
        for start, stop in footage.parts(fps)
    ]
    length = max(1, round(seconds * fps))
    total = sum(stop - start for start, stop in runs)
    segments: list[Segment] = []
    for place in places:
        offset = round(place * max(0, total - length))
        for start, stop in runs:
            if offset < stop - start:
                first = start + offset
                end = min(first + length, stop)
                segments.append(Segment(f"part {len(segments)}", footage, first, end, fps))
                break
            offset -= stop - start
    return segments


def find_footage(footage: Path | str | Iterable[Path | str]) -> tuple[list[Footage], list[str]]:
    """Find the video files among files and folders, which are searched recursively; in order, each once.

    Audio is optional. A file that is passed directly must be a video. Files in a folder that cannot be read
    are skipped.

    Returns:
        The files, and a note for each one that was skipped.

    Raises:
        MediaError: a file that is passed directly is missing or cannot be read.
        FootageError: it has no video, or there is no video at all.
    """
    paths = need_footage(footage)
    files: dict[Path, Footage] = {}
    skipped: list[str] = []
    for path in paths:
        if path.is_dir():
            for file in _videos_below(path):
                try:
                    files.setdefault(file.resolve(), read_footage(file))
                except (MediaError, FootageError) as error:
                    skipped.append(f"skipped: {error}")
        else:
            files.setdefault(path.resolve(), read_footage(path))
    if not files:
        places = ", ".join(f"'{p}'" for p in paths) or "the input (nothing)"
        unread = f" ({len(skipped)} cannot be read)" if skipped else ""
        raise FootageError(
            f"there is no video in {places}{unread}. Give video files, or folders with files ending in "
            f"{listed(footage_suffixes())}"
        )
    return list(files.values()), skipped


def is_photo(path: Path) -> bool:
    """Return whether a file is a still image, by its suffix."""
    return path.suffix.lower() in PHOTO_SUFFIXES


def need_footage(footage: Path | str | Iterable[Path | str]) -> list[Path]:
    """Return the paths, each of a file or a folder. Nothing is opened.

    Raises:
        MediaError: one of them does not exist.
        FootageError: one is a photograph.
    """
    paths = [Path(path) for path in ([footage] if isinstance(footage, str | Path) else footage)]
    for path in paths:
        if not path.exists():
            raise MediaError(
                f"no such file or folder: '{path}'. Give video files of one person talking, or folders with "
                f"such files"
            )
        if not path.is_dir():
            need_video(path)
    return paths


def need_video(path: Path) -> None:
    """Check, before any work, that a video exists. It is not opened.

    Raises:
        MediaError: it does not exist, or is a folder.
        FootageError: it is a photograph.
    """
    if not path.exists():
        raise MediaError(f"no such file: '{path}'. Give an existing video")
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder; expected a video. Give one of the files in it")
    if is_photo(path):
        raise FootageError(
            f"'{path}' is a photograph; expected a video. Make an anchor of it, which then speaks: "
            "newscaster train PHOTOGRAPH -o NAME.anchor"
        )


def _videos_below(folder: Path) -> list[Path]:
    suffixes = footage_suffixes()
    files = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def read_footage(path: Path) -> Footage:
    """Probe one video file.

    Raises:
        MediaError: it is missing or cannot be read.
        FootageError: it holds no video, or is a photograph.
    """
    need_video(path)
    info = probe(path)
    if info.video is None:
        raise FootageError(f"'{path}' has audio but no video. Give a video file of one person talking")
    stat = path.stat()
    return Footage(path.resolve(), info.video, info.audio is not None, stat.st_size, stat.st_mtime_ns)


def scan_notes(scans: Mapping[Path, MeasuredScan]) -> list[str]:
    """Return a line for each kind of mismatch between the measured scan of files and their marks."""
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
    """Return a line for each file with gaps between its frames."""
    notes = []
    for file in footage:
        gaps = file.video.gaps
        if not gaps:
            continue
        shown = ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in gaps[:_GAPS_NAMED])
        more = f" and {len(gaps) - _GAPS_NAMED} more" if len(gaps) > _GAPS_NAMED else ""
        seconds = sum(stop - start for start, stop in gaps)
        notes.append(f"'{file.path.name}' has no frames for {seconds:.1f} s, skipped: {shown}{more}")
    return notes


def choose_fps(rates: Sequence[Fraction]) -> Fraction:
    """Choose the frame rate of a prepared dataset from the rates of its footage: 25, 30000/1001 or 30.

    The median decides. Rates of 50, 60, 100 and 120 are halved: 25 to 30 frames per second show mouths well
    enough.
    """
    rate = median_low(rates)
    while rate > 35:
        rate /= 2
    if rate <= 26:
        return Fraction(25)
    return _NTSC if abs(float(rate - _NTSC)) < _NTSC_TOLERANCE else Fraction(30)


def cut(footage: Sequence[Footage], fps: Fraction, *, taken: Iterable[str] = ()) -> list[Segment]:
    """Cut footage into clips. Their names are the same every time, and differ from ``taken``."""
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
    """Cut a long run of frames into pieces of about `SEGMENT_SECONDS`."""
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
