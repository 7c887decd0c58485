from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from making_odd_media import write_frames
from newscaster import Anchor, media
from newscaster.errors import FootageError, InputError, SpeechError
from newscaster.media import VideoInfo
from newscaster.prepare.clips import Footage, read_footage
from newscaster.prepare.people import Person
from newscaster.speech.captions import TimedSentence
from newscaster.synthesis import dub_preview
from newscaster.synthesis.dub_options import DubOptions
from newscaster.synthesis.dub_preview import PreviewPlan, plan_preview
from newscaster.synthesis.options import Style
from newscaster.synthesis.speech_input import measure_speech
from newscaster.types import ImageU8
from person_videos import write_person_video
from tiny_anchor import speech_like

RATE = 48_000
STYLE = Style(label="", watermark=False)


def footage(seconds: float, fps: int = 25) -> Footage:
    video = VideoInfo(
        width=96, height=64, fps=Fraction(fps), rotation=0, start_seconds=0.0, duration_seconds=seconds
    )
    return Footage(Path("x.mp4"), video, True, 1, 1)


def seen_at(*seconds: float) -> Person:
    return Person(np.zeros((len(seconds), 4)), seconds=tuple(seconds))


@pytest.mark.parametrize(
    ("options", "at", "seen", "window", "speech_seconds"),
    [
        ({}, None, (4.0, 5.0), (4.0, 7.0), 4.0),
        ({}, None, (9.0,), (7.0, 10.0), 7.0),  # the last three seconds
        ({}, 5.0, (), (3.5, 6.5), 3.5),
        ({}, 0.2, (), (0.0, 3.0), 0.0),
        ({}, 9.9, (), (7.0, 10.0), 7.0),
        ({"start_seconds": 4.4}, None, (0.0, 4.0, 5.0), (4.4, 7.4), 0.0),
        ({"start_seconds": 5.0}, 4.0, (), (2.5, 5.5), -2.5),
        ({"start_seconds": 1.0, "stop_seconds": 3.0}, None, (9.0,), (1.0, 4.0), 0.0),
    ],
)
def test_the_window(
    options: dict[str, Any], at: float | None, seen: Any, window: Any, speech_seconds: float
) -> None:
    person = seen_at(*seen) if seen else None
    plan = plan_preview(footage(10.0), DubOptions(**options), at, person)
    assert (plan.start_seconds, plan.stop_seconds) == pytest.approx(window, abs=0.021)
    assert plan.speech_seconds == pytest.approx(speech_seconds, abs=0.021)
    assert plan.speech_seconds == plan.start_seconds - options.get("start_seconds", 0.0)


def test_a_short_video_is_previewed_in_whole() -> None:
    plan = plan_preview(footage(1.2), DubOptions(), None, seen_at(1.0))
    assert (plan.first, plan.stop) == (0, 30)


@pytest.mark.parametrize(
    ("options", "at", "match"),
    [
        ({}, 10.5, "asked for at 10.5 s, and 'x.mp4' has 10.00 s"),
        ({"start_seconds": 12.0}, None, "starts at 12 s, and 'x.mp4' has 10.00 s"),
        ({"start_seconds": 7.0}, 2.0, "from 0.48 to 3.48 s lies outside the part to rewrite, 7 to 10 s"),
        ({"stop_seconds": 2.0}, 8.0, "lies outside the part"),
    ],
)
def test_windows_that_cannot_be(options: dict[str, Any], at: float | None, match: str) -> None:
    with pytest.raises(InputError, match=match):
        plan_preview(footage(10.0), DubOptions(**options), at, seen_at(0.0))


def test_the_options_are_on_the_clock_of_the_window(tmp_path: Path) -> None:
    plan = PreviewPlan(first=100, stop=175, fps=Fraction(25), speech_seconds=0.0)
    whole = DubOptions(start_seconds=1.0, stop_seconds=9.0, mix_db=-12, face=3, cache=tmp_path)
    inside = DubOptions(start_seconds=5.0, stop_seconds=6.5)
    cut = dub_preview._options_in_cut(whole, plan, 0)
    assert (cut.start_seconds, cut.stop_seconds, cut.mix_db, cut.face, cut.cache) == (
        None,
        None,
        -12,
        0,
        None,
    )
    cut = dub_preview._options_in_cut(inside, plan, None)
    assert (cut.start_seconds, cut.stop_seconds) == (1.0, 2.5)


