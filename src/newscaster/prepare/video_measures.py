"""Measures of the frames of footage: who is seen, how long, how large, how well, how free the mouth is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import runs
from newscaster.prepare.clips import MIN_SECONDS
from newscaster.prepare.findings import Findings, face_fraction, mean_fraction
from newscaster.prepare.measure import FILES_NAMED, WORST_LAST, Measure, Verdict, good_or_poor, graded
from newscaster.prepare.mouth_occlusion import covered_frames, describe_times, leaves_too_little
from newscaster.prepare.occlusion import shows_mouth
from newscaster.prepare.persons import UNMEASURED, Identity, is_clear, times_text
from newscaster.prepare.target import MIN_TARGET_SECONDS

_MIN_MEASURED = 0.8
"""Share of frames that must have been searched for occluders; with less, a mouth is not known to be free."""


def video_measures(findings: Findings) -> list[Measure]:
    """All measures of the frames."""
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
    # 10 s hold some 100 speech sounds, of 40 or so kinds: each is seen two or three times; in 2 minutes each
    # is 30 times. On GRID the error of the motion still fell by a sixth from 11 minutes to 44.
    verdict = good_or_poor(minutes >= 2.0)
    if minutes * 60 < MIN_SECONDS:
        verdict = "unusable"
    return graded(
        "usable_minutes",
        "Usable footage",
        minutes,
        "min",
        # Not rounded up: 9.96 s are too little where 10 s are needed.
        f"{minutes:.1f} min" if minutes >= 1 else f"{math.floor(600 * minutes + 1e-6) / 10:g} s",
        verdict,
        "Picture with the person's face. The more there is, the better mouth and teeth become.",
        "Add footage of the same person, best recorded in the same place: 3 to 10 minutes are good.",
    )


def _people(findings: Findings) -> Measure:
    files = [i for i in findings.inspections if i.tracked and i.people]
    several = sum(len(i.people.persons) > 1 for i in files if i.people)
    verdict, text, advice = _who(findings.identities, several, len(files))
    left_out = [(i.footage.path.name, s) for i in files for s in i.tracked_segments if s.others]
    if verdict == "good" and left_out:
        seconds = sum(len(s.others) / float(s.segment.fps) for _, s in left_out)
        where = "; ".join(f"'{name}' {times_text(s.others)}" for name, s in left_out[:FILES_NAMED])
        verdict, text = "poor", f"1; {seconds:.1f} s left out"
        advice = f"Somebody else is seen, or who it is could not be measured: {where}. Cut that away."
    count = max(len(findings.identities), int(several > 0) + 1) if files else 0
    return graded(
        "people",
        "People in the footage",
        float(count) if findings.identities or not files else None,
        "",
        text,
        verdict,
        "Faces are compared over time and over files. One person is wanted; others are left out.",
        advice,
    )


def _who(identities: Sequence[Identity], several: int, files: int) -> tuple[Verdict, str, str]:
    """Verdict, text and advice on who is seen."""
    if not files:
        return "unusable", "0", "No face was found. Give footage that shows one person's face from the front."
    if not identities:
        return "unusable", "could not be measured", f"Whether the footage shows one person {UNMEASURED}."
    if not is_clear(identities):
        who = "; the other in ".join(map(str, identities[:2]))
        advice = (
            f"Two people are seen about as much: one in {who}. Give footage of the one who consented, or "
            f"name them with face=0 (leftmost), face=1 and so on."
        )
        return "unusable", f"{len(identities)}, and it is not clear who is meant", advice
    if len(identities) > 1:
        others = "; ".join(map(str, identities[1:4]))
        advice = f"Somebody else is left out: in {others}. Cut away what shows others."
        return "poor", f"1, and {len(identities) - 1} more who are left out", advice
    unmeasured = files - len({member.file.path for member in identities[0].members})
    if unmeasured:
        return "poor", f"1; not measured in {unmeasured} of {files} files", f"In those files it {UNMEASURED}."
    if several:
        return (
            "poor",
            "1, seen twice at a time",
            f"{several} of {files} files show several faces. Check in the frames below that the right one is "
            f"followed, and name another with face=0 (leftmost), face=1 and so on.",
        )
    return "good", "1", ""


def _face_fraction(findings: Findings) -> Measure:
    fraction = mean_fraction(findings)
    # What lacks a face is left out, so that this costs footage, not quality.
    verdict = good_or_poor(fraction >= 0.95)
    lengths = [
        (stop - start) / s.segment.fps for s in findings.tracked_segments for start, stop in runs(s.present)
    ]
    if max(lengths, default=0) < MIN_TARGET_SECONDS:  # no mouth can be put on it, see `stage`
        verdict = "unusable"
    return graded(
        "face_share",
        "Frames with the face",
        fraction,
        "",
        f"{100 * fraction:.1f} %",
        verdict,
        "Frames without it are left out.",
        "Cut away what does not show the person, such as title cards, other shots and "
        "the head turned away; avoid hands before the face.",
    )


def _face_size(findings: Findings) -> Measure:
    eyes, crop = findings.eyes_px or 0.0, findings.crop
    assert crop is not None
    # A mouth opens by up to a quarter of this, and landmarks waver by half a pixel or so. At 60 px that is
    # 15 px for teeth and tongue, at 40 px 10, which is too little to learn teeth from.
    verdict = good_or_poor(eyes >= 60)
    return graded(
        "face_size",
        "Size of the face",
        eyes,
        "px",
        f"{eyes:.0f} px between the eyes",
        verdict,
        f"Outer corners. The mouth will be drawn in a square of {crop.side} x {crop.side} pixels"
        f" that shows {crop.extent:.2g} times the eye distance.",
        "Use footage in which the face is larger: move closer, or record at a higher "
        "resolution. Enlarging the video does not help.",
    )


def _pose(findings: Findings) -> list[Measure]:
    angles = findings.angles()
    # Pose is taken out with a weak perspective and depths of a mean face. To 20 degrees all of the mouth is
    # in view; beyond 35 its far corner is hidden, and the landmark model guesses it.
    limits = {"yaw": 20.0, "pitch": 15.0, "roll": 15.0}
    what = {"yaw": "Turned left and right", "pitch": "Nodding up and down", "roll": "Leaning to a side"}
    measures = []
    for column, (name, good) in enumerate(limits.items()):
        low, middle, high = np.percentile(angles[:, column], [2.5, 50, 97.5])
        extreme = float(np.percentile(np.abs(angles[:, column]), 95))
        verdict = good_or_poor(extreme <= good)
        measures.append(
            graded(
                name,
                what[name],
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
    hidden: list[tuple[str, npt.NDArray[np.bool_], int, float]] = []
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
    advice = "Cut away what shows the head turned to the side or partly outside the picture."
    if count:
        text += f"; something is before it in {count} of {frames} frames: {describe_times(hidden)}"
        advice = (
            "Cut that away, or use footage without hands, microphones, masks and captions over the mouth."
        )
    if measured < _MIN_MEASURED * frames and not count:
        return graded(
            "mouth_free",
            "Frames with a free mouth",
            None,
            "",
            "could not be measured",
            max("poor", verdict, key=WORST_LAST.index),
            "The mouth is too small, too dark or too bright to see whether something is before it.",
            "Use footage in which the face is larger and well lit.",
        )
    # Such frames are not learnt from, and keep the footage's own mouth where they are shown.
    return graded(
        "mouth_free",
        "Frames with a free mouth",
        fraction,
        "",
        text,
        verdict,
        "Neither turned away, nor cut off by the picture's edge, nor covered by a hand, a microphone, a "
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
        "run together.",
        "Check the focus and the compression, clean the lens, add light so that the "
        "shutter is open for less time; do not use enlarged video.",
    )


def _brightness(findings: Findings) -> Measure:
    values = [v for s in findings.tracked_segments for v in s.brightness]
    value = float(np.median(values)) if values else 0.0
    # Skin of any colour that is well exposed lies between; outside, shadows or highlights are cut off.
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
