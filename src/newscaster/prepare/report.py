"""The report on footage before preparation: as data, and as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from newscaster.face.geometry import eye_distance
from newscaster.formats.dataset import SPEECH_RATE
from newscaster.formats.dataset_clip import AudioUse
from newscaster.prepare.findings import Findings, face_fraction
from newscaster.prepare.inspect_file import Inspection
from newscaster.prepare.measure import Measure, Verdict, worst
from newscaster.prepare.speaking import loudness_db
from newscaster.prepare.thumbnails import annotated, data_uri, mouth_sheet
from newscaster.reports.page import rendered_page, write_page
from newscaster.reports.plots import Line, Plot, plot
from newscaster.speech.activity import speech_activity

_FRAMES_SHOWN = 6
_MOUTHS_SHOWN = 24
_MOUTH_COLUMNS = 8
_FILES_SHOWN = 12
_AUDIO_USES: dict[AudioUse, str] = {
    "speech": "yes",
    "silence": "no speech: used for the renderer and the mouth at rest only",
    "no speech": "no speech: used for the renderer only",
    "no sound": "no audio: used for the renderer only",
}
_HEADLINES: dict[Verdict, str] = {
    "good": "Good footage: an anchor can be made from it as it is.",
    "poor": "An anchor can be made from it, but it will be better if you fix the points below.",
    "unusable": "No anchor can be made from it until the points below are fixed.",
}


@dataclass(frozen=True)
class FileSummary:
    """One file of footage."""

    name: str
    seconds: float
    width: int
    height: int
    fps: float
    has_audio: bool
    people: int
    face_fraction: float | None
    """Fraction of the tracked frames with the face; None if none was tracked."""
    eyes_px: float | None
    """Median IOD in pixels; None if there is no face."""
    audio_use: AudioUse = "speech"

    @property
    def audio(self) -> str:
        """Use of its audio, as text."""
        return _AUDIO_USES[self.audio_use]

    def to_json(self) -> dict[str, Any]:
        """Return the values under the keys of the JSON report."""
        old = {"has_audio": "has_sound", "audio_use": "sound_use", "face_fraction": "face_share"}
        return {old.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Report:
    """Results of a check of footage, with advice."""

    measures: tuple[Measure, ...]
    files: tuple[FileSummary, ...]
    notes: tuple[str, ...]
    """Further notes, such as skipped files and sampled tracking."""
    looked_at_seconds: float
    total_seconds: float
    images: tuple[Image.Image, ...] = ()
    """Frames with crop and landmarks drawn in."""
    mouths: Image.Image | None = None
    """Mouths from closed to wide open."""
    plots: tuple[Plot, ...] = ()
    """Plots of one segment over time."""

    def __repr__(self) -> str:
        return f"Report({self.verdict}, {len(self.files)} files, {self.total_seconds / 60:.1f} min)"

    @property
    def verdict(self) -> Verdict:
        """Verdict of the worst measure."""
        return worst(self.measures)

    @property
    def headline(self) -> str:
        """The verdict as a sentence."""
        return _HEADLINES[self.verdict]

    def measure(self, name: str) -> Measure:
        """Return the measure with this name; raise ``KeyError`` if it was not taken."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return everything except images and plots."""
        return {
            "verdict": self.verdict,
            "measures": [asdict(measure) for measure in self.measures],
            "files": [file.to_json() for file in self.files],
            "notes": list(self.notes),
            "looked_at_seconds": self.looked_at_seconds,
            "total_seconds": self.total_seconds,
        }

    def html(self) -> str:
        """Return one self-contained page.

        Raises:
            MissingExtraError: jinja2 is not installed.
        """
        shown = sorted(
            self.files,
            key=lambda f: (f.audio_use == "speech", 1.0 if f.face_fraction is None else f.face_fraction),
        )
        template = resources.files("newscaster.prepare").joinpath("report.html").read_text(encoding="utf-8")
        return rendered_page(
            template,
            report=self,
            images=[data_uri(image) for image in self.images],
            mouths=data_uri(self.mouths) if self.mouths is not None else None,
            plots=self.plots,
            files=shown[:_FILES_SHOWN],
            more_files=max(0, len(shown) - _FILES_SHOWN),
        )

    def write(self, path: Path | str) -> None:
        """Write the page.

        Raises:
            OutputError: ``path`` cannot be written.
            MissingExtraError: jinja2 is not installed.
        """
        write_page(path, self.html)


