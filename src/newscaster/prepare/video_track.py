"""Track of one person's face through a whole video, shot by shot, for dubbing.

Reads the video once. Memory is constant except for the landmarks. A cache can keep a track under the hash of
the video, so that the same video is tracked only once.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError, OutputError
from newscaster.face.topology import LANDMARKS
from newscaster.media import read_frames
from newscaster.media.background import made_ahead
from newscaster.prepare.clips import Footage, gap_notes, read_footage
from newscaster.prepare.following import PersonFollower
from newscaster.prepare.key_frames import look_at_key_frames
from newscaster.prepare.mouth_occlusion import OcclusionMeter, covered_frames
from newscaster.prepare.people import People, choose_person, several_warning
from newscaster.prepare.persons import choose_known, times_text
from newscaster.prepare.shots import CutDetector, shot_ranges
from newscaster.prepare.work import look
from newscaster.system.files import atomic_write
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, FrameProgress, ImageU8

MIN_SECONDS = 1.0
"""Shorter videos are refused."""
_CACHE_VERSION = 1
_FRAMES_AHEAD = 4
_OCCLUSION_EVERY = 3
"""One in so many frames is searched for occluders of the mouth."""
_METER_FRAMES = 600
"""Maximum number of frames whose crops are in memory."""


@dataclass(frozen=True, eq=False)
class VideoTrack:
    """A person's face in the F frames of a video."""

    path: Path
    sha256: str
    """Hash of the file."""
    fps: Fraction
    """Nominal rate: frame i is shown at i/fps."""
    size: tuple[int, int]
    """Width and height in pixels, as shown."""
    landmarks: ArrayF32
    """(F, 478, 3) in pixels of the frames; NaN where not present."""
    present: ArrayBool
    """(F,): the person's face was found."""
    covered: ArrayBool
    """(F,): something covers the mouth."""
    cuts: tuple[int, ...] = ()
    """Frames that start a shot, except the first frame."""
    notes: tuple[str, ...] = ()
    """Lines for the user."""

    def __len__(self) -> int:
        return len(self.present)

    @property
    def shots(self) -> list[tuple[int, int]]:
        """The first frame of each shot, and one past its last frame."""
        return shot_ranges(list(self.cuts), len(self))

    @property
    def seconds(self) -> float:
        """The length of the video."""
        return float(len(self) / self.fps)


def track_video(
    path: Path,
    *,
    person: ArrayF32 | None,
    name: str,
    face: int | None = None,
    cache: Path | None = None,
    progress: FrameProgress | None = None,
) -> VideoTrack:
    """Track one person through a video.

    Args:
        path: any video file.
        person: face descriptor (128,) of the person; None selects the one who is visible and speaks most.
        name: name of the person, for messages.
        face: number of the face if there are several; 0 is the leftmost; None selects `person`.
        cache: folder for tracks; None keeps none.
        progress: called while frames are tracked.

    Raises:
        MediaError: the file is missing, damaged or not a video.
        FootageError: it is shorter than a second, shows no face, or not that person's.
        OutputError: the cache cannot be written.
    """
    footage = read_footage(path)
    if 0 < footage.seconds < MIN_SECONDS:
        raise FootageError(
            f"'{path}' is {footage.seconds:.2f} s long; expected {MIN_SECONDS:g} s or more. "
            "Give a longer video"
        )
    sha256 = _sha256(footage.path)
    cached = None if cache is None else _cache_path(Path(cache), sha256, person, face)
    if cached is not None and (stored := _read_cache(cached, footage, sha256)) is not None:
        return stored
    people, notes = _choose(footage, person, face, name)
    track = _track(footage, people, sha256, tuple(notes), progress)
    if not track.present.any():
        raise FootageError(
            f"no frame of '{path}' shows the face of '{name}' clearly enough to rewrite it. "
            "Give a video that shows it from the front"
        )
    if cached is not None:
        _write_cache(cached, track)
    return track


def _choose(
    footage: Footage, person: ArrayF32 | None, face: int | None, name: str
) -> tuple[People, list[str]]:
    """Select the person to track; raise FootageError if there is none."""
    persons = look_at_key_frames(footage) or look(footage)
    notes = gap_notes([footage])
    if person is None or face is not None or not persons:
        people = choose_person(persons, face, footage.path)
        if face is None and len(persons) > 1:
            notes.append(several_warning(people, footage.path))
        return people, notes
    known = choose_known(persons, person)
    if known is None:
        count = "1 other person is" if len(persons) == 1 else f"{len(persons)} other people are"
        raise FootageError(
            f"'{footage.path}' does not show the person of '{name}'; {count} visible. Give a video of that "
            "person, or the anchor of a person in it. If it is that person after all, select the face: "
            "face=0 (leftmost), face=1 ..."
        )
    return People(tuple(persons), known), notes


