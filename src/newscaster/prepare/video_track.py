"""Tracks of people's faces through a whole video, shot by shot, for dubbing.

Reads the video once for all of them. Memory is constant except for the landmarks. A cache can keep the tracks
under the hash of the video, so that the same video is tracked only once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.topology import LANDMARKS
from newscaster.media import read_frames
from newscaster.media.background import made_ahead
from newscaster.prepare.clips import Footage, gap_notes, read_footage
from newscaster.prepare.following import PersonFollower
from newscaster.prepare.grouping import max_distance
from newscaster.prepare.key_frames import look_at_key_frames
from newscaster.prepare.mouth_occlusion import OcclusionMeter, covered_frames
from newscaster.prepare.people import People, Person, choose_person, several_warning
from newscaster.prepare.persons import UNMEASURED, choose_known, times_text
from newscaster.prepare.scan_cache import use_cached_scan
from newscaster.prepare.shots import CutDetector, shot_ranges
from newscaster.prepare.work import look
from newscaster.system.files import atomic_write, file_sha256
from newscaster.system.folders import make_cache_folder
from newscaster.tracking.descriptor import descriptor_distance
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, FrameProgress, ImageU8

MIN_SECONDS = 1.0
"""Shorter videos are refused."""
_CACHE_VERSION = 2
_FRAMES_AHEAD = 4
_OCCLUSION_EVERY = 3
"""One in so many frames is searched for occluders of the mouth."""
_MAX_UNEVEN = 0.01
"""Fraction of frames off the constant rate up to which a video has a constant rate."""
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
    face: int
    """Number of the face in the video; 0 is the leftmost."""
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


@dataclass(frozen=True, kw_only=True, eq=False)
class WantedPerson:
    """A person to find in a video and to track."""

    name: str
    """For messages."""
    descriptor: ArrayF32 | None = None
    """Face descriptor (128,) of the person. None, without `face`: the one who is visible and speaks most."""
    face: int | None = None
    """Number of the face, if it is not to be found by the descriptor; 0 is the leftmost."""


class OtherPersonError(FootageError):
    """A video shows other people than the wanted one."""

    def __init__(self, message: str, *, wanted: WantedPerson, path: Path, persons: Sequence[Person]) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.path = path
        """The video."""
        self.persons = tuple(persons)
        """The people that it shows, from left to right."""


def track_video(
    path: Path,
    *,
    person: ArrayF32 | None,
    name: str,
    face: int | None = None,
    cache: Path | None = None,
    progress: FrameProgress | None = None,
) -> VideoTrack:
    """Track one person through a video. See :class:`WantedPerson` and :func:`track_people`."""
    wanted = WantedPerson(name=name, descriptor=person, face=face)
    return track_people(path, [wanted], cache=cache, progress=progress)[0]


def track_people(
    path: Path,
    wanted: Sequence[WantedPerson],
    *,
    cache: Path | None = None,
    progress: FrameProgress | None = None,
) -> tuple[VideoTrack, ...]:
    """Track people through a video, in one pass over its frames.

    Args:
        path: any video file.
        wanted: the people.
        cache: folder for tracks; None keeps none.
        progress: called while frames are tracked.

    Returns:
        A track for each wanted person, in their order.

    Raises:
        MediaError: the file is missing, damaged or not a video.
        OtherPersonError: it shows other people than a wanted one.
        FootageError: it is shorter than a second, shows no face, or one person is wanted twice.
        OutputError: the cache cannot be written.
    """
    footage = read_footage(path)
    if 0 < footage.seconds < MIN_SECONDS:
        raise FootageError(
            f"'{path}' is {footage.seconds:.2f} s long; expected {MIN_SECONDS:g} s or more. "
            "Give a longer video"
        )
    sha256 = file_sha256(footage.path)
    if cache is not None:
        use_cached_scan(Path(cache), footage.path, sha256)
    places = [None if cache is None else _cache_path(Path(cache), sha256, person) for person in wanted]
    tracks = [None if place is None else _read_cache(place, footage, sha256) for place in places]
    missing = [number for number, track in enumerate(tracks) if track is None]
    if missing:
        persons = look_at_key_frames(footage) or look(footage)
        choices = [_choose(footage, persons, wanted[number]) for number in missing]
        faces = [None if track is None else track.face for track in tracks]
        for number, (people, _) in zip(missing, choices, strict=True):
            faces[number] = people.chosen
        _check_faces_differ(path, wanted, faces)
        for number, track in zip(missing, _track(footage, choices, sha256, progress), strict=True):
            if not track.present.any():
                raise FootageError(
                    f"no frame of '{path}' shows the face of '{wanted[number].name}' clearly enough to "
                    "rewrite it. Give a video that shows it from the front"
                )
            tracks[number] = track
            if (place := places[number]) is not None:
                _write_cache(place, track)
    complete = tuple(track for track in tracks if track is not None)
    _check_faces_differ(path, wanted, [track.face for track in complete])
    return complete


def track_part(
    path: Path, wanted: WantedPerson, *, fps: Fraction, start_frame: int, stop_frame: int
) -> VideoTrack:
    """Track a person through a part of a video.

    Args:
        path: any video file.
        wanted: the person.
        fps: frames per second of the track.
        start_frame: the first frame at this rate.
        stop_frame: one past the last one. The track is shorter if the video ends before.

    Raises:
        MediaError, OtherPersonError, FootageError: as for :func:`track_people`.
    """
    footage = read_footage(path)
    if start_frame >= round(footage.end_seconds * fps):
        raise FootageError(
            f"'{path}' is {footage.end_seconds:.2f} s long; a part from {float(start_frame / fps):.2f} s on "
            "was named. Name one within the video"
        )
    persons = look_at_key_frames(footage) or look(footage)
    choice = _choose(footage, persons, wanted)
    frames = read_frames(footage.path, fps=fps, exact=False, start_frame=start_frame, stop_frame=stop_frame)
    return _track(footage, [choice], "", None, frames=frames, fps=fps)[0]


def _check_faces_differ(path: Path, wanted: Sequence[WantedPerson], faces: Sequence[int | None]) -> None:
    for (a, face), (b, other) in itertools.combinations(enumerate(faces), 2):
        if face == other:
            raise FootageError(
                f"'{wanted[a].name}' and '{wanted[b].name}' are both face={face} of '{path}'. Give each "
                "person a face of their own: face=0 (leftmost), face=1 and so on"
            )


_Choice = tuple[People, tuple[str, ...]]
"""The people of a video with the one to track, and notes."""


def _choose(footage: Footage, persons: Sequence[Person], wanted: WantedPerson) -> _Choice:
    """Select the person to track; raise FootageError if there is none."""
    notes = [*gap_notes([footage]), *_rate_notes(footage)]
    if wanted.descriptor is None or wanted.face is not None or not persons:
        people = choose_person(persons, wanted.face, footage.path)
        if wanted.face is None and len(persons) > 1:
            notes.append(several_warning(people, footage.path))
        elif _is_someone_else(people.person, wanted.descriptor):
            notes.append(
                f"face={people.chosen} of '{footage.path}' does not look like the person of '{wanted.name}'; "
                "it is rewritten because it was selected"
            )
        return people, tuple(notes)
    advice = "select the face: face=0 (leftmost), face=1 and so on"
    if not np.isfinite(wanted.descriptor).all():
        raise FootageError(
            f"whether '{footage.path}' shows the person of '{wanted.name}' is unknown: the anchor's own face "
            f"could not be measured. If it does, {advice}"
        )
    known = choose_known(persons, wanted.descriptor)
    if known is None and all(person.descriptor is None for person in persons):
        raise FootageError(
            f"whether '{footage.path}' shows the person of '{wanted.name}' {UNMEASURED}. Give a sharper or "
            f"larger video; or, if it does, {advice}"
        )
    if known is None:
        count = "1 other person is" if len(persons) == 1 else f"{len(persons)} other people are"
        raise OtherPersonError(
            f"'{footage.path}' does not show the person of '{wanted.name}'; {count} visible. Give a video of "
            f"that person, or the anchor of a person in it. If it is that person after all, {advice}",
            wanted=wanted,
            path=footage.path,
            persons=persons,
        )
    return People(tuple(persons), known), tuple(notes)


def _rate_notes(footage: Footage) -> list[str]:
    """Return a line if the frame rate varies."""
    if footage.video.uneven <= _MAX_UNEVEN:
        return []
    return [
        f"'{footage.path.name}' has a variable frame rate: {footage.video.uneven:.0%} of its frames are off "
        f"the constant rate. It is rewritten at its nominal {float(footage.fps):.5g} frames/s: frames are "
        "repeated or dropped"
    ]


def _is_someone_else(person: Person, descriptor: ArrayF32 | None) -> bool:
    if descriptor is None or person.descriptor is None:
        return False
    return float(descriptor_distance(person.descriptor, descriptor)) > max_distance(person.described)


def _track(
    footage: Footage,
    choices: Sequence[_Choice],
    sha256: str,
    progress: FrameProgress | None,
    *,
    frames: Iterator[ImageU8] | None = None,
    fps: Fraction | None = None,
) -> list[VideoTrack]:
    """Track the chosen people in one pass over the frames: by default all, at the rate of the footage."""
    fps = footage.fps if fps is None else fps
    read = read_frames(footage.path, fps=fps, exact=False) if frames is None else frames
    detector = CutDetector()
    followers = [PersonFollower(people, fps=float(fps)) for people, _ in choices]
    meters = [_Occlusion() for _ in choices]
    expected = round(footage.end_seconds * fps)
    count, size = 0, (footage.video.width, footage.video.height)
    with made_ahead(read, depth=_FRAMES_AHEAD) as images:
        for frame in images:
            is_cut = detector.step(frame)
            for follower, meter in zip(followers, meters, strict=True):
                if is_cut:
                    follower.cut()
                meter.add(frame, follower.step(frame))
            size = frame.shape[1], frame.shape[0]
            count += 1
            if progress is not None:
                progress(count, max(expected, count))
    tracks = []
    for (people, notes), follower, meter in zip(choices, followers, meters, strict=True):
        followed = follower.finish()
        if followed.others.any():
            times = times_text((np.flatnonzero(followed.others) / float(fps)).tolist())
            other = f"someone else is visible, or the face could not be measured, and is kept: {times}"
            notes = (*notes, other)
        covered = np.zeros(count, np.bool_)
        fractions = meter.fractions()
        for start, stop in shot_ranges(detector.cuts, count):
            shot = slice(start, stop)
            covered[shot] = covered_frames(fractions[shot], followed.present[shot], float(fps))
        tracks.append(
            VideoTrack(
                path=footage.path,
                sha256=sha256,
                fps=fps,
                size=size,
                landmarks=followed.landmarks,
                present=followed.present,
                covered=covered & followed.present,
                face=people.chosen,
                cuts=tuple(detector.cuts),
                notes=notes,
            )
        )
    return tracks


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


def _cache_path(cache: Path, sha256: str, wanted: WantedPerson) -> Path:
    """Return the file of a track, whose name depends on video, person, face and version."""
    descriptor = wanted.descriptor
    described = b"" if descriptor is None else np.round(descriptor, 3).astype(np.float32).tobytes()
    key = hashlib.sha256(f"{_CACHE_VERSION} {sha256} {wanted.face} ".encode() + described).hexdigest()
    return cache / f"{key[:32]}.track"


def _write_cache(path: Path, track: VideoTrack) -> None:
    header = {
        "fps": f"{track.fps.numerator}/{track.fps.denominator}",
        "size": list(track.size),
        "face": track.face,
        "notes": list(track.notes),
    }
    arrays = {
        "landmarks": track.landmarks[track.present],
        "present": track.present.astype(np.uint8),
        "covered": track.covered.astype(np.uint8),
        "cuts": np.array(track.cuts, np.int32),
        "header": np.array(json.dumps(header)),
    }
    make_cache_folder(path.parent)
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
            face=int(header["face"]),
            cuts=tuple(arrays["cuts"].tolist()),
            notes=tuple(map(str, header["notes"])),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, zipfile.BadZipFile):
        return None