def make_report(findings: Findings, measures: Sequence[Measure], notes: Sequence[str]) -> Report:
    """Draw images and plots, and assemble the report."""
    tracked_seconds = sum(
        float(len(s.present) / s.segment.fps) for i in findings.inspections for s in i.tracked_segments
    )
    return Report(
        tuple(measures),
        tuple(_summary(i, use) for i, use in zip(findings.inspections, findings.audio_uses, strict=True)),
        tuple(notes),
        tracked_seconds,
        sum(inspection.footage.seconds for inspection in findings.inspections),
        tuple(_frames(findings)),
        _mouths(findings),
        tuple(_plots(findings)),
    )


def audio_notes(findings: Findings) -> list[str]:
    """Return a line for each file that only the renderer is trained on; the last one may sum up many."""
    files = [_summary(i, use) for i, use in zip(findings.inspections, findings.audio_uses, strict=True)]
    notes = [f"'{file.name}': {file.audio}" for file in files if file.audio_use != "speech"]
    if len(notes) <= _FILES_SHOWN:
        return notes
    return [
        *notes[: _FILES_SHOWN - 1],
        f"{len(notes) - _FILES_SHOWN + 1} other files: used for the renderer only",
    ]


def _summary(inspection: Inspection, use: AudioUse) -> FileSummary:
    seen = [s for s in inspection.tracked_segments if s.present.any()]
    eyes = [float(np.median(eye_distance(s.landmarks[s.present]))) for s in seen]
    video = inspection.footage.video
    return FileSummary(
        inspection.footage.path.name,
        inspection.footage.seconds,
        video.width,
        video.height,
        float(video.fps),
        inspection.footage.has_audio,
        len(inspection.people.persons) if inspection.people else 0,
        face_fraction(inspection),
        float(np.median(eyes)) if eyes else None,
        use,
    )


def _frames(findings: Findings) -> list[Image.Image]:
    """Return frames of segments spread over the footage, with crop and landmarks drawn in."""
    crop, head = findings.crop, findings.head
    if crop is None or head is None:
        return []
    kept = [(i, shown) for i, tracked in enumerate(findings.tracked_segments) for shown in tracked.shown]
    images = []
    for k in np.linspace(0, len(kept) - 1, min(_FRAMES_SHOWN, len(kept))).astype(int):
        i, shown = kept[k]
        pose = findings.poses[i][shown.frame : shown.frame + 1]
        landmarks = findings.tracked_segments[i].landmarks[shown.frame]
        images.append(annotated(shown, landmarks, crop.transforms(head, pose)[0], crop))
    return images


def _mouths(findings: Findings) -> Image.Image | None:
    """Return mouths from closed to wide open, at equal steps through the ranks of their openings."""
    mouths = sorted((m for s in findings.tracked_segments for m in s.mouths), key=lambda m: m.opening)
    chosen = np.linspace(0, len(mouths) - 1, min(_MOUTHS_SHOWN, len(mouths))).astype(int)
    return mouth_sheet([mouths[i] for i in chosen], columns=_MOUTH_COLUMNS)


def _plots(findings: Findings) -> list[Plot]:
    """Plot pose, opening and loudness of the segment that shows the face for longest."""
    if not findings.tracked_segments:
        return []
    i = max(
        range(len(findings.tracked_segments)), key=lambda k: int(findings.tracked_segments[k].present.sum())
    )
    tracked, angles = findings.tracked_segments[i], findings.poses[i].angles
    seconds = float(len(tracked.present) / tracked.segment.fps)
    pose = [Line(name, angles[:, k], f"c{k + 1}") for k, name in enumerate(("yaw", "pitch", "roll"))]
    opened = Line("opening", 100 * findings.openings[i], "c1")
    plots = [
        plot("Pose of the head, degrees", pose, seconds=seconds),
        plot("Opening of the mouth, % of the eye distance", [opened], seconds=seconds),
    ]
    if tracked.segment.footage.has_audio:
        steps = max(2, round(seconds / 0.02))
        level = loudness_db(tracked.speech, rate=SPEECH_RATE, step_seconds=0.02, steps=steps)
        line, active = Line("loudness", level, "c2"), speech_activity(tracked.speech)
        title = "Loudness, dBFS; shaded: speech"
        plots.append(plot(title, [line], seconds=seconds, limits=(-70.0, 0.0), shade=active))
    return plots
