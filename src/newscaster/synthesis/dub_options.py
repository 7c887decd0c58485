"""What a dub is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal

from newscaster.errors import InputError
from newscaster.media import CODECS, KINDS, Kind

Fit = Literal["video", "speech", "shortest"]
Extend = Literal["transitions", "loop", "freeze"]
CodecChoice = Literal["auto", "h264", "hevc"]

FITS: tuple[Fit, ...] = ("video", "speech", "shortest")
Others = Literal["keep", "rest"]
OTHERS: tuple[Others, ...] = ("keep", "rest")
EXTENDS: tuple[Extend, ...] = ("transitions", "loop", "freeze")


@dataclass(frozen=True, kw_only=True)
class DubOptions:
    """How speech and video are put together.

    Raises:
        InputError: a value is out of range.
    """

    fit: Fit = "video"
    """Length of the result. "video": the video's, or the speech's if that is longer. "speech": the
    speech's. "shortest": the shorter one."""
    extend: Extend = "transitions"
    """How the video goes on if the speech is longer. "transitions": back to the frame of its last shot that
    follows best. "loop": from its start again. "freeze": the last frame stays."""
    mix_db: float | None = None
    """Gain in dB of the video's own audio below the speech, such as -18. None: it is replaced."""
    start_seconds: float | None = None
    """Time in the video at which the speech and the new mouth start. Before it all stays as it is."""
    stop_seconds: float | None = None
    """Time in the video at which they end."""
    script: Path | None = None
    """Captions, .srt or .vtt, in place of a speech: each is spoken in its time."""
    face: int | None = None
    """Which face is rewritten if several are seen: 0 is the leftmost. None: the anchor's person; without an
    anchor, the person who is visible and speaks most."""
    others: Others = "keep"
    """Mouths of people who are named without a speech. "keep": they stay as they are. "rest": they are
    rewritten at rest. People who are not named always keep theirs."""
    cache: Path | None = None
    """Folder for tracks and mattes: a second take of the same video starts at once. None: none is kept."""
    drop: tuple[Kind, ...] = ()
    """What the result does not keep of the video: "audio" (other audio tracks), "subtitles", "video" (other
    video tracks and cover images), "attachments", "chapters", "tags"."""
    codec: CodecChoice = "auto"
    """Compression of the video: "h264" or "hevc". "auto": HEVC if the video is HEVC of 10 bits."""
    report: Path | None = None
    """.html page or .json file for what was rewritten, and what was not and why. If the video shows other
    people than the anchor's, a page shows their faces."""

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise InputError(f"fit is {self.fit!r}; expected {', '.join(FITS)}")
        if self.extend not in EXTENDS:
            raise InputError(f"extend is {self.extend!r}; expected {', '.join(EXTENDS)}")
        if self.others not in OTHERS:
            raise InputError(f"others is {self.others!r}; expected {', '.join(OTHERS)}")
        if unknown := set(self.drop) - set(KINDS):
            raise InputError(f"drop names {', '.join(sorted(unknown))}; expected {', '.join(KINDS)}")
        if self.codec not in ("auto", *CODECS):
            raise InputError(f"codec is {self.codec!r}; expected auto, {', '.join(CODECS)}")
        if self.mix_db is not None and not -60 <= self.mix_db <= 12:
            raise InputError(f"mix_db is {self.mix_db:g}; expected -60 to 12 dB, such as -18")
        start, stop = self.start_seconds or 0.0, self.stop_seconds
        if start < 0 or (stop is not None and stop <= start):
            until = "the end" if stop is None else f"{stop:g} s"
            raise InputError(
                f"the part from {start:g} s to {until} is empty; expected a start before its end"
            )

    @property
    def is_part(self) -> bool:
        """Whether a part of the video alone is rewritten."""
        return self.start_seconds is not None or self.stop_seconds is not None