def test_a_window_within_a_part_is_as_loud_as_the_part(tmp_path: Path) -> None:
    own, path = tmp_path / "own.wav", tmp_path / "speech.wav"
    media.write_wav(own, 0.5 * speech_like(3.0, RATE), RATE)
    media.write_wav(path, 0.2 * speech_like(3.0, RATE), RATE)
    sentences = (TimedSentence(text="Hi.", start_seconds=0.0, stop_seconds=3.0),)
    speech = replace(measure_speech(path, name="x"), sentences=sentences, notes=("a note",))
    levelled, gain = dub_preview._levelled(speech, own, tmp_path)
    assert gain.decibels == pytest.approx(20 * np.log10(2.5), abs=0.05)
    assert (levelled.sentences, levelled.notes) == (sentences, ("a note",))
    assert levelled.samples == speech.samples
    assert levelled.loud == pytest.approx(2.5 * speech.loud, rel=0.01)
    made, expected = (media.read_audio(file, rate=RATE) for file in (levelled.audio_file, own))
    np.testing.assert_allclose(made, expected, atol=0.01)


def test_a_long_text_is_read_as_far_as_it_is_heard() -> None:
    text = "word " * 10_000
    part = dub_preview._beginning(text, 3.0)
    assert 600 < len(part) < 700
    assert part.split()[-1] == "word"
    assert dub_preview._beginning("short", 3.0) == "short"


def test_the_captions_of_the_window(tmp_path: Path) -> None:
    captions = tmp_path / "captions.srt"
    cues = [f"{k}\n00:00:{5 * k:02},000 --> 00:00:{5 * k + 4:02},000\nSentence {k}.\n" for k in range(1, 10)]
    captions.write_text("\n".join(cues))
    assert dub_preview._captions_around(captions, 18.0, 21.0) == (15.0, 29.0)  # 5 ends 4
    assert dub_preview._captions_around(captions, 3.0, 6.0) == (3.0, 14.0)
    assert dub_preview._captions_around(captions, 44.0, 47.0) == (40.0, None)
    with pytest.raises(SpeechError, match=r"no caption is spoken from 55\.00 to 58\.00 s"):
        dub_preview._captions_around(captions, 55.0, 58.0)


def test_the_speech_of_the_window(tmp_path: Path) -> None:
    samples = speech_like(8.0, RATE) * np.linspace(0.2, 1, 8 * RATE, dtype=np.float32)
    media.write_wav(tmp_path / "whole.wav", samples, RATE)
    whole = measure_speech(tmp_path / "whole.wav", name="it")
    part = dub_preview._cut_speech(whole, 1.25, 4.25, tmp_path)
    np.testing.assert_allclose(
        media.read_audio(part.audio_file, rate=RATE), samples[int(1.25 * RATE) : int(4.25 * RATE)], atol=1e-4
    )
    assert part.loud == whole.loud  # the mouth opens as in the whole dub
    with pytest.raises(SpeechError, match=r"the speech is over after 8\.00 s, before the preview starts"):
        dub_preview._cut_speech(whole, 8.0, 9.0, tmp_path)


def test_the_face_has_the_number_of_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PreviewPlan(first=100, stop=175, fps=Fraction(25), speech_seconds=0.0)
    descriptors = np.eye(128, dtype=np.float32)[:3]
    boxes = [np.array([[100.0 * k, 10, 100 * k + 40, 50]]) for k in range(3)]
    persons = [
        Person(box, seconds=(0.0,), descriptor=descriptor, described=4)
        for box, descriptor in zip(boxes, descriptors, strict=True)
    ]
    monkeypatch.setattr(dub_preview, "read_footage", lambda path: footage(3.0))
    monkeypatch.setattr(dub_preview, "people_in", lambda cut: tuple(persons[1:]))
    assert dub_preview._face_in_cut(Path("cut.mp4"), persons[2], plan) == 1
    unmeasured = Person(boxes[1] + 5.0, seconds=(0.0,))  # known by its place alone
    assert dub_preview._face_in_cut(Path("cut.mp4"), unmeasured, plan) == 0
    with pytest.raises(FootageError, match=r"the selected face is not seen from 4\.00 to 7\.00 s"):
        dub_preview._face_in_cut(Path("cut.mp4"), persons[0], plan)


