"""The record of a job: what is to be made, its state, and the JSON that clients get."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from newscaster.still.head_motion import MotionStyle
from newscaster.synthesis.dub_options import DubOptions, Extend, Fit

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)
RECORD = "job.json"
VIDEO, CAPTIONS, REPORT = "video.mp4", "captions.vtt", "report.json"
ANCHOR = "made.anchor"
"""The anchor that was made of a photograph or of footage."""
PHOTO_STEM = "photo"
"""File name, without suffix, of the photograph in the folder of a job."""
PLAYABLE = "original-playable.mp4"
"""A copy of the original that browsers play: of a preview, or if they do not play the original itself."""
ORIGINAL_STEM = "original"
"""File name, without suffix, of the video to dub in the folder of a job."""
FOOTAGE_STEM = "footage"
"""File name, without number and suffix, of each video of footage in the folder of a job."""
TRAINING_WORK = "work"
"""Working directory of a training, in the folder of its job: a training that was stopped goes on from it."""
PREVIEW, FIGURES = "preview.png", "figures.json"
"""What a training shows of itself: an image of the network's output, and figures on held-out frames."""
SCRIPT = "script.txt"
_SCRIPTS = (".txt", ".srt", ".vtt")
_DUB_STARTS = {"track": 0.0, "render": 0.5}
"""Progress of a dub at which each phase starts; they take about as long as each other."""
_TRAINING_STARTS = {"track": 0.0, "look": 0.1, "crop": 0.12, "motion": 0.2, "rendering": 0.35, "matte": 0.95}
"""Progress of a training at which each phase starts, as for twelve minutes and two minutes of footage."""


