"""Signing of videos: the claims of a manifest, and when to sign.

Credentials are checked before any work. A file is signed before it gets its name. `provenance` signs it.
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

from newscaster import media, provenance
from newscaster.errors import InputError, MissingExtraError
from newscaster.formats.anchor import TARGET, AnchorFile
from newscaster.provenance import Credentials, Statement
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import SignWith
from newscaster.synthesis.person_info import PersonInfo
from newscaster.synthesis.speech_input import Speech
from newscaster.system.files import file_sha256
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
class PersonOrigin:
    """Where the person in a video comes from, identified by content."""

    person_id: str
    """Of an anchor: `AnchorFile.identity`. Of a person in a given video: sha256 of the video's own sha256 and
    the number of the face. Its first digits are in the watermark."""
    target_sha256: str | None = None
    """Hash of the anchor's target video; None if the video has another target."""
    from_video: bool = False
    """Whether there is no anchor: the person is known from the video whose lips are rewritten."""

    @staticmethod
    def of(file: AnchorFile) -> PersonOrigin:
        """Return the origin of an anchor file."""
        return PersonOrigin(person_id=file.identity, target_sha256=str(file.members[TARGET]["sha256"]))

    @staticmethod
    def in_video(sha256: str, face: int) -> PersonOrigin:
        """Return the origin of a person in a video with this hash; ``face`` is the number of the face."""
        digest = hashlib.sha256(f"{sha256} face {face}\n".encode())
        return PersonOrigin(person_id=digest.hexdigest(), from_video=True)


@dataclass(frozen=True, kw_only=True)
class SpeechSource:
    """The speech that drove the mouth."""

    sha256: str
    seconds: float
    synthetic_voice: bool

    @staticmethod
    def of(speech: Speech) -> SpeechSource:
        """Return the source of a speech, by its audio file."""
        return SpeechSource.of_file(
            speech.audio_file, seconds=speech.seconds, synthetic_voice=speech.synthetic
        )

    @staticmethod
    def of_file(audio: Path | None, *, seconds: float, synthetic_voice: bool) -> SpeechSource:
        """Return the source for an audio file of this length; without a file, that of no audio."""
        sha256 = hashlib.sha256().hexdigest() if audio is None else file_sha256(audio)
        return SpeechSource(sha256=sha256, seconds=seconds, synthetic_voice=synthetic_voice)


@dataclass(frozen=True, kw_only=True)
class Signing:
    """The credentials for signing, or the reason for not signing."""

    credentials: Credentials | None
    unsigned_because: str | None = None
    timestamp: str | None = None
    """Address of a time-stamp authority."""
    _unstamped: dict[Path, str] = field(default_factory=dict)
    """Files without the requested time stamp, and why."""

    @staticmethod
    def begin(files: SignWith | None, *, timestamp: str | None = None) -> Signing:
        """Find and check the credentials.

        Args:
            files: certificate and key; None: see `provenance.find_credentials`.
            timestamp: address of a time-stamp authority (RFC 3161); None: the network is not used.

        Raises:
            InputError: the certificate or the key cannot be used; the authority returns no time stamp.
            OutputError: there is no local certificate yet, and none can be written.
            MissingExtraError: a certificate is given, and the package for signing is not installed.
        """
        if not provenance.can_sign():
            missing = MissingExtraError(purpose="signing", extra=None, package="c2pa-python")
            if files is not None or timestamp is not None:
                raise missing
            return Signing(credentials=None, unsigned_because=str(missing))
        credentials = provenance.find_credentials(files)
        provenance.check_credentials(credentials, timestamp=timestamp)
        return Signing(credentials=credentials, timestamp=timestamp)

    @staticmethod
    def of_output(video: Path, files: SignWith | None, *, timestamp: str | None = None) -> Signing:
        """Find and check the credentials for one video; images of a sequence are not signed.

        Raises:
            InputError: a signature is asked for where there can be none; see also :meth:`begin`.
        """
        if not media.is_sequence(video):
            return Signing.begin(files, timestamp=timestamp)
        suffixes = media.containers.listed(media.containers.signed_suffixes())
        reason = f"C2PA signs only finished videos: here {suffixes}"
        if files is not None or timestamp is not None:
            raise InputError(f"'{video}' cannot be signed. {reason}. Write to such a file")
        return Signing(credentials=None, unsigned_because=reason)

    def stamped_by(self, timestamp: str | None) -> Signing:
        """Return the same with a time-stamp authority that was checked before."""
        return replace(self, timestamp=timestamp)

    def finishing(self, place: Path, make_claims: Callable[[], Statement]) -> Callable[[Path], None] | None:
        """Return a function that signs the file before it is renamed to `place`; None without credentials."""
        credentials = self.credentials
        if credentials is None:
            return None

        def sign(path: Path) -> None:
            unstamped = provenance.sign_video(
                path, make_claims(), credentials, place=place, timestamp=self.timestamp
            )
            if unstamped is not None:
                self._unstamped[place] = unstamped
                _log.error("'%s' is signed without a time stamp: %s", place, unstamped)

        return sign

    def sign(self, path: Path, claims: Statement) -> None:
        """Sign a finished file in place, if there are credentials.

        Raises:
            OutputError: the disk is full. The file stays unchanged.
        """
        if (sign := self.finishing(path, lambda: claims)) is not None:
            sign(path)

    def outcome(self, place: Path) -> _Outcome:
        """Return the fields of a `SpeakResult` about the signature."""
        credentials = self.credentials
        return {
            "signed_by": None if credentials is None else credentials.name,
            "signed_locally": credentials is not None and credentials.local,
            "sidecar": None if credentials is None else provenance.sidecar_of(place),
            "unsigned_because": self.unsigned_because,
            "signed_until": None if credentials is None else credentials.until,
            "time_stamped": self.timestamp is not None and place not in self._unstamped,
            "unstamped_because": self._unstamped.get(place),
        }


UNSIGNED = Signing(credentials=None)
"""No signature."""


def statement(
    title: str,
    *,
    person: PersonInfo,
    origin: PersonOrigin,
    frames: SynthesisedFrames,
    speech: SpeechSource,
    label: str | None,
    watermark: str | None,
    fps: Fraction,
    synthetic_target: bool = False,
    background: str | None = None,
    source: tuple[str, str] | None = None,
) -> Statement:
    """Return the claims about a video whose frames are all finished."""
    return Statement(
        title=shown(title),
        anchor=person.name,
        anchor_id=origin.person_id,
        anchor_created=person.created,
        from_source=origin.from_video,
        consent=person.consent,
        attribution=person.attribution,
        synthetic_target=synthetic_target,
        target_sha256=origin.target_sha256,
        frames=frames.count,
        fps=fps,
        synthesised=frames.runs,
        speech_sha256=speech.sha256,
        speech_seconds=speech.seconds,
        synthetic_voice=speech.synthetic_voice,
        label=label,
        watermark=watermark,
        background=background,
        source_title=None if source is None else shown(source[0]),
        source_sha256=None if source is None else source[1],
    )
