"""What is told of a performance when it is signed: gathered here, from all that took part in it.

Knows when: who signs is settled before any work, and the file is signed before it gets its name. How, is left
to `provenance`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

from newscaster import provenance
from newscaster.errors import MissingExtraError
from newscaster.formats.anchor import TARGET, AnchorFile
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.provenance import Credentials, Statement
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import SignWith
from newscaster.synthesis.speech_input import Speech
from newscaster.texts import shown

_log = logging.getLogger("newscaster.synthesis")


class _Outcome(TypedDict):
    signed_by: str | None
    signed_locally: bool
    sidecar: Path | None
    unsigned_because: str | None
    signed_until: datetime | None
    time_stamped: bool
    unstamped_because: str | None


@dataclass(frozen=True, kw_only=True)
class AnchorSource:
    """Which anchor, by what it is made of."""

    anchor_id: str
    """As `AnchorFile.identity`."""
    target_sha256: str | None
    """Of the stage's video; None where the stage is not the anchor's own."""

    @staticmethod
    def of(file: AnchorFile) -> AnchorSource:
        """The origin of what an anchor makes."""
        return AnchorSource(anchor_id=file.identity, target_sha256=str(file.members[TARGET]["sha256"]))


@dataclass(frozen=True, kw_only=True)
class SpeechSource:
    """The speech that drove the mouth."""

    sha256: str
    seconds: float
    synthetic_voice: bool

    @staticmethod
    def of(speech: Speech) -> SpeechSource:
        """A speech's, by its sound file."""
        return SpeechSource.of_file(
            speech.audio_file, seconds=speech.seconds, synthetic_voice=speech.synthetic
        )

    @staticmethod
    def of_file(audio: Path | None, *, seconds: float, synthetic_voice: bool) -> SpeechSource:
        """What a sound file of so many seconds says; None: nothing is heard."""
        digest = hashlib.sha256()
        if audio is not None:
            with audio.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        return SpeechSource(sha256=digest.hexdigest(), seconds=seconds, synthetic_voice=synthetic_voice)


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Who signs a performance, or why nobody does."""

    credentials: Credentials | None
    unsigned_because: str | None = None
    timestamp: str | None = None
    """Address of a time-stamp authority."""
    _unstamped: dict[Path, str] = field(default_factory=dict)
    """Files that have no time stamp though one was to be had, and why."""

    @staticmethod
    def begin(given: SignWith | None, *, timestamp: str | None = None) -> Signing:
        """Find who signs, and make sure that they can.

        Args:
            given: certificate and key; None: as `provenance.find_credentials`.
            timestamp: address of a time-stamp authority (RFC 3161); None: the network is not used.

        Raises:
            InputError: the certificate or the key cannot be used; the authority gives no time stamp.
            OutputError: there is no local certificate yet, and none can be written.
            MissingExtraError: a certificate is given, and what signs is not installed.
        """
        if not provenance.can_sign():
            missing = MissingExtraError(purpose="signing", extra=None, package="c2pa-python")
            if given is not None or timestamp is not None:
                raise missing
            return Signing(credentials=None, unsigned_because=str(missing))
        credentials = provenance.find_credentials(given)
        provenance.check_credentials(credentials, timestamp=timestamp)
        return Signing(credentials=credentials, timestamp=timestamp)

    def stamped_by(self, timestamp: str | None) -> Signing:
        """The same, with a time-stamp authority that was checked before."""
        return replace(self, timestamp=timestamp)

    def finishing(self, place: Path, told: Callable[[], Statement]) -> Callable[[Path], None] | None:
        """What is done to the finished file before it is renamed to its place; None: nothing."""
        credentials = self.credentials
        if credentials is None:
            return None

        def sign(path: Path) -> None:
            unstamped = provenance.sign_video(
                path, told(), credentials, place=place, timestamp=self.timestamp
            )
            if unstamped is not None:
                self._unstamped[place] = unstamped
                _log.error("'%s' is signed without a time stamp: %s", place, unstamped)

        return sign

    def sign(self, path: Path, told: Statement) -> None:
        """Sign a finished file where it is, if anybody signs.

        Raises:
            OutputError: there is no room for it. The file stays as it was.
        """
        if (sign := self.finishing(path, lambda: told)) is not None:
            sign(path)

    def outcome(self, place: Path) -> _Outcome:
        """What a `SpeakResult` says of it."""
        who = self.credentials
        return {
            "signed_by": None if who is None else who.name,
            "signed_locally": who is not None and who.local,
            "sidecar": None if who is None else provenance.sidecar_of(place),
            "unsigned_because": self.unsigned_because,
            "signed_until": None if who is None else who.until,
            "time_stamped": self.timestamp is not None and place not in self._unstamped,
            "unstamped_because": self._unstamped.get(place),
        }


UNSIGNED = Signing(credentials=None)
"""Nobody signs."""


def statement(
    title: str,
    *,
    anchor: AnchorInfo,
    origin: AnchorSource,
    frames: SynthesisedFrames,
    heard: SpeechSource,
    label: str | None,
    watermark: str | None,
    fps: Fraction | None = None,
    source: tuple[str, str] | None = None,
) -> Statement:
    """What is said of a video, when all of its frames are made."""
    return Statement(
        title=shown(title),
        anchor=anchor.name,
        anchor_id=origin.anchor_id,
        anchor_created=anchor.created,
        consent=anchor.consent,
        attribution=anchor.attribution,
        synthetic_target=anchor.synthetic_target and origin.target_sha256 is not None,
        target_sha256=origin.target_sha256,
        frames=frames.count,
        fps=fps or anchor.fps,
        synthesised=frames.runs,
        speech_sha256=heard.sha256,
        speech_seconds=heard.seconds,
        synthetic_voice=heard.synthetic_voice,
        label=label,
        watermark=watermark,
        source_title=None if source is None else shown(source[0]),
        source_sha256=None if source is None else source[1],
    )
