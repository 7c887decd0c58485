"""What footage is good for: measures with a verdict, the reason for each threshold, and what to do.

Pure arithmetic on what was found in the files. Leaves finding it to ``inspect_file`` and showing it to
``report``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import eye_distance, runs
from newscaster.face.head import Head, Poses
from newscaster.face.mouth import is_moving, mouth_shapes, opening
from newscaster.face.region import Region
from newscaster.prepare.clips import MIN_SECONDS
from newscaster.prepare.inspect_file import Inspection, Sound, TrackedStretch
from newscaster.prepare.lag import Lag, estimate_lag
from newscaster.prepare.mouth_occlusion import covered_frames, describe_times, leaves_too_little
from newscaster.prepare.persons import (
    UNMEASURED,
    Identity,
    Member,
    Seen,
    identities_of,
    is_clear,
    times_text,
)
from newscaster.prepare.rewritable import shows_mouth
from newscaster.prepare.stage import MIN_TARGET_SECONDS
from newscaster.speech.activity import LEAST_SPEAKING_SECONDS
from newscaster.take import SPEECH_RATE
from newscaster.take_clip import AudioUse, audio_use

Verdict = Literal["good", "poor", "unusable"]
Array = npt.NDArray[np.float64]
_WORST_LAST: tuple[Verdict, ...] = ("good", "poor", "unusable")
_FIT_FRAMES = 2000
_FILES_NAMED = 5
_MIN_MEASURED = 0.8
"""Share of frames that must have been searched for occluders; with less, a mouth is not known to be free."""


@dataclass(frozen=True)
class Measure:
    """One thing measured on footage."""

    name: str
    """For programs: stays the same between versions."""
    title: str
    value: float | None
    """None where it cannot be measured."""
    unit: str
    text: str
    """The value as people read it, with its unit."""
    verdict: Verdict
    meaning: str
    """What the value tells about the anchor to come."""
    advice: str
    """What to do; empty where all is well."""


@dataclass(frozen=True)
class Findings:
    """What was found in all files together."""

    inspections: tuple[Inspection, ...]
    stretches: tuple[TrackedStretch, ...]
    """Those that show the face."""
    head: Head | None
    """None where there is no face at all."""
    poses: tuple[Poses, ...]
    """Of each stretch."""
    openings: tuple[Array, ...]
    """Of each stretch's mouth, (F,) in outer-eye distances; NaN where the face is not there."""
    sound_uses: tuple[AudioUse, ...]
    """Of each inspection."""
    lag: Lag | None
    identities: tuple[Identity, ...] = ()
    """Everybody who is seen, over all files, whoever is seen for longest first."""

    @property
    def region(self) -> Region | None:
        eyes = self.eyes_px
        return Region.for_face(eyes) if eyes else None

    @property
    def eyes_px(self) -> float | None:
        """Median distance of the outer eye corners."""
        return (
            float(np.median(self._present(lambda s: eye_distance(s.landmarks)))) if self.stretches else None
        )

    def angles(self) -> Array:
        """Yaw, pitch and roll of every frame with a face, (n, 3)."""
        return np.concatenate([p.angles[s.present] for p, s in zip(self.poses, self.stretches, strict=True)])

    def _present(self, of: Callable[[TrackedStretch], Array]) -> Array:
        return np.concatenate([of(stretch)[stretch.present] for stretch in self.stretches])

    @property
    def all_sounds(self) -> list[Sound]:
        """Of all files that have any."""
        return [i.sound for i in self.inspections if i.sound is not None]

    @property
    def sounds(self) -> list[Sound]:
        """Of the files with speech."""
        uses = zip(self.inspections, self.sound_uses, strict=True)
        return [i.sound for i, use in uses if i.sound is not None and use == "speech"]


def gather(inspections: Sequence[Inspection], *, face: int | None = None) -> Findings:
    """Fit the person's head to all that was tracked, and measure poses, openings and the lag with it.

    Stretches of other people than the one whom the footage is about do not count. ``face`` is the face that
    was asked for.
    """
    identities = identities_of(_members(inspections, face))
    inspections = [_of_person(inspection, identities) for inspection in inspections]
    return replace(_gather(inspections), identities=identities)


def _members(inspections: Sequence[Inspection], face: int | None) -> list[Member]:
    members = []
    for inspection in inspections:
        if inspection.people is not None:
            file = Seen(inspection.footage.path, inspection.footage.seconds, inspection.people.persons)
            numbers = range(len(file.persons)) if face is None else [inspection.people.chosen]
            members += [Member(file, number) for number in numbers]
    return members


