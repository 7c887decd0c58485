"""Captions out: files as their formats want them, and tracks that read back the same."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from making_media import moving_pattern, tone
from newscaster.errors import OutputError
from newscaster.media import (
    Cue,
    Subtitles,
    measure_audio,
    read_frames,
    write_captions,
    write_video,
    write_wav,
)

CUES = [
    Cue(start_ms=0, stop_ms=400, lines=("Größe: 1 < 2 & 3 > 2",)),
    Cue(start_ms=750, stop_ms=1200, lines=("{one} \\N", "two --> three")),
    Cue(start_ms=1200, stop_ms=1980, lines=("done",)),
]


def test_sub_rip(tmp_path: Path) -> None:
    write_captions(tmp_path / "x.srt", [*CUES, Cue(start_ms=3_725_004, stop_ms=3_725_999, lines=("late",))])
    assert (tmp_path / "x.srt").read_bytes().decode() == (
        "1\n00:00:00,000 --> 00:00:00,400\nGröße: 1 < 2 & 3 > 2\n\n"
        "2\n00:00:00,750 --> 00:00:01,200\n{one} \\N\ntwo -> three\n\n"
        "3\n00:00:01,200 --> 00:00:01,980\ndone\n\n"
        "4\n01:02:05,004 --> 01:02:05,999\nlate\n\n"
    )


def test_captions_at_the_top(tmp_path: Path) -> None:
    cues = [Cue(start_ms=0, stop_ms=400, lines=("one", "two"), at_top=True), CUES[2]]
    for suffix in ("srt", "vtt"):
        write_captions(tmp_path / f"x.{suffix}", cues)
    sub_rip, web_vtt = ((tmp_path / f"x.{suffix}").read_text() for suffix in ("srt", "vtt"))
    assert "\n{\\an8}one\ntwo\n" in sub_rip
    assert sub_rip.count("an8") == 1
    assert "00:00:00.000 --> 00:00:00.400 line:0\none\ntwo\n" in web_vtt
    assert web_vtt.count("line:") == 1


def test_web_vtt(tmp_path: Path) -> None:
    write_captions(tmp_path / "x.VTT", CUES[:2])
    assert (tmp_path / "x.VTT").read_bytes().decode() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:00.400\nGröße: 1 &lt; 2 &amp; 3 &gt; 2\n\n"
        "00:00:00.750 --> 00:00:01.200\n{one} \\N\ntwo --&gt; three\n\n"
    )


def test_other_endings(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.ass'; accepted are \.srt, \.vtt"):
        write_captions(tmp_path / "x.ass", CUES)


def shown(path: Path) -> tuple[str, str | None, list[tuple[int, int, str]]]:
    """The subtitle track's codec and language, and each cue: begin and length in ms, and text."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        cues = []
        for packet in container.demux(stream):
            data = bytes(packet)
            text = data if path.suffix == ".mkv" else data[2:]
            if text:
                begin, length = (round(t * packet.time_base * 1000) for t in (packet.pts, packet.duration))
                cues.append((begin, length, text.decode()))
        return stream.codec_context.name, stream.metadata.get("language"), cues


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "mov_text"), (".m4v", "mov_text"), (".mov", "mov_text"), (".mkv", "srt")]
)
def test_a_track_reads_back(tmp_path: Path, suffix: str, codec: str) -> None:
    path, audio = tmp_path / f"x{suffix}", tmp_path / "x.wav"
    write_wav(audio, tone(2.0), 16_000)
    subtitles = Subtitles(cues=CUES, language="deu")
    frames = write_video(path, moving_pattern(50), fps=Fraction(25), audio=audio, subtitles=subtitles)
    assert frames == 50
    expected = [(cue.start_ms, cue.stop_ms - cue.start_ms, "\n".join(cue.lines)) for cue in CUES]
    found_codec, found_language, cues = shown(path)
    assert (found_codec, cues) == (codec, expected)
    assert found_language in ("deu", "ger")  # ISO 639-2 has both
    assert sum(1 for _ in read_frames(path)) == 50
    assert measure_audio(path).seconds == pytest.approx(2.0, abs=0.07)


def test_cues_at_the_top_of_a_track(tmp_path: Path) -> None:
    """As players read it: an override code in Matroska, settings in WebM. MP4 has no place for it."""
    cues = [replace(CUES[0], at_top=True), CUES[1]]
    for suffix in (".mkv", ".webm", ".mp4"):
        path = tmp_path / f"x{suffix}"
        write_video(path, moving_pattern(50), fps=Fraction(25), audio=None, subtitles=Subtitles(cues=cues))
    plain = [(c.start_ms, c.stop_ms - c.start_ms, "\n".join(c.lines)) for c in CUES[:2]]
    first, second = shown(tmp_path / "x.mkv")[2]
    assert (first[2], second) == (r"{\an8}" + plain[0][2], plain[1])
    assert shown(tmp_path / "x.mp4")[2] == plain
    with av.open(str(tmp_path / "x.webm")) as container:
        packets = [p for p in container.demux(container.streams.subtitles) if p.size]
        settings = [bytes(p.get_sidedata("webvtt_settings")) for p in packets]
    assert settings == [b"line:0", b""]


def test_a_track_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    write_video(path, moving_pattern(5), fps=Fraction(25), audio=None, subtitles=Subtitles(cues=[]))
    assert shown(path)[2] == []
    write_video(path, moving_pattern(5), fps=Fraction(25), audio=None)
    with av.open(str(path)) as container:
        assert not container.streams.subtitles


ODD = Cue(
    start_ms=0,
    stop_ms=400,
    lines=(
        "\x1b[31m\x07{\\an8}A\u202e<font color=red>b</font>\x00",
        "\u200f\x0b",
        "{y:i}c\n\nd <i>e",
        "f</i> a<b",
    ),
)
"""Control characters, bidirectional controls, an empty line, line ends, and mark-up across lines."""


def test_control_characters_and_mark_up_are_neutralised(tmp_path: Path) -> None:
    write_captions(tmp_path / "x.srt", [ODD])
    assert (tmp_path / "x.srt").read_text(encoding="utf-8") == (
        "1\n00:00:00,000 --> 00:00:00,400\n"
        "[31m(\\an8)A\u2039font color=red\u203ab\u2039/font\u203a\n(y:i)c d "
        "\u2039i\u203ae\nf\u2039/i\u203a a<b\n\n"
    )
    write_captions(tmp_path / "x.vtt", [ODD])
    assert (tmp_path / "x.vtt").read_text(encoding="utf-8") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.400\n"
        "[31m{\\an8}A&lt;font color=red&gt;b&lt;/font&gt;\n{y:i}c d &lt;i&gt;e\nf&lt;/i&gt; a&lt;b\n\n"
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_tracks_show_text_that_resembles_mark_up(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write_wav(tmp_path / "x.wav", tone(1.0), 16_000)
    write_video(
        path,
        list(moving_pattern(25)),
        fps=Fraction(25),
        audio=tmp_path / "x.wav",
        subtitles=Subtitles(cues=[ODD]),
    )
    ((_, _, text),) = shown(path)[2]
    assert text.startswith("[31m(\\an8)A\u2039font color=red\u203ab")
    assert not any(character in text for character in "\x1b\x07\x00\u202e\u200f")
