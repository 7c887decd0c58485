"""What the worker processes of dubs run: a dub, its preview, and the search for the faces in a video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from newscaster import media
from newscaster.server.job_process import without_folder
from newscaster.server.job_record import CAPTIONS, PLAYABLE, REPORT, VIDEO, Job

if TYPE_CHECKING:
    from newscaster.speech.spoken import Pronunciations
    from newscaster.synthesis.anchor import Anchor
    from newscaster.synthesis.dub_options import DubResult
    from newscaster.synthesis.options import Style
    from newscaster.types import ImageU8, Progress

_FACE_SIDE, _FRAME_SIDE = 160, 960
"""Maximum sides of the images in pixels."""
_SHEET_SIDE = 8 * _FRAME_SIDE
_JPEG_QUALITY = 85
FACES = "faces.jpg"
"""All frames with faces below each other, with boxes and numbers."""
_PLAYABLE_CRF = 20


@dataclass(frozen=True, kw_only=True)
class DubWork:
    """Inputs of a job that dubs a video; its outputs have fixed names in its folder."""

    starts_processes: ClassVar[bool] = False
    anchor: Path
    backend: str | None
    folder: Path
    job: Job
    cache: Path | None
    """Folder for face tracks; None keeps none."""
    timestamp: str | None = None
    pronunciations: Pronunciations | None = None
    """Address of a time-stamp authority for the video's signature."""

    def run(self, progress: Progress) -> dict[str, Any]:
        """Dub the video. See :class:`newscaster.server.job_process.Task`."""
        from newscaster.synthesis.anchor import Anchor

        assert self.job.dub is not None

        anchor = Anchor.open(self.anchor, backend=self.backend)
        made = self._preview(anchor, progress) if self.job.dub.preview else self._dub(anchor, progress)
        notes = [without_folder(note, self.folder) for note in made.notes]
        shown = {**made.to_json(), "path": VIDEO, "notes": notes}
        with media.atomic_write(self.folder / REPORT) as temporary:
            temporary.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
        if not self.job.dub.preview:
            write_playable(self._original, self.folder / PLAYABLE, progress)
        notes = [*_kept(made), *_level(made), *notes]
        return {"seconds": round(made.seconds, 2), "frames": made.frames, "notes": notes}

    @property
    def _original(self) -> Path:
        assert self.job.dub is not None
        return self.folder / self.job.dub.original

    @property
    def _script(self) -> Path | None:
        source = self.folder / self.job.source
        return source if source.suffix in (".srt", ".vtt") else None

    @property
    def _speech(self) -> Path | None:
        """The speech; None: captions, or the video's own audio."""
        source = self.folder / self.job.source
        return None if self._script is not None or source == self._original else source

    @property
    def _style(self) -> Style:
        from newscaster.speech.voices import Reading
        from newscaster.synthesis.articulation import Articulation
        from newscaster.synthesis.options import Style

        job = self.job
        reading = Reading(voice=job.voice, speed=job.speed, pronunciations=self.pronunciations)
        return Style(
            reading=reading if job.has_script else None,
            articulation=Articulation(openness=job.openness, smoothness=job.smoothness),
            title=job.strap_title,
            subtitle=job.strap_subtitle,
        )

    def _dub(self, anchor: Anchor, progress: Progress) -> DubResult:
        from newscaster.synthesis.options import Outputs, SigningOptions

        assert self.job.dub is not None
        captions = (self.folder / CAPTIONS,) if self.job.has_script else ()
        return anchor.dub(
            self._original,
            self._speech,
            self.folder / VIDEO,
            options=self.job.dub.to_options(script=self._script, cache=self.cache),
            outputs=Outputs(captions=captions, subtitles=self.job.has_script),
            signing=SigningOptions(timestamp=self.timestamp),
            style=self._style,
            progress=progress,
        )

    def _preview(self, anchor: Anchor, progress: Progress) -> DubResult:
        from newscaster.synthesis.options import SigningOptions

        assert self.job.dub is not None
        return anchor.preview_dub(
            self._original,
            self._speech,
            self.folder / VIDEO,
            original=self.folder / PLAYABLE,
            at_seconds=self.job.dub.preview_seconds,
            options=self.job.dub.to_options(script=self._script),
            signing=SigningOptions(timestamp=self.timestamp),
            style=self._style,
            progress=progress,
        )


def _level(made: DubResult) -> list[str]:
    """Return a line on the gain of the speech in a part."""
    return [] if made.speech_gain is None else [made.speech_gain.text]


def _kept(made: DubResult) -> list[str]:
    """Return one line on the frames that keep their own mouth; none if all are rewritten."""
    if not made.kept:
        return []
    reasons = ", ".join(dict.fromkeys(kept.reason for kept in made.kept))
    count = made.frames - made.rewritten_frames
    return [f"{count} of {made.frames} frames keep their own mouth: {reasons}. The report has their times"]


