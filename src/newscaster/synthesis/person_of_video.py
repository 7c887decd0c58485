"""A person made from the video that is dubbed: head, crop, mask, mouth at rest, and frames to copy from.

No network is trained. The motion is that of the base network of the package (`base_motion`), around the
person's own mouth at rest. The renderer copies from those frames of the video that show the mouth freely.

::

    track ─► head, crop, poses ─► usable frames ─► mask, mouth at rest
                                        └► spread over their mouths ─► decoded once ─► References
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from newscaster.consent import Consent
from newscaster.errors import FootageError
from newscaster.face.crop import FaceCrop, Mask, lower_face_mask
from newscaster.face.geometry import eye_distance
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import (
    MouthBasis,
    closed_shape,
    extreme_shapes,
    is_moving,
    mouth_shapes,
    opening,
    place_mouth,
    rest_shape,
)
from newscaster.face.references import MAX_REFERENCES, SMALL_SIDE, References, spread_mouths
from newscaster.face.surface_warp import Surface, SurfaceWarp
from newscaster.face.topology import MOUTH
from newscaster.formats.anchor import AnchorFace
from newscaster.inference import AUTO
from newscaster.media import made_ahead
from newscaster.prepare.occlusion import turned_away
from newscaster.prepare.video_track import VideoTrack
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import FeatureSpec
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.synthesis.base_motion import base_motion
from newscaster.synthesis.made_mouths import MAX_BASES, missing_shapes, with_made_mouths
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.reference_cache import read_references, references_path, write_references
from newscaster.synthesis.reference_renderer import base_renderer
from newscaster.synthesis.renderer import default_workers
from newscaster.synthesis.signing import PersonOrigin
from newscaster.synthesis.video_reader import read_in_order
from newscaster.synthesis.video_target import VideoTarget, steady_poses
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64, ImageU8

MIN_SECONDS = 1.0
"""Of frames that show the mouth freely. With less, a video is refused."""
_FEW_SECONDS = 6.0
"""With less, a note says that mouths are missing: they are about 60 phones of 40 phonemes."""
_FRAMES_AHEAD = 4
_MAX_BYTES = 1 << 28
"""Of all crops to copy from, which are in memory."""
_MAX_MADE = 0.75
"""Fraction of what is copied from that may be made mouths."""
_MAX_FIT_FRAMES = 2000
"""Frames that head and mask are fitted on."""
_FAR_FROM_SHAPE = 0.35
"""Distance from the median mouth, in crop widths, beyond which landmarks are wrong."""
_MIN_SHARPNESS = 0.5
"""Of a frame to copy from, relative to the median of them: below, it is blurred by motion or focus."""


@dataclass(frozen=True, kw_only=True)
class VideoPersonInfo:
    """The metadata of a person in a given video."""

    name: str
    consent: Mapping[str, object]
    crop: FaceCrop
    features: FeatureSpec
    context_steps: int
    attribution: tuple[str, ...] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonOfVideo:
    """A person, and the video that they are made from."""

    person: LoadedPerson
    target: VideoTarget
    """The video."""
    notes: tuple[str, ...]
    """Lines for the user."""


def person_of_video(
    track: VideoTrack,
    *,
    name: str,
    consent: Consent,
    plain: bool = False,
    cache: str | Path | None = None,
    workers: int | None = None,
    backend: str = AUTO,
) -> PersonOfVideo:
    """Make a person from a tracked video.

    Args:
        track: the video, and the face in it.
        name: of the person.
        consent: to the rewriting of their lips.
        plain: whether the frames to rewrite are converted to 8-bit 4:2:0; those to copy from are, too.
        cache: folder that keeps the frames to copy from, for the next time; None keeps none.
        workers: threads that render; None: one per core, up to 8.
        backend: one of `inference.BACKENDS`, for the rendering network.

    Raises:
        FootageError: the mouth is seen freely for less than :data:`MIN_SECONDS`.
        MediaError: the video has changed since it was tracked.
        OutputError: the cache cannot be written to.
    """
    motion = base_motion()
    known = _KnownFace.of(track, name)
    shapes = known.shapes
    rest = rest_shape(shapes)
    if not is_moving(opening(shapes)):  # parted lips may be all that it shows
        rest = closed_shape(rest, motion.basis)
    basis = motion.basis.with_mean(rest)
    mask = known.mask(basis)
    face = AnchorFace(
        basis=basis,
        head=known.head,
        mask=mask,
        poses=known.poses,
        transforms=known.warps,
        landmarks=known.landmarks,
    )
    target = VideoTarget.of(track, face, known.crop, cut_side=min(SMALL_SIDE, known.crop.side))
    folder = None if cache is None else Path(cache)
    threads = workers or default_workers()
    count = min(MAX_REFERENCES, _MAX_BYTES // (3 * known.crop.side**2))
    missing = missing_shapes(shapes, basis, max_count=round(_MAX_MADE * count) // MAX_BASES)
    references = _references(
        target,
        known,
        count=count - MAX_BASES * len(missing),
        rest=rest,
        missing=missing,
        plain=plain,
        cache=folder,
        workers=threads,
    )
    person = LoadedPerson(
        info=VideoPersonInfo(
            name=name,
            consent=consent.record().to_json(),
            crop=known.crop,
            features=motion.features,
            context_steps=motion.context_steps,
        ),
        face=face,
        origin=PersonOrigin.in_video(track.sha256, track.face),
        # One thread per network, as for an anchor.
        encoder=load_encoder(windowing=motion.features.windowing, threads=1)
        if motion.features.needs_encoder
        else None,
        motion=motion.session,
        activity=load_voice_activity(),
        renderer=base_renderer(references, mask, workers=workers, backend=backend),
    )
    notes = _notes(track, name, opening(shapes), made=len(missing) > 0)
    return PersonOfVideo(person=person, target=target, notes=tuple(notes))


def _notes(track: VideoTrack, name: str, openings: ArrayF64, *, made: bool) -> list[str]:
    seconds = len(openings) / float(track.fps)
    if made:
        opens, which = ("opens little", "wide open") if is_moving(openings) else ("hardly opens", "open")
        return [
            f"the mouth of '{name}' {opens} in '{track.path}': teeth and tongue of {which} mouths are drawn, "
            "and not the person's own"
        ]
    if seconds < _FEW_SECONDS:
        return [
            f"'{track.path}' shows the mouth of '{name}' for only {seconds:.1f} s: mouths that it never "
            "shows are made by stretching others"
        ]
    return []


@dataclass(frozen=True, eq=False)
class _KnownFace:
    """The face in the n frames that show its mouth freely."""

    head: Head
    crop: FaceCrop
    frames: ArrayI64
    """(n,) of the video."""
    poses: Poses
    warps: SurfaceWarp
    landmarks: ArrayF32
    """(n, 478, 3) in pixels."""

    @staticmethod
    def of(track: VideoTrack, name: str) -> _KnownFace:
        """Find these frames; raise FootageError if they are too few."""
        free = np.flatnonzero(track.present & ~track.covered)
        _check_enough(len(free), track, name)
        landmarks = track.landmarks[free]
        sample = landmarks[:: -(-len(landmarks) // _MAX_FIT_FRAMES)]
        head = Head.fit(sample)
        crop = FaceCrop.for_face(float(np.median(eye_distance(sample))))
        crop = replace(crop, surface=Surface.where_turned(head, head.poses(sample)))
        poses = steady_poses(head, track)[free]
        warps = crop.transforms(head, poses)
        usable = ~turned_away(poses, poses.angles) & _in_frame(landmarks, track.size)
        places = warps.apply(_mouths(landmarks))
        far = np.abs(places - np.median(places, axis=0)).max(axis=(1, 2)) > _FAR_FROM_SHAPE * crop.side
        usable &= ~far
        _check_enough(int(usable.sum()), track, name)
        return _KnownFace(head, crop, free[usable], poses[usable], warps[usable], landmarks[usable])

    @property
    def shapes(self) -> ArrayF64:
        """The mouths in head units, (n, 57, 2)."""
        return mouth_shapes(self.landmarks, self.head)

    @property
    def places(self) -> ArrayF64:
        """The mouths in pixels of the crop, (n, 57, 2)."""
        return self.warps.apply(_mouths(self.landmarks))

    def placed(self, shapes: ArrayF64, row: int) -> ArrayF64:
        """Return where mouth shapes (M, 57, 2) lie in the crop of one of the frames, in pixels."""
        pose = self.poses[np.array([row])]
        pixels = place_mouth(shapes, self.head, pose.repeated(len(shapes)))
        return np.asarray(self.warps[row].apply(pixels))

    def mask(self, basis: MouthBasis) -> Mask:
        """Return a mask of the mouths that were seen, and of those that speech may make."""
        places = self.places
        places = places[:: -(-len(places) // _MAX_FIT_FRAMES)]
        upright = int(np.argmin(np.abs(self.poses.angles).sum(axis=1)))
        return lower_face_mask(
            np.concatenate([places, self.placed(extreme_shapes(basis), upright)]), self.crop
        )


def _mouths(landmarks: ArrayF32) -> ArrayF64:
    """Return the mouths of landmarks (n, 478, 3), (n, 57, 2)."""
    return landmarks[:, list(MOUTH), :2].astype(np.float64)


def _in_frame(landmarks: ArrayF32, size: tuple[int, int]) -> ArrayBool:
    """Return the frames (n,) whose mouth lies inside the frame."""
    points = landmarks[:, list(MOUTH), :2]
    return np.asarray(((points >= 0) & (points < size)).all(axis=(1, 2)))


def _check_enough(frames: int, track: VideoTrack, name: str) -> None:
    seconds = frames / float(track.fps)
    if seconds < MIN_SECONDS:
        raise FootageError(
            f"'{track.path}' shows the mouth of '{name}' freely and from the front for only {seconds:.1f} s; "
            f"expected {MIN_SECONDS:g} s or more, to copy from. Give a longer video, or an anchor of the "
            "person: --anchor NAME.anchor"
        )


def _references(
    target: VideoTarget,
    known: _KnownFace,
    *,
    count: int,
    rest: ArrayF64,
    missing: ArrayF64,
    plain: bool,
    cache: Path | None,
    workers: int,
) -> References:
    """Choose the frames to copy from, and make mouths that they lack; all of it unless they are in the cache.

    Args:
        target, known: the video, and the face in it.
        count: frames to copy from, at most.
        rest: (57, 2), the mouth at rest, in head units.
        missing: (M, 57, 2), mouths to make, in head units.
        plain: whether frames are converted to 8-bit 4:2:0.
        cache: folder; None: no cache.
        workers: threads.
    """
    points = np.asarray(known.places / known.crop.side, np.float32)
    chosen = spread_mouths(points, count)

    def made() -> References:
        rows, references = _decoded_references(target, known, chosen, points, plain=plain, workers=workers)
        if not len(missing):
            return references
        return with_made_mouths(
            references,
            missing,
            rest,
            places=lambda number, shapes: known.placed(shapes, int(rows[number])),
            pixels_per_unit=known.crop.pixels_per_unit,
            workers=workers,
        )

    if cache is None:
        return made()
    path = references_path(
        cache,
        target.track,
        numbers=known.frames[chosen],
        points=points[chosen],
        crop=known.crop,
        warps=known.warps[chosen],
        made=missing,
        plain=plain,
    )
    references = read_references(path, side=known.crop.side)
    if references is None:
        references = made()
        write_references(path, references, workers=workers)
    return references


def _decoded_references(
    target: VideoTarget,
    known: _KnownFace,
    chosen: ArrayI64,
    points: ArrayF32,
    *,
    plain: bool,
    workers: int,
) -> tuple[ArrayI64, References]:
    """Decode the chosen frames, and cut their crops out; also return which of the known faces they show."""
    numbers: list[int] = known.frames[chosen].tolist()
    images = read_in_order(target.track, numbers, plain=plain, writable=False)
    with made_ahead(images, depth=_FRAMES_AHEAD) as ahead:
        crops = list(target.cut_all(numbers, ahead, workers=workers))
    kept = np.flatnonzero(_is_sharp(crops))
    rows = chosen[kept]
    angles = known.poses[rows].angles.astype(np.float32)
    return rows, References([crops[index] for index in kept.tolist()], points[rows], angles)


def _is_sharp(crops: list[ImageU8]) -> ArrayBool:
    """Return which crops (S, S, 3) are not much more blurred than most, (N,)."""
    values = np.array([_detail(crop) for crop in crops])
    return np.asarray(values >= _MIN_SHARPNESS * np.median(values))


def _detail(crop: ImageU8) -> float:
    """Return the standard deviation of the Laplacian of the green channel, in the middle half of the rows."""
    rows = len(crop) // 4
    image = crop[rows:-rows, :, 1].astype(np.int16)
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    return float((around - 4 * image[1:-1, 1:-1]).std(dtype=np.float32))
