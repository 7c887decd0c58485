"""Results of all files of footage together: the person, their head and mouth, and the lag of the audio.

``inspect_file`` analyses each file, and ``measures`` rates the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from newscaster.face.crop import FaceCrop
from newscaster.face.geometry import eye_distance
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import is_moving, mouth_shapes, opening
from newscaster.formats.dataset_clip import AudioUse, audio_use
from newscaster.prepare.inspect_file import AudioLevels, Inspection, TrackedSegment
from newscaster.prepare.lag import SpokenSegment
from newscaster.prepare.persons import Identity, Member, Seen, identities_of
from newscaster.prepare.sync import AudioSync, audio_syncs
from newscaster.speech.activity import speech_activity
from newscaster.types import ArrayF64

_FIT_FRAMES = 2000


@dataclass(frozen=True)
class Findings:
    """Results of all files together."""

    inspections: tuple[Inspection, ...]
    tracked_segments: tuple[TrackedSegment, ...]
    """Segments that show the face."""
    head: Head | None
    """None if no frame shows a face."""
    poses: tuple[Poses, ...]
    """Head poses of each segment."""
    openings: tuple[ArrayF64, ...]
    """Mouth opening of each segment, (F,) in IOD; NaN in frames without the face."""
    audio_uses: tuple[AudioUse, ...]
    """One per inspection."""
    syncs: tuple[AudioSync, ...]
    """Sync of audio and mouth, for files with speech."""
    identities: tuple[Identity, ...] = ()
    """All people in all files; the one with the largest weight first."""

    @property
    def crop(self) -> FaceCrop | None:
        eyes = self.eyes_px
        return FaceCrop.for_face(eyes) if eyes else None

    @property
    def eyes_px(self) -> float | None:
        """Median distance of the outer eye corners."""
        return (
            float(np.median(self._present(lambda s: eye_distance(s.landmarks))))
            if self.tracked_segments
            else None
        )

    def angles(self) -> ArrayF64:
        """Return yaw, pitch and roll of every frame with a face, (n, 3), in degrees."""
        return np.concatenate(
            [p.angles[s.present] for p, s in zip(self.poses, self.tracked_segments, strict=True)]
        )

    def _present(self, of: Callable[[TrackedSegment], ArrayF64]) -> ArrayF64:
        return np.concatenate([of(tracked)[tracked.present] for tracked in self.tracked_segments])

    @property
    def all_audios(self) -> list[AudioLevels]:
        """Audio of all files that have any."""
        return [i.audio for i in self.inspections if i.audio is not None]

    @property
    def audios(self) -> list[AudioLevels]:
        """Audio of the files with speech."""
        uses = zip(self.inspections, self.audio_uses, strict=True)
        return [i.audio for i, use in uses if i.audio is not None and use == "speech"]


def gather(inspections: Sequence[Inspection], *, face: int | None = None) -> Findings:
    """Fit the person's head to all tracked segments, and measure poses, openings and the lag.

    Segments of other people are ignored. ``face`` is the number of the requested face, if any.
    """
    identities = identities_of(_members(inspections, face))
    inspections = [_of_person(inspection, identities) for inspection in inspections]
    return replace(_gather(inspections), identities=identities)


def _members(inspections: Sequence[Inspection], face: int | None) -> list[Member]:
    members = []
    for inspection in inspections:
        if inspection.people is not None:
            file = Seen(inspection.footage.path, inspection.footage.seconds, inspection.people.persons)
            numbers = range(len(file.persons)) if face is None else [inspection.people.chosen]
            members += [Member(file, number) for number in numbers]
    return members


def _of_person(inspection: Inspection, identities: Sequence[Identity]) -> Inspection:
    """Remove the segments of a file that tracks another person: training skips it, too."""
    if not identities or inspection.people is None:
        return inspection
    followed = inspection.people.person
    is_person = any(member.person is followed for member in identities[0].members)
    return inspection if is_person else replace(inspection, tracked_segments=())


def _gather(inspections: Sequence[Inspection]) -> Findings:
    tracked_segments = tuple(s for i in inspections for s in i.tracked_segments if s.present.any())
    if not tracked_segments:
        return Findings(tuple(inspections), (), None, (), (), tuple(_use(i, []) for i in inspections), ())
    landmarks = np.concatenate([s.landmarks[s.present] for s in tracked_segments])
    head = Head.fit(landmarks[:: -(-len(landmarks) // _FIT_FRAMES)])
    poses = tuple(head.poses(s.landmarks, s.present) for s in tracked_segments)
    openings = tuple(opening(mouth_shapes(s.landmarks, head)) for s in tracked_segments)
    owners = [k for k, i in enumerate(inspections) for s in i.tracked_segments if s.present.any()]
    mouths: list[list[ArrayF64]] = [[] for _ in inspections]
    for owner, mouth in zip(owners, openings, strict=True):
        mouths[owner].append(mouth)
    uses = tuple(_use(i, m) for i, m in zip(inspections, mouths, strict=True))
    spoken: dict[Path, list[SpokenSegment]] = {}
    for k, owner in enumerate(owners):
        if uses[owner] == "speech":
            spoken.setdefault(inspections[owner].footage.path, []).append(
                _spoken_segment(tracked_segments[k], openings[k])
            )
    syncs = tuple(audio_syncs(spoken))
    return Findings(tuple(inspections), tracked_segments, head, poses, openings, uses, syncs)


def _spoken_segment(tracked: TrackedSegment, mouth: ArrayF64) -> SpokenSegment:
    segment = tracked.segment
    return SpokenSegment(
        mouth,
        float(segment.fps),
        tracked.predicted,
        speech_activity(tracked.speech),
        segment.start_frame / float(segment.fps),
    )


def _use(inspection: Inspection, openings: Sequence[ArrayF64]) -> AudioUse:
    """Return the use by the rule of ``Clip.audio_use``; if faces were not tracked, assume a moving mouth."""
    if inspection.audio is None:
        return "no sound"
    moving = not inspection.tracked or any(is_moving(opening) for opening in openings)
    return audio_use(inspection.audio.speech_seconds, moving=moving)


def face_fraction(inspection: Inspection) -> float | None:
    """Return the fraction of a file's tracked frames that show the face; None if none was tracked."""
    if not inspection.tracked:
        return None
    frames = sum(len(s.present) for s in inspection.tracked_segments)
    return sum(int(s.present.sum()) for s in inspection.tracked_segments) / frames if frames else 0.0


def mean_fraction(findings: Findings) -> float:
    """Return the mean of :func:`face_fraction` over all files, weighted by their lengths."""
    pairs = [(i.footage.seconds or 1.0, face_fraction(i)) for i in findings.inspections]
    tracked = [(seconds, fraction) for seconds, fraction in pairs if fraction is not None]
    return sum(seconds * fraction for seconds, fraction in tracked) / max(
        sum(seconds for seconds, _ in tracked), 1e-6
    )
