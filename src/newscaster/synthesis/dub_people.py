"""The people of a dub, before and after the video is tracked: from an anchor, or from the video itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from newscaster.consent import Consent
from newscaster.inference import AUTO
from newscaster.prepare.video_track import VideoTrack, WantedPerson
from newscaster.synthesis.faces_found import FaceImage, anchor_image
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.person_of_video import person_of_video
from newscaster.synthesis.video_target import VideoTarget


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundPerson:
    """A person whose face was tracked."""

    person: LoadedPerson
    target: VideoTarget
    """The video, for this person."""
    notes: tuple[str, ...] = ()
    """Lines for the user."""


class PersonSource(Protocol):
    """Where the face and the networks of a person come from."""

    @property
    def name(self) -> str:
        """Name of the person."""

    @property
    def path(self) -> Path | None:
        """File of the person's anchor; None: there is none."""

    def wanted(self, face: int | None) -> WantedPerson:
        """Return whom to find in the video; ``face`` is the number of the face, if it was selected."""

    def found(self, track: VideoTrack, *, plain: bool, cache: Path | None = None) -> FoundPerson:
        """Return the person, whose track is known now.

        Args:
            track: the face in the video.
            plain: whether frames are converted to 8-bit 4:2:0, see `media.read_yuv_frames`.
            cache: folder for what is made from the video alone; None keeps none.

        Raises:
            FootageError: the video shows too little of them.
        """

    def images(self) -> Iterable[FaceImage]:
        """Return images of the face, if it is known before the video is read."""


@dataclass(frozen=True, eq=False)
class FromAnchor:
    """The person of an anchor."""

    anchor: LoadedAnchor

    @property
    def name(self) -> str:
        return self.anchor.info.name

    @property
    def path(self) -> Path | None:
        return self.anchor.path

    def wanted(self, face: int | None) -> WantedPerson:
        """See :class:`PersonSource`: found by the face."""
        return WantedPerson(name=self.name, descriptor=anchor_descriptor(self.anchor.target), face=face)

    def found(self, track: VideoTrack, *, plain: bool, cache: Path | None = None) -> FoundPerson:
        """See :class:`PersonSource`."""
        crop, side = self.anchor.info.crop, self.anchor.target.cut_side
        target = VideoTarget.of(track, self.anchor.face, crop, cut_side=side)
        return FoundPerson(person=self.anchor, target=target)

    def images(self) -> Iterable[FaceImage]:
        """See :class:`PersonSource`: a frame of the target."""
        return [anchor_image(self.anchor.target)]


@dataclass(frozen=True, kw_only=True, eq=False)
class FromVideo:
    """A person who is known from the video that is dubbed alone."""

    name: str
    consent: Consent
    workers: int | None = None
    backend: str = AUTO

    @property
    def path(self) -> Path | None:
        return None

    def wanted(self, face: int | None) -> WantedPerson:
        """See :class:`PersonSource`: the selected face, or the person who is visible and speaks most."""
        return WantedPerson(name=self.name, face=face)

    def found(self, track: VideoTrack, *, plain: bool, cache: Path | None = None) -> FoundPerson:
        """See :class:`PersonSource`: made from the frames that show the face."""
        made = person_of_video(
            track,
            name=self.name,
            consent=self.consent,
            plain=plain,
            cache=cache,
            workers=self.workers,
            backend=self.backend,
        )
        return FoundPerson(person=made.person, target=made.target, notes=made.notes)

    def images(self) -> Iterable[FaceImage]:
        """See :class:`PersonSource`: none."""
        return []