def _of_person(inspection: Inspection, identities: Sequence[Identity]) -> Inspection:
    """A file without its stretches unless who is followed there is the person, as training will have it."""
    if not identities or inspection.people is None:
        return inspection
    followed = inspection.people.person
    is_person = any(member.person is followed for member in identities[0].members)
    return inspection if is_person else replace(inspection, stretches=())


def _gather(inspections: Sequence[Inspection]) -> Findings:
    stretches = tuple(s for i in inspections for s in i.stretches if s.present.any())
    if not stretches:
        return Findings(tuple(inspections), (), None, (), (), tuple(_use(i, []) for i in inspections), None)
    landmarks = np.concatenate([s.landmarks[s.present] for s in stretches])
    head = Head.fit(landmarks[:: -(-len(landmarks) // _FIT_FRAMES)])
    poses = tuple(head.poses(s.landmarks, s.present) for s in stretches)
    openings = tuple(opening(mouth_shapes(s.landmarks, head)) for s in stretches)
    owners = [k for k, i in enumerate(inspections) for s in i.stretches if s.present.any()]
    mouths: list[list[Array]] = [[] for _ in inspections]
    for owner, mouth in zip(owners, openings, strict=True):
        mouths[owner].append(mouth)
    uses = tuple(_use(i, m) for i, m in zip(inspections, mouths, strict=True))
    heard = [k for k, owner in enumerate(owners) if uses[owner] == "speech"]
    lag = estimate_lag(
        [openings[k] for k in heard],
        [stretches[k].speech for k in heard],
        fps=float(stretches[0].segment.fps),
        rate=SPEECH_RATE,
    )
    return Findings(tuple(inspections), stretches, head, poses, openings, uses, lag)


def _use(inspection: Inspection, openings: Sequence[Array]) -> AudioUse:
    """By the rule of ``Clip.audio_use``; if faces were not looked at, the mouth is taken to move."""
    if inspection.sound is None:
        return "no sound"
    moving = not inspection.tracked or any(is_moving(opening) for opening in openings)
    return audio_use(inspection.sound.speech_seconds, moving=moving)


def measure(findings: Findings) -> tuple[Measure, ...]:
    """All measures, those of the picture first."""
    measures = [_minutes(findings), _people(findings), _face_share(findings)]
    if findings.stretches:
        measures += [
            _face_size(findings),
            *_pose(findings),
            _mouth_free(findings),
            _sharpness(findings),
            _brightness(findings),
        ]
    sounds = findings.sounds
    measures.append(_has_sound(findings))
    if findings.all_sounds:
        measures += [
            _loudness(sounds),
            _noise(sounds),
            _clipping(sounds or findings.all_sounds),
            _silence(sounds),
            _lag(findings.lag, has_speech=bool(sounds)),
        ]
    return tuple(measures)


def worst(measures: Sequence[Measure]) -> Verdict:
    """The verdict on footage: that of its worst measure."""
    return max((m.verdict for m in measures), key=_WORST_LAST.index, default="unusable")


def _measure(
    name: str,
    title: str,
    value: float | None,
    unit: str,
    text: str,
    verdict: Verdict,
    meaning: str,
    advice: str,
) -> Measure:
    """A measure that gives its advice only where there is something to change."""
    return Measure(name, title, value, unit, text, verdict, meaning, "" if verdict == "good" else advice)


def _grade(is_good: bool) -> Verdict:
    """Of what makes an anchor better or worse, and which training takes as it is: never unusable."""
    return "good" if is_good else "poor"


def face_share(inspection: Inspection) -> float | None:
    """Share of a file's frames looked at that show the face; None where none was looked at."""
    if not inspection.tracked:
        return None
    frames = sum(len(s.present) for s in inspection.stretches)
    return sum(int(s.present.sum()) for s in inspection.stretches) / frames if frames else 0.0


def _mean_share(findings: Findings) -> float:
    """Of all files together, weighted by their lengths."""
    pairs = [(i.footage.seconds or 1.0, face_share(i)) for i in findings.inspections]
    looked = [(seconds, share) for seconds, share in pairs if share is not None]
    return sum(seconds * share for seconds, share in looked) / max(
        sum(seconds for seconds, _ in looked), 1e-6
    )


def _minutes(findings: Findings) -> Measure:
    mean, minutes = _mean_share(findings), 0.0
    for inspection in findings.inspections:
        share = face_share(inspection)
        minutes += inspection.footage.seconds * (mean if share is None else share) / 60
    # 10 s hold some 100 speech sounds, of 40 or so kinds: each is seen two or three times; in 2 minutes each
    # is 30 times. On GRID the error of the motion still fell by a sixth from 11 minutes to 44.
    verdict = _grade(minutes >= 2.0)
    if minutes * 60 < MIN_SECONDS:
        verdict = "unusable"
    return _measure(
        "usable_minutes",
        "Usable footage",
        minutes,
        "min",
        f"{minutes:.1f} min" if minutes >= 1 else f"{minutes * 60:.0f} s",
        verdict,
        "Picture with the person's face. The more there is, the better mouth and teeth become.",
        "Add footage of the same person, best recorded in the same place: 3 to 10 minutes are good.",
    )


def _people(findings: Findings) -> Measure:
    files = [i for i in findings.inspections if i.tracked and i.people]
    several = sum(len(i.people.persons) > 1 for i in files if i.people)
    verdict, text, advice = _who(findings.identities, several, len(files))
    left_out = [(i.footage.path.name, s) for i in files for s in i.stretches if s.others]
    if verdict == "good" and left_out:
        seconds = sum(len(s.others) / float(s.segment.fps) for _, s in left_out)
        where = "; ".join(f"'{name}' {times_text(s.others)}" for name, s in left_out[:_FILES_NAMED])
        verdict, text = "poor", f"1; {seconds:.1f} s left out"
        advice = f"Somebody else is seen, or who it is could not be measured: {where}. Cut that away."
    count = max(len(findings.identities), int(several > 0) + 1) if files else 0
    return _measure(
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


def _face_share(findings: Findings) -> Measure:
    share = _mean_share(findings)
    # What lacks a face is left out, so that this costs footage, not quality.
    verdict = _grade(share >= 0.95)
    lengths = [(stop - start) / s.segment.fps for s in findings.stretches for start, stop in runs(s.present)]
    if max(lengths, default=0) < MIN_TARGET_SECONDS:  # no mouth can be put on it, see `stage`
        verdict = "unusable"
    return _measure(
        "face_share",
        "Frames with the face",
        share,
        "",
        f"{100 * share:.1f} %",
        verdict,
        "Frames without it are left out.",
        "Cut away what does not show the person, such as title cards, other shots and "
        "the head turned away; avoid hands before the face.",
    )


def _face_size(findings: Findings) -> Measure:
    eyes, region = findings.eyes_px or 0.0, findings.region
    assert region is not None
    # A mouth opens by up to a quarter of this, and landmarks waver by half a pixel or so. At 60 px that is
    # 15 px for teeth and tongue, at 40 px 10, which is too little to learn teeth from.
    verdict = _grade(eyes >= 60)
    return _measure(
        "face_size",
        "Size of the face",
        eyes,
        "px",
        f"{eyes:.0f} px between the eyes",
        verdict,
        f"Outer corners. The mouth will be drawn in a square of {region.side} x {region.side} pixels"
        f" that shows {region.extent:.2g} times the eye distance.",
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
        verdict = _grade(extreme <= good)
        measures.append(
            _measure(
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
    for stretch, poses in zip(findings.stretches, findings.poses, strict=True):
        seen, segment = stretch.present, stretch.segment
        video = segment.footage.video
        covered = covered_frames(stretch.occlusion, seen, float(segment.fps))
        hidden.append((segment.footage.path.name, covered, segment.start_frame, float(segment.fps)))
        size = video.width, video.height
        shown = shows_mouth(stretch.landmarks[seen], poses[seen], findings.angles(), size)
        free += int((shown & ~covered[seen]).sum())
        frames += int(seen.sum())
        measured += int(np.isfinite(stretch.occlusion[seen, 0]).sum())
    share = free / max(frames, 1)
    count = sum(int(flags.sum()) for _, flags, _, _ in hidden)
    verdict = _grade(share >= 0.95)
    face_seconds = _mean_share(findings) * sum(i.footage.seconds for i in findings.inspections)
    if leaves_too_little(1 - share, share * face_seconds):
        verdict = "unusable"
    text = f"{100 * share:.1f} %"
    advice = "Cut away what shows the head turned to the side or partly outside the picture."
    if count:
        text += f"; something is before it in {count} of {frames} frames: {describe_times(hidden)}"
        advice = (
            "Cut that away, or use footage without hands, microphones, masks and captions over the mouth."
        )
    if measured < _MIN_MEASURED * frames and not count:
        return _measure(
            "mouth_free",
            "Frames with a free mouth",
            None,
            "",
            "could not be measured",
            max("poor", verdict, key=_WORST_LAST.index),
            "The mouth is too small, too dark or too bright to see whether something is before it.",
            "Use footage in which the face is larger and well lit.",
        )
    # Such frames are not learnt from, and keep the footage's own mouth where they are shown.
    return _measure(
        "mouth_free",
        "Frames with a free mouth",
        share,
        "",
        text,
        verdict,
        "Neither turned away, nor cut off by the picture's edge, nor covered by a hand, a microphone, a "
        "caption or the like.",
        advice,
    )


def _sharpness(findings: Findings) -> Measure:
    values = [v for s in findings.stretches for v in s.sharpness]
    value = float(np.median(values)) if values else 0.0
    # Measured: 0.16 to 0.49 on 36 files as recorded (GRID, web video, broadcast). The same blurred by a
    # Gaussian of 2 % of the eye distance, which closes the gaps between teeth: 0.05 to 0.12; by 4 %: below
    # 0.09.
    verdict = _grade(value >= 0.14)
    return _measure(
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
    values = [v for s in findings.stretches for v in s.brightness]
    value = float(np.median(values)) if values else 0.0
    # Skin of any colour that is well exposed lies between; outside, shadows or highlights are cut off.
    verdict = _grade(45 <= value <= 205)
    return _measure(
        "brightness",
        "Brightness of the face",
        value,
        "",
        f"{value:.0f} of 255",
        verdict,
        "Median of the face; 45 to 205 is good.",
        "Light the face evenly from the front, or correct the exposure.",
    )


def _has_sound(findings: Findings) -> Measure:
    uses = list(zip(findings.inspections, findings.sound_uses, strict=True))
    without = [i.footage.path.name for i, use in uses if use != "speech"]
    mute = [i.footage.path.name for i, use in uses if use == "no sound"]
    silent = [name for name in without if name not in mute]
    share = 1 - len(without) / max(1, len(findings.inspections))
    seconds = sum(sound.speech_seconds for sound in findings.sounds)
    text = f"{len(findings.inspections) - len(without)} of {len(findings.inspections)}"
    advice = []
    if mute:
        advice.append(f"Add the sound that was recorded with: {_named(mute)}.")
    if silent:
        advice.append(f"No speech is heard in: {_named(silent)}. Add what the person says, if anything.")
    if not without and seconds < LEAST_SPEAKING_SECONDS:
        text += f", with {seconds:.1f} s of speech"
        advice.append(f"Give footage with {LEAST_SPEAKING_SECONDS:g} s of speech or more.")
    # The base network has heard many people; what it lacks is this person's own way of moving the mouth.
    return _measure(
        "files_with_sound",
        "Files with speech",
        share,
        "",
        text,
        "poor" if advice else "good",
        "How this person's mouth moves is learnt from files with speech, how it looks from all. With less "
        f"than {LEAST_SPEAKING_SECONDS:g} s of speech, it moves as people's mouths usually do.",
        " ".join(advice),
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_FILES_NAMED]) + (" and others" if len(names) > _FILES_NAMED else "")


def _not_measured(name: str, title: str, unit: str, reason: str, meaning: str, advice: str) -> Measure:
    """A measure without evidence, which is never good."""
    text = f"could not be measured: {reason}"
    return Measure(name, title, None, unit, text, "poor", meaning, advice)


def _db(energy: float, seconds: float) -> float:
    return float(10 * np.log10(energy / max(seconds * SPEECH_RATE, 1) + 1e-10))


def _loudness(sounds: Sequence[Sound]) -> Measure:
    speaking = sum(s.speech_seconds for s in sounds)
    title, meaning = "Loudness of the speech", "Level while somebody speaks; -30 to -15 is usual."
    advice = "Turn up the microphone, or move it closer; check that this is the right sound track."
    if not speaking:
        return _not_measured("loudness", title, "dBFS", "no speech is heard", meaning, "")
    level = _db(sum(s.speech_energy for s in sounds), speaking)
    # Broadcast speech lies at -27 to -20 dBFS. Motion hardly depends on the level: of 20 s of 16-bit speech
    # at -63 dBFS, the packaged network's openings agree with those at -23 dBFS (r = 0.99); at -73 dBFS, too
    # (0.97), but next to no speech is found there. So soft speech is learnt from, as long as it is found.
    verdict = _grade(level >= -38.0)
    return _measure("loudness", title, level, "dBFS", f"{level:.0f} dBFS", verdict, meaning, advice)


def _noise(sounds: Sequence[Sound]) -> Measure:
    speaking = sum(s.speech_seconds for s in sounds)
    silent = sum(s.seconds for s in sounds) - speaking
    if silent < 1 or not speaking:
        return _not_measured(
            "noise",
            "Background noise",
            "dB",
            "there are no pauses to measure it in" if speaking else "no speech is heard",
            "Speech over pauses.",
            "Leave a second or two without speech in the footage, and no music under it." if speaking else "",
        )
    above = _db(sum(s.speech_energy for s in sounds), speaking) - _db(
        sum(s.pause_energy for s in sounds), silent
    )
    # Soft consonants lie 20 dB under vowels, and drown first. What is measured as pauses holds breaths, too.
    verdict = _grade(above >= 15.0)
    return _measure(
        "noise",
        "Background noise",
        above,
        "dB",
        f"speech is {above:.0f} dB above it",
        verdict,
        "Level of the speech over that of the pauses; 15 dB or more is good.",
        "Record in a quieter place, without music and without a second voice.",
    )


def _clipping(sounds: Sequence[Sound]) -> Measure:
    share = sum(s.clipped_samples for s in sounds) / max(1.0, sum(s.seconds for s in sounds) * SPEECH_RATE)
    # One sample in a thousand is heard as an occasional crackle; one in twenty is distortion throughout.
    verdict = _grade(share <= 0.001)
    return _measure(
        "clipping",
        "Clipped samples",
        share,
        "",
        f"{100 * share:.2g} %",
        verdict,
        "Samples at full scale, where the wave's tops are cut off.",
        "Turn the microphone down, or use a copy of the sound from before it was made louder.",
    )


def _silence(sounds: Sequence[Sound]) -> Measure:
    meaning = "Of the sound's length. Some silence is wanted: it teaches the mouth at rest."
    seconds = sum(s.seconds for s in sounds)
    if not seconds:
        return _not_measured("silence", "Silence", "", "no speech is heard", meaning, "")
    share = 1 - sum(s.speech_seconds for s in sounds) / seconds
    # Pauses take 15 to 30 % of read news. They teach the closed mouth, so that some are wanted. Nothing but
    # silence costs the person's own motion, and no more.
    verdict = _grade(share <= 0.5)
    return _measure(
        "silence",
        "Silence",
        share,
        "",
        f"{100 * share:.0f} %",
        verdict,
        meaning,
        "Cut long silence away, or give footage in which the person talks throughout.",
    )


def _lag(lag: Lag | None, *, has_speech: bool) -> Measure:
    meaning = (
        "A guess from the mouth's opening and the sound's loudness, and a hint only. Offsets that the file "
        "itself states are taken out already; this is what is left."
    )
    if not has_speech:
        return _not_measured("lag", "Sound against picture", "ms", "no speech is heard", meaning, "")
    if lag is None or not lag.is_clear:
        reason = (
            "there is too little speech under a moving mouth"
            if lag is None
            else "loudness and mouth do not go together clearly"
        )
        advice = "Watch some of it: if lips and audio do not go together, use the audio recorded with it."
        return _not_measured("lag", "Sound against picture", "ms", reason, meaning, advice)
    milliseconds, around = 1000 * lag.seconds, 1000 * lag.uncertainty_seconds
    # People notice 45 ms of early and 125 ms of late sound (ITU-R BT.1359); a network learns any constant
    # lag, and the anchor then shows it.
    verdict: Verdict = "good" if abs(milliseconds) - around <= 45 else "poor"
    side = "late" if milliseconds > 0 else "early"
    return _measure(
        "lag",
        "Sound against picture",
        milliseconds,
        "ms",
        f"{abs(milliseconds):.0f} ms {side}, ± {around:.0f} ms",
        verdict,
        meaning,
        f"Watch it: if the sound is {side}, shift it by {-milliseconds:+.0f} ms, for "
        f"example with: ffmpeg -i IN -itsoffset {-lag.seconds:+.3f} -i IN -map 0:v -map 1:a -c copy OUT",
    )