def write_playable(original: Path, path: Path, progress: Progress) -> None:
    """Write a copy of a video that browsers play, unless they play the video itself.

    Raises:
        MediaError: the video cannot be read.
        OutputError: there is no room.
    """
    from newscaster.prepare.clips import read_footage
    from newscaster.synthesis.dub_audio import AudioPlan, write_dub_audio

    if media.plays_in_browsers(original):
        return
    footage = read_footage(original)
    total = max(1, round(footage.end_seconds * footage.fps))

    def counted() -> Any:
        for count, frame in enumerate(media.read_yuv_frames(original, fps=footage.fps, plain=True), 1):
            yield frame
            progress("convert", min(count, total), total)

    with media.scratch_folder() as folder:
        audio = None
        if footage.has_audio:
            audio = folder / "audio.wav"
            plan = AudioPlan(speech=None, own=original, seconds=footage.end_seconds, own_gain=1.0)
            write_dub_audio(plan, audio)
        media.write_video(path, counted(), fps=footage.fps, audio=audio, crf=_PLAYABLE_CRF)


@dataclass(frozen=True, kw_only=True)
class FacesWork:
    """A search for the faces in a video. Writes their images."""

    starts_processes: ClassVar[bool] = False
    anchor: Path
    video: Path
    out: Path
    """Folder for the images; created if missing."""

    @property
    def folder(self) -> Path:
        """See :class:`newscaster.server.job_process.Task`."""
        return self.video.parent

    def run(self, progress: Progress) -> dict[str, Any]:
        """Find the faces. See :class:`newscaster.server.job_process.Task`."""
        from newscaster.formats.anchor import AnchorFile
        from newscaster.synthesis.identity import anchor_descriptor
        from newscaster.synthesis.loading import load_target
        from newscaster.synthesis.video_faces import find_faces

        file = AnchorFile(self.anchor)
        found = find_faces(self.video, anchor_descriptor(load_target(file, file.face())))
        self.out.mkdir(exist_ok=True)
        for face in found.faces:
            _write_jpeg(face.image, self.out / face_image(face.number), side=_FACE_SIDE)
        for number, frame in enumerate(found.frames):
            _write_jpeg(frame.image, self.out / frame_image(number), side=_FRAME_SIDE)
        if found.frames:
            numbered = [numbered_faces(frame.image, frame.boxes) for frame in found.frames]
            _write_jpeg(_stacked(numbered), self.out / FACES, side=_SHEET_SIDE)
        frames = [
            {
                "seconds": frame.seconds,
                "boxes": {str(number): _box(box) for number, box in frame.boxes.items()},
            }
            for frame in found.frames
        ]
        faces = [{"is_anchor": face.is_person, "frame": face.frame} for face in found.faces]
        return {"faces": faces, "frames": frames}


def numbered_faces(image: ImageU8, boxes: Mapping[int, Any]) -> Image.Image:
    """Draw the box and the number of each face into a copy of a frame, which is `_FRAME_SIDE` at most.

    Args:
        image: the frame.
        boxes: by the number of the face: left, top, right and bottom, relative to the frame, 0 to 1.
    """
    shown = Image.fromarray(image)
    shown.thumbnail((_FRAME_SIDE, _FRAME_SIDE))
    draw, width, height = ImageDraw.Draw(shown), shown.width, shown.height
    font = ImageFont.load_default(size=max(12, height // 16))
    for number, box in boxes.items():
        left, top, right, bottom = np.asarray(box, float) * (width, height, width, height)
        draw.rectangle((left, top, right, bottom), outline="white", width=max(2, height // 160))
        text = (left + 4, top + 2, str(number))
        draw.text(text[:2], text[2], fill="white", font=font, stroke_width=2, stroke_fill="black")
    return shown


def _stacked(images: Sequence[Image.Image]) -> ImageU8:
    """Return images below each other."""
    sheet = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)))
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    return np.asarray(sheet)


def face_image(number: int) -> str:
    """Return the name of the image of a face."""
    return f"face-{number}.jpg"


def frame_image(number: int) -> str:
    """Return the name of the image of a frame."""
    return f"frame-{number}.jpg"


def _box(box: Any) -> dict[str, float]:
    left, top, right, bottom = (round(float(value), 4) for value in np.asarray(box))
    return {
        "left": left,
        "top": top,
        "width": round(right - left, 4),
        "height": round(bottom - top, 4),
    }


def _write_jpeg(image: ImageU8, path: Path, *, side: int) -> None:
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    with media.atomic_write(path) as temporary:
        small.save(temporary, "JPEG", quality=_JPEG_QUALITY)
