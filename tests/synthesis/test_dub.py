from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import newscaster
from dubbed import Written, own_planes
from making_media import moving_pattern, tone
from newscaster import Anchor, Speaker, media
from newscaster.errors import FootageError, InputError, MediaError, OutputError
from newscaster.face.geometry import eye_distance
from newscaster.face.topology import MOUTH
from newscaster.synthesis.dub_audio import RATE, AudioPlan, like, write_dub_audio
from newscaster.synthesis.dub_options import DubOptions
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.options import Outputs, Style
from newscaster.tracking import FaceTracker
from rich_media import write_rich
from tiny_anchor import speech_like, write_tiny_anchor

FRAMES, PATTERN = 30, 12
STYLE = Style(label="", watermark=False)


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return newscaster.open("grid-s1")


@pytest.fixture(scope="module")
def video(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled anchor's person, then frames without a face, then the person again: three shots."""
    path = tmp_path_factory.mktemp("video") / "three shots.mp4"
    width, height = anchor.size
    rest = np.repeat(anchor.face.basis.mean[None], FRAMES, axis=0)
    person = [frame.rgb() for frame in anchor.show(rest, target_start=40)]
    empty = list(moving_pattern(PATTERN, width=width, height=height))
    wav = path.with_suffix(".wav")
    media.write_wav(wav, tone((2 * FRAMES + PATTERN) / 25), 16_000)
    media.write_video(path, [*person, *empty, *person[::-1]], fps=anchor.fps, audio=wav, crf=8)
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    media.write_wav(path, speech_like(2.0), 16_000)
    return path


@pytest.mark.slow
def test_only_shots_of_the_person_change(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written(monkeypatch)
    report = tmp_path / "report.json"
    made = anchor.dub(
        video, speech, tmp_path / "out.mp4", style=STYLE, options=DubOptions(cache=cache, report=report)
    )
    assert made.cuts == (FRAMES, FRAMES + PATTERN)
    assert made.frames == 2 * FRAMES + PATTERN
    assert made.rewritten_frames == 2 * FRAMES
    assert [(kept.start, kept.stop, kept.reason) for kept in made.kept] == [
        (FRAMES, FRAMES + PATTERN, "the face is not seen")
    ]
    same = [bool((a == b).all()) for a, b in zip(own_planes(video), written.planes, strict=True)]
    assert all(same[FRAMES : FRAMES + PATTERN])  # every decoded sample
    assert not any(same[:FRAMES] + same[FRAMES + PATTERN :])
    assert json.loads(report.read_text())["kept"][0]["reason"] == "the face is not seen"
    info = media.probe(tmp_path / "out.mp4").video
    assert info is not None
    assert (info.width, info.height, info.fps) == (*anchor.size, anchor.fps)


@pytest.mark.slow
def test_the_new_mouth_lies_where_the_motion_file_says(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path
) -> None:
    made = anchor.dub(
        video,
        speech,
        tmp_path / "out.mp4",
        style=STYLE,
        options=DubOptions(cache=cache),
        outputs=Outputs(motion=tmp_path / "m.npz", crf=8),
    )
    motion = np.load(tmp_path / "m.npz")
    assert motion["stage_frames"].tolist() == list(range(made.frames))
    assert (motion["shares"][FRAMES : FRAMES + PATTERN] == 0).all()
    tracker, off = FaceTracker(1), []
    frames = media.read_frames(tmp_path / "out.mp4")
    for number, frame in zip(range(FRAMES), frames, strict=False):
        (face,) = tracker.step(frame)
        lips = face.landmarks[list(MOUTH), :2] - motion["landmarks"][number]
        off.append(np.linalg.norm(lips, axis=1).mean() / eye_distance(face.landmarks))
    assert np.median(off) < 0.05


def with_audio(video: Path, samples: np.ndarray, path: Path, *, late: int = 0) -> Path:
    """The frames of a video, without a change, with other audio of 16 kHz, so many samples later."""
    media.write_wav(path.with_suffix(".wav"), samples, 16_000)
    with (
        av.open(str(video)) as frames,
        av.open(str(path.with_suffix(".wav"))) as audio,
        av.open(str(path), "w") as out,
    ):
        pictures = out.add_stream_from_template(frames.streams.video[0])
        track = out.add_stream("aac", rate=16_000, layout="mono")
        for packet in frames.demux(frames.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                out.mux(packet)
        for frame in audio.decode(audio=0):
            frame.pts = (frame.pts or 0) + late
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def test_speech_in_a_part_is_as_loud_as_what_it_replaces(
    anchor: Anchor, video: Path, cache: Path, tmp_path: Path
) -> None:
    seconds = (2 * FRAMES + PATTERN) / 25
    own = with_audio(video, 0.5 * speech_like(seconds), tmp_path / "own.mp4")
    media.write_wav(tmp_path / "new.wav", 0.2 * speech_like(1.4, seed=1), 16_000)
    options = DubOptions(cache=cache, start_seconds=0.2, stop_seconds=1.6)
    made = anchor.dub(own, tmp_path / "new.wav", tmp_path / "out.mp4", style=STYLE, options=options)
    gain = made.speech_gain
    assert gain is not None
    assert gain.speech_lufs is not None
    assert gain.reference_lufs is not None
    assert gain.decibels == pytest.approx(gain.reference_lufs - gain.speech_lufs, abs=0.11)
    assert 4 < gain.decibels < 12
    inside = slice(int(0.25 * 16_000), int(1.55 * 16_000))
    powers = [
        float(np.mean(media.read_audio(path, rate=16_000)[inside] ** 2))
        for path in (own, tmp_path / "out.mp4")
    ]
    assert 10 * np.log10(powers[1] / powers[0]) == pytest.approx(0, abs=2)


def test_a_part_alone_is_rewritten_and_faded(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written(monkeypatch)
    options = DubOptions(cache=cache, start_seconds=0.2, stop_seconds=1.0)
    made = anchor.dub(
        video,
        speech,
        tmp_path / "out.mp4",
        style=STYLE,
        options=options,
        outputs=Outputs(motion=tmp_path / "m.npz"),
    )
    assert made.frames == 2 * FRAMES + PATTERN
    changed = np.array([bool((a != b).any()) for a, b in zip(own_planes(video), written.planes, strict=True)])
    assert not np.r_[changed[:5], changed[25:]].any()
    assert changed[8:23].all()
    weights = np.load(tmp_path / "m.npz")["shares"]
    assert (np.diff(weights[5:12]) >= 0).all()
    assert weights[12] == 1
    assert {kept.reason for kept in made.kept} == {"outside the part", "the face is not seen"}
    assert made.kept[0].stop == 5
    audio = media.read_audio(tmp_path / "out.mp4", rate=16_000)
    own = media.read_audio(video, rate=16_000)
    after = slice(int(1.3 * 16_000), int(2.2 * 16_000))
    assert np.corrcoef(audio[after], own[after])[0, 1] > 0.98


def test_a_part_from_the_start_is_not_faded_in(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path
) -> None:
    weights = {}
    for name, part in (("whole", {}), ("part", {"start_seconds": 0.0, "stop_seconds": 1.0})):
        options, motion = DubOptions(cache=cache, **part), tmp_path / f"{name}.npz"
        anchor.dub(
            video,
            speech,
            tmp_path / f"{name}.mp4",
            style=STYLE,
            options=options,
            outputs=Outputs(motion=motion),
        )
        weights[name] = np.load(motion)["shares"]
    assert weights["part"][0] == weights["whole"][0] == 1
    assert 0 < weights["part"][24] < 0.5
    assert not weights["part"][25:].any()


@pytest.mark.slow
def test_the_length_is_as_asked_for(anchor: Anchor, video: Path, cache: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    media.write_wav(long, speech_like(4.0), 16_000)
    made = anchor.dub(video, long, tmp_path / "out.mp4", style=STYLE, options=DubOptions(cache=cache))
    assert made.frames == 100
    for fit, frames in (("speech", 100), ("shortest", 2 * FRAMES + PATTERN)):
        made = anchor.dub(
            video,
            long,
            tmp_path / "out.mp4",
            style=STYLE,
            options=DubOptions(cache=cache, fit=fit),  # type: ignore[arg-type]
        )
        assert made.frames == frames
        audio = media.probe(tmp_path / "out.mp4").audio
        assert audio is not None
        assert audio.duration_seconds == pytest.approx(frames / 25, abs=0.1)


def test_the_videos_own_audio_drives_the_mouth_without_speech(
    anchor: Anchor, video: Path, cache: Path, tmp_path: Path
) -> None:
    made = anchor.dub(video, None, tmp_path / "out.mp4", style=STYLE, options=DubOptions(cache=cache))
    assert made.frames == 2 * FRAMES + PATTERN
    audio, own = (media.read_audio(path, rate=16_000) for path in (tmp_path / "out.mp4", video))
    assert np.corrcoef(audio[2000:20000], own[2000:20000])[0, 1] > 0.98


@pytest.mark.slow
def test_a_second_take_is_not_tracked_again(
    anchor: Anchor, video: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DubOptions(cache=tmp_path / "tracks")
    first = anchor.dub(video, speech, tmp_path / "a.mp4", style=STYLE, options=options)
    monkeypatch.setattr("newscaster.prepare.video_track._track", lambda *_: pytest.fail("tracked again"))
    second = anchor.dub(video, speech, tmp_path / "b.mp4", style=STYLE, options=options)
    assert (first.frames, first.kept, first.cuts) == (second.frames, second.kept, second.cuts)
    (kept,) = (tmp_path / "tracks").glob("*.track")
    kept.write_bytes(kept.read_bytes()[:1000])  # damaged: tracked again
    monkeypatch.undo()
    third = anchor.dub(video, speech, tmp_path / "c.mp4", style=STYLE, options=options)
    assert third.cuts == first.cuts


def test_what_is_signed_names_the_video(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path
) -> None:
    anchor.dub(video, speech, tmp_path / "out.mp4", options=DubOptions(cache=cache))
    found = newscaster.verify(tmp_path / "out.mp4")
    assert found.statement is not None
    assert found.statement.source_title == "three shots.mp4"
    assert found.statement.source_sha256 == hashlib.sha256(video.read_bytes()).hexdigest()
    assert found.statement.target_sha256 is None
    assert found.statement.synthesised == ((0, FRAMES), (FRAMES + PATTERN, 2 * FRAMES + PATTERN))


def test_what_cannot_be_dubbed(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.mp4"
    media.write_video(empty, moving_pattern(40, width=96, height=64), fps=Fraction(25), audio=None)
    short = tmp_path / "short.mp4"
    media.write_video(short, moving_pattern(10, width=96, height=64), fps=Fraction(25), audio=None)
    out = tmp_path / "out.mp4"
    with pytest.raises(FootageError, match="no face was found"):
        anchor.dub(empty, speech, out)
    with pytest.raises(FootageError, match=r"0\.40 s long"):
        anchor.dub(short, speech, out)
    drawn = newscaster.open(write_tiny_anchor(tmp_path / "drawn.anchor"))
    with pytest.raises(FootageError, match="the anchor's own face could not be measured"):
        drawn.dub(video, speech, out)
    before = video.read_bytes()
    with pytest.raises(OutputError, match="the video"):
        anchor.dub(video, speech, video)
    assert video.read_bytes() == before
    with pytest.MonkeyPatch.context() as patch:  # before anything is tracked
        patch.setattr("newscaster.synthesis.dub.track_people", pytest.fail)
        with pytest.raises(InputError, match="starts at 9 s"):
            anchor.dub(video, speech, out, options=DubOptions(cache=cache, start_seconds=9))
    with pytest.raises(MediaError, match=r"is a folder; expected a video\. Give one of the files"):
        anchor.dub(tmp_path, speech, out)
    with pytest.raises(MediaError, match="'/' is a folder"):  # which has no name for the person
        newscaster.dub(Path("/"), [Speaker(consent="Ada Byron", speech=speech)], out)
    nothing = DubOptions(
        cache=cache, start_seconds=(FRAMES + 2) / 25, stop_seconds=(FRAMES + PATTERN - 2) / 25
    )
    with pytest.raises(InputError, match="no frame"):
        anchor.dub(video, speech, out, options=nothing)
    for wrong in (
        {"fit": "best"},
        {"extend": "x"},
        {"mix_db": 99.0},
        {"start_seconds": 2, "stop_seconds": 1},
    ):
        with pytest.raises(InputError):
            DubOptions(**wrong)  # type: ignore[arg-type]
    assert not out.exists()


def test_no_output_replaces_an_input(anchor: Anchor, video: Path, speech: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(speech.read_bytes())  # any name may hold audio
    link = tmp_path / "link.mp4"
    link.symlink_to(video)
    before = video.read_bytes()
    with pytest.raises(OutputError, match="the speech"):
        anchor.dub(video, page, tmp_path / "out.mp4", options=DubOptions(report=page))
    with pytest.raises(OutputError, match="the video"):
        anchor.dub(video, speech, link)
    with pytest.raises(OutputError, match=r"\.json, \.html|\.html"):
        anchor.dub(video, speech, tmp_path / "out.mp4", options=DubOptions(report=tmp_path / "report.txt"))
    assert video.read_bytes() == before
    assert page.read_bytes() == speech.read_bytes()


@pytest.mark.parametrize("report", [None, "report.html"])
def test_another_person_is_shown(
    report: str | None,
    anchor: Anchor,
    video: Path,
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = -anchor_descriptor(anchor.target)
    monkeypatch.setattr("newscaster.synthesis.dub_people.anchor_descriptor", lambda _: other)
    path = tmp_path / (report or "out.faces.png")
    options = DubOptions(report=None if report is None else path)
    with pytest.raises(FootageError, match="1 other person is visible") as caught:
        anchor.dub(video, speech, tmp_path / "out.mp4", options=options)
    assert str(caught.value).endswith(f"The faces are shown in '{path}'")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    if report is None:
        with Image.open(path) as image:
            assert image.width > 2 * 220
    else:
        assert path.read_text(encoding="utf-8").count("data:image/jpeg") == 2


def test_a_selected_face_of_someone_else_is_noted(
    anchor: Anchor, video: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = -anchor_descriptor(anchor.target)
    monkeypatch.setattr("newscaster.synthesis.dub_people.anchor_descriptor", lambda _: other)
    made = anchor.dub(video, speech, tmp_path / "out.mp4", style=STYLE, options=DubOptions(face=0))
    assert made.rewritten_frames == 2 * FRAMES
    assert any("does not look like the person of" in note for note in made.notes)


def test_captions_that_overlap(anchor: Anchor, video: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.srt"
    captions.write_text(
        "1\n00:00:00,000 --> 00:00:01,500\nGood evening.\n\n2\n00:00:01,000 --> 00:00:02,000\nThe news.\n"
    )
    with pytest.raises(InputError, match=r"caption 2 of .* starts at 0:00:01\.000, before caption 1"):
        anchor.dub(video, None, tmp_path / "out.mp4", options=DubOptions(script=captions))
    assert [path.name for path in tmp_path.iterdir()] == ["captions.srt"]


def test_a_variable_frame_rate_becomes_the_nominal_one(
    anchor: Anchor, video: Path, speech: Path, tmp_path: Path
) -> None:
    """Every third frame is shown for three times as long as each of the two others."""
    path, steps = tmp_path / "variable.mp4", (25, 25, 75)
    with av.open(str(video)) as source, av.open(str(path), "w") as out:
        track = out.add_stream("libx264", rate=30, options={"crf": "10", "bf": "0"})
        track.width, track.height, track.pix_fmt = *anchor.size, "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, 1000)
        time = 0
        for number, frame in zip(range(FRAMES), source.decode(video=0), strict=False):
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(track.encode(frame))
            time += steps[number % 3]
        out.mux(track.encode(None))
    made = anchor.dub(path, speech, tmp_path / "out.mp4", style=STYLE, options=DubOptions(fit="shortest"))
    (note,) = (note for note in made.notes if "variable frame rate" in note)
    assert f"at its nominal {float(made.fps):.5g} frames/s" in note
    info = media.probe(tmp_path / "out.mp4").video
    assert info is not None
    assert info.uneven == 0
    assert made.seconds == pytest.approx(time / 1000, abs=0.07)


def test_the_lag_of_the_own_audio_is_said(anchor: Anchor, video: Path, cache: Path, tmp_path: Path) -> None:
    """A tone is no speech: the lag is not known, and the mouth rests."""
    report = tmp_path / "report.html"
    options = DubOptions(cache=cache, report=report)
    made = anchor.dub(video, None, tmp_path / "out.mp4", style=STYLE, options=options)
    assert made.own_audio is not None
    assert made.own_audio.seconds is None
    page = report.read_text(encoding="utf-8")
    assert "The lag of the video&#39;s own audio could not be measured" in page
    assert page.count("data:image/jpeg") >= 2 * 8
    assert "the face is not seen" in page


def test_the_mix_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    own, speech = tmp_path / "own.wav", tmp_path / "speech.wav"
    media.write_wav(own, tone(40.0, rate=RATE) * 0.5, RATE)
    media.write_wav(speech, tone(2.0, rate=RATE) * 0.25, RATE)
    plan = AudioPlan(
        speech=speech, own=own, seconds=35.0, start_seconds=10.0, stop_seconds=11.5, own_gain=0.1
    )
    write_dub_audio(plan, tmp_path / "mix.wav")
    mixed = media.read_audio(tmp_path / "mix.wav", rate=RATE)
    first = media.read_audio(own, rate=RATE)[: 35 * RATE]
    second = media.read_audio(speech, rate=RATE)
    assert len(mixed) == 35 * RATE
    outside = np.r_[0 : 9 * RATE, 12 * RATE : 35 * RATE]
    np.testing.assert_allclose(mixed[outside], first[outside], atol=1e-4)
    inside = np.arange(int(10.1 * RATE), int(11.4 * RATE))
    expected = 0.1 * first[inside] + second[inside - 10 * RATE]
    np.testing.assert_allclose(mixed[inside], expected, atol=1e-4)


def test_a_mix_keeps_the_channels(tmp_path: Path) -> None:
    """Mono speech is in both channels of stereo, and in the centre of 5.1; stereo speech stays stereo."""
    speech = tmp_path / "speech.wav"
    media.write_wav(speech, tone(2.0, rate=RATE) * 0.25, RATE)
    one = media.read_audio(speech, rate=RATE)
    for layout, channels, heard in (("stereo", 2, [0, 1]), ("5.1", 6, [2])):
        own = write_rich(tmp_path / "own.mkv", layout=layout)
        assert like(own) == (RATE, channels)
        plan = AudioPlan(speech=speech, own=own, seconds=2.0, own_gain=0.1, channels=channels)
        write_dub_audio(plan, tmp_path / "mix.wav")
        mixed = np.concatenate(
            list(media.read_channels(tmp_path / "mix.wav", rate=RATE, channels=channels)), axis=1
        )
        below = np.concatenate(list(media.read_channels(own, rate=RATE, channels=channels)), axis=1)
        assert mixed.shape == (channels, 2 * RATE)
        part = slice(2000, 2 * RATE - 4000)
        for channel in range(channels):
            added = mixed[channel, part] - 0.1 * below[channel, part]
            np.testing.assert_allclose(added, one[part] * (channel in heard), atol=2e-3)
    stereo, wide = tmp_path / "stereo.wav", tmp_path / "wide.wav"
    write_dub_audio(AudioPlan(speech=None, own=own, seconds=1.0, own_gain=1.0, channels=6), wide)
    write_dub_audio(AudioPlan(speech=wide, own=None, seconds=1.0, channels=6), stereo)
    first, second = (
        np.concatenate(list(media.read_channels(path, rate=RATE, channels=6)), axis=1)
        for path in (wide, stereo)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.slow
def test_what_the_video_has_beside_is_kept(anchor: Anchor, video: Path, speech: Path, tmp_path: Path) -> None:
    images = list(media.read_frames(video, stop_frame=FRAMES))
    rich, out = write_rich(tmp_path / "rich.mkv", images=images), tmp_path / "out.mkv"
    options = DubOptions(cache=tmp_path / "tracks", mix_db=-20.0, fit="shortest")
    made = anchor.dub(rich, speech, out, style=STYLE, options=options)
    assert made.frames == FRAMES
    with av.open(str(out)) as container:
        main, other = container.streams.audio
        assert (main.channels, main.rate, main.metadata["language"]) == (2, 48_000, "eng")
        assert (other.metadata["language"], other.metadata["title"]) == ("deu", "Kommentar")
        assert len(container.streams.subtitles) == 1
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
        assert container.metadata["title"] == "The late news"
        assert "generated by newscaster" in container.metadata["COMMENT"]
    options = DubOptions(cache=tmp_path / "tracks", drop=("audio", "subtitles", "chapters", "attachments"))
    anchor.dub(rich, None, out, style=STYLE, options=options)  # its own audio is copied, not encoded again
    with av.open(str(out)) as container, av.open(str(rich)) as source:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        mine, theirs = (
            [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]
            for file in (container, source)
        )
        assert len(mine) > 40
        start = theirs.index(mine[0])
        assert start <= 2  # before the first frame
        assert mine == theirs[start : start + len(mine)]
    with pytest.raises(InputError, match="drop names"):
        DubOptions(drop=("pictures",))  # type: ignore[arg-type]


def test_captions_are_spoken_in_their_time(anchor: Anchor, video: Path, cache: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.srt"
    captions.write_text(
        "1\n00:00:00,400 --> 00:00:01,200\nGood evening.\n\n2\n00:00:01,800 --> 00:00:02,600\nThe news.\n"
    )
    made = anchor.dub(
        video,
        None,
        tmp_path / "out.mp4",
        style=STYLE,
        options=DubOptions(cache=cache, script=captions),
        outputs=Outputs(speech=tmp_path / "speech.wav", captions=tmp_path / "out.srt"),
    )
    assert made.frames == 2 * FRAMES + PATTERN
    audio = media.read_audio(tmp_path / "speech.wav", rate=16_000)
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max()) / 16_000
    second = loud[loud > 1.5]
    assert loud[0] == pytest.approx(0.4, abs=0.04)
    assert second[0] == pytest.approx(1.8, abs=0.04)
    assert "00:00:00,400 --> " in (tmp_path / "out.srt").read_text()
    with pytest.raises(InputError, match="expected one of them"):
        anchor.dub(video, captions, tmp_path / "out.mp4", options=DubOptions(script=captions))


def test_captions_of_a_part_keep_the_times_of_the_video(
    anchor: Anchor, video: Path, cache: Path, tmp_path: Path
) -> None:
    captions, out = tmp_path / "captions.srt", tmp_path / "out.mp4"
    captions.write_text(
        "1\n00:00:00,400 --> 00:00:01,200\nGood evening.\n\n2\n00:00:01,600 --> 00:00:02,600\nThe news.\n"
    )
    part = DubOptions(cache=cache, script=captions, start_seconds=1.4, stop_seconds=2.0)
    made = anchor.dub(
        video, None, out, style=STYLE, options=part, outputs=Outputs(captions=tmp_path / "out.srt")
    )
    written = (tmp_path / "out.srt").read_text()
    assert written.startswith("1\n00:00:01,600 --> 00:00:02,000\nThe news.")
    assert "Good" not in written
    assert any("longer than the part; its end is cut off" in note for note in made.notes)
    audio = np.abs(media.read_audio(out, rate=16_000)[round(1.42 * 16_000) : round(1.98 * 16_000)])
    assert 1.42 + np.argmax(audio > 0.1 * audio.max()) / 16_000 == pytest.approx(1.6, abs=0.04)
    with pytest.raises(InputError, match=r"no caption of '.*' starts in the part from 0\.5 s to 1 s"):
        anchor.dub(video, None, out, style=STYLE, options=replace(part, start_seconds=0.5, stop_seconds=1.0))


def test_captions_of_a_text_start_with_the_part(
    anchor: Anchor, video: Path, cache: Path, tmp_path: Path
) -> None:
    part = DubOptions(cache=cache, start_seconds=1.0, stop_seconds=2.0)
    outputs = Outputs(captions=tmp_path / "out.vtt")
    anchor.dub(video, None, tmp_path / "out.mp4", text="News.", style=STYLE, options=part, outputs=outputs)
    times = re.findall(r"00:(\d\d\.\d{3})", (tmp_path / "out.vtt").read_text())
    assert 1.0 <= float(times[0]) < float(times[-1]) <= 2.0


@pytest.mark.slow
def test_own_audio_stays_with_the_frames(
    anchor: Anchor, video: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio that starts later than the frames, and a part of a video, keep their place."""
    late = with_audio(video, speech_like(1.4), tmp_path / "late.mp4", late=16_000)
    own = media.read_audio(late, rate=16_000)
    assert np.abs(own[: int(0.95 * 16_000)]).max() < 0.01
    loud = np.abs(own[int(1.05 * 16_000) :]).max()
    outputs = Outputs(motion=tmp_path / "m.npz")
    for options in (DubOptions(), DubOptions(start_seconds=0.5, stop_seconds=2.8)):
        anchor.dub(late, None, tmp_path / "out.mp4", style=STYLE, options=options, outputs=outputs)
        made = media.read_audio(tmp_path / "out.mp4", rate=16_000)
        assert np.abs(made[: int(0.9 * 16_000)]).max() < 0.05 * loud
        part = slice(int(1.1 * 16_000), int(2.2 * 16_000))
        assert np.corrcoef(made[part], own[part])[0, 1] > 0.95
        shapes = np.load(tmp_path / "m.npz")["shapes"]
        moving = np.abs(np.diff(shapes, axis=0)).mean(axis=(1, 2))
        assert moving[27:55].mean() > 4 * moving[13:20].mean()  # rests until the speech starts


@pytest.mark.slow
def test_a_background_behind_the_person_alone(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written(monkeypatch)
    phases: list[str] = []
    made = anchor.dub(
        video,
        speech,
        tmp_path / "out.webm",
        style=Style(label="", watermark=False, background="alpha"),
        options=DubOptions(cache=cache),
        progress=lambda phase, done, total: phases.append(phase),
    )
    assert phases.count("matte") == 2 * FRAMES + PATTERN
    assert len(list(cache.glob("*.matte"))) == 1
    assert made.frames == 2 * FRAMES + PATTERN
    own = own_planes(video)
    for index in range(FRAMES, FRAMES + PATTERN):  # the shot without the person
        assert np.array_equal(own[index], written.planes[index])
    with av.open(str(made.path)) as file:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
        frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    alphas = [frame.to_ndarray(format="rgba")[..., 3] for frame in frames]
    assert alphas[FRAMES + 2].min() > 250
    for index in (5, FRAMES + PATTERN + 5):
        assert alphas[index][:40, :60].max() < 8
        assert alphas[index][120:180, 125:165].min() > 240  # the face


@pytest.mark.slow
def test_a_name_strap_is_on_all_frames_while_it_is_seen(
    anchor: Anchor, video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on frames that are not rewritten, which stay as they are outside of it."""
    written = Written(monkeypatch)
    style = Style(label="", watermark=False, title="Jane", subtitle="Newsroom")
    anchor.dub(video, speech, tmp_path / "out.mp4", style=style, options=DubOptions(cache=cache))
    own = [frame.planes[0] for frame in media.read_yuv_frames(video)]
    changes = [np.argwhere(own[index] != written.luma[index]) for index in range(FRAMES, FRAMES + PATTERN)]
    boxes = {(*change.min(axis=0).tolist(), *change.max(axis=0).tolist()) for change in changes}
    (top, left, bottom, right) = min(boxes)
    height, width = own[0].shape
    assert top > height / 2
    assert bottom < 0.95 * height
    assert left < width / 3
    assert right < 0.95 * width
    assert all(len(change) > 0.9 * (bottom - top) * (right - left) for change in changes)
    box = np.s_[top : bottom + 1, left : right + 1]
    assert np.abs(own[0][box].astype(int) - written.luma[0][box]).mean() < 3, "not yet seen"


@pytest.mark.parametrize(
    ("style", "message"),
    [
        (Style(title="生成"), "cannot be drawn"),
        (Style(subtitle="x"), "a subtitle is given without a title"),
        (Style(label="é\n"), "the label 'é' has characters that cannot be drawn"),
    ],
)
def test_texts_that_cannot_be_drawn_are_refused_before_any_work(
    anchor: Anchor, tmp_path: Path, style: Style, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        anchor.dub(tmp_path / "no.mp4", tmp_path / "no.wav", tmp_path / "out.mp4", style=style)
