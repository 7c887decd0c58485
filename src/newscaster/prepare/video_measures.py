"""Measures of the frames of footage: length, people, size and pose of the face, image quality, free mouth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from newscaster.face.geometry import runs
from newscaster.prepare.clips import MIN_SECONDS
from newscaster.prepare.findings import Findings, face_fraction, mean_fraction
from newscaster.prepare.measure import FILES_NAMED, WORST_LAST, Measure, Verdict, good_or_poor, graded
from newscaster.prepare.mouth_occlusion import covered_frames, describe_times, leaves_too_little
from newscaster.prepare.occlusion import shows_mouth
from newscaster.prepare.persons import UNMEASURED, Identity, is_clear, times_text
from newscaster.prepare.target import MIN_TARGET_SECONDS
from newscaster.types import ArrayBool

_MIN_MEASURED = 0.8
"""Minimum fraction of frames that were searched for occluders; with less, the mouth is not known to be
free."""


def video_measures(findings: Findings) -> list[Measure]:
    """Return all measures of the frames."""
    measures = [_minutes(findings), _people(findings), _face_fraction(findings)]
    if findings.tracked_segments:
        measures += [
            _face_size(findings),
            *_pose(findings),
            _mouth_free(findings),
            _sharpness(findings),
            _brightness(findings),
        ]
    return measures


def _minutes(findings: Findings) -> Measure:
    mean, minutes = mean_fraction(findings), 0.0
    for inspection in findings.inspections:
        fraction = face_fraction(inspection)
        minutes += inspection.footage.seconds * (mean if fraction is None else fraction) / 60
    # 10 s have about 100 phones of about 40 phonemes: each occurs two or three times; in 2 minutes, 30 times.
    # On GRID, the error of the motion still fell by a sixth from 11 minutes to 44.
    verdict = good_or_poor(minutes >= 2.0)
    if minutes * 60 < MIN_SECONDS:
        verdict = "unusable"
    return graded(
        "usable_minutes",
        "Usable footage",
        minutes,
        "min",
        # Not rounded up: 9.96 s are too little if 10 s are needed.
        f"{minutes:.1f} min" if minutes >= 1 else f"{math.floor(600 * minutes + 1e-6) / 10:g} s",
        verdict,
        "Frames with the person's face. The more there are, the better mouth and teeth become.",
        "Add footage of the same person, preferably from the same place: 3 to 10 minutes are good.",
    )


def _people(findings: Findings) -> Measure:
    files = [i for i in findings.inspections if i.tracked and i.people]
    several = sum(len(i.people.persons) > 1 for i in files if i.people)
    verdict, text, advice = _rate_identities(findings.identities, several, len(files))
    skipped = [(i.footage.path.name, s) for i in files for s in i.tracked_segments if s.others]
    if verdict == "good" and skipped:
        seconds = sum(len(s.others) / float(s.segment.fps) for _, s in skipped)
        places = "; ".join(f"'{name}' {times_text(s.others)}" for name, s in skipped[:FILES_NAMED])
        verdict, text = "poor", f"1; {seconds:.1f} s skipped"
        advice = f"Someone else is visible, or the person could not be identified: {places}. Cut these parts."
    count = max(len(findings.identities), int(several > 0) + 1) if files else 0
    return graded(
        "people",
        "People in the footage",
        float(count) if findings.identities or not files else None,
        "",
        text,
        verdict,
        "Faces are compared over time and over files. Only one person is used; others are skipped.",
        advice,
    )


def _rate_identities(identities: Sequence[Identity], several: int, files: int) -> tuple[Verdict, str, str]:
    """Return verdict, text and advice on the people in the footage."""
    if not files:
        return "unusable", "0", "No face was found. Give footage that shows one person's face from the front."
    if not identities:
        return "unusable", "could not be measured", f"Whether the footage shows one person {UNMEASURED}."
    if not is_clear(identities):
        first_two = "; the other in ".join(map(str, identities[:2]))
        advice = (
            f"Two people are visible about equally: one in {first_two}. Give footage of the one who "
            f"consented, or select them with face=0 (leftmost), face=1 and so on."
        )
        return "unusable", f"{len(identities)}, and it is not clear which one to follow", advice
    if len(identities) > 1:
        others = "; ".join(map(str, identities[1:4]))
        advice = f"Other people are skipped: in {others}. Cut the parts that show them."
        return "poor", f"1, and {len(identities) - 1} more who are skipped", advice
    unmeasured = files - len({member.file.path for member in identities[0].members})
    if unmeasured:
        return "poor", f"1; not measured in {unmeasured} of {files} files", f"In those files it {UNMEASURED}."
    if several:
        return (
            "poor",
            "1, several times in a frame",
            f"{several} of {files} files show several faces. Check in the frames below that the right one is "
            f"tracked, or select another with face=0 (leftmost), face=1 and so on.",
        )
    return "good", "1", ""


def _face_fraction(findings: Findings) -> Measure:
    fraction = mean_fraction(findings)
    # Frames without the face are skipped: they cost footage, not quality.
    verdict = good_or_poor(fraction >= 0.95)
    lengths = [
        (stop - start) / s.segment.fps for s in findings.tracked_segments for start, stop in runs(s.present)
    ]
    if max(lengths, default=0) < MIN_TARGET_SECONDS:  # too short for a target
        verdict = "unusable"
    return graded(
        "face_share",
        "Frames with the face",
        fraction,
        "",
        f"{100 * fraction:.1f} %",
        verdict,
        "Frames without it are skipped.",
        "Cut the parts that do not show the person's face, such as title cards, other shots and a head "
        "turned away; avoid hands before the face.",
    )


def _face_size(findings: Findings) -> Measure:
    eyes, crop = findings.eyes_px or 0.0, findings.crop
    assert crop is not None
    # A mouth opens by up to a quarter of this, and landmarks jitter by about half a pixel. At 60 px, that is
    # 15 px for teeth and tongue; at 40 px, it is 10 px, too little to learn teeth from.
    verdict = good_or_poor(eyes >= 60)
    return graded(
        "face_size",
        "Size of the face",
        eyes,
        "px",
        f"{eyes:.0f} px between the eyes",
        verdict,
        f"Distance of the outer eye corners. The face crop has {crop.side} x {crop.side} pixels and shows "
        f"{crop.extent:.2g} times this distance.",
        "Use footage in which the face is larger: move closer, or record at a higher "
        "resolution. Upscaling the video does not help.",
    )


def _pose(findings: Findings) -> list[Measure]:
    angles = findings.angles()
    # Pose is removed with a weak perspective and the depths of a mean face. Up to 20 degrees, the whole mouth
    # is visible; beyond 35, its far corner is hidden, and the landmark model guesses it.
    limits = {"yaw": 20.0, "pitch": 15.0, "roll": 15.0}
    titles = {"yaw": "Turned left and right", "pitch": "Nodding up and down", "roll": "Leaning to a side"}
    measures = []
    for column, (name, good) in enumerate(limits.items()):
        low, middle, high = np.percentile(angles[:, column], [2.5, 50, 97.5])
        extreme = float(np.percentile(np.abs(angles[:, column]), 95))
        verdict = good_or_poor(extreme <= good)
        measures.append(
            graded(
                name,
                titles[name],
                extreme,
                "degrees",
                f"{round(low):+d}° to {round(high):+d}°",
                verdict,
                f"{name.capitalize()} of 95 % of frames, median {round(middle):+d}°. Good to {good:.0f}°.",
                "Use footage in which the person looks into the camera, or put the "
                "camera at the height of the eyes.",
            )
        )
    return measures


def _mouth_free(findings: Findings) -> Measure:
    free = frames = measured = 0
    hidden: list[tuple[str, ArrayBool, int, float]] = []
    for tracked, poses in zip(findings.tracked_segments, findings.poses, strict=True):
        seen, segment = tracked.present, tracked.segment
        video = segment.footage.video
        covered = covered_frames(tracked.occlusion, seen, float(segment.fps))
        hidden.append((segment.footage.path.name, covered, segment.start_frame, float(segment.fps)))
        size = video.width, video.height
        shown = shows_mouth(tracked.landmarks[seen], poses[seen], findings.angles(), size)
        free += int((shown & ~covered[seen]).sum())
        frames += int(seen.sum())
        measured += int(np.isfinite(tracked.occlusion[seen, 0]).sum())
    fraction = free / max(frames, 1)
    count = sum(int(flags.sum()) for _, flags, _, _ in hidden)
    verdict = good_or_poor(fraction >= 0.95)
    face_seconds = mean_fraction(findings) * sum(i.footage.seconds for i in findings.inspections)
    if leaves_too_little(1 - fraction, fraction * face_seconds):
        verdict = "unusable"
    text = f"{100 * fraction:.1f} %"
    advice = "Cut the parts in which the head is turned to the side or partly outside the frame."
    if count:
        text += f"; covered in {count} of {frames} frames: {describe_times(hidden)}"
        advice = (
            "Cut these parts, or use footage without hands, microphones, masks and captions over the mouth."
        )
    if measured < _MIN_MEASURED * frames and not count:
        return graded(
            "mouth_free",
            "Frames with a free mouth",
            None,
            "",
            "could not be measured",
            max("poor", verdict, key=WORST_LAST.index),
            "The mouth is too small, too dark or too bright to detect whether something covers it.",
            "Use footage in which the face is larger and well lit.",
        )
    # Other frames are not used for training, and keep the footage's own mouth in the target.
    return graded(
        "mouth_free",
        "Frames with a free mouth",
        fraction,
        "",
        text,
        verdict,
        "Neither turned away, nor cut off by the frame's edge, nor covered by a hand, a microphone, a "
        "caption or the like.",
        advice,
    )


def _sharpness(findings: Findings) -> Measure:
    values = [v for s in findings.tracked_segments for v in s.sharpness]
    value = float(np.median(values)) if values else 0.0
    # Measured: 0.16 to 0.49 on 36 files as recorded (GRID, web video, broadcast). The same blurred by a
    # Gaussian of 2 % of the eye distance, which closes the gaps between teeth: 0.05 to 0.12; by 4 %: below
    # 0.09.
    verdict = good_or_poor(value >= 0.14)
    return graded(
        "sharpness",
        "Sharpness of the face",
        value,
        "",
        f"{value:.2f}",
        verdict,
        "Fine detail over contrast, at the same size for every face; 0.16 to 0.5 is usual, below 0.1 teeth "
        "blur together.",
        "Check the focus and the compression, clean the lens, add light for a shorter exposure; do not use "
        "upscaled video.",
    )


def _brightness(findings: Findings) -> Measure:
    values = [v for s in findings.tracked_segments for v in s.brightness]
    value = float(np.median(values)) if values else 0.0
    # Well exposed skin of any colour lies in this range; outside, shadows or highlights are clipped.
    verdict = good_or_poor(45 <= value <= 205)
    return graded(
        "brightness",
        "Brightness of the face",
        value,
        "",
        f"{value:.0f} of 255",
        verdict,
        "Median of the face; 45 to 205 is good.",
        "Light the face evenly from the front, or correct the exposure.",
    )
