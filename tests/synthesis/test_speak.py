from __future__ import annotations

import io
import itertools
import os
import sys
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import newscaster
from fake_voices import FakeVoice, use_voice
from newscaster import media
from newscaster.errors import (
    InputError,
    MediaError,
    MissingExtraError,
    OutputError,
    SpeechError,
)
from newscaster.speech.level import loud_peak
from newscaster.speech.voices import Reading
from newscaster.synthesis import speak, speech_input
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.motion import frame_count
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from newscaster.version import VERSION
from signing import write_certificate
from tiny_anchor import speech_like, tiny_basis, write_tiny_anchor

NTSC = Fraction(30000, 1001)


@pytest.fixture
def wav_44100_hz(tmp_path: Path) -> Path:
    media.write_wav(tmp_path / "speech.wav", speech_like(1.3, 44_100), 44_100)
    return tmp_path / "speech.wav"


@pytest.mark.slow
@pytest.mark.parametrize("fps", [Fraction(25), NTSC])
@pytest.mark.parametrize(("samples", "rate"), [(16_000, 16_000), (30_011, 22_050), (44_100 * 2 + 7, 44_100)])
def test_frame_counts(tmp_path: Path, fps: Fraction, samples: int, rate: int) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", fps=fps))
    speech = speech_like(samples / rate, rate)
    assert len(speech) == samples
    expected = frame_count(samples, rate, fps)
    frames = list(anchor.render(speech, rate))
    assert len(frames) == len(anchor.motion(speech, rate)) == expected
    assert all(f.shape == (80, 96, 3) and f.dtype == np.uint8 for f in frames)
    made = anchor.speak(speech, tmp_path / "x.mp4", rate=rate)
    assert (made.frames, made.fps, made.seconds) == (expected, fps, samples / rate)
    info = media.probe(tmp_path / "x.mp4")
    assert info.video is not None
    assert info.video.fps == fps
    assert sum(1 for _ in media.read_frames(tmp_path / "x.mp4")) == expected