def check_part_start(start_seconds: float, video: Path, end_seconds: float) -> None:
    """Check that the part to rewrite starts before the video ends.

    Raises:
        InputError: it does not.
    """
    if start_seconds >= end_seconds:
        raise InputError(
            f"the part to rewrite starts at {start_seconds:g} s, and '{video}' has {end_seconds:.2f} s; "
            "expected an earlier start"
        )


@dataclass(frozen=True, kw_only=True)
class KeptFrames:
    """Frames whose mouth stays as it was."""

    start: int
    stop: int
    """One past the last."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class DubbedFace:
    """A person whose mouth was rewritten."""

    anchor: str
    """Name of the anchor or the person."""
    face: int
    """Number of the face in the video; 0 is the leftmost."""
    speaks: bool
    """Whether the person has a speech; otherwise the mouth is at rest."""
    rewritten_frames: int
    """Frames in which this mouth is new, in whole or faded."""
    kept: tuple[KeptFrames, ...]
    """Frames in which it is not, and why."""
    speech_seconds: float
    """Speech found by voice activity, pauses excluded."""


@dataclass(frozen=True, kw_only=True)
class OwnAudioLag:
    """How the video's own audio fits its mouth, measured before the mouth was rewritten."""

    seconds: float | None
    """Lag of the audio; positive: the audio is late. None: it could not be measured."""
    uncertainty_seconds: float | None = None
    """Two standard errors of the lag."""
    correlation: float | None = None
    """Correlation of the mouth with the one predicted from the audio, at that lag."""
    drift: float = 0.0
    """Seconds by which the audio falls behind per second; the lag is then that halfway through."""
    text: str
    """The same in words, or why it could not be measured."""


@dataclass(frozen=True, kw_only=True)
class SpeechGain:
    """How new speech in a part of a video was made as loud as the speech that it replaces."""

    decibels: float
    """Gain of the speech."""
    speech_lufs: float | None = None
    """Loudness of the new speech before; None: no speech was detected in it."""
    reference_lufs: float | None = None
    """Loudness of the speech that it replaces, or else of the speech in the rest of the video; None: there is
    none."""
    text: str
    """The same in words."""


@dataclass(frozen=True, kw_only=True)
class DubResult:
    """A video that was dubbed, as :meth:`newscaster.Anchor.dub` returns it."""

    path: Path
    frames: int
    fps: Fraction
    rewritten_frames: int
    """Frames in which at least one mouth is new, in whole or faded."""
    kept: tuple[KeptFrames, ...]
    """Frames without, and why."""
    cuts: tuple[int, ...]
    """Frames that start another shot."""
    wall_seconds: float
    track_seconds: float
    """Of these, for finding the face in all frames; without an anchor, also for what is copied from."""
    speech_seconds: float
    """Speech found by voice activity, pauses excluded."""
    faces: tuple[DubbedFace, ...] = ()
    """The people whose mouths were rewritten."""
    own_audio: OwnAudioLag | None = None
    """The lag of the video's own audio, if that drives the mouth; None: another speech does."""
    speech_gain: SpeechGain | None = None
    """The gain of the speech in a part of the video; None: the whole video was dubbed, or follows its own
    audio."""
    notes: tuple[str, ...] = ()
    """What may not be as intended, a line each."""
    signed_by: str | None = None
    signed_locally: bool = False
    sidecar: Path | None = None
    unsigned_because: str | None = None
    signed_until: datetime | None = None
    time_stamped: bool = False
    unstamped_because: str | None = None

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return float(self.frames / self.fps)

    @property
    def frames_per_second(self) -> float:
        """Frames made per second, tracking included."""
        return self.frames / self.wall_seconds

    def to_json(self) -> dict[str, object]:
        """Return the report."""
        values = asdict(self)
        return {
            **values,
            "path": str(self.path),
            "fps": f"{self.fps.numerator}/{self.fps.denominator}",
            "seconds": round(self.seconds, 3),
            "sidecar": None if self.sidecar is None else str(self.sidecar),
            "signed_until": None if self.signed_until is None else self.signed_until.isoformat(),
        }