@dataclass(frozen=True, kw_only=True)
class DubJob:
    """What a job adds that dubs a video."""

    original: str
    """The video, in the folder of the job."""
    video_id: str
    """Id of the upload that it came from."""
    fit: Fit = "video"
    extend: Extend = "transitions"
    mix_db: float | None = None
    face: int | None = None
    start_seconds: float | None = None
    stop_seconds: float | None = None
    preview: bool = False
    """Whether three seconds are dubbed."""
    preview_seconds: float | None = None
    """Time in the middle of a preview; None: the first time at which the person is seen."""

    def to_options(self, *, script: Path | None = None, cache: Path | None = None) -> DubOptions:
        """Return the options of the dub.

        Raises:
            InputError: a value is out of range.
        """
        return DubOptions(
            fit=self.fit,
            extend=self.extend,
            mix_db=self.mix_db,
            face=self.face,
            start_seconds=self.start_seconds,
            stop_seconds=self.stop_seconds,
            script=script,
            cache=cache,
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON of the API."""
        return {
            "fit": self.fit,
            "extend": self.extend,
            "mix": self.mix_db,
            "face": self.face,
            "from": self.start_seconds,
            "to": self.stop_seconds,
            "preview": self.preview,
            "preview_at": self.preview_seconds,
            "video_id": self.video_id,
        }


@dataclass(frozen=True, kw_only=True)
class PhotoJob:
    """What a job has that makes an anchor of a photograph."""

    consent: str
    """Of the person: see :meth:`newscaster.Consent.of`."""
    motion: MotionStyle = "calm"
    """Of the head."""
    blinks: bool = True
    face: int | None = None
    """Number of the person, from the left; None: the only one."""


@dataclass(frozen=True, kw_only=True)
class FootageJob:
    """What a job has that checks footage, or trains an anchor of it."""

    files: tuple[str, ...]
    """The videos, in the folder of the job."""
    titles: tuple[str, ...]
    """The client's names of them, for display only."""
    video_ids: tuple[str, ...]
    """Ids of the uploads that they came from."""
    check: bool = False
    """Whether the footage is only checked."""
    consent: str = ""
    """Of the person, to a training: see :meth:`newscaster.Consent.of`."""
    minutes: float = 12.0
    """Training time of the rendering network."""
    renderer: str = "unet"
    face: int | None = None
    """Number of the person, from the left; None: the one who is visible and speaks most."""

    def to_json(self) -> dict[str, object]:
        """Return the JSON of the API."""
        return {name: value for name, value in asdict(self).items() if name != "files"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A video, an anchor, or a check of footage, in the queue, in progress, or finished."""

    id: str
    anchor: str
    """Id of the anchor: of one that the job makes, and of a check, that of the job."""
    title: str
    """First words of the script, the client's name of the audio or the video, or the name of the new anchor;
    for display only."""
    source: str
    """File to speak, in the folder of the job: script.txt, audio, or cues. Of a dub without a speech, the
    video itself; or the photograph, or the first video of footage."""
    voice: str | None = None
    speed: float = 1.0
    openness: float = 1.0
    smoothness: float = 1.0
    background: str | None = None
    """A colour or "blur"; None: the footage's own."""
    strap_title: str | None = None
    """Title of the name strap; None: there is none."""
    strap_subtitle: str | None = None
    pronunciations: Mapping[str, str] | None = None
    """Readings of words of the text, before those of the studio."""
    dub: DubJob | None = None
    """Of a dub; None: the anchor speaks on its own target."""
    photo: PhotoJob | None = None
    """Of an anchor that is made of a photograph."""
    footage: FootageJob | None = None
    """Of a check of footage, or an anchor that is trained on it."""
    created: str = ""
    state: str = QUEUED
    phase: str | None = None
    """Of a running dub: track, render, or convert; of a check or a training, that of `newscaster.train`."""
    frames: int = 0
    """Frames done in this phase, or thousandths of a training's."""
    total: int = 0
    """Total frames, or thousandths; 0 while unknown."""
    seconds: float | None = None
    """Length of the finished video."""
    error: str | None = None
    """Reason of a failure."""
    notes: Sequence[str] = ()
    """Warnings, one line each, such as skipped parts of the script or audio without speech."""

    @property
    def is_open(self) -> bool:
        """Whether it is queued or running."""
        return self.state in (QUEUED, RUNNING)

    @property
    def has_script(self) -> bool:
        """Whether the source is a text or captions."""
        return self.source.endswith(_SCRIPTS)

    @property
    def progress(self) -> float:
        """Fraction done, 0 to 1."""
        if self.state == DONE:
            return 1.0
        done = self.frames / self.total if self.total else 0.0
        if self.phase is None or (self.footage is not None and self.footage.check):
            return done
        starts = _DUB_STARTS if self.footage is None else _TRAINING_STARTS
        start = starts.get(self.phase, 1.0)
        end = min((other for other in starts.values() if other > start), default=1.0)
        return min(1.0, start + (end - start) * done)

    @property
    def makes_anchor(self) -> bool:
        """Whether its result is an anchor."""
        return self.photo is not None or (self.footage is not None and not self.footage.check)

    @property
    def video_ids(self) -> tuple[str, ...]:
        """Ids of the uploads that it came from."""
        if self.footage is not None:
            return self.footage.video_ids
        return () if self.dub is None else (self.dub.video_id,)

    def to_json(self) -> dict[str, object]:
        """Return the JSON of the API."""
        shown: dict[str, object] = {name: value for name, value in asdict(self).items() if name != "source"}
        path = f"/v1/jobs/{self.id}"
        is_done, is_dub, is_check = self.state == DONE, self.dub is not None, False
        if self.footage is not None:
            shown["footage"], is_check = self.footage.to_json(), self.footage.check
            shown["training"] = None if is_check else f"{path}/training"
        shown["dub"] = None if self.dub is None else self.dub.to_json()
        shown["progress"] = self.progress
        has_video = is_done and not self.makes_anchor and not is_check
        shown["video"] = f"{path}/video" if has_video else None
        shown["anchor_file"] = f"{path}/anchor" if is_done and self.makes_anchor else None
        shown["poster"] = f"{path}/poster.jpg" if has_video else None
        shown["script"] = f"{path}/script" if self.source == SCRIPT else None
        has_captions = self.has_script and not (self.dub is not None and self.dub.preview)
        shown["captions"] = f"{path}/captions" if is_done and has_captions else None
        shown["report"] = f"{path}/report" if is_done and (is_dub or is_check) else None
        shown["original"] = f"{path}/original" if is_done and is_dub else None
        return shown


def read_record(path: Path) -> Job:
    """Read a job from its record.

    Raises:
        OSError: the file cannot be read.
        ValueError, TypeError, RecursionError: it is not a record of this version.
    """
    text = path.read_text(encoding="utf-8")
    fields = json.loads(text)
    Job(**fields)  # rejects fields of a later version
    if fields.get("dub") is not None:
        DubJob(**fields["dub"])
    if fields.get("photo") is not None:
        PhotoJob(**fields["photo"])
    if fields.get("footage") is not None:
        FootageJob(**fields["footage"])
    job = TypeAdapter(Job).validate_json(text, strict=True)
    files = [job.source, *(() if job.dub is None else (job.dub.original,))]
    files += () if job.footage is None else job.footage.files
    if job.state not in STATES or any(not name or Path(name).name != name for name in files):
        raise ValueError(job.state)
    return job
