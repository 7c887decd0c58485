"""The people of a dub, before and after the video is tracked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from newscaster.prepare.video_track import VideoTrack, WantedPerson
from newscaster.synthesis.faces_found import FaceImage, anchor_image
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.person import LoadedPerson


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundPerson:
    """A person whose face was tracked."""

    person: LoadedPerson
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

    def found(self, track: VideoTrack) -> FoundPerson:
        """Return the person, whose track is known now.

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

    def found(self, track: VideoTrack) -> FoundPerson:
        """See :class:`PersonSource`."""
        return FoundPerson(person=self.anchor)

    def images(self) -> Iterable[FaceImage]:
        """See :class:`PersonSource`: a frame of the target."""
        return [anchor_image(self.anchor.target)]