def _track(
    footage: Footage, people: People, sha256: str, notes: tuple[str, ...], progress: FrameProgress | None
) -> VideoTrack:
    fps = footage.fps
    follower, detector = PersonFollower(people, fps=float(fps)), CutDetector()
    occlusion = _Occlusion()
    expected = round(footage.end_seconds * fps)
    count, size = 0, (footage.video.width, footage.video.height)
    with made_ahead(read_frames(footage.path, fps=fps, exact=False), depth=_FRAMES_AHEAD) as frames:
        for frame in frames:
            if detector.step(frame):
                follower.cut()
            points = follower.step(frame)
            occlusion.add(frame, points)
            size = frame.shape[1], frame.shape[0]
            count += 1
            if progress is not None:
                progress(count, max(expected, count))
    followed = follower.finish()
    if followed.others.any():
        times = times_text((np.flatnonzero(followed.others) / float(fps)).tolist())
        notes = (*notes, f"someone else is visible, or the face could not be measured, and is kept: {times}")
    covered = np.zeros(count, np.bool_)
    fractions = occlusion.fractions()
    for start, stop in shot_ranges(detector.cuts, count):
        shot = slice(start, stop)
        covered[shot] = covered_frames(fractions[shot], followed.present[shot], float(fps))
    return VideoTrack(
        path=footage.path,
        sha256=sha256,
        fps=fps,
        size=size,
        landmarks=followed.landmarks,
        present=followed.present,
        covered=covered & followed.present,
        cuts=tuple(detector.cuts),
        notes=notes,
    )


class _Occlusion:
    """Measures occlusion of the mouth in batches of frames, in constant memory."""

    def __init__(self) -> None:
        self._meter = OcclusionMeter(every=_OCCLUSION_EVERY)
        self._count = 0
        self._parts: list[ArrayF64] = []

    def add(self, frame: ImageU8, points: ArrayF32 | None) -> None:
        """Add a frame (H, W, 3) with landmarks (478, 3), or without a face."""
        if points is not None:
            self._meter.add(self._count, frame, points)
        self._count += 1
        if self._count == _METER_FRAMES:
            self._close()

    def fractions(self) -> ArrayF64:
        """Return (F, 2) as :meth:`OcclusionMeter.fractions`."""
        self._close()
        return np.concatenate(self._parts)

    def _close(self) -> None:
        self._parts.append(self._meter.fractions(self._count))
        self._meter, self._count = OcclusionMeter(every=_OCCLUSION_EVERY), 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache_path(cache: Path, sha256: str, person: ArrayF32 | None, face: int | None) -> Path:
    """Return the file of a track, whose name depends on video, person, face and version."""
    described = b"" if person is None else np.round(person, 3).astype(np.float32).tobytes()
    key = hashlib.sha256(f"{_CACHE_VERSION} {sha256} {face} ".encode() + described).hexdigest()
    return cache / f"{key[:32]}.track"


def _write_cache(path: Path, track: VideoTrack) -> None:
    header = {
        "fps": f"{track.fps.numerator}/{track.fps.denominator}",
        "size": list(track.size),
        "notes": list(track.notes),
    }
    arrays = {
        "landmarks": track.landmarks[track.present],
        "present": track.present.astype(np.uint8),
        "covered": track.covered.astype(np.uint8),
        "cuts": np.array(track.cuts, np.int32),
        "header": np.array(json.dumps(header)),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the cache '{path.parent}' cannot be made ({error}). Name another folder"
        ) from error
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _read_cache(path: Path, footage: Footage, sha256: str) -> VideoTrack | None:
    """Return the cached track; None if there is none, or if it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(str(arrays["header"]))
        present = arrays["present"].astype(np.bool_)
        landmarks = np.full((len(present), LANDMARKS, 3), np.nan, np.float32)
        landmarks[present] = arrays["landmarks"]
        width, height = header["size"]
        return VideoTrack(
            path=footage.path,
            sha256=sha256,
            fps=Fraction(header["fps"]),
            size=(int(width), int(height)),
            landmarks=landmarks,
            present=present,
            covered=arrays["covered"].astype(np.bool_),
            cuts=tuple(arrays["cuts"].tolist()),
            notes=tuple(map(str, header["notes"])),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, zipfile.BadZipFile):
        return None