def test_speaking_writes_the_frames_that_rendering_gives(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[np.ndarray] = []
    write_video = media.write_video

    def spy(path: Path, frames: itertools.chain, **options: object) -> int:
        return write_video(path, (encoded.append(f.rgb()) or f for f in frames), **options)

    monkeypatch.setattr(speak.media, "write_video", spy)
    for samples, rate in ((speech_like(2.3), 16_000), (speech_like(1.1, 22_050), 22_050)):
        encoded.clear()
        anchor.speak(samples, tmp_path / "x.mp4", rate=rate, style=Style(target_start=4, watermark=False))
        rendered = list(anchor.render(samples, rate, target_start=4))
        assert len(rendered) == len(encoded)
        assert all((a == b).all() for a, b in zip(rendered, encoded, strict=True))


def test_articulation(anchor: Anchor, tmp_path: Path) -> None:
    samples, wide = speech_like(2.0), Articulation(openness=1.6, smoothness=2)
    assert np.abs(anchor.motion(samples) - anchor.motion(samples, articulation=wide)).max() > 0.2
    plain = list(anchor.render(samples))
    assert any((a != b).any() for a, b in zip(plain, anchor.render(samples, articulation=wide), strict=True))
    anchor.speak(
        samples,
        tmp_path / "x.mp4",
        outputs=Outputs(motion=tmp_path / "x.npz"),
        style=Style(articulation=wide),
    )
    stream = anchor.motion_stream(articulation=wide)
    stream.expect_level(loud_peak(samples))
    stream.start_closed()
    with np.load(tmp_path / "x.npz") as motion:
        expected = np.concatenate([stream.push(samples), stream.flush()])
        np.testing.assert_allclose(motion["shapes"], expected, atol=1e-4)


def test_a_video_starts_with_closed_lips(anchor: Anchor, tmp_path: Path) -> None:
    """Speech that starts at once has an open mouth in its first frame."""
    samples = speech_like(1.0)
    anchor.speak(samples, tmp_path / "x.mp4", outputs=Outputs(motion=tmp_path / "x.npz"))
    plain = anchor.motion_stream()
    plain.expect_level(loud_peak(samples))
    shapes = np.concatenate([plain.push(samples), plain.flush()])
    rest = tiny_basis().mean
    with np.load(tmp_path / "x.npz") as motion:
        np.testing.assert_allclose(motion["shapes"][0], rest, atol=1e-6)
        np.testing.assert_allclose(motion["shapes"][3:], shapes[3:], atol=1e-4)
    assert np.abs(shapes[0] - rest).max() > 1e-3


def test_frames_with_occluded_mouths_keep_them(anchor: Anchor, tmp_path: Path) -> None:
    blend_weight = np.ones(10, np.float32)
    blend_weight[3:7] = [0.5, 0, 0, 0.5]
    path = write_tiny_anchor(tmp_path / "hand.anchor", blend_weight=blend_weight)
    hand = newscaster.open(path)
    made = hand.speak(speech_like(1.0), tmp_path / "x.mp4", outputs=Outputs(motion=tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as motion:
        np.testing.assert_array_equal(motion["shares"], blend_weight[motion["stage_frames"]])
        assert made.passthrough_frames == (motion["shares"] < 1).sum() > 0
        frames = motion["stage_frames"]
    for index, image, plain in zip(
        frames, hand.render(speech_like(1.0)), anchor.render(speech_like(1.0)), strict=True
    ):
        own = hand.target.frame(int(index)).rgb
        if blend_weight[index] == 0:
            assert (image == own).all()
        elif blend_weight[index] == 1:
            assert (image == plain).all()
        else:
            assert 0 < np.abs(image.astype(int) - own).sum() < np.abs(plain.astype(int) - own).sum()
    assert anchor.speak(speech_like(1.0), tmp_path / "y.mp4").passthrough_frames == 0


def test_the_target_continues_under_the_mouth(anchor: Anchor, tmp_path: Path) -> None:
    made = anchor.speak(
        speech_like(1.0),
        tmp_path / "x.mp4",
        outputs=Outputs(motion=tmp_path / "x.npz"),
        style=Style(target_start=8),
    )
    assert made.motion == tmp_path / "x.npz"
    with np.load(tmp_path / "x.npz") as motion:
        assert motion["stage_frames"].tolist() == list(itertools.islice(anchor.target.order(start=8), 25))
        assert motion["landmarks"].shape == motion["shapes"].shape == (25, 57, 2)
        assert (motion["fps"].tolist(), int(motion["frames"])) == ([25, 1], 25)
        expected = anchor.motion(speech_like(1.0), target_start=8)
        np.testing.assert_allclose(motion["landmarks"], expected, atol=1e-4)
        np.testing.assert_allclose(
            anchor.target.place(motion["shapes"], motion["stage_frames"]), expected, atol=1e-3
        )


def test_the_video_says_that_it_is_synthetic(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    anchor.speak(wav, tmp_path / "x.mp4")
    tags = media.probe(tmp_path / "x.mp4").metadata
    assert tags["comment"].startswith(f"Synthetic video: the mouth was generated by newscaster {VERSION}")
    assert "'Tiny'" in tags["comment"]
    assert tags["copyright"] == "Drawn by a test; CC0"


def test_the_audio_is_the_speech(anchor: Anchor, wav_44100_hz: Path, tmp_path: Path) -> None:
    anchor.speak(wav_44100_hz, tmp_path / "x.mp4")
    before, after = media.measure_audio(wav_44100_hz), media.measure_audio(tmp_path / "x.mp4")
    assert (after.rate, after.channels) == (before.rate, before.channels)
    assert 0 <= after.samples - before.samples < 1024  # AAC comes in blocks
    assert after.rms == pytest.approx(before.rms, rel=0.1)


def test_video_as_speech(anchor: Anchor, make_clip: Callable[..., Path], tmp_path: Path) -> None:
    clip = make_clip(frames=30)
    made = anchor.speak(clip, tmp_path / "x.mkv")
    assert made.frames == frame_count(media.measure_audio(clip).samples, 16_000, Fraction(25))


def test_a_stream_as_speech(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    with io.BytesIO(wav.read_bytes()) as stream:
        made = anchor.speak(stream, tmp_path / "x.mp4")
    assert made.frames == round(1.3 * 25)


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> FakeVoice:
    """A voice that needs a second for every sentence, and is never silent."""
    voice = FakeVoice(lambda sentence, speed: np.abs(speech_like(1.0 / speed, 24_000)) + np.float32(0.01))
    use_voice(monkeypatch, voice)
    return voice


def test_text_and_text_files(anchor: Anchor, voice: FakeVoice, tmp_path: Path) -> None:
    made = anchor.speak(None, tmp_path / "x.mp4", text="Good evening. Here is Dr. Lee.")
    assert made.frames == round((0.4 + 2.7) * 25)
    assert "The voice is synthetic too." in media.probe(tmp_path / "x.mp4").metadata["comment"]
    (tmp_path / "news.txt").write_text("Guten Abend.", encoding="utf-8-sig")
    made = anchor.speak(tmp_path / "news.txt", tmp_path / "x.mp4", style=Style(reading=Reading(speed=2.0)))
    assert made.seconds == pytest.approx(0.4 + 0.5 + 0.175)
    assert voice.sentences == ["Good evening.", "Here is Doctor Lee.", "Guten Abend."]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_captions(anchor: Anchor, voice: FakeVoice, tmp_path: Path, suffix: str) -> None:
    out, srt, vtt = tmp_path / f"x{suffix}", tmp_path / "x.srt", tmp_path / "x.vtt"
    text = "Good evening. Here is the news.\n\nIt rains."
    wav = tmp_path / "x.wav"
    made = anchor.speak(
        None, out, text=text, outputs=Outputs(captions=[srt, vtt], subtitles=True, speech=wav)
    )
    assert (made.captions, made.kept_speech) == ((srt, vtt), wav)
    samples = media.read_audio(wav, rate=24_000)
    assert not samples[:9_500].any()
    with av.open(str(out)) as container:
        (stream,) = container.streams.subtitles
        assert stream.metadata["language"] == "eng"
        shown = [p for p in container.demux(stream) if p.pts is not None and len(bytes(p)) > 2]
        begins = [float(p.pts * p.time_base) for p in shown]
        ends = [float((p.pts + p.duration) * p.time_base) for p in shown]
    assert begins == pytest.approx([0.4, 1.75, 3.55], abs=1e-3)
    for begin, end in zip(begins, ends, strict=True):
        # Shown with its audio: from silence to speech, and from speech to silence.
        first, last = round(begin * 24_000), round(end * 24_000)
        assert not samples[max(0, first - 2400) : max(0, first - 24)].any()
        assert np.abs(samples[first + 24 : last - 24]).min() > 0
        assert not samples[last + 24 : last + 2400].any()
    assert "00:00:03,550 --> 00:00:04,550\nIt rains.\n" in srt.read_text(encoding="utf-8")
    assert "00:00:03.550 --> 00:00:04.550\nIt rains.\n" in vtt.read_text(encoding="utf-8")


def test_captions_of_a_script_in_one_file(anchor: Anchor, voice: FakeVoice, tmp_path: Path) -> None:
    (tmp_path / "news.txt").write_text("Guten Abend.")
    made = anchor.speak(
        tmp_path / "news.txt",
        tmp_path / "x.mp4",
        outputs=Outputs(captions=tmp_path / "x.srt", subtitles=True),
        style=Style(reading=Reading(language="deu")),
    )
    assert made.captions == (tmp_path / "x.srt",)
    with av.open(str(tmp_path / "x.mp4")) as container:
        assert container.streams.subtitles[0].metadata["language"] == "deu"


def test_options_that_audio_cannot_use_are_refused(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"outputs": Outputs(captions=tmp_path / "x.srt")}, "captions need a text .* Give the text"),
        ({"outputs": Outputs(subtitles=True)}, "captions need a text"),
        ({"style": Style(reading=Reading(speed=1.2))}, "audio, which needs no voice"),
    ):
        for speech in (wav, speech_like(1.0)):
            with pytest.raises(InputError, match=message):
                anchor.speak(speech, tmp_path / "x.mp4", **options)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [wav.name]


def test_the_audio_is_kept(anchor: Anchor, wav_44100_hz: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    for speech, rate in (
        (wav_44100_hz, 44_100),
        (io.BytesIO(wav_44100_hz.read_bytes()), 44_100),
        (speech_like(1.3), 16_000),
    ):
        made = anchor.speak(speech, tmp_path / "x.mp4", outputs=Outputs(speech=kept))
        measure = media.measure_audio(kept)
        assert (made.kept_speech, measure.rate, measure.samples) == (kept, rate, round(1.3 * rate))
        kept.unlink()


def test_a_voice_reads_a_text(anchor: Anchor, tmp_path: Path) -> None:
    pytest.importorskip("hibari")
    made = anchor.speak(None, tmp_path / "x.mp4", text="Good evening. This is the news.")
    assert 1.0 < made.seconds < 6.0


def test_texts_that_cannot_be_read_aloud(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpeechError, match="holds no word"):
        anchor.speak(None, tmp_path / "x.mp4", text=" ... ")
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[tts\]"):
        anchor.speak(None, tmp_path / "x.mp4", text="Good evening.")
    assert not (tmp_path / "x.mp4").exists()


def test_the_speech_is_not_replaced(anchor: Anchor, make_clip: Callable[..., Path], wav: Path) -> None:
    clip = make_clip()
    for speech, outputs in ((clip, Outputs()), (wav, Outputs(speech=wav))):
        before = speech.read_bytes()
        with pytest.raises(OutputError, match="the speech itself"):
            anchor.speak(speech, clip, outputs=outputs)
        assert speech.read_bytes() == before


@pytest.mark.parametrize("kind", ["symbolic", "hard", "relative"])
def test_no_output_replaces_an_input_under_another_name(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    media.write_wav(inputs / "speech.wav", speech_like(0.5), 16_000)
    (inputs / "script.txt").write_text("Good evening.")
    chain, key, _ = write_certificate(inputs)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in [*inputs.iterdir(), anchor.path]}

    def named(path: Path, name: str) -> Path:
        """The same file under a name that ends as an output does."""
        if kind == "relative" or path == anchor.path:  # which may be on another disk
            (tmp_path / name).symlink_to(path)
            return Path("inputs", "..", name)
        (os.link if kind == "hard" else os.symlink)(path, tmp_path / name)
        return tmp_path / name

    speech, script = inputs / "speech.wav", inputs / "script.txt"
    outputs = (
        ("the speech", speech, named(speech, "speech.mp4"), Outputs()),
        ("the speech", speech, "x.mp4", Outputs(speech=named(speech, "kept.wav"))),
        ("the speech", speech, "x.mp4", Outputs(motion=named(speech, "x.npz"))),
        ("the speech", script, "x.mp4", Outputs(captions=[named(script, "x.srt")])),
        ("the speech", speech, named(speech, "x.c2pa").with_suffix(".mkv"), Outputs()),
        ("the anchor", speech, named(anchor.path, "anchor.mp4"), Outputs()),
        ("the certificate", speech, named(chain, "chain.mp4"), Outputs()),
        ("the key", speech, named(key, "key.mp4"), Outputs()),
    )
    signing = SigningOptions(certificate=chain, key=key)
    for name, given, out, more in outputs:
        with pytest.raises(OutputError, match=f"is {name} itself"):
            anchor.speak(given, out, outputs=more, signing=signing)
    assert {path: path.read_bytes() for path in before} == before


def test_progress(anchor: Anchor, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    anchor.speak(speech_like(1.0), tmp_path / "x.mp4", progress=lambda *at: calls.append(at))
    assert calls == [(i, 25) for i in range(1, 26)]


def test_speech_that_cannot_drive_an_anchor(anchor: Anchor, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    for samples, message in (
        (np.zeros(0, np.float32), "empty"),
        (np.zeros(16_000, np.float32), r"silent: its peak is -inf dBFS"),
        (np.full(16_000, 1e-4, np.float32), r"silent: its peak is -80\.0 dBFS"),
        (np.full(16_000, np.nan, np.float32), "sample 0 of 16000 is nan"),
        (np.full(100, 0.5, np.float32), r"6\.2 ms long, and one frame takes 40\.0 ms"),
        (np.zeros((16_000, 2), np.float32), r"float32 \(16000, 2\); expected float \(N,\)"),
        (np.zeros(16_000, np.int16), "divide 16-bit integers"),
    ):
        with pytest.raises(SpeechError, match=message):
            anchor.speak(samples, out)
        with pytest.raises(SpeechError, match=message):
            anchor.render(samples)
    assert not out.exists()


def test_files_that_cannot_drive_an_anchor(
    anchor: Anchor, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "x.mp4"
    media.write_wav(tmp_path / "silent.wav", np.full(16_000, 3e-4, np.float32), 16_000)
    (tmp_path / "empty.wav").touch()
    for speech, error, message in (
        ("missing.wav", MediaError, "no such file"),
        ("missing.txt", InputError, r"missing\.txt' cannot be read"),
        (tmp_path / "empty.wav", MediaError, "empty"),
        (make_clip(audio=False), MediaError, "no audio in it"),
        (tmp_path / "silent.wav", SpeechError, r"silent: its peak is -70\.\d dBFS"),
        (io.BytesIO(), MediaError, "nothing came in"),
        (None, InputError, "neither speech nor a text"),
        (42, InputError, "speech is a int"),
    ):
        with pytest.raises(error, match=message):
            anchor.speak(speech, out)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="both speech and a text"):
        anchor.speak("x.wav", out, text="Hello")
    assert not out.exists()


def test_places_are_checked_before_any_work(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_input.media, "measure_audio", lambda path: pytest.fail("work was done"))
    for out, more, message in (
        ("none/x.mp4", Outputs(), "no folder"),
        ("x.gif", Outputs(), "gif"),
        ("x.mp4", Outputs(motion=tmp_path / "none" / "x.npz"), "no folder"),
        ("x.mp4", Outputs(motion=tmp_path / "x.csv"), "csv"),
        ("x.mp4", Outputs(speech=tmp_path / "x.mp3"), r"mp3'; accepted are \.wav"),
        ("x.mp4", Outputs(captions=[tmp_path / "x.ass"]), r"ass'; accepted are \.srt, \.vtt"),
        ("x.mp4", Outputs(captions=[tmp_path / "x.srt", tmp_path / "x.srt"]), "named twice as an output"),
    ):
        with pytest.raises(OutputError, match=message):
            anchor.speak("missing.wav", tmp_path / out, outputs=more)
    with pytest.raises(InputError, match="target_start is 10; expected 0 to 9"):
        anchor.speak("missing.wav", tmp_path / "x.mp4", style=Style(target_start=10))


def test_no_half_video_is_left(anchor: Anchor, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anchor.speak(
            speech_like(2.0), tmp_path / "x.mp4", progress=stop, outputs=Outputs(motion=tmp_path / "x.npz")
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_speech(anchor: Anchor, tmp_path: Path) -> None:
    peaks = []
    list(anchor.render(speech_like(2.0)))
    for seconds in (5, 20):
        speech = speech_like(seconds)
        media.write_wav(tmp_path / "x.wav", speech, 16_000)
        del speech
        tracemalloc.start()
        anchor.speak(tmp_path / "x.wav", tmp_path / "x.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


def test_look_ahead_everywhere(anchor: Anchor, tmp_path: Path) -> None:
    samples = speech_like(1.3)
    usual, live = anchor.motion(samples), anchor.motion(samples, look_ahead_ms=120)
    assert usual.shape == live.shape
    assert np.abs(live - usual).max() > 1e-3
    assert len(list(anchor.render(samples, look_ahead_ms=120))) == len(usual)
    made = anchor.speak(
        samples,
        tmp_path / "a.mp4",
        outputs=Outputs(motion=tmp_path / "a.npz"),
        style=Style(look_ahead_ms=120),
    )
    with np.load(tmp_path / "a.npz") as motion:
        np.testing.assert_allclose(motion["landmarks"], live, atol=1e-3)
    assert made.frames == len(usual)
    for refused in (
        lambda: anchor.render(samples, look_ahead_ms=100),
        lambda: anchor.speak(samples, tmp_path / "b.mp4", style=Style(look_ahead_ms=100)),
    ):
        with pytest.raises(InputError, match="look_ahead_ms is 100"):
            refused()
    assert not (tmp_path / "b.mp4").exists()


def test_mark_up_and_control_characters_reach_neither_voice_nor_captions(
    anchor: Anchor, voice: FakeVoice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "<speak>AT&amp;T: 5 &lt; 6, a&lt;b.</speak>\n\n"
    text += "\x1b[31mNews\u00adcaster\x00\u202e red. Write &lt;i&gt;x&lt;/i&gt;."
    srt = tmp_path / "x.srt"
    made = anchor.speak(None, tmp_path / "x.mp4", text=text, outputs=Outputs(captions=srt))
    assert voice.sentences == ["A.T and T: five less than six, a<b.", "Newscaster red.", "Write <i>x</i>."]
    shown = srt.read_text(encoding="utf-8")
    for line in ("AT&T: 5 < 6, a<b.", "Newscaster red.", "Write \u2039i\u203ax\u2039/i\u203a."):
        assert f"\n{line}\n" in shown
    assert [note.split(":")[0].split(" (")[0] for note in made.notes] == [
        "the text has mark-up",
        "the text has control characters",
        "no speech detected in the audio of the voice",  # a hum stands in for the voice
    ]
    assert [record.getMessage() for record in caplog.records] == list(made.notes)
