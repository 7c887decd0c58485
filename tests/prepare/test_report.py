"""Measures, plots and the page, on made-up findings."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import footage as made
from faces import talking
from newscaster.errors import OutputError
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.prepare import Report
from newscaster.prepare.clips import Footage, Segment, read_footage
from newscaster.prepare.findings import gather
from newscaster.prepare.inspect_file import (
    AudioLevels,
    Inspection,
    TrackedSegment,
    measure_audio,
    segments_of,
    sharpness_of,
)
from newscaster.prepare.measure import Measure, worst
from newscaster.prepare.measures import measure
from newscaster.prepare.people import People
from newscaster.prepare.report import audio_notes, make_report
from newscaster.prepare.thumbnails import Shown, mouth_of
from newscaster.speech.activity import speech_activity

RATE = 16_000
AUDIO = ("files_with_sound", "loudness", "noise", "clipping", "silence", "lag")
FRAMES = 500
CLEAR = AudioLevels(300.0, 220.0, 220 * RATE * 0.01, 80 * RATE * 1e-6, 0)


def image(width: int = 320, height: int = 240) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(80, 160, (height, width, 3)).astype(np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Footage:
    found = read_footage(made.write_footage(tmp_path / "clip.mp4", seconds=1))
    return replace(found, video=replace(found.video, duration_seconds=300.0))


def inspection(
    file: Footage,
    *,
    scale: float = 1.1,
    absent: int = 0,
    people: int = 1,
    sharpness: float = 0.25,
    brightness: float = 120.0,
    audio: AudioLevels | None = CLEAR,
    covered: int = 0,
    measured: bool = True,
    predicted: np.ndarray | None = None,
) -> Inspection:
    landmarks = talking(FRAMES) * np.float32(scale)
    present = np.arange(FRAMES) >= absent
    landmarks[~present] = np.nan
    persons = made.one_person(file) * people
    segment = Segment("whole", file, 0, FRAMES, Fraction(25))
    shown = (Shown.of(image(), talking(1)[0], 290),)
    mouths = tuple(mouth_of(image(), points) for points in talking(6))
    tracked = TrackedSegment(
        segment,
        landmarks,
        present,
        made.babble(FRAMES / 25),
        (sharpness,),
        (brightness,),
        mouths,
        shown,
        np.where((np.arange(FRAMES) < covered)[:, None], 0.9, np.zeros((FRAMES, 2)))
        if measured
        else np.full((FRAMES, 2), np.nan),
        _opening() if predicted is None else predicted,
    )
    return Inspection(file, True, People(persons, 0) if people else None, (tracked,) if people else (), audio)


@cache
def _opening() -> np.ndarray:
    """Of the talking face: its audio predicts it exactly."""
    landmarks = talking(FRAMES)
    return opening(mouth_shapes(landmarks, Head.fit(landmarks)))


def verdicts(*inspections: Inspection) -> dict[str, str]:
    return {m.name: m.verdict for m in measure(gather(inspections))}


def test_covered_mouths_are_counted_with_their_times(file: Footage) -> None:
    (found,) = [m for m in measure(gather([inspection(file, covered=100)])) if m.name == "mouth_free"]
    times = f"'{file.path.name}' 0.0 to 4.0 s"
    assert found.text == f"80.0 %; covered in 100 of {FRAMES} frames: {times}"
    assert "hands" in found.advice


def test_a_mouth_that_cannot_be_judged_is_not_called_free(file: Footage) -> None:
    (found,) = [m for m in measure(gather([inspection(file, measured=False)])) if m.name == "mouth_free"]
    assert (found.value, found.text, found.verdict) == (None, "could not be measured", "poor")


def test_covers_that_leave_too_little_are_unusable(file: Footage) -> None:
    short = replace(file, video=replace(file.video, duration_seconds=12.0))
    assert verdicts(inspection(short, covered=100))["mouth_free"] == "unusable"  # 8 s are free
    assert verdicts(inspection(short, covered=12))["mouth_free"] == "good"


def test_a_length_is_not_rounded_up_to_what_is_needed(file: Footage) -> None:
    short = replace(file, video=replace(file.video, duration_seconds=9.97))
    (found,) = [m for m in measure(gather([inspection(short)])) if m.name == "usable_minutes"]
    assert (found.text, found.verdict) == ("9.9 s", "unusable")


def test_good_footage_is_good_throughout(file: Footage) -> None:
    measures = measure(gather([inspection(file)]))
    assert {m.name: m.verdict for m in measures if m.verdict != "good"} == {}
    assert not any(m.advice for m in measures)
    assert worst(measures) == "good"


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"scale": 0.8}, "face_size", "poor"),
        ({"scale": 0.5}, "face_size", "poor"),
        ({"absent": 30}, "face_share", "poor"),
        ({"absent": 300}, "face_share", "poor"),
        ({"absent": FRAMES - 20}, "face_share", "unusable"),
        ({"scale": 1.4}, "mouth_free", "unusable"),
        ({"covered": 100}, "mouth_free", "poor"),
        ({"covered": 300}, "mouth_free", "poor"),
        ({"covered": FRAMES}, "mouth_free", "unusable"),
        ({"measured": False}, "mouth_free", "poor"),
        ({"people": 2}, "people", "poor"),
        ({"people": 0}, "people", "unusable"),
        ({"people": 0}, "usable_minutes", "unusable"),
        ({"sharpness": 0.1}, "sharpness", "poor"),
        ({"sharpness": 0.05}, "sharpness", "poor"),
        ({"brightness": 30.0}, "brightness", "poor"),
        ({"brightness": 250.0}, "brightness", "poor"),
        ({"audio": replace(CLEAR, speech_energy=220 * RATE * 1e-5)}, "loudness", "poor"),
        ({"audio": replace(CLEAR, speech_energy=220 * RATE * 1e-7)}, "loudness", "poor"),
        ({"audio": replace(CLEAR, speech_seconds=0.0, speech_energy=0.0)}, "files_with_sound", "poor"),
        ({"audio": replace(CLEAR, pause_energy=80 * RATE * 1e-3)}, "noise", "poor"),
        ({"audio": replace(CLEAR, clipped_samples=20_000)}, "clipping", "poor"),
        ({"audio": replace(CLEAR, pause_energy=220 * RATE)}, "noise", "poor"),
        ({"audio": replace(CLEAR, clipped_samples=2_000_000)}, "clipping", "poor"),
        ({"audio": replace(CLEAR, speech_seconds=100.0)}, "silence", "poor"),
        ({"audio": replace(CLEAR, speech_seconds=10.0)}, "silence", "poor"),
    ],
)
def test_what_is_wrong_is_found_and_there_is_advice(
    file: Footage, change: dict[str, object], name: str, verdict: str
) -> None:
    measures = measure(gather([inspection(file, **change)]))  # type: ignore[arg-type]
    found = next(m for m in measures if m.name == name)
    assert found.verdict == verdict
    assert found.advice
    assert worst(measures) in (verdict, "unusable")


def test_people_are_compared_over_files(file: Footage) -> None:
    def whose(seed: int | None, name: str) -> Inspection:
        found = inspection(replace(file, path=file.path.with_name(name)))
        person = made.one_person(file, seed=seed or 0)[0]
        person = replace(person, descriptor=None, described=0) if seed is None else person
        return replace(found, people=People((person,), 0))

    def people(*inspections: Inspection) -> Measure:
        return next(m for m in measure(gather(inspections)) if m.name == "people")

    assert people(whose(0, "a.mp4"), whose(0, "b.mp4")).verdict == "good"
    two = people(whose(0, "a.mp4"), whose(1, "b.mp4"))
    assert two.verdict == "unusable"
    assert "'a.mp4' face=0 (0:00 to 0:03); the other in 'b.mp4'" in two.advice
    most = gather([whose(0, "a.mp4"), whose(0, "b.mp4"), whose(1, "c.mp4")])
    assert len(most.tracked_segments) == 2
    assert [m.verdict for m in measure(most) if m.name == "people"] == ["poor"]
    unknown = people(whose(0, "a.mp4"), whose(None, "b.mp4"))
    assert (unknown.verdict, unknown.text) == ("poor", "1; not measured in 1 of 2 files")
    nobody_known = people(whose(None, "a.mp4"))
    assert (nobody_known.verdict, nobody_known.value) == ("unusable", None)
    assert nobody_known.text == "could not be measured"


def test_frames_of_others_are_reported(file: Footage) -> None:
    found = inspection(file)
    tracked = replace(found.tracked_segments[0], others=tuple(i / 25 for i in range(250, 300)))
    (who,) = (m for m in measure(gather([replace(found, tracked_segments=(tracked,))])) if m.name == "people")
    assert (who.verdict, who.text) == ("poor", "1; 2.0 s skipped")
    assert "0:10 to 0:11" in who.advice


@pytest.mark.slow
def test_missing_audio_is_reported(file: Footage) -> None:
    mute = replace(file, has_audio=False)
    alone = verdicts(inspection(mute, audio=None))
    assert alone["files_with_sound"] == "poor"
    assert alone["usable_minutes"] == "good"
    assert not {"loudness", "noise", "clipping", "silence", "lag"} & set(alone)
    findings = gather([inspection(file), inspection(mute, audio=None)])
    both = {m.name: m for m in measure(findings)}
    found = both["files_with_sound"]
    assert (found.text, found.verdict) == ("1 of 2", "poor")
    assert "clip.mp4" in found.advice
    assert both["usable_minutes"].value == pytest.approx(10.0)
    assert both["loudness"].verdict == "good"
    assert audio_notes(findings) == ["'clip.mp4': no audio: used for the renderer only"]
    many = gather([inspection(file), *[inspection(mute, audio=None)] * 30])
    assert len(audio_notes(many)) == 12
    assert audio_notes(many)[-1] == "19 other files: used for the renderer only"


def test_silence_counts_as_no_audio_if_the_mouth_moves(file: Footage) -> None:
    silent = replace(CLEAR, speech_seconds=0.0, speech_energy=0.0)
    moving = inspection(file, audio=silent)
    still = replace(moving.tracked_segments[0], landmarks=np.repeat(talking(1), FRAMES, axis=0))
    findings = gather([inspection(file), moving, replace(moving, tracked_segments=(still,))])
    assert findings.audio_uses == ("speech", "no speech", "silence")
    assert audio_notes(findings) == [
        "'clip.mp4': no speech: used for the renderer only",
        "'clip.mp4': no speech: used for the renderer and the mouth at rest only",
    ]
    unseen = replace(moving, tracked=False, people=None, tracked_segments=())
    assert gather([inspection(file), unseen]).audio_uses == ("speech", "no speech")


def test_a_silent_person_is_a_target_that_teaches_no_motion(file: Footage) -> None:
    hiss = (0.0007 * np.random.default_rng(0).standard_normal(20 * RATE)).astype(np.float32)
    quiet = measure_audio(iter([hiss]))
    assert quiet.speech_seconds == 0
    talker = inspection(file, audio=quiet)
    still = replace(
        talker.tracked_segments[0],
        landmarks=np.repeat(talking(1), FRAMES, axis=0),
        speech=hiss[: FRAMES * 640],
    )
    measures = {m.name: m for m in measure(gather([replace(talker, tracked_segments=(still,))]))}
    assert worst(list(measures.values())) == "poor"
    found = measures["files_with_sound"]
    assert (found.text, found.verdict) == ("0 of 1", "poor")
    assert "No speech was found in: clip.mp4" in found.advice
    for name in ("loudness", "noise", "lag"):
        assert measures[name].value is None
        assert measures[name].verdict == "poor"
        assert measures[name].text == "could not be measured: no speech was found"
    assert {m.name: m.advice for m in measures.values() if m.advice and m.name in AUDIO} == {
        "files_with_sound": "No speech was found in: clip.mp4. If the person speaks, add the audio."
    }


def test_a_word_is_too_little_to_learn_from(file: Footage) -> None:
    word = replace(CLEAR, speech_seconds=1.0, speech_energy=RATE * 0.01)
    found = {m.name: m for m in measure(gather([inspection(file, audio=word)]))}["files_with_sound"]
    assert (found.text, found.verdict) == ("1 of 1, with 1.0 s of speech", "poor")
    assert "3 s of speech" in found.advice


def test_what_cannot_be_measured_is_not_good(file: Footage) -> None:
    unclear = inspection(file)
    unclear = replace(
        unclear,
        tracked_segments=(replace(unclear.tracked_segments[0], speech=made.babble(20, seed=1)[::-1].copy()),),
    )
    for one in (unclear, inspection(file, audio=replace(CLEAR, seconds=220.0, pause_energy=0.0))):
        for m in measure(gather([one])):
            assert m.verdict != "good" or m.value is not None


def test_little_footage(file: Footage) -> None:
    short = replace(file, video=replace(file.video, duration_seconds=8.0))
    assert verdicts(inspection(short))["usable_minutes"] == "unusable"
    short = replace(file, video=replace(file.video, duration_seconds=60.0))
    assert verdicts(inspection(short))["usable_minutes"] == "poor"


def test_files_without_tracking_count_for_their_audio(file: Footage) -> None:
    untracked = Inspection(file, False, None, (), CLEAR)
    measures = {m.name: m for m in measure(gather([inspection(file), untracked]))}
    assert measures["usable_minutes"].value == pytest.approx(10.0)
    assert measures["face_share"].value == 1.0


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    sharp = image()[..., 0].astype(np.float32)[:, :128]
    blurred = np.asarray(Image.fromarray(sharp.astype(np.uint8)).reduce(4).resize((128, 240)), np.float32)
    assert sharpness_of(blurred) < 0.3 * sharpness_of(sharp)
    assert sharpness_of(0.5 * sharp) == pytest.approx(sharpness_of(sharp), rel=0.02)


@pytest.mark.parametrize("kind", ["noise in syllables", "music"])
def test_noise_and_music_are_not_called_speech(kind: str) -> None:
    """Their levels rise and fall as those of speech do."""
    t = np.arange(20 * RATE) / RATE
    loud = np.clip(np.sin(2 * np.pi * 2.3 * t), 0.001, None)
    noise = np.random.default_rng(0).normal(0, 0.1, len(t))
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(t * 2).astype(int) % 4]
    tones = sum(np.sin(2 * np.pi * roots * ratio * t) for ratio in (1, 1.25, 1.5, 2))
    samples = {"noise in syllables": noise * loud, "music": 0.1 * tones * np.exp(-2 * ((2 * t) % 1))}[kind]
    samples = samples.astype(np.float32)
    assert float(speech_activity(samples).sum()) / 25 > 5
    audio = measure_audio(iter(np.array_split(samples, 3)))
    assert (audio.speech_seconds, audio.speech_energy) == (0.0, 0.0)
    assert audio.pause_energy == pytest.approx(float((samples.astype(np.float64) ** 2).sum()), rel=1e-6)


def test_audio_is_measured_block_by_block() -> None:
    speech = np.concatenate([made.babble(6), np.zeros(4 * RATE, np.float32)])
    speech[100:110] = 1.0
    whole = measure_audio(iter([speech]))
    assert whole.seconds == 10.0
    assert 4 < whole.speech_seconds < 8
    assert whole.clipped_samples == 10
    assert whole.speech_energy + whole.pause_energy == pytest.approx(float((speech.astype(float) ** 2).sum()))
    assert measure_audio(iter([np.full(777, np.nan, np.float32)])).seconds == pytest.approx(777 / RATE)
    assert measure_audio(iter([])).seconds == 0


def test_long_files_are_sampled_in_three_places(file: Footage) -> None:
    parts = segments_of(file, Fraction(25), seconds=45.0)
    assert len(parts) == 3
    assert sum(p.expected_frames for p in parts) == 45 * 25
    bounds = [(p.start_frame, p.stop_frame or 0) for p in parts]
    assert bounds == sorted(bounds)
    assert bounds[-1][1] <= 300 * 25
    assert len(segments_of(file, Fraction(25), seconds=400.0)) == 1


class Outline(HTMLParser):
    """Open elements, and everything that would be loaded from elsewhere."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr", "rect", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.images += tag == "img"
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def report(file: Footage) -> Report:
    odd = replace(file, path=file.path.with_name("<b>odd & long.mp4"), has_audio=False)
    findings = gather([inspection(file), inspection(odd, audio=None, absent=20)])
    return make_report(findings, measure(findings), ["skipped: 'x.mp4'"])


def test_the_page_stands_alone(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report.write(path)
    page = path.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.outside == []
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert outline.images == 3
    assert page.count("<svg") == 3
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    for m in report.measures:
        assert m.title in page
    assert "&lt;b&gt;odd &amp; long.mp4" in page
    assert "no audio: used for the renderer only" in page
    assert "Skipped: &#39;x.mp4&#39;." in page
    assert report.headline in page


def test_the_report_is_data_as_well(report: Report) -> None:
    data = json.loads(json.dumps(report.to_json()))
    assert data["verdict"] == report.verdict == "poor"
    assert len(data["files"]) == 2
    assert report.measure("face_size").value == pytest.approx(66, rel=0.02)
    assert "poor" in repr(report)
    with pytest.raises(KeyError):
        report.measure("nose")


def test_a_report_on_footage_without_a_face(file: Footage) -> None:
    findings = gather([inspection(file, people=0)])
    report = make_report(findings, measure(findings), [])
    assert report.verdict == "unusable"
    assert "No anchor can be made" in report.html()


def test_where_a_report_cannot_be_written(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        report.write(tmp_path / "report.pdf")
    with pytest.raises(OutputError):
        report.write(tmp_path / "gone" / "report.html")
