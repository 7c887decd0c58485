"""Options of `Anchor.speak` and `Anchor.live`, in groups: outputs, signature, style and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newscaster.errors import InputError
from newscaster.synthesis.articulation import AS_TRAINED, Articulation

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading

SignWith = tuple[str | Path, str | Path]
"""PEM files of a certificate chain and of its key."""

LIVE_LOOK_AHEAD_MS = 200
"""Look-ahead of live speech, unless a style has another one."""
MAX_CRF = 51
MIN_PREFETCH_SECONDS = 2.0
"""More than any look-ahead, which the motion waits for within a text."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Further output files, and encoder settings of the video.

    Raises:
        InputError: `crf` is out of range.
    """

    captions: str | Path | Sequence[str | Path] = ()
    """.srt and .vtt files for the text, timed by sentence. Captions need a text."""
    subtitles: bool = False
    """Whether the video also has captions as a track that players can switch on. Subtitles need a text."""
    motion: str | Path | None = None
    """.npz for the motion of the mouth: `landmarks` (F, 57, 2) in pixels of the frames, `shapes` (F, 57, 2)
    in head units, `stage_frames` (F,), `shares` (F,), the weight of the new mouth in each frame, `fps`
    (numerator, denominator), `frames`. Of several people in a dubbed video, the second has `landmarks_2`,
    `shapes_2` and so on."""
    speech: str | Path | None = None
    """.wav for the audio of the video, at its own rate."""
    crf: int = 18
    """Constant rate factor of x264, 0 to 51. Lower means better quality and a larger file."""

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= MAX_CRF:
            raise InputError(f"crf is {self.crf}; expected 0 (best) to {MAX_CRF} (smallest)")


@dataclass(frozen=True, kw_only=True)
class SigningOptions:
    """Who signs the C2PA manifest of a video. A .mkv or .webm has its manifest beside it, as .c2pa.

    Raises:
        InputError: a certificate without a key, or a key without a certificate.
    """

    certificate: str | Path | None = None
    """PEM file of a certificate chain. None: the one that NEWSCASTER_SIGN_CERT names, or else a local
    certificate, which is made at first use."""
    key: str | Path | None = None
    """PEM file of the key of the certificate."""
    timestamp: str | None = None
    """http:// or https:// address of a time-stamp authority (RFC 3161). It receives a hash of a signature
    before any work, and a hash of the video's. If it fails then, the video is signed without a time stamp,
    and `SpeakResult.unstamped_because` has the reason. None: the network is not used."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            present, missing = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise InputError(f"{present} is given without {missing}; expected both or neither")

    @property
    def files(self) -> SignWith | None:
        """Certificate and key; None: those of the environment, or the local ones."""
        if self.certificate is None or self.key is None:
            return None
        return self.certificate, self.key


@dataclass(frozen=True, kw_only=True)
class Style:
    """How an anchor speaks and looks, in a file or live."""

    reading: Reading | None = None
    """How a text is read aloud: voice, speed, language. None: by the default voice, which needs the extra
    `tts`."""
    articulation: Articulation = AS_TRAINED
    """Amplitude and smoothness of the mouth."""
    look_ahead_ms: int | None = None
    """Audio look-ahead of the motion in ms: a multiple of 40 from 80 to 1000. None: full context in a file,
    200 ms live."""
    target_start: int = 0
    """Frame of the target video to start with."""
    background: str | Path | None = None
    """What is shown behind the person: the file of an image or a video, a colour (#rrggbb or a CSS name;
    "green" is #00ff00, for chroma keys), "blur" or "alpha". Alpha needs an output that can carry it. None:
    the footage's own background."""
    label: str | None = None
    """Text in a corner of the frames, away from the face; empty: none. None: "AI-generated" on the bundled
    anchor, none on others."""
    title: str | None = None
    """Title of a name strap in the lower third, such as a name: shown from 0.5 to 7 s of the video, away from
    mouth and label. None: no strap."""
    subtitle: str | None = None
    """Second line of the name strap, such as an office."""
    watermark: bool = True
    """Whether frames carry an invisible watermark, which `newscaster verify` detects without a manifest."""


@dataclass(frozen=True, kw_only=True)
class LiveLimits:
    """Limits on the queued speech of a live stream.

    Raises:
        InputError: a limit is out of range.
    """

    max_pending_audio_seconds: float = 120.0
    """Limit for queued pushed audio; more is refused."""
    max_pending_chars: int = 100_000
    """Limit for queued text in characters; more is refused."""
    prefetch_seconds: float = 20.0
    """Audio of texts that is synthesised ahead of its output, 2 or more. With a lower value
    :meth:`Live.change` applies sooner; a higher one bridges slow synthesis."""

    def __post_init__(self) -> None:
        for name in ("max_pending_audio_seconds", "max_pending_chars"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected more than 0")
        if not self.prefetch_seconds >= MIN_PREFETCH_SECONDS:
            raise InputError(
                f"prefetch_seconds is {self.prefetch_seconds:g}; expected {MIN_PREFETCH_SECONDS:g} or more"
            )