@pytest.mark.slow
def test_a_preview_is_a_part_of_the_video_beside_the_same_part_as_it_was(tmp_path: Path) -> None:
    anchor: Anchor = newscaster.open("grid-s1")
    video = write_person_video(tmp_path / "video.mp4", anchor, frames=74, empty=25)
    speech = tmp_path / "speech.wav"
    media.write_wav(speech, speech_like(4.0), 16_000)
    phases: list[str] = []
    made = anchor.preview_dub(
        video,
        speech,
        tmp_path / "out.mp4",
        original=tmp_path / "original.mp4",
        at_seconds=3.0,
        style=STYLE,
        progress=lambda phase, done, total: phases.append(phase),
    )
    assert (made.frames, made.rewritten_frames, made.path) == (75, 74, tmp_path / "out.mp4")
    assert list(dict.fromkeys(phases)) == ["track", "render"]
    first = 24  # the last three seconds
    whole, beside, dubbed = (
        list(media.read_frames(path)) for path in (video, tmp_path / "original.mp4", tmp_path / "out.mp4")
    )
    assert len(beside) == len(dubbed) == 75
    assert max(map(difference, whole[first:], beside)) < 2.5
    assert difference(beside[0], dubbed[0]) < 2.5  # shows no face
    assert np.mean(list(map(difference, beside[5:], dubbed[5:]))) > difference(beside[0], dubbed[0])
    audio = media.read_audio(tmp_path / "out.mp4", rate=16_000)
    part = media.read_audio(speech, rate=16_000)[round(first / 25 * 16_000) :][: len(audio)]
    assert np.corrcoef(audio[2000:40000], part[2000:40000])[0, 1] > 0.95
    assert made.speech_gain is None


@pytest.mark.slow
def test_a_preview_within_a_part_has_its_loudness(tmp_path: Path) -> None:
    anchor: Anchor = newscaster.open("grid-s1")
    frames = media.read_yuv_frames(write_person_video(tmp_path / "mute.mp4", anchor, frames=100))
    video, own, speech = (tmp_path / name for name in ("video.mp4", "own.wav", "speech.wav"))
    media.write_wav(own, 0.6 * speech_like(4.0), 16_000)
    media.write_wav(speech, 0.2 * speech_like(4.0), 16_000)
    media.write_video(video, frames, fps=Fraction(25), audio=own)
    for at, start in ((2.4, 0.2), (1.5, 0.5)):  # the window is within the part; the part starts in it
        made = anchor.preview_dub(
            video,
            speech,
            tmp_path / "out.mp4",
            original=tmp_path / "original.mp4",
            at_seconds=at,
            style=STYLE,
            options=DubOptions(start_seconds=start),
        )
        assert made.speech_gain is not None
        assert made.speech_gain.decibels == pytest.approx(20 * np.log10(3), abs=1)
        inside = slice(16_000, 44_000)
        audio = [
            media.read_audio(tmp_path / f"{name}.mp4", rate=16_000)[inside] for name in ("out", "original")
        ]
        powers = [float(np.mean(samples**2)) for samples in audio]
        assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(0, abs=1.5)


def difference(a: ImageU8, b: ImageU8) -> float:
    """The mean difference of two frames, in 8-bit pixel values."""
    return float(np.abs(a.astype(int) - b).mean())


def test_the_cut_of_a_video_of_10_bits_plays_in_browsers(tmp_path: Path) -> None:
    images = [np.full((64, 96, 3), level, np.uint8) for level in range(20, 220, 4)]
    video = write_frames(tmp_path / "deep.mp4", images, codec="libx265", layout="yuv420p10le")
    assert not media.plays_in_browsers(video)
    plan = PreviewPlan(first=5, stop=30, fps=Fraction(25), speech_seconds=0.0)
    assert dub_preview._cut_video(read_footage(video), plan, tmp_path / "cut.mp4") is None
    assert media.plays_in_browsers(tmp_path / "cut.mp4")
    assert sum(1 for _ in media.read_frames(tmp_path / "cut.mp4")) == 25
